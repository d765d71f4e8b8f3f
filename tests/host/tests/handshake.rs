// SPDX-License-Identifier: GPL-2.0

//! Single steps of handshake, session and cookie: each flipped bit is refused and changes nothing,
//! each limit is where the whitepaper puts it.

use wireguard_host::protocol::cookie::{
    CookieKeys,
    CookieMaker,
    CookieSecret, //
};
use wireguard_host::protocol::messages::Message;
use wireguard_host::protocol::noise::{
    Handshake,
    Identity,
    Received,
    Refused,
    Remote, //
};
use wireguard_host::protocol::session::{
    Session,
    REJECT_AFTER_MESSAGES,
    REKEY_AFTER_MESSAGES, //
};
use wireguard_host::protocol::time::{
    Duration,
    Instant,
    Tai64n, //
};
use wireguard_host::rng::Rng;
use wireguard_host::rust_crypto::RustCrypto as C;

const START: Instant = Instant::from_nanos(3_600_000_000_000);

fn secs(n: u64) -> Instant {
    START.after(Duration::from_secs(n))
}

/// One side of a tunnel.
struct Side {
    identity: Identity<C>,
    remote: Remote<C>,
    handshake: Handshake<C>,
    rng: Rng,
}

fn sides(seed: u64) -> (Side, Side) {
    let mut rng = Rng::new(seed);
    let [a, b] = [(); 2].map(|()| Identity::<C>::new(rng.bytes()).unwrap());
    let preshared = rng.bytes();
    let mut side = |identity, other: &[u8; 32]| {
        let mut remote = Remote::new(*other);
        remote.set_preshared(Some(preshared));
        Side {
            identity,
            remote,
            handshake: Handshake::new(),
            rng: Rng::new(rng.word()),
        }
    };
    let (public_a, public_b) = (*a.public(), *b.public());
    (side(a, &public_b), side(b, &public_a))
}

impl Side {
    fn initiate(&mut self, index: u32, time: u64) -> [u8; 148] {
        let random = self.rng.bytes();
        let timestamp = Tai64n::from_unix(time, 0);
        self.handshake
            .initiate(&self.identity, &mut self.remote, random, index, timestamp)
            .unwrap()
    }

    fn accept(&mut self, message: &[u8; 148], now: Instant) -> Result<(), Refused> {
        let received = Received::open(&self.identity, message).ok_or(Refused::Forged)?;
        self.handshake
            .accept(&self.identity, &mut self.remote, received, now)
    }

    fn respond(&mut self, index: u32) -> Option<[u8; 92]> {
        let random = self.rng.bytes();
        self.handshake.respond(&self.remote, random, index)
    }

    fn accept_response(&mut self, message: &[u8; 92]) -> bool {
        self.handshake
            .accept_response(&self.identity, &self.remote, message)
    }
}

fn sessions(seed: u64) -> (Session<C>, Session<C>) {
    let (mut a, mut b) = sides(seed);
    let initiation = a.initiate(1, 1);
    assert_eq!(b.accept(&initiation, START), Ok(()));
    let response = b.respond(2).unwrap();
    assert!(a.accept_response(&response));
    let a = a.handshake.begin_session(START).unwrap();
    let b = b.handshake.begin_session(START).unwrap();
    (a, b)
}

fn seal(session: &Session<C>, counter: u64, packet: &[u8]) -> Vec<u8> {
    let mut message = session.header(counter).to_vec();
    message.extend(packet);
    message.extend([0; 16]);
    assert!(session.seal_in_place(counter, &mut message[16..]));
    message
}

fn open(session: &Session<C>, message: &[u8]) -> Option<Vec<u8>> {
    let Message::Data { header, body } = Message::parse(message)? else {
        return None;
    };
    let mut body = body.to_vec();
    if header.receiver != session.local_index() || !session.open_in_place(header.counter, &mut body)
    {
        return None;
    }
    body.truncate(body.len() - 16);
    Some(body)
}

fn flip<const N: usize>(message: &[u8; N], bit: usize) -> [u8; N] {
    let mut message = *message;
    message[bit / 8] ^= 1 << (bit % 8);
    message
}

/// Every bit between the sender index and the macs is authenticated by the handshake itself.
#[test]
fn each_bit_of_an_initiation() {
    let (mut a, mut b) = sides(1);
    let message = a.initiate(0x1234, 100);
    for bit in 8 * 8..116 * 8 {
        let forged = flip(&message, bit);
        assert_eq!(b.accept(&forged, START), Err(Refused::Forged), "bit {bit}");
        assert!(b.respond(1).is_none());
        assert!(b.handshake.begin_session(START).is_none());
    }
    // The timestamp of what was refused does not count, nor does its time.
    assert_eq!(b.accept(&message, START), Ok(()));
}

#[test]
fn each_bit_of_a_response() {
    let (mut a, mut b) = sides(2);
    let message = a.initiate(0x1234, 100);
    assert_eq!(b.accept(&message, START), Ok(()));
    let response = b.respond(7).unwrap();
    for bit in 8 * 8..60 * 8 {
        assert!(!a.accept_response(&flip(&response, bit)), "bit {bit}");
        assert_eq!(a.handshake.awaited_index(), Some(0x1234));
        assert!(a.handshake.begin_session(START).is_none());
    }
    assert!(a.accept_response(&response));
    assert!(!a.accept_response(&response), "a response serves once");
    assert!(a.handshake.begin_session(START).is_some());
    assert!(!a.accept_response(&response));
    assert!(a.handshake.begin_session(START).is_none());
}

/// What the handshake does not authenticate, mac1 does; mac2 is for the cookie.
#[test]
fn each_bit_of_the_macs() {
    let (mut a, b) = sides(3);
    let keys = CookieKeys::<C>::new(b.identity.public());
    let secret = CookieSecret::<C>::new([3; 32], START);
    let mut maker = CookieMaker::<C>::new();
    let source = [10, 0, 0, 1, 0, 1];

    let mut message = a.initiate(1, 1);
    maker.add_macs(&keys, &mut message, START);
    assert!(keys.check_mac1(&message));
    assert_eq!(message[132..], [0; 16]);
    let reply = secret.reply(&keys, &message, 1, &source, [8; 24]).unwrap();
    for bit in 8 * 8..64 * 8 {
        assert!(
            !maker.consume_reply(&keys, &flip(&reply, bit), START),
            "bit {bit}"
        );
    }
    assert!(maker.consume_reply(&keys, &reply, START));
    assert!(
        !maker.consume_reply(&keys, &reply, START),
        "a reply serves once"
    );

    let mut message = a.initiate(2, 2);
    maker.add_macs(&keys, &mut message, START);
    assert!(secret.check_mac2(&message, &source));
    for bit in 0..148 * 8 {
        let forged = flip(&message, bit);
        assert_eq!(keys.check_mac1(&forged), bit >= 132 * 8, "bit {bit}");
        assert!(!secret.check_mac2(&forged, &source), "bit {bit}");
    }
    for bit in 0..source.len() * 8 {
        assert!(
            !secret.check_mac2(&message, &flip(&source, bit)),
            "bit {bit}"
        );
    }
}

#[test]
fn each_bit_of_transport_data() {
    let (a, b) = sessions(4);
    let message: [u8; 48] = seal(&a, 5, &[0x45; 16]).try_into().unwrap();
    for bit in 0..48 * 8 {
        assert_eq!(open(&b, &flip(&message, bit)), None, "bit {bit}");
    }
    assert_eq!(open(&b, &message), Some(vec![0x45; 16]));
    // Each direction has a key of its own.
    let mut back = message;
    back[4..8].copy_from_slice(&a.local_index().to_le_bytes());
    assert_eq!(open(&a, &back), None);
}

#[test]
fn both_ends_agree() {
    let (a, b) = sessions(5);
    assert!(a.initiator() && !b.initiator());
    assert_eq!((a.local_index(), a.remote_index()), (1, 2));
    assert_eq!((b.local_index(), b.remote_index()), (2, 1));
    for (from, to) in [(&a, &b), (&b, &a)] {
        assert_eq!(open(to, &seal(from, 0, b"")), Some(vec![]));
        assert_eq!(open(to, &seal(from, 9, b"hello")), Some(b"hello".to_vec()));
    }
}

/// §5.1: a timestamp must be newer than all before, also after a session has come of it.
#[test]
fn replayed_initiations() {
    let (mut a, mut b) = sides(6);
    let first = a.initiate(1, 100);
    let second = a.initiate(2, 101);
    let third = a.initiate(3, 102);
    assert_eq!(b.accept(&second, START), Ok(()));
    assert_eq!(b.accept(&second, secs(1)), Err(Refused::Replayed));
    assert!(b.respond(9).is_some(), "a replay has ended the handshake");
    assert!(b.handshake.begin_session(START).is_some());
    assert_eq!(b.accept(&first, secs(2)), Err(Refused::Replayed));
    b.handshake.clear();
    assert_eq!(b.accept(&second, secs(3)), Err(Refused::Replayed));
    assert_eq!(b.accept(&third, secs(4)), Ok(()));
}

/// At most 50 a second.
#[test]
fn flood_of_initiations() {
    let (mut a, mut b) = sides(7);
    let messages: Vec<_> = (0..4).map(|i| a.initiate(1, 100 + i)).collect();
    let at = |millis| START.after(Duration::from_millis(millis));
    assert_eq!(b.accept(&messages[0], at(0)), Ok(()));
    assert_eq!(b.accept(&messages[1], at(19)), Err(Refused::TooSoon));
    assert_eq!(b.accept(&messages[1], at(20)), Ok(()));
    assert_eq!(b.accept(&messages[2], at(10)), Err(Refused::TooSoon));
    assert_eq!(b.accept(&messages[2], at(39)), Err(Refused::TooSoon));
    assert_eq!(b.accept(&messages[3], at(40)), Ok(()));
}

/// An initiation that claims to be from another peer, and one for another receiver.
#[test]
fn wrong_peers() {
    let (mut a, mut b) = sides(8);
    let (c, _) = sides(9);
    let message = a.initiate(1, 1);
    assert!(Received::open(&c.identity, &message).is_none());
    let received = Received::open(&b.identity, &message).unwrap();
    assert_eq!(received.remote_public(), a.identity.public());
    let mut other = Remote::new(*c.identity.public());
    let refused = b.handshake.accept(&b.identity, &mut other, received, START);
    assert_eq!(refused, Err(Refused::Forged));

    // One who knows the responder's public key only can name whom he wants, but not prove it.
    let mut liar = Side {
        identity: c.identity,
        remote: Remote::new(*b.identity.public()),
        handshake: Handshake::new(),
        rng: Rng::new(0),
    };
    let message = liar.initiate(1, 1);
    assert_eq!(b.accept(&message, START), Err(Refused::Forged));
    assert!(b.respond(1).is_none());
}

/// A response answers the last initiation, and no other.
#[test]
fn stale_responses() {
    let (mut a, mut b) = sides(10);
    let first = a.initiate(1, 1);
    assert_eq!(b.accept(&first, START), Ok(()));
    let late = b.respond(5).unwrap();
    let second = a.initiate(2, 2);
    assert!(!a.accept_response(&late));
    let mut readdressed = late;
    readdressed[8] = 2;
    assert!(!a.accept_response(&readdressed));
    assert_eq!(b.accept(&second, secs(1)), Ok(()));
    let response = b.respond(6).unwrap();
    a.handshake.clear();
    assert!(!a.accept_response(&response), "cleared");
}

/// Both begin at once: the end that accepts gives up its own attempt.
#[test]
fn crossed_initiations() {
    let (mut a, mut b) = sides(11);
    let from_a = a.initiate(1, 1);
    let _from_b = b.initiate(2, 1);
    assert_eq!(b.handshake.awaited_index(), Some(2));
    assert_eq!(b.accept(&from_a, START), Ok(()));
    assert_eq!(b.handshake.awaited_index(), None);
    let response = b.respond(3).unwrap();
    assert!(a.accept_response(&response));
    let a = a.handshake.begin_session(START).unwrap();
    let b = b.handshake.begin_session(START).unwrap();
    assert_eq!(open(&b, &seal(&a, 0, b"x")), Some(b"x".to_vec()));
}

/// Keys of low order make no handshake, and the all-zero private key is none.
#[test]
fn useless_keys() {
    assert!(Identity::<C>::new([0; 32]).is_none());
    let (mut a, mut b) = sides(12);
    let mut low = Remote::new([0; 32]);
    let random = a.rng.bytes();
    let timestamp = Tai64n::from_unix(1, 0);
    let nothing = a
        .handshake
        .initiate(&a.identity, &mut low, random, 1, timestamp);
    assert!(nothing.is_none());
    assert_eq!(a.handshake.awaited_index(), None);
    let mut message = a.initiate(1, 1);
    message[8..40].fill(0);
    assert!(Received::open(&b.identity, &message).is_none());
    let message = a.initiate(2, 2);
    assert_eq!(b.accept(&message, START), Ok(()));
    let mut response = b.respond(1).unwrap();
    response[12..44].fill(0);
    assert!(!a.accept_response(&response));
}

/// The DH that was kept belongs to one private key: with a new one, of either side, it is not used, whether it was
/// forgotten or not.
#[test]
fn a_new_identity() {
    let (mut a, mut b) = sides(13);
    let message = a.initiate(1, 1);
    assert_eq!(b.accept(&message, START), Ok(()));

    a.identity = Identity::new(a.rng.bytes()).unwrap();
    b.remote = Remote::new(*a.identity.public());
    b.handshake = Handshake::new();
    let message = a.initiate(2, 2);
    assert_eq!(b.accept(&message, START), Ok(()));

    b.identity = Identity::new(b.rng.bytes()).unwrap();
    a.remote = Remote::new(*b.identity.public());
    b.handshake = Handshake::new();
    let message = a.initiate(3, 3);
    assert_eq!(b.accept(&message, START), Ok(()));

    a.remote.forget_static_static();
    b.remote.forget_static_static();
    b.handshake = Handshake::new();
    let message = a.initiate(4, 4);
    assert_eq!(b.accept(&message, START), Ok(()));
}

#[test]
fn private_keys_are_clamped() {
    let identity = Identity::<C>::new([0xff; 32]).unwrap();
    assert_eq!(identity.private()[0], 0xf8);
    assert_eq!(identity.private()[31], 0x7f);
    assert_eq!(identity.private()[1..31], [0xff; 30]);
}

#[test]
fn preshared_key_off_is_zero() {
    let mut remote = Remote::<C>::new([9; 32]);
    assert_eq!(remote.preshared(), &[0; 32]);
    remote.set_preshared(Some([1; 32]));
    assert_eq!(remote.preshared(), &[1; 32]);
    remote.set_preshared(None);
    assert_eq!(remote.preshared(), &[0; 32]);
    assert_eq!(remote.public(), &[9; 32]);
}

/// §6.1, §6.2: what a session may do at which age and count.
#[test]
fn session_limits() {
    let (a, b) = sessions(14);
    let just_before = |n| Instant::from_nanos(secs(n).as_nanos() - 1);
    for session in [&a, &b] {
        assert!(session.usable_for_sending(0, START));
        assert!(session.usable_for_sending(REJECT_AFTER_MESSAGES - 1, just_before(180)));
        assert!(!session.usable_for_sending(REJECT_AFTER_MESSAGES, START));
        assert!(!session.usable_for_sending(0, secs(180)));
        assert!(session.usable_for_receiving(just_before(180)));
        assert!(!session.usable_for_receiving(secs(180)));

        assert!(!session.rekey_due_after_sending(REKEY_AFTER_MESSAGES, START));
        assert!(session.rekey_due_after_sending(REKEY_AFTER_MESSAGES + 1, START));
        // A clock that stepped back makes no session old.
        assert!(session.usable_for_sending(0, Instant::from_nanos(0)));
        assert!(!session.rekey_due_after_sending(0, Instant::from_nanos(0)));
    }
    assert!(!a.rekey_due_after_sending(1, just_before(120)));
    assert!(a.rekey_due_after_sending(1, secs(120)));
    assert!(!b.rekey_due_after_sending(1, secs(179)));
    assert!(!a.rekey_due_after_receiving(just_before(165)));
    assert!(a.rekey_due_after_receiving(secs(165)));
    assert!(!b.rekey_due_after_receiving(secs(179)));
    assert_eq!(REKEY_AFTER_MESSAGES, 1 << 60);
}

/// §5.4.7: 120 s for the secret, 5 s less for the cookie.
#[test]
fn ages_of_cookies() {
    let (mut a, b) = sides(15);
    let keys = CookieKeys::<C>::new(b.identity.public());
    let mut secret = CookieSecret::<C>::new([3; 32], START);
    assert!(!secret.expired(secs(119)));
    assert!(secret.expired(secs(120)));

    let mut maker = CookieMaker::<C>::new();
    let mut signed = |maker: &mut CookieMaker<C>, now| {
        let mut message = a.initiate(1, 1);
        maker.add_macs(&keys, &mut message, now);
        message
    };
    let message = signed(&mut maker, START);
    let reply = secret
        .reply(&keys, &message, 1, b"source", [1; 24])
        .unwrap();
    // A reply to the message before the last is not what we wait for.
    let message = signed(&mut maker, START);
    assert!(!maker.consume_reply(&keys, &reply, START));
    let reply = secret
        .reply(&keys, &message, 1, b"source", [1; 24])
        .unwrap();
    assert!(maker.consume_reply(&keys, &reply, secs(10)));
    let young = signed(&mut maker, secs(10 + 114));
    assert!(secret.check_mac2(&young, b"source"));
    let old = signed(&mut maker, secs(10 + 115));
    assert_eq!(old[132..], [0; 16]);
    assert!(keys.check_mac1(&old));

    secret = CookieSecret::new([4; 32], secs(120));
    assert!(!secret.check_mac2(&young, b"source"));
    assert!(!secret.expired(secs(239)));
}

/// Memory of a peer that does nothing. A ceiling, so that a change that costs is seen.
#[test]
fn sizes() {
    use wireguard_host::protocol::{
        replay::ReplayWindow,
        timers::Timers, //
    };
    let sizes = [
        ("Handshake", size_of::<Handshake<C>>(), 136),
        ("Remote", size_of::<Remote<C>>(), 129),
        ("Session", size_of::<Session<C>>(), 88),
        ("ReplayWindow", size_of::<ReplayWindow>(), 1032),
        ("Timers", size_of::<Timers>(), 120),
        ("CookieMaker", size_of::<CookieMaker<C>>(), 56),
        ("CookieKeys", size_of::<CookieKeys<C>>(), 64),
    ];
    for (name, size, ceiling) in sizes {
        println!("{name} {size}");
        assert!(size <= ceiling, "{name} takes {size} octets");
    }
}

/// A message that is sealed anew is as if it had been sealed with the new counter at first.
#[test]
fn sealed_anew() {
    let (a, b) = sessions(11);
    let packet = [7; 48];
    let mut message = seal(&a, 5, &packet);
    assert!(a.reseal_in_place(5, 900, &mut message[16..]));
    message[..16].copy_from_slice(&a.header(900));
    assert_eq!(message, seal(&a, 900, &packet));
    assert!(b.open_in_place(900, &mut message[16..]));
    assert_eq!(message[16..64], packet);
    // With a counter that it does not have it is refused.
    let mut message = seal(&a, 6, &packet);
    assert!(!a.reseal_in_place(7, 901, &mut message[16..]));
}
