// SPDX-License-Identifier: GPL-2.0

//! Any octets as responses to one initiation: the first good one makes a session, and none after it.

use crate::prelude::*;

pub fn run(data: &[u8]) {
    let local = Identity::<Fake>::new([1; 32]).unwrap();
    let mut remote = Remote::new([0x21; 32]);
    let mut handshake = Handshake::<Fake>::new();
    let time = Tai64n::from_unix(1, 0);
    let index = 0x0403_0201u32;
    let sent = handshake.initiate(&local, &mut remote, [5; 32], index, time);
    assert!(sent.is_some());
    for message in steps::<[u8; 92]>(data) {
        let waits = handshake.awaited_index() == Some(index);
        let good = waits
            && message[8..12] == index.to_le_bytes()
            && message[12..44] != [0; 32]
            && message[44] % 2 == 0;
        assert_eq!(handshake.accept_response(&local, &remote, &message), good);
        assert_eq!(handshake.awaited_index().is_some(), waits && !good);
        let session = handshake.begin_session(Instant::from_nanos(1));
        assert_eq!(session.is_some(), good);
        if let Some(session) = session {
            assert_eq!(session.local_index(), index);
            assert_eq!(session.remote_index().to_le_bytes(), message[4..8]);
            assert!(session.initiator());
        }
    }
}
