// SPDX-License-Identifier: GPL-2.0

//! Macs and cookies over any sequence of messages, replies and pauses.

use crate::prelude::*;

pub fn run(data: &[u8]) {
    let (keys, mut maker) = (CookieKeys::<Fake>::new(&[7; 32]), CookieMaker::new());
    let secret = CookieSecret::<Fake>::new([9; 32], Instant::from_nanos(0));
    let (mut now, mut taken, mut waits) = (Instant::from_nanos(1), None, false);
    let mut last = Vec::new();
    for step in steps(data) {
        let reply = match step {
            CookieStep::Message(body) => {
                last = body.to_vec();
                maker.add_macs(&keys, &mut last, now);
                let long = last.len() >= 32;
                let young = |at| now.since(at) < Duration::from_secs(115);
                let proven = long && taken.is_some_and(young);
                assert_eq!(keys.check_mac1(&last), long);
                let mac2 = [if proven { mac(16) } else { 0 }; 16];
                assert!(!long || last.ends_with(&mac2));
                assert!(!long || secret.check_mac2(&last, b"me") == proven);
                waits |= long;
                continue;
            }
            CookieStep::Wait(ms) => {
                now = now.after(Duration::from_millis(ms.into()));
                continue;
            }
            CookieStep::TrueReply => secret.reply(&keys, &last, 1, b"me", [0; 24]),
            CookieStep::Reply(reply) => Some(*reply),
        };
        let Some(reply) = reply else { continue };
        let good = waits && reply[48] % 2 == 0;
        assert_eq!(maker.consume_reply(&keys, &reply, now), good);
        taken = if good { Some(now) } else { taken };
        waits &= !good;
    }
}
