// SPDX-License-Identifier: GPL-2.0

//! The timers over any sequence of events and pauses: what is due is done once, and in bounds.

use crate::prelude::*;

pub fn run(data: &[u8]) {
    let (mut timers, mut now, mut sent) = (Timers::new(), Instant::from_nanos(1), None);
    for step in steps(data) {
        match step {
            TimerStep::Tell(event, random) => {
                let event = EVENTS[usize::from(event) % EVENTS.len()];
                timers.handle(event, now, random);
                if matches!(event, Event::InitiationSent | Event::ResponseSent) {
                    sent = Some(now);
                }
            }
            TimerStep::Wait(ms) => now = now.after(Duration::from_millis(ms.into())),
            TimerStep::WaitForNext => now = timers.next().unwrap_or(now).max(now),
            TimerStep::Interval(secs) => timers.set_persistent_keepalive(secs),
            TimerStep::Claim => {
                let may = sent.is_none_or(|at| now.since(at) >= Duration::from_secs(5));
                assert_eq!(timers.claim_initiation(now, 0), may);
                sent = if may { Some(now) } else { sent };
            }
            TimerStep::Anew => timers.reset_retries(),
            TimerStep::Stop => timers.stop(),
        }
        let due = timers.next().is_some_and(|at| at <= now);
        assert_eq!(timers.poll(now) != Actions::default(), due);
        assert_eq!(timers.poll(now), Actions::default(), "due twice");
        assert!(timers.next().is_none_or(|at| at > now), "overdue");
    }
}
