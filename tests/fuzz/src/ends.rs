// SPDX-License-Identifier: GPL-2.0

//! One of two ends that talk over a bad network.

use wireguard_host::protocol::messages::{
    INITIATION_LEN,
    RESPONSE_LEN, //
};
use wireguard_host::protocol::noise::{
    Handshake,
    Identity,
    Received,
    Remote, //
};
use wireguard_host::protocol::session::Session;
use wireguard_host::protocol::time::{
    Instant,
    Tai64n, //
};

use crate::fake::Fake;

/// See the module.
pub struct End {
    identity: Identity<Fake>,
    remote: Remote<Fake>,
    pub handshake: Handshake<Fake>,
    /// Nanoseconds.
    pub now: u64,
    next_index: u32,
    sessions: Vec<Session<Fake>>,
    /// The timestamp of the last initiation that was accepted; the fake primitives leave it readable.
    newest: Vec<u8>,
}

impl End {
    /// The end with secret key `me` that knows the one with `other`.
    pub fn new(me: u8, other: u8) -> Self {
        let public = *Identity::<Fake>::new([other; 32]).unwrap().public();
        Self {
            identity: Identity::new([me; 32]).unwrap(),
            remote: Remote::new(public),
            handshake: Handshake::new(),
            now: 1 << 40,
            next_index: u32::from(me) << 24,
            sessions: Vec::new(),
            newest: Vec::new(),
        }
    }

    fn index(&mut self) -> u32 {
        self.next_index += 1;
        self.next_index
    }

    pub fn initiate(&mut self) -> Option<Vec<u8>> {
        let (index, random) = (self.index(), [self.next_index as u8; 32]);
        let time = Tai64n::from_unix(self.now >> 30, (self.now & 0x3fff_ffff) as u32);
        let message =
            self.handshake
                .initiate(&self.identity, &mut self.remote, random, index, time)?;
        assert_eq!(self.handshake.awaited_index(), Some(index));
        Some(message.to_vec())
    }

    /// Takes an initiation; a refused one leaves what was going on.
    pub fn respond(&mut self, message: &[u8; INITIATION_LEN]) -> Option<Vec<u8>> {
        let now = Instant::from_nanos(self.now);
        let awaited = self.handshake.awaited_index();
        let received = Received::open(&self.identity, message)?;
        let accepted = self
            .handshake
            .accept(&self.identity, &mut self.remote, received, now);
        if accepted.is_err() {
            assert_eq!(self.handshake.awaited_index(), awaited);
            return None;
        }
        assert!(message[88..100] > self.newest[..], "an old initiation");
        self.newest = message[88..100].to_vec();
        let (index, random) = (self.index(), [self.next_index as u8; 32]);
        let response = self.handshake.respond(&self.remote, random, index)?;
        self.begin(index, false);
        Some(response.to_vec())
    }

    /// Takes a response; a refused one leaves what was going on.
    pub fn complete(&mut self, message: &[u8; RESPONSE_LEN]) {
        let awaited = self.handshake.awaited_index();
        if self
            .handshake
            .accept_response(&self.identity, &self.remote, message)
        {
            self.begin(awaited.expect("a response that nobody waits for"), true);
        } else {
            assert_eq!(self.handshake.awaited_index(), awaited);
        }
    }

    pub fn preshared(&mut self, value: u8) {
        self.remote.set_preshared(Some([value; 32]));
        assert_eq!(self.remote.preshared(), &[value; 32]);
    }

    fn begin(&mut self, index: u32, initiator: bool) {
        let now = Instant::from_nanos(self.now);
        let session = self.handshake.begin_session(now).expect("agreed");
        assert_eq!(session.local_index(), index);
        assert_eq!(session.initiator(), initiator);
        assert!(self.handshake.begin_session(now).is_none());
        self.sessions.push(session);
    }

    /// An index leads to one session, and who share one have different parts in it.
    pub fn check_against(&self, other: &Self) {
        let Some(last) = self.sessions.last() else {
            return;
        };
        let (mine, theirs) = (last.local_index(), last.remote_index());
        let same = self.sessions.iter().filter(|s| s.local_index() == mine);
        assert_eq!(same.count(), 1, "two sessions of one index");
        for twin in other.sessions.iter().filter(|s| s.local_index() == theirs) {
            if twin.remote_index() == mine {
                assert_ne!(twin.initiator(), last.initiator());
            }
        }
    }
}
