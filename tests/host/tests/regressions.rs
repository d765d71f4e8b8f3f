// SPDX-License-Identifier: GPL-2.0

//! Mistakes that other implementations have made, one test each. Those that only a whole driver can
//! make are in `tests/guest/regressions.sh`.

use wireguard_host::protocol::messages::{
    DataHeader,
    Message, //
};
use wireguard_host::protocol::noise::{
    Handshake,
    Identity,
    Received,
    Remote, //
};
use wireguard_host::protocol::replay::ReplayWindow;
use wireguard_host::protocol::session::{
    Session,
    REJECT_AFTER_MESSAGES, //
};
use wireguard_host::protocol::time::{
    Instant,
    Tai64n, //
};
use wireguard_host::protocol::timers::{
    Event,
    Timers, //
};
use wireguard_host::rust_crypto::RustCrypto as C;

const NOW: Instant = Instant::from_nanos(1_000_000_000);

struct Side {
    identity: Identity<C>,
    remote: Remote<C>,
    handshake: Handshake<C>,
}

fn sides() -> [Side; 2] {
    let [a, b] = [[1; 32], [2; 32]].map(|key| Identity::<C>::new(key).unwrap());
    let remotes = [*b.public(), *a.public()].map(Remote::new);
    let mut identities = [a, b].into_iter();
    remotes.map(|remote| Side {
        identity: identities.next().unwrap(),
        remote,
        handshake: Handshake::new(),
    })
}

/// A handshake from the first to the second, in which `between` happens before the response comes.
fn handshake(
    [a, b]: &mut [Side; 2],
    number: u8,
    between: impl FnOnce(&mut Side),
) -> Option<[Session<C>; 2]> {
    let now = Instant::from_nanos(NOW.as_nanos() * u64::from(number));
    let time = Tai64n::from_unix(number.into(), 0);
    let initiation = a.handshake.initiate(
        &a.identity,
        &mut a.remote,
        [number; 32],
        number.into(),
        time,
    )?;
    let received = Received::open(&b.identity, &initiation)?;
    b.handshake
        .accept(&b.identity, &mut b.remote, received, now)
        .ok()?;
    let response = b.handshake.respond(&b.remote, [99; 32], number.into())?;
    between(a);
    a.handshake
        .accept_response(&a.identity, &a.remote, &response)
        .then_some(())?;
    Some([&mut a.handshake, &mut b.handshake].map(|side| side.begin_session(now).unwrap()))
}

/// A preshared key that is set on a peer with a session did not reach the next handshake.
#[test]
fn a_new_preshared_key_reaches_the_handshake() {
    let mut sides = sides();
    assert!(handshake(&mut sides, 1, |_| ()).is_some());
    sides[0].remote.set_preshared(Some([7; 32]));
    assert!(handshake(&mut sides, 2, |_| ()).is_none(), "one side only");
    sides[1].remote.set_preshared(Some([7; 32]));
    assert!(handshake(&mut sides, 3, |_| ()).is_some(), "both sides");
    // Also one that is under way.
    sides[1].remote.set_preshared(Some([8; 32]));
    let late = |a: &mut Side| a.remote.set_preshared(Some([8; 32]));
    assert!(handshake(&mut sides, 4, late).is_some(), "under way");
    sides[0].remote.set_preshared(None);
    assert!(handshake(&mut sides, 5, |_| ()).is_none(), "taken away");
}

/// A counter of 32 bits wrapped, and nonces were used twice.
#[test]
fn counters_have_64_bits() {
    let [a, b] = handshake(&mut sides(), 1, |_| ()).unwrap();
    let seal = |counter: u64| {
        let mut buf = [0; 48];
        assert!(a.seal_in_place(counter, &mut buf));
        buf
    };
    for bit in 32..64 {
        let high = 5 + (1u64 << bit);
        assert_ne!(seal(5), seal(high), "bit {bit} is not in the nonce");
        assert_eq!(DataHeader::read(&a.header(high)).counter, high);
        assert!(!b.open_in_place(5, &mut seal(high)));
        assert!(b.open_in_place(high, &mut seal(high)));
    }
    for bit in 32..63 {
        let mut window = ReplayWindow::new();
        assert!(window.accept(5) && window.accept(5 + (1 << bit)));
        assert!(!window.accept(6), "bit {bit} is not in the window");
    }
}

/// The limit of a session's messages was not kept, by the sender or by the receiver.
#[test]
fn the_last_counter_is_the_last() {
    let [a, _] = handshake(&mut sides(), 1, |_| ()).unwrap();
    assert!(a.usable_for_sending(REJECT_AFTER_MESSAGES - 1, NOW));
    for counter in [REJECT_AFTER_MESSAGES, REJECT_AFTER_MESSAGES + 1, u64::MAX] {
        assert!(!a.usable_for_sending(counter, NOW));
        assert!(!ReplayWindow::new().accept(counter));
    }
    assert_eq!(REJECT_AFTER_MESSAGES, u64::MAX - 8192);
}

/// A datagram longer than any buffer ended the receiving loop with a panic.
#[test]
fn datagrams_of_any_length() {
    let [_, b] = handshake(&mut sides(), 1, |_| ()).unwrap();
    for len in (0..200).chain([1500, 2048, 9000, 65_507, 65_535, 70_000]) {
        for kind in 0..=5 {
            let mut datagram = vec![0; len];
            if let Some(first) = datagram.first_mut() {
                *first = kind;
            }
            if let Some(Message::Data { header, body }) = Message::parse(&datagram) {
                assert_eq!(body.len(), len - 16);
                assert!(!b.open_in_place(header.counter, &mut body.to_vec()));
            }
        }
    }
}

/// A keepalive was answered by a keepalive, and so on for ever.
#[test]
fn a_keepalive_is_not_answered() {
    let mut timers = Timers::new();
    // What the driver says of an authentic message without a packet in it.
    timers.handle(Event::AuthenticatedReceived, NOW, 0);
    timers.handle(Event::Traversal, NOW, 0);
    assert_eq!(timers.next(), None);
    timers.handle(Event::DataReceived, NOW, 0);
    assert!(timers.next().is_some());
}
