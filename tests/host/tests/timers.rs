// SPDX-License-Identifier: GPL-2.0

//! The timers against a model that keeps no deadline, only the history, and works out each deadline
//! anew from what the whitepaper says about it.

use proptest::collection::vec;
use proptest::prelude::*;
use wireguard_host::protocol::time::Instant;
use wireguard_host::protocol::timers::{
    Actions,
    Alarm,
    Event,
    Timers, //
};

const SEC: u64 = 1_000_000_000;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Entry {
    Told(Event, u32),
    Wanted(u32),
    Interval(u16),
    Fired(Name),
    GaveUp,
    Unanswered,
    Forgotten,
    AskedAnew,
    Wiped,
    Stopped,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Name {
    Retry,
    Want,
    Keepalive,
    NoReply,
    ZeroKeys,
    Persistent,
}

use Entry::*;
use Name::*;

fn jitter(random: u32) -> u64 {
    ((u128::from(SEC / 3) * u128::from(random)) >> 32) as u64
}

/// Whether it is an initiation that was to be sent, whatever became of it.
fn is_attempt(event: Event) -> bool {
    matches!(
        event,
        Event::InitiationSent | Event::InitiationUnaddressed | Event::InitiationFailed
    )
}

#[derive(Default)]
struct Model {
    history: Vec<(u64, Entry)>,
}

impl Model {
    fn add(&mut self, at: u64, entry: Entry) {
        self.history.push((at, entry));
    }

    /// What was written since the last entry that `ends`.
    fn since(&self, ends: impl Fn(Entry) -> bool) -> &[(u64, Entry)] {
        let start = self.history.iter().rposition(|(_, entry)| ends(*entry));
        &self.history[start.map_or(0, |at| at + 1)..]
    }

    fn interval_at(&self, index: usize) -> u64 {
        let before = self.history[..index].iter().rev();
        let mut set = before.filter_map(|(_, entry)| match entry {
            Interval(secs) => Some(u64::from(*secs)),
            _ => None,
        });
        set.next().unwrap_or(0)
    }

    /// Whether data came in while a keepalive was due, and none has gone out for its own sake since.
    fn again(&self) -> bool {
        (0..self.history.len()).any(|i| {
            let (past, rest) = self.history.split_at(i);
            let past = Self {
                history: past.to_vec(),
            };
            matches!(rest[0].1, Told(Event::DataReceived, _))
                && past.keepalive().is_some()
                && !rest
                    .iter()
                    .any(|(_, e)| matches!(e, Fired(Keepalive) | Stopped))
        })
    }

    fn keepalive(&self) -> Option<u64> {
        let ends = |entry| {
            matches!(
                entry,
                Told(Event::AuthenticatedSent, _) | Fired(Keepalive) | GaveUp | Stopped
            )
        };
        let rest = self.since(ends);
        // The firing itself may start the next, when data came in after what it is for.
        let fired = self.history.len() - rest.len();
        if let Some((at, Fired(Keepalive))) = fired.checked_sub(1).map(|i| self.history[i]) {
            let before = Self {
                history: self.history[..fired - 1].to_vec(),
            };
            if before.again() {
                return Some(at + 10 * SEC);
            }
        }
        let mut data = rest
            .iter()
            .filter(|(_, e)| matches!(e, Told(Event::DataReceived, _)));
        data.next().map(|(at, _)| at + 10 * SEC)
    }

    fn no_reply(&self) -> Option<u64> {
        let ends = |entry| {
            matches!(
                entry,
                Told(Event::AuthenticatedReceived, _) | Fired(NoReply) | Stopped
            )
        };
        self.since(ends).iter().find_map(|(at, entry)| match entry {
            Told(Event::DataSent, random) => Some(at + 15 * SEC + jitter(*random)),
            _ => None,
        })
    }

    fn retry(&self) -> Option<u64> {
        let ends = |entry| {
            matches!(
                entry,
                Told(Event::HandshakeComplete, _) | Fired(Retry) | Stopped
            )
        };
        let rest = self.since(ends);
        let first = rest
            .iter()
            .position(|(_, entry)| matches!(entry, Told(event, _) if is_attempt(*event)))?;
        rest[first..]
            .iter()
            .rev()
            .find_map(|(at, entry)| match entry {
                Told(event, random) if is_attempt(*event) || *event == Event::ResponseSent => {
                    Some(at + 5 * SEC + jitter(*random))
                }
                _ => None,
            })
    }

    /// An initiation that was asked for too early, while none was to be repeated.
    fn wanted(&self) -> Option<u64> {
        let rest = self.since(|entry| match entry {
            Told(event, _) => is_attempt(event) || event == Event::HandshakeComplete,
            entry => matches!(entry, Fired(Want) | Stopped),
        });
        let base = self.history.len() - rest.len();
        rest.iter().enumerate().find_map(|(i, (at, entry))| {
            let Wanted(random) = entry else { return None };
            let past = Self {
                history: self.history[..base + i].to_vec(),
            };
            let early = !past.may_initiate(*at) && past.retry().is_none();
            early.then(|| past.handshake_sent().unwrap() + 5 * SEC + jitter(*random))
        })
    }

    fn zero_keys(&self) -> Option<u64> {
        let rest = self.since(|entry| matches!(entry, Fired(ZeroKeys) | Wiped | Stopped));
        let derived = |entry: &Entry| matches!(entry, Told(Event::SessionDerived, _));
        let start = rest.iter().rev().find(|(_, entry)| derived(entry));
        let start = start.or_else(|| rest.iter().find(|(_, entry)| *entry == GaveUp));
        start.map(|(at, _)| at + 540 * SEC)
    }

    fn persistent(&self) -> Option<u64> {
        let rest = self.since(|entry| matches!(entry, Stopped | Interval(0)));
        let base = self.history.len() - rest.len();
        rest.iter().enumerate().rev().find_map(|(i, (at, entry))| {
            let interval = self.interval_at(base + i);
            let armed = matches!(
                entry,
                Told(Event::Traversal | Event::KeepalivesBegin, _) | Fired(Persistent)
            );
            (armed && interval != 0).then(|| at + interval * SEC)
        })
    }

    fn next(&self) -> Option<u64> {
        [
            self.retry(),
            self.wanted(),
            self.keepalive(),
            self.no_reply(),
            self.zero_keys(),
            self.persistent(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn retries(&self) -> usize {
        let rest = self.since(|entry| {
            matches!(
                entry,
                Told(Event::HandshakeComplete, _) | AskedAnew | Fired(NoReply)
            )
        });
        let fired = rest
            .iter()
            .filter(|(_, entry)| *entry == Fired(Retry))
            .count();
        fired - rest.iter().filter(|(_, entry)| *entry == GaveUp).count()
    }

    fn unanswered(&self) -> usize {
        let rest = self.since(|entry| {
            matches!(
                entry,
                Told(Event::HandshakeComplete, _) | Unanswered | Forgotten
            )
        });
        let sent = |entry: &Entry| matches!(entry, Told(Event::InitiationSent, _));
        rest.iter().filter(|(_, entry)| sent(entry)).count()
    }

    fn poll(&mut self, now: u64) -> Actions {
        let due = |deadline: Option<u64>| deadline.is_some_and(|at| at <= now);
        let mut actions = Actions::default();
        if self.unanswered() >= 20 && self.may_initiate(now) {
            actions.unanswered = self.unanswered() as u32;
            self.add(now, Unanswered);
        }
        if due(self.retry()) {
            let retries = self.retries();
            self.add(now, Fired(Retry));
            if retries == 19 {
                actions.give_up = true;
                if self.unanswered() != 0 {
                    actions.unanswered = self.unanswered() as u32;
                    self.add(now, Unanswered);
                }
                self.add(now, GaveUp);
            } else {
                (actions.initiate, actions.clear_source) = (true, true);
                actions.retries = retries as u32 + 1;
            }
        }
        if due(self.wanted()) {
            self.add(now, Fired(Want));
            actions.initiate = true;
        }
        if due(self.no_reply()) {
            self.add(now, Fired(NoReply));
            actions.silence = true;
            (actions.initiate, actions.clear_source) = (true, true);
        }
        if due(self.keepalive()) {
            self.add(now, Fired(Keepalive));
            actions.send_keepalive = true;
        }
        if due(self.persistent()) {
            self.add(now, Fired(Persistent));
            actions.send_keepalive = true;
        }
        if due(self.zero_keys()) {
            self.add(now, Fired(ZeroKeys));
            actions.zero_keys = true;
        }
        actions
    }

    fn handshake_sent(&self) -> Option<u64> {
        let rest = self.since(|entry| entry == Forgotten);
        let mut sent = rest.iter().rev().filter(|(_, entry)| {
            matches!(
                entry,
                Told(
                    Event::InitiationSent | Event::InitiationUnaddressed | Event::ResponseSent,
                    _
                )
            )
        });
        sent.next().map(|(at, _)| *at)
    }

    fn may_initiate(&self, now: u64) -> bool {
        self.handshake_sent().is_none_or(|at| now - at >= 5 * SEC)
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Tell(Event, u32),
    Want(u32),
    Interval(u16),
    /// Lets so many nanoseconds pass, then looks.
    Wait(u64),
    /// Looks exactly at the next deadline, or one nanosecond before.
    WaitForNext(bool),
    AskAnew,
    Wipe,
    Forget,
    Stop,
}

fn step() -> impl Strategy<Value = Step> {
    let event = prop_oneof![
        4 => Just(Event::DataSent),
        4 => Just(Event::DataReceived),
        2 => Just(Event::AuthenticatedSent),
        2 => Just(Event::AuthenticatedReceived),
        2 => Just(Event::Traversal),
        1 => Just(Event::KeepalivesBegin),
        4 => Just(Event::InitiationSent),
        1 => Just(Event::InitiationUnaddressed),
        1 => Just(Event::InitiationFailed),
        2 => Just(Event::ResponseSent),
        1 => Just(Event::HandshakeComplete),
        1 => Just(Event::SessionDerived),
    ];
    let random = prop_oneof![Just(0), Just(u32::MAX), any::<u32>()];
    prop_oneof![
        12 => (event, random.clone()).prop_map(|(event, random)| Step::Tell(event, random)),
        2 => random.prop_map(Step::Want),
        1 => prop_oneof![Just(0u16), 1u16..30].prop_map(Step::Interval),
        4 => (0..20 * SEC).prop_map(Step::Wait),
        8 => any::<bool>().prop_map(Step::WaitForNext),
        1 => Just(Step::AskAnew),
        1 => Just(Step::Wipe),
        1 => (0u8..8).prop_map(|n| match n {
            0 => Step::Stop,
            1 => Step::Forget,
            _ => Step::Wait(1),
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1500,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn timers_follow_the_history(steps in vec(step(), 1..60)) {
        let mut timers = Timers::new();
        let mut model = Model::default();
        let mut now = 1_000 * SEC;
        for step in steps {
            let mut look = false;
            match step {
                Step::Tell(event, random) => {
                    timers.handle(event, Instant::from_nanos(now), random);
                    model.add(now, Told(event, random));
                }
                Step::Want(random) => {
                    let may = timers.want_initiation(Instant::from_nanos(now), random);
                    prop_assert_eq!(may, model.may_initiate(now));
                    model.add(now, Wanted(random));
                }
                Step::Interval(secs) => {
                    timers.set_persistent_keepalive(secs);
                    prop_assert_eq!(timers.persistent_keepalive(), secs);
                    model.add(now, Interval(secs));
                }
                Step::Wait(nanos) => {
                    now += nanos;
                    look = true;
                }
                Step::WaitForNext(early) => {
                    if let Some(at) = model.next() {
                        now = now.max(at - u64::from(early));
                    }
                    look = true;
                }
                Step::AskAnew => {
                    timers.reset_retries();
                    model.add(now, AskedAnew);
                }
                Step::Wipe => {
                    timers.keys_wiped();
                    model.add(now, Wiped);
                }
                Step::Forget => {
                    timers.forget_initiations();
                    model.add(now, Forgotten);
                }
                Step::Stop => {
                    timers.stop();
                    model.add(now, Stopped);
                    prop_assert_eq!(timers.next(), None);
                }
            }
            let at = Instant::from_nanos(now);
            prop_assert_eq!(timers.next().map(Instant::as_nanos), model.next());
            prop_assert_eq!(timers.may_initiate(at), model.may_initiate(now));
            prop_assert_eq!(timers.has_keys(), model.zero_keys().is_some());
            if look {
                prop_assert_eq!(timers.poll(at), model.poll(now));
                prop_assert_eq!(timers.poll(at), Actions::default(), "nothing is due twice");
                prop_assert_eq!(timers.next().map(Instant::as_nanos), model.next());
            }
        }
    }

    /// A handshake that is never answered: 20 initiations, whatever the jitter.
    #[test]
    fn attempts(randoms in vec(any::<u32>(), 20)) {
        let mut timers = Timers::new();
        let mut at = Instant::from_nanos(SEC);
        for (i, random) in randoms.iter().enumerate() {
            prop_assert!(timers.claim_initiation(at, *random));
            prop_assert!(!timers.claim_initiation(at, *random));
            timers.handle(Event::InitiationSent, at, *random);
            let next = timers.next().unwrap();
            let waited = next.since(at).as_nanos();
            prop_assert_eq!(waited, 5 * SEC + jitter(*random));
            at = next;
            let due = timers.poll(at);
            prop_assert_eq!(due.initiate, i < 19);
            prop_assert_eq!(due.give_up, i == 19);
            prop_assert_eq!(due.unanswered, if i == 19 { 20 } else { 0 });
        }
    }

    /// There is something to send all the time, which begins the attempts anew: nothing is given up, and each 20
    /// initiations it is told that nobody answers.
    #[test]
    fn unanswered(gaps in vec(1..8 * SEC, 200), randoms in vec(any::<u32>(), 200)) {
        let mut timers = Timers::new();
        let (mut at, mut sent) = (Instant::from_nanos(SEC), 0);
        for (gap, random) in gaps.into_iter().zip(randoms) {
            // What is due before the next packet; and then the packet, which asks for an initiation.
            let packet = Instant::from_nanos(at.as_nanos() + gap);
            while let Some(due) = timers.next().filter(|due| *due <= packet) {
                at = due;
                let unanswered = if sent == 20 { 20 } else { 0 };
                let due = timers.poll(at);
                prop_assert!(!due.give_up);
                prop_assert_eq!(due.unanswered, unanswered);
                sent -= unanswered;
                if due.initiate && timers.claim_initiation(at, random) {
                    timers.handle(Event::InitiationSent, at, random);
                    sent += 1;
                }
            }
            at = packet;
            timers.reset_retries();
            if timers.want_initiation(at, random) {
                let unanswered = if sent == 20 { 20 } else { 0 };
                prop_assert_eq!(timers.poll(at).unanswered, unanswered);
                sent -= unanswered;
                prop_assert!(timers.claim_initiation(at, random));
                timers.handle(Event::InitiationSent, at, random);
                sent += 1;
            }
        }
    }
}

/// Whoever answers at last is not said to be silent, and the initiations before count no more.
#[test]
fn answered_late() {
    let mut timers = Timers::new();
    let at = |i: u64| Instant::from_nanos((1 + 6 * i) * SEC);
    for i in 0..39 {
        timers.handle(Event::InitiationSent, at(i), 0);
        if i == 19 {
            timers.handle(Event::HandshakeComplete, at(i), 0);
        }
        timers.reset_retries();
        assert_eq!(timers.poll(at(i + 1)).unanswered, 0);
    }
    timers.handle(Event::InitiationSent, at(39), 0);
    assert_eq!(timers.poll(at(40)).unanswered, 20);
}

/// Lets what is due be done, as often as there are initiations to be sent; none of them is answered. Returns what was
/// told, and when it ended.
fn attempts_from(
    timers: &mut Timers,
    mut at: Instant,
    event: Event,
    count: usize,
) -> (Vec<u32>, Instant) {
    let mut told = Vec::new();
    for _ in 0..count {
        timers.handle(event, at, 0);
        at = timers.next().unwrap();
        let due = timers.poll(at);
        if due.unanswered != 0 {
            told.push(due.unanswered);
        }
        if due.give_up {
            break;
        }
    }
    (told, at)
}

/// Attempts that were begun anew end later than what was told last: it is told how many there were since.
#[test]
fn begun_anew_then_given_up() {
    let mut timers = Timers::new();
    let start = Instant::from_nanos(SEC);
    let (told, at) = attempts_from(&mut timers, start, Event::InitiationSent, 10);
    assert_eq!(told, []);
    timers.reset_retries();
    let (told, _) = attempts_from(&mut timers, at, Event::InitiationSent, 100);
    assert_eq!(told, [20, 10]);
}

/// Where there is no endpoint nobody is asked, so nobody has not answered; and attempts end all the same.
#[test]
fn nobody_to_ask() {
    let mut timers = Timers::new();
    let start = Instant::from_nanos(SEC);
    let (told, at) = attempts_from(&mut timers, start, Event::InitiationUnaddressed, 100);
    assert_eq!(told, []);
    assert!((start.as_nanos() + 100 * SEC..start.as_nanos() + 110 * SEC).contains(&at.as_nanos()));
    // Then there is one.
    timers.reset_retries();
    let (told, _) = attempts_from(&mut timers, at, Event::InitiationSent, 20);
    assert_eq!(told, [20]);
}

/// What was sent before the interface went down, or with another key, does not count.
#[test]
fn unanswered_before_a_new_start() {
    let mut timers = Timers::new();
    let start = Instant::from_nanos(SEC);
    let (_, at) = attempts_from(&mut timers, start, Event::InitiationSent, 15);
    timers.forget_initiations();
    timers.reset_retries();
    let (told, _) = attempts_from(&mut timers, at, Event::InitiationSent, 20);
    assert_eq!(told, [20]);
}

/// The last-minute handshake is asked for once, until one completes.
#[test]
fn last_minute() {
    let mut timers = Timers::new();
    let now = Instant::from_nanos(SEC);
    assert!(timers.claim_last_minute());
    assert!(!timers.claim_last_minute());
    timers.handle(Event::InitiationSent, now, 0);
    assert!(!timers.claim_last_minute());
    timers.handle(Event::HandshakeComplete, now, 0);
    assert!(timers.claim_last_minute());
}

/// After the interface went down or a key changed, an initiation may be sent at once.
#[test]
fn forgotten_initiation() {
    let mut timers = Timers::new();
    let now = Instant::from_nanos(SEC);
    timers.handle(Event::ResponseSent, now, 0);
    assert!(!timers.may_initiate(now));
    timers.forget_initiations();
    assert!(timers.may_initiate(now));
}

/// Deadlines at the end of time are no overflow.
#[test]
fn the_end_of_time() {
    let mut timers = Timers::new();
    timers.set_persistent_keepalive(u16::MAX);
    let end = Instant::from_nanos(u64::MAX);
    for event in [
        Event::DataSent,
        Event::DataReceived,
        Event::Traversal,
        Event::InitiationSent,
        Event::SessionDerived,
    ] {
        timers.handle(event, end, u32::MAX);
    }
    assert_eq!(timers.next(), Some(end));
    assert!(timers.poll(end).initiate);
}

/// What is due now is due in the clock of the kernel's timers, however far the machine's sleep has moved the other one.
#[test]
fn alarm_after_sleep() {
    let mut alarm = Alarm::default();
    // Long ago, for the end of a session.
    assert!(alarm.set(1_000, 45_000));
    // An hour of sleep later no tick has passed.
    assert!(alarm.set(1_001, 0), "the initiation is not put off");
    assert!(!alarm.set(1_002, 0));
    alarm.clear();
    assert!(alarm.set(1_003, 10));
    assert!(!alarm.set(1_003, 1_000), "it is set already");
    assert!(!alarm.set(1_005, 10));
}

/// The count of ticks wraps.
#[test]
fn alarm_around_zero() {
    let mut alarm = Alarm::default();
    assert!(alarm.set(usize::MAX - 5, 8));
    assert!(!alarm.set(usize::MAX - 5, 9));
    assert!(!alarm.set(7, 0));
    assert!(alarm.set(usize::MAX - 4, 2));
}
