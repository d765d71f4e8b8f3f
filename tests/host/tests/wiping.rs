// SPDX-License-Identifier: GPL-2.0

//! Secrets are wiped. The primitives here write down each secret that they are given or give out, and
//! each that is wiped; once all is dropped, nothing may be missing.

use std::cell::RefCell;
use std::collections::BTreeMap;
use wireguard_host::protocol::cookie::{
    CookieKeys,
    CookieMaker,
    CookieSecret, //
};
use wireguard_host::protocol::crypto::{
    Crypto,
    Secret, //
};
use wireguard_host::protocol::noise::{
    Handshake,
    Identity,
    Received,
    Remote, //
};
use wireguard_host::protocol::session::Session;
use wireguard_host::protocol::time::{
    Duration,
    Instant,
    Tai64n, //
};
use wireguard_host::rust_crypto::RustCrypto;

#[derive(Default)]
struct Notes {
    /// What must be wiped, and what it is.
    secrets: BTreeMap<Vec<u8>, &'static str>,
    /// How often what was wiped.
    wiped: BTreeMap<Vec<u8>, usize>,
    /// Where.
    places: Vec<usize>,
}

thread_local! {
    static NOTES: RefCell<Notes> = RefCell::default();
}

fn secret(bytes: &[u8], name: &'static str) {
    NOTES.with_borrow_mut(|notes| {
        notes.secrets.entry(bytes.to_vec()).or_insert(name);
    });
}

/// [`RustCrypto`] that takes notes.
struct Noting;

impl Crypto for Noting {
    fn blake2s_256(out: &mut [u8; 32], key: &[u8], parts: &[&[u8]]) {
        RustCrypto::blake2s_256(out, key, parts);
        // Both hashes of an HMAC begin with the padded key; the outer one's takes the place of the
        // inner one's.
        if parts[0].len() == 64 {
            if parts.len() == 2 {
                secret(parts[0], "padded key");
            }
            secret(out, "output of an HMAC");
        }
    }
    fn blake2s_128(out: &mut [u8; 16], key: &[u8], parts: &[&[u8]]) {
        RustCrypto::blake2s_128(out, key, parts);
        if key.len() == 16 {
            secret(key, "cookie");
        }
    }
    fn x25519(out: &mut [u8; 32], private: &[u8; 32], public: &[u8; 32]) -> bool {
        let good = RustCrypto::x25519(out, private, public);
        secret(private, "private key");
        secret(out, "shared secret");
        good
    }
    fn x25519_public(out: &mut [u8; 32], private: &[u8; 32]) -> bool {
        secret(private, "private key");
        RustCrypto::x25519_public(out, private)
    }
    fn seal(dst: &mut [u8], src: &[u8], ad: &[u8], counter: u64, key: &[u8; 32]) -> bool {
        secret(key, "handshake key");
        RustCrypto::seal(dst, src, ad, counter, key)
    }
    fn open(dst: &mut [u8], src: &[u8], ad: &[u8], counter: u64, key: &[u8; 32]) -> bool {
        secret(key, "handshake key");
        RustCrypto::open(dst, src, ad, counter, key)
    }
    fn seal_in_place(buf: &mut [u8], ad: &[u8], counter: u64, key: &[u8; 32]) -> bool {
        secret(key, "transport key");
        RustCrypto::seal_in_place(buf, ad, counter, key)
    }
    fn open_in_place(buf: &mut [u8], ad: &[u8], counter: u64, key: &[u8; 32]) -> bool {
        secret(key, "transport key");
        RustCrypto::open_in_place(buf, ad, counter, key)
    }
    fn xseal(dst: &mut [u8], src: &[u8], ad: &[u8], nonce: &[u8; 24], key: &[u8; 32]) -> bool {
        secret(src, "cookie");
        RustCrypto::xseal(dst, src, ad, nonce, key)
    }
    fn xopen(dst: &mut [u8], src: &[u8], ad: &[u8], nonce: &[u8; 24], key: &[u8; 32]) -> bool {
        RustCrypto::xopen(dst, src, ad, nonce, key)
    }
    fn equal(a: &[u8], b: &[u8]) -> bool {
        RustCrypto::equal(a, b)
    }
    fn wipe(buf: &mut [u8]) {
        NOTES.with_borrow_mut(|notes| {
            *notes.wiped.entry(buf.to_vec()).or_default() += 1;
            notes.places.push(buf.as_ptr() as usize);
        });
        RustCrypto::wipe(buf);
    }
}

const NOW: Instant = Instant::from_nanos(1);

fn wiped(bytes: &[u8]) -> usize {
    NOTES.with_borrow(|notes| notes.wiped.get(bytes).copied().unwrap_or(0))
}

fn nothing_is_left() {
    NOTES.with_borrow(|notes| {
        assert!(notes.secrets.len() > 20, "nothing noted");
        for (bytes, name) in &notes.secrets {
            assert!(notes.wiped.contains_key(bytes), "not wiped: {name}");
        }
    });
}

fn exchange(a: &Session<Noting>, b: &Session<Noting>) {
    let mut buf = [7; 32];
    assert!(a.seal_in_place(0, &mut buf));
    assert!(b.open_in_place(0, &mut buf));
    let mut buf = [7; 32];
    assert!(b.seal_in_place(0, &mut buf));
    assert!(a.open_in_place(0, &mut buf));
}

/// Handshake, sessions and cookies of both sides, then the end of all.
#[test]
fn everything_in_the_end() {
    {
        let a = Identity::<Noting>::new([1; 32]).unwrap();
        let b = Identity::<Noting>::new([2; 32]).unwrap();
        let mut to_b = Remote::new(*b.public());
        let mut to_a = Remote::new(*a.public());
        to_b.set_preshared(Some([3; 32]));
        to_a.set_preshared(Some([3; 32]));
        secret(&[3; 32], "preshared key");
        let keys = CookieKeys::<Noting>::new(b.public());
        let cookies = CookieSecret::<Noting>::new([4; 32], NOW);
        secret(&[4; 32], "secret of cookies");
        let mut maker = CookieMaker::new();
        let (mut at_a, mut at_b) = (Handshake::new(), Handshake::new());

        let mut message = at_a
            .initiate(&a, &mut to_b, [5; 32], 1, Tai64n::from_unix(1, 0))
            .unwrap();
        maker.add_macs(&keys, &mut message, NOW);
        let reply = cookies.reply(&keys, &message, 1, b"me", [0; 24]).unwrap();
        assert!(maker.consume_reply(&keys, &reply, NOW));
        maker.add_macs(&keys, &mut message, NOW);
        assert!(cookies.check_mac2(&message, b"me"));
        let received = Received::open(&b, &message).unwrap();
        assert_eq!(at_b.accept(&b, &mut to_a, received, NOW), Ok(()));
        let response = at_b.respond(&to_a, [6; 32], 2).unwrap();
        assert!(at_a.accept_response(&a, &to_b, &response));
        let session_a = at_a.begin_session(NOW).unwrap();
        let session_b = at_b.begin_session(NOW).unwrap();
        exchange(&session_a, &session_b);

        // With the session begun the handshake knows nothing any more.
        let mut ephemeral = [5; 32];
        ephemeral[0] &= 248;
        ephemeral[31] = ephemeral[31] & 127 | 64;
        assert!(
            wiped(&ephemeral) > 0,
            "the ephemeral key outlives its handshake"
        );
    }
    nothing_is_left();
}

/// Where each step fails, what it had computed is wiped as well.
#[test]
fn after_failures() {
    {
        let a = Identity::<Noting>::new([1; 32]).unwrap();
        let b = Identity::<Noting>::new([2; 32]).unwrap();
        assert!(Identity::<Noting>::new([0; 32]).is_none());
        let mut to_b = Remote::new(*b.public());
        let mut to_a = Remote::new(*a.public());
        let (mut at_a, mut at_b) = (Handshake::new(), Handshake::new());

        assert!(at_b.respond(&to_a, [9; 32], 1).is_none());
        let low = at_a.initiate(
            &a,
            &mut Remote::new([0; 32]),
            [8; 32],
            1,
            Tai64n::from_unix(1, 0),
        );
        assert!(low.is_none());
        let message = at_a
            .initiate(&a, &mut to_b, [5; 32], 1, Tai64n::from_unix(1, 0))
            .unwrap();
        for at in [10, 50, 100] {
            let mut forged = message;
            forged[at] ^= 1;
            if let Some(received) = Received::open(&b, &forged) {
                assert!(at_b.accept(&b, &mut to_a, received, NOW).is_err());
            }
        }
        let received = Received::open(&b, &message).unwrap();
        at_b.accept(&b, &mut to_a, received, NOW).unwrap();
        let mut response = at_b.respond(&to_a, [6; 32], 2).unwrap();
        response[50] ^= 1;
        assert!(!at_a.accept_response(&a, &to_b, &response));
    }
    nothing_is_left();
}

/// How many secrets have been wiped inside this object.
fn wiped_in<T>(object: &T) -> usize {
    let from = std::ptr::from_ref(object) as usize;
    let range = from..from + size_of::<T>();
    NOTES.with_borrow(|notes| notes.places.iter().filter(|at| range.contains(at)).count())
}

/// Secrets are wiped in the handshake itself when it goes on. Moved out of it, they would be wiped where
/// they came to, and their octets would stay with the peer until its next handshake.
#[test]
fn in_place() {
    let a = Identity::<Noting>::new([1; 32]).unwrap();
    let b = Identity::<Noting>::new([2; 32]).unwrap();
    let (mut to_b, mut to_a) = (Remote::new(*b.public()), Remote::new(*a.public()));
    let (mut at_a, mut at_b) = (Box::new(Handshake::new()), Box::new(Handshake::new()));
    let mut before = [0, 0];
    let mut more = |at_a: &Handshake<Noting>, at_b: &Handshake<Noting>| {
        let now = [wiped_in(at_a), wiped_in(at_b)];
        let more = [now[0] - before[0], now[1] - before[1]];
        before = now;
        more
    };

    let message = at_a
        .initiate(&a, &mut to_b, [5; 32], 1, Tai64n::from_unix(1, 0))
        .unwrap();
    let received = Received::open(&b, &message).unwrap();
    assert_eq!(at_b.accept(&b, &mut to_a, received, NOW), Ok(()));
    assert_eq!(more(&at_a, &at_b), [0, 0]);
    // The chaining key of what was accepted.
    let response = at_b.respond(&to_a, [6; 32], 2).unwrap();
    assert_eq!(more(&at_a, &at_b), [0, 1]);
    // The chaining key of what was sent, and the ephemeral key.
    assert!(at_a.accept_response(&a, &to_b, &response));
    assert_eq!(more(&at_a, &at_b), [2, 0]);
    // The chaining key that was agreed on, which the keys of the session come from.
    assert!(at_a.begin_session(NOW).is_some());
    assert!(at_b.begin_session(NOW).is_some());
    assert_eq!(more(&at_a, &at_b), [1, 1]);

    // A cookie that has become too old.
    let keys = CookieKeys::<Noting>::new(b.public());
    let mut maker = Box::new(CookieMaker::new());
    let mut message = message;
    maker.add_macs(&keys, &mut message, NOW);
    let reply = CookieSecret::<Noting>::new([4; 32], NOW).reply(&keys, &message, 1, b"me", [0; 24]);
    assert!(maker.consume_reply(&keys, &reply.unwrap(), NOW));
    assert_eq!(wiped_in(&*maker), 0);
    maker.add_macs(&keys, &mut message, NOW.after(Duration::from_secs(120)));
    assert_eq!(wiped_in(&*maker), 1);
}

/// Where the driver says that keys end, they end then and not with the peer.
#[test]
fn at_once() {
    let a = Identity::<Noting>::new([1; 32]).unwrap();
    let mut remote = Remote::new(*Identity::<Noting>::new([2; 32]).unwrap().public());
    let mut handshake = Handshake::new();
    handshake
        .initiate(&a, &mut remote, [0x45; 32], 1, Tai64n::from_unix(1, 0))
        .unwrap();
    let mut ephemeral = [0x45; 32];
    ephemeral[0] &= 248;
    ephemeral[31] = ephemeral[31] & 127 | 64;
    let before = wiped(&ephemeral);
    handshake.clear();
    assert_eq!(wiped(&ephemeral), before + 1);

    let shared = {
        let mut out = [0; 32];
        assert!(RustCrypto::x25519(&mut out, a.private(), remote.public()));
        out
    };
    let before = wiped(&shared);
    remote.forget_static_static();
    assert_eq!(wiped(&shared), before + 1);

    remote.set_preshared(Some([0x77; 32]));
    let before = wiped(&[0x77; 32]);
    remote.set_preshared(None);
    assert_eq!(wiped(&[0x77; 32]), before + 1);

    let mut origin = [0x66; 32];
    let taken = Secret::<Noting>::take(&mut origin);
    assert_eq!((origin, taken.bytes()), ([0; 32], &[0x66; 32]));
    let copy = taken.dup();
    drop(taken);
    drop(copy);
    assert_eq!(wiped(&[0x66; 32]), 3);
}
