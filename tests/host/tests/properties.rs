// SPDX-License-Identifier: GPL-2.0

//! Properties of the parts that know no secrets, each against a model simple enough to be seen to be
//! right.

use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeSet;
use wireguard_host::protocol::cookie::{
    CookieKeys,
    CookieMaker,
    CookieSecret, //
};
use wireguard_host::protocol::messages::{
    padded_len,
    DataHeader,
    Kind,
    Message, //
};
use wireguard_host::protocol::noise::{
    Handshake,
    Identity,
    Received,
    Remote, //
};
use wireguard_host::protocol::ratelimit::{
    Bucket,
    TokenBucket,
    WasteBudget, //
};
use wireguard_host::protocol::replay::{
    ReplayWindow,
    WINDOW, //
};
use wireguard_host::protocol::session::REJECT_AFTER_MESSAGES;
use wireguard_host::protocol::time::{
    Duration,
    Instant,
    Tai64n, //
};
use wireguard_host::rust_crypto::RustCrypto;

const MILLI: u64 = 1_000_000;

/// Octets that are often nearly a message: a good type and a good length, or one off.
fn datagram() -> impl Strategy<Value = Vec<u8>> {
    let len = prop_oneof![
        0usize..40,
        Just(63usize),
        Just(64),
        Just(91),
        Just(92),
        Just(93),
        Just(147),
        Just(148),
        Just(149),
        100usize..1500,
    ];
    (0u32..6, len, any::<bool>(), any::<u64>()).prop_map(|(kind, len, noise, seed)| {
        let mut rng = wireguard_host::rng::Rng::new(seed);
        let mut bytes: Vec<u8> = (0..len).map(|_| rng.word() as u8).collect();
        if !noise {
            for (to, from) in bytes.iter_mut().zip(kind.to_le_bytes()) {
                *to = from;
            }
        }
        bytes
    })
}

/// A bucket of so many messages a second and so many at once, in whole milliseconds.
fn bucket<const PER_SECOND: u64, const BURST: u64>(steps: &[u64]) -> Result<(), TestCaseError> {
    let (cost, full) = (1_000 / PER_SECOND, 1_000 / PER_SECOND * BURST);
    let mut now = 5_000;
    let mut bucket = TokenBucket::<PER_SECOND, BURST>::new(Instant::from_nanos(now * MILLI));
    let (mut credit, mut last) = (full, now);
    for step in steps {
        now += step;
        let at = Instant::from_nanos(now * MILLI);
        prop_assert_eq!(bucket.idle(at), now - last > 1_000);
        credit = (credit + step).min(full);
        last = now;
        let allowed = credit >= cost;
        if allowed {
            credit -= cost;
        }
        prop_assert_eq!(bucket.allow(at), allowed);
    }
    Ok(())
}

/// How often `grants` says so while a clock that is read on two processors goes in these steps, some of them back, and
/// by how much it has gone on; both clock and steps are in milliseconds.
fn granted(start: i64, steps: &[i64], mut grants: impl FnMut(Instant) -> bool) -> (i64, i64) {
    let (mut now, mut latest, mut times) = (start, start, 0);
    for step in steps {
        now += step;
        latest = latest.max(now);
        times += i64::from(grants(Instant::from_nanos(now as u64 * MILLI)));
    }
    (times, latest - start)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2048,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// A datagram is a message exactly when the table in the whitepaper says so, and the views
    /// return the octets that are there.
    #[test]
    fn messages(bytes in datagram()) {
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        let expected = match (bytes.len() >= 4).then(|| word(0)) {
            Some(1) if bytes.len() == 148 => Some(Kind::Initiation),
            Some(2) if bytes.len() == 92 => Some(Kind::Response),
            Some(3) if bytes.len() == 64 => Some(Kind::CookieReply),
            Some(4) if bytes.len() >= 32 => Some(Kind::Data),
            _ => None,
        };
        prop_assert_eq!(Kind::of(&bytes, bytes.len()), expected);
        let found = match Message::parse(&bytes) {
            Some(Message::Initiation(view)) => {
                prop_assert_eq!(view.sender(), word(4));
                prop_assert_eq!(&view.bytes()[..], &bytes);
                Some(Kind::Initiation)
            }
            Some(Message::Response(view)) => {
                prop_assert_eq!((view.sender(), view.receiver()), (word(4), word(8)));
                prop_assert_eq!(&view.bytes()[..], &bytes);
                Some(Kind::Response)
            }
            Some(Message::CookieReply(view)) => {
                prop_assert_eq!(view.receiver(), word(4));
                prop_assert_eq!(&view.bytes()[..], &bytes);
                Some(Kind::CookieReply)
            }
            Some(Message::Data { header, body }) => {
                prop_assert_eq!(header.receiver, word(4));
                prop_assert_eq!(header.counter, u64::from_le_bytes(bytes[8..16].try_into().unwrap()));
                prop_assert_eq!(&header.to_bytes()[..], &bytes[..16]);
                prop_assert_eq!(body, &bytes[16..]);
                Some(Kind::Data)
            }
            None => None,
        };
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn data_header_round_trip(receiver: u32, counter: u64) {
        let header = DataHeader { receiver, counter };
        let bytes = header.to_bytes();
        prop_assert_eq!(DataHeader::read(&bytes), header);
        prop_assert_eq!(&bytes[..4], [4, 0, 0, 0]);
        prop_assert_eq!(&bytes[4..8], receiver.to_le_bytes());
        prop_assert_eq!(&bytes[8..], counter.to_le_bytes());
    }

    /// Padding: at most 15 octets, to a multiple of 16 unless that would cross the MTU.
    #[test]
    fn padding(len in 0usize..70_000, mtu in prop_oneof![Just(0usize), 1usize..40, 1000usize..2000]) {
        let padded = padded_len(len, mtu);
        let added = padded - len;
        prop_assert!(added < 16);
        let last = if mtu != 0 && len > mtu { len % mtu } else { len };
        if mtu == 0 || last.next_multiple_of(16) <= mtu {
            prop_assert_eq!(last + added, last.next_multiple_of(16));
        } else {
            prop_assert_eq!(last + added, mtu);
        }
    }

    #[test]
    fn padding_never_overflows(len: usize, mtu: usize) {
        prop_assert!(padded_len(len, mtu) >= len);
    }

    /// Later times make greater or equal timestamps, and 50 a second can be told apart.
    #[test]
    fn timestamps(secs in 0u64..1 << 34, nanos in 0u32..1_000_000_000, step in 0u64..3_000_000_000) {
        let then = secs * 1_000_000_000 + u64::from(nanos) + step;
        let a = Tai64n::from_unix(secs, nanos);
        let b = Tai64n::from_unix(then / 1_000_000_000, (then % 1_000_000_000) as u32);
        prop_assert!(b >= a);
        if step >= 20 * MILLI {
            prop_assert!(b > a);
        }
        let (label, rest) = a.0.split_at(8);
        let label = u64::from_be_bytes(label.try_into().unwrap());
        let rest = u32::from_be_bytes(rest.try_into().unwrap());
        prop_assert_eq!(label, 0x4000_0000_0000_000a + secs);
        prop_assert!(rest <= nanos && nanos - rest < 1 << 24 && rest % (1 << 24) == 0);
    }

    /// Time does not wrap, whatever a clock says.
    #[test]
    fn time_saturates(a: u64, b: u64, random: u32) {
        let (from, to) = (Instant::from_nanos(a), Instant::from_nanos(b));
        prop_assert_eq!(to.since(from).as_nanos(), b.saturating_sub(a));
        prop_assert_eq!(from.after(Duration::from_nanos(b)).as_nanos(), a.saturating_add(b));
        let part = Duration::from_nanos(a).fraction(random).as_nanos();
        let exact = (u128::from(a) * u128::from(random)) >> 32;
        prop_assert_eq!(u128::from(part), exact);
        prop_assert!(part <= a);
    }

    /// The token buckets against the sums they stand for.
    #[test]
    fn buckets(steps in vec(prop_oneof![3 => 0u64..60, 1 => 0u64..2_000], 1..80)) {
        bucket::<20, 5>(&steps)?;
        bucket::<50, 50>(&steps)?;
    }

    /// The budget of wasted time: a 32nd of the time of all processors, and that of a second at once after a pause. Spans
    /// are chosen such that all divisions are exact: what passes is in units of 32 us, what is spent in units of 8 us.
    #[test]
    fn waste(
        steps in vec((prop_oneof![20 => 0u64..300, 1 => 0u64..40_000], 0u64..200), 1..300),
        cpus in prop_oneof![Just(1u64), Just(2), Just(4), Just(8)],
    ) {
        let mut now = 7_000;
        let mut budget = WasteBudget::new(Instant::from_nanos(now));
        // What all processors may spend, in nanoseconds.
        let full = cpus * 1_000_000_000 / 32;
        let mut left = full;
        for (passed, spent) in steps {
            now += passed * 32_000;
            left = (left + cpus * passed * 1_000).min(full);
            // None is charged more than a millisecond.
            let cost = (spent * 8_000).min(1_000_000);
            let spent = Duration::from_nanos(spent * 8_000);
            prop_assert_eq!(budget.spend(Instant::from_nanos(now), spent, cpus), cost <= left);
            left = left.saturating_sub(cost);
        }
    }

    /// A clock that is read on two processors may step back a little: nothing is earned by that.
    #[test]
    fn bucket_and_a_clock_that_steps_back(steps in vec(-40i64..40, 1..200)) {
        let start = 1_000_000;
        let mut bucket = Bucket::new(Instant::from_nanos(start as u64 * MILLI));
        let (allowed, passed) = granted(start, &steps, |now| bucket.allow(now));
        prop_assert!(allowed <= 5 + passed / 50);
    }

    #[test]
    fn waste_and_a_clock_that_steps_back(steps in vec(-40i64..40, 1..200)) {
        let start = 1_000_000;
        let mut budget = WasteBudget::new(Instant::from_nanos(start as u64 * MILLI));
        // Each costs a millisecond.
        let (spent, passed) =
            granted(start, &steps, |now| budget.spend(now, WasteBudget::MOST, 1));
        prop_assert!(spent <= (1_000 + passed) / 32);
    }

    /// Whatever comes, the parts that read strangers' octets answer and do not panic, and nothing
    /// random is authentic.
    #[test]
    fn strangers(bytes in datagram(), source in vec(any::<u8>(), 0..20)) {
        let now = Instant::from_nanos(5);
        let identity = Identity::<RustCrypto>::new([5; 32]).unwrap();
        let keys = CookieKeys::<RustCrypto>::new(identity.public());
        let secret = CookieSecret::<RustCrypto>::new([9; 32], now);
        prop_assert!(!keys.check_mac1(&bytes));
        prop_assert!(!secret.check_mac2(&bytes, &source));
        let reply = secret.reply(&keys, &bytes, 3, &source, [1; 24]);
        prop_assert_eq!(reply.is_some(), bytes.len() >= 32);

        let mut maker = CookieMaker::<RustCrypto>::new();
        let mut signed = bytes.clone();
        maker.add_macs(&keys, &mut signed, now);
        prop_assert_eq!(keys.check_mac1(&signed), bytes.len() >= 32);
        if let Ok(message) = bytes[..].try_into() {
            prop_assert!(!maker.consume_reply(&keys, message, now));
        }
        if let Ok(message) = bytes[..].try_into() {
            prop_assert!(Received::open(&identity, message).is_none());
        }
        if let Ok(message) = bytes[..].try_into() {
            let mut handshake = Handshake::new();
            let mut remote = Remote::new(*identity.public());
            let timestamp = Tai64n::from_unix(1, 0);
            let index = u32::from_le_bytes(bytes[8..12].try_into().unwrap());
            handshake.initiate(&identity, &mut remote, [7; 32], index, timestamp).unwrap();
            prop_assert!(!handshake.accept_response(&identity, &remote, message));
            prop_assert_eq!(handshake.awaited_index(), Some(index));
        }
    }
}

/// Counters that make a window work: near the newest, at its edges, around words, far jumps, the end
/// of what a session may use.
fn counters() -> impl Strategy<Value = Vec<(u8, u64)>> {
    vec((0u8..9, any::<u64>()), 1..400)
}

/// All counters that were ever accepted, and the newest.
#[derive(Default)]
struct Model {
    seen: BTreeSet<u64>,
}

impl Model {
    fn accept(&mut self, counter: u64) -> bool {
        let newest = self.seen.last().copied().unwrap_or(0);
        counter < REJECT_AFTER_MESSAGES
            && counter >= newest.saturating_sub(WINDOW)
            && self.seen.insert(counter)
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 768,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn replay_window(steps in counters()) {
        let mut window = ReplayWindow::new();
        let mut model = Model::default();
        let mut newest = 0u64;
        for (kind, random) in steps {
            let counter = match kind {
                0 | 1 => newest.saturating_add(1 + random % 3),
                2 => newest.saturating_sub(random % 70),
                3 => newest.saturating_sub(random % (WINDOW + 70)),
                4 => newest.saturating_sub(WINDOW).saturating_add(random % 5).saturating_sub(2),
                5 => newest.saturating_add(random % 200),
                6 => newest.saturating_add(8192u64.saturating_add(random % 140).saturating_sub(70)),
                7 => newest.saturating_add(random % (1 << 20)),
                _ if random % 8 == 0 => REJECT_AFTER_MESSAGES.saturating_add(random % 40).saturating_sub(20),
                _ => random % (newest.saturating_add(64)),
            };
            let expected = model.accept(counter);
            prop_assert_eq!(window.accept(counter), expected, "counter {}", counter);
            if expected {
                newest = newest.max(counter);
            }
        }
    }
}

/// Orders in which whole windows of counters may come.
#[test]
fn replay_window_runs() {
    let mut upwards = ReplayWindow::new();
    assert!((0..3 * WINDOW).all(|counter| upwards.accept(counter)));
    assert!((0..3 * WINDOW).all(|counter| !upwards.accept(counter)));

    let mut downwards = ReplayWindow::new();
    assert!((0..=WINDOW).rev().all(|counter| downwards.accept(counter)));
    assert!((0..=WINDOW).rev().all(|counter| !downwards.accept(counter)));

    let mut late = ReplayWindow::new();
    assert!(late.accept(WINDOW + 1));
    assert!(!late.accept(0));
    assert!(late.accept(1));
    assert!(!late.accept(1));
}

#[test]
fn replay_window_ends() {
    let mut window = ReplayWindow::new();
    for counter in [
        u64::MAX,
        u64::MAX - 1,
        REJECT_AFTER_MESSAGES,
        REJECT_AFTER_MESSAGES + 1,
    ] {
        assert!(!window.accept(counter));
    }
    assert!(window.accept(0), "what was refused has moved the window");
    assert!(window.accept(REJECT_AFTER_MESSAGES - 1));
    assert!(!window.accept(REJECT_AFTER_MESSAGES - 1));
    assert!(window.accept(REJECT_AFTER_MESSAGES - 1 - WINDOW));
    assert!(!window.accept(REJECT_AFTER_MESSAGES - 2 - WINDOW));
    assert_eq!(REJECT_AFTER_MESSAGES, u64::MAX - (1 << 13));
}
