// SPDX-License-Identifier: GPL-2.0

//! Any octets as initiations to one responder: what is accepted is newer than all before, not too soon,
//! and from the peer; what is not changes nothing.

use crate::prelude::*;

pub fn run(data: &[u8]) {
    let local = Identity::<Fake>::new([1; 32]).unwrap();
    let mut remote = Remote::new([0x21; 32]);
    let mut handshake = Handshake::<Fake>::new();
    let (mut now, mut newest, mut accepted_at) = (1u64 << 40, [0; 12], None);
    for (message, pause) in steps::<([u8; 148], u32)>(data) {
        now += u64::from(pause);
        let Some(received) = Received::open(&local, &message) else {
            // The point of low order, and a bad tag.
            assert!(message[8..40] == [0; 32] || message[72] % 2 != 0);
            continue;
        };
        assert_eq!(received.remote_public(), &message[40..72]);
        let timestamp: [u8; 12] = message[88..100].try_into().unwrap();
        let good = message[40..72] == [0x21; 32]
            && message[100] % 2 == 0
            && timestamp > newest
            && accepted_at.is_none_or(|at| now - at >= 20_000_000);
        let result = handshake.accept(&local, &mut remote, received, Instant::from_nanos(now));
        assert_eq!(result.is_ok(), good);
        if good {
            (newest, accepted_at) = (timestamp, Some(now));
            let response = handshake.respond(&remote, [3; 32], 9).unwrap();
            assert_eq!(response[8..12], message[4..8]);
            assert!(handshake.begin_session(Instant::from_nanos(now)).is_some());
        }
        assert!(handshake.respond(&remote, [3; 32], 9).is_none());
        assert!(handshake.begin_session(Instant::from_nanos(now)).is_none());
    }
}
