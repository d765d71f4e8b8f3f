// SPDX-License-Identifier: GPL-2.0

//! Primitives without any security, so that fuzzing gets past the macs: who has to find a mac by chance
//! explores nothing but the check of it. What the protocol relies on for its own logic still holds:
//! both sides of a DH agree, what was sealed opens, hashes depend on their input.

use wireguard_host::protocol::crypto::{
    Crypto,
    TAG_LEN, //
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
use wireguard_host::protocol::timers::Event;

/// See the module.
pub struct Fake;

/// The octet of all macs with a key of this length.
pub const fn mac(key_len: usize) -> u8 {
    0x40 + key_len as u8
}

fn seal(dst: &mut [u8], src: &[u8]) -> bool {
    let Some((text, tag)) = dst.split_last_chunk_mut::<TAG_LEN>() else {
        return false;
    };
    tag.fill(0);
    text.len() == src.len() && {
        text.copy_from_slice(src);
        true
    }
}

/// A tag is good if its first octet is even: half of all made-up ones.
fn open(dst: &mut [u8], src: &[u8]) -> bool {
    let Some((text, tag)) = src.split_last_chunk::<TAG_LEN>() else {
        return false;
    };
    text.len() == dst.len() && tag[0] % 2 == 0 && {
        dst.copy_from_slice(text);
        true
    }
}

impl Crypto for Fake {
    fn blake2s_256(out: &mut [u8; 32], key: &[u8], parts: &[&[u8]]) {
        let mut state = 0xcbf2_9ce4_8422_2325u64;
        for octet in key.iter().chain(parts.iter().copied().flatten()) {
            state = (state ^ u64::from(*octet)).wrapping_mul(0x0100_0000_01b3);
        }
        for chunk in out.chunks_mut(8) {
            state = state.rotate_left(23).wrapping_mul(0x0100_0000_01b3);
            chunk.copy_from_slice(&state.to_le_bytes());
        }
    }
    fn blake2s_128(out: &mut [u8; 16], key: &[u8], _parts: &[&[u8]]) {
        *out = [mac(key.len()); 16];
    }
    /// The sum of secret and public octets; a public octet is the secret one plus one.
    fn x25519(out: &mut [u8; 32], secret: &[u8; 32], public: &[u8; 32]) -> bool {
        *out = std::array::from_fn(|i| secret[i].wrapping_add(public[i]));
        *public != [0; 32]
    }
    fn x25519_public(out: &mut [u8; 32], secret: &[u8; 32]) -> bool {
        *out = secret.map(|octet| octet.wrapping_add(1));
        true
    }
    fn seal(dst: &mut [u8], src: &[u8], _: &[u8], _: u64, _: &[u8; 32]) -> bool {
        seal(dst, src)
    }
    fn open(dst: &mut [u8], src: &[u8], _: &[u8], _: u64, _: &[u8; 32]) -> bool {
        open(dst, src)
    }
    fn seal_in_place(buf: &mut [u8], _: &[u8], _: u64, _: &[u8; 32]) -> bool {
        buf.split_last_chunk_mut::<TAG_LEN>()
            .map(|(_, tag)| tag.fill(0))
            .is_some()
    }
    fn open_in_place(buf: &mut [u8], _: &[u8], _: u64, _: &[u8; 32]) -> bool {
        buf.split_last_chunk::<TAG_LEN>()
            .is_some_and(|(_, tag)| tag[0] % 2 == 0)
    }
    fn xseal(dst: &mut [u8], src: &[u8], _: &[u8], _: &[u8; 24], _: &[u8; 32]) -> bool {
        seal(dst, src)
    }
    fn xopen(dst: &mut [u8], src: &[u8], _: &[u8], _: &[u8; 24], _: &[u8; 32]) -> bool {
        open(dst, src)
    }
    fn equal(a: &[u8], b: &[u8]) -> bool {
        a == b
    }
    fn wipe(buf: &mut [u8]) {
        buf.fill(0);
    }
}

/// The two ends of a handshake that nobody disturbed.
pub fn sessions(now: Instant) -> (Session<Fake>, Session<Fake>) {
    let a = Identity::<Fake>::new([1; 32]).unwrap();
    let b = Identity::<Fake>::new([2; 32]).unwrap();
    let (mut to_a, mut to_b) = (Remote::new(*a.public()), Remote::new(*b.public()));
    let (mut at_a, mut at_b) = (Handshake::new(), Handshake::new());
    let time = Tai64n::from_unix(1, 0);
    let message = at_a.initiate(&a, &mut to_b, [5; 32], 1, time).unwrap();
    let received = Received::open(&b, &message).unwrap();
    at_b.accept(&b, &mut to_a, received, now).unwrap();
    let response = at_b.respond(&to_a, [6; 32], 2).unwrap();
    assert!(at_a.accept_response(&a, &to_b, &response));
    (
        at_a.begin_session(now).unwrap(),
        at_b.begin_session(now).unwrap(),
    )
}

/// All events that timers know.
pub const EVENTS: [Event; 11] = [
    Event::DataSent,
    Event::DataReceived,
    Event::AuthenticatedSent,
    Event::AuthenticatedReceived,
    Event::Traversal,
    Event::InitiationSent,
    Event::ResponseSent,
    Event::HandshakeComplete,
    Event::SessionDerived,
    Event::InitiationFailed,
    Event::KeepalivesBegin,
];
