// SPDX-License-Identifier: GPL-2.0

//! Both ends of a tunnel over minutes of virtual time: §6 of the whitepaper, timeout by timeout, and
//! what holds whatever the network does.

mod ends;

use ends::*;
use std::collections::HashSet;

const JITTER: u64 = SEC / 3;

/// §6.5: received data is answered within 10 s, if by nothing else then by a keepalive; §6.3: all
/// keys go 540 s after the last session began; and nothing else happens on an idle tunnel.
#[test]
fn one_packet_and_silence() {
    let mut pair = Pair::new(1);
    let id = pair.send(A);
    pair.run_until(2_000 * SEC);

    // 1 ms each way: initiation, response, the packet, which also confirms the session.
    let [a, b] = &pair.ends;
    assert_eq!(
        a.log,
        [
            (0, Did::Initiation { mac2: false }),
            (2 * MILLI, Did::Session { initiator: true }),
            (2 * MILLI, Did::Data),
            (540 * SEC + 2 * MILLI, Did::ZeroedKeys),
        ]
    );
    assert_eq!(
        b.log,
        [
            (MILLI, Did::Session { initiator: false }),
            (MILLI, Did::Response),
            (3 * MILLI, Did::Delivered(id)),
            (10 * SEC + 3 * MILLI, Did::Keepalive),
            (540 * SEC + MILLI, Did::ZeroedKeys),
        ]
    );
    assert!(!a.has_keys() && !b.has_keys());
    assert_eq!(a.timers.next(), None);
    assert_eq!(b.timers.next(), None);
}

/// A keepalive is no data: it is not answered. Any message that is sent stands for it.
#[test]
fn keepalives_only_when_nothing_else_is_sent() {
    let mut pair = Pair::new(2);
    pair.establish();
    let start = pair.now;
    for _ in 0..30 {
        pair.send(A);
        pair.run_for(SEC);
        pair.send(B);
        pair.run_for(SEC);
    }
    pair.run_for(30 * SEC);
    let keepalive = |did: &Did| *did == Did::Keepalive;
    assert_eq!(pair.ends[B].times(keepalive), []);
    // The last packet was B's, a second before the loop ended.
    let times = pair.ends[A].times(keepalive);
    assert_eq!(times, [start + 59 * SEC + MILLI + 10 * SEC]);
}

/// §6.1, §6.4: an initiation that is not answered is repeated every 5 s and a random part of 1/3 s;
/// the 20th is the last. What waited is dropped, and what is left of it is wiped in time.
#[test]
fn nobody_answers() {
    let mut different = HashSet::new();
    for seed in 0..8 {
        let mut pair = Pair::new(seed);
        pair.loss = [1000, 1000];
        pair.send(A);
        pair.send(A);
        pair.run_until(2_000 * SEC);

        let end = &pair.ends[A];
        let times = end.initiations();
        assert_eq!(times.len(), 20);
        assert!(apart(&times, 5 * SEC, 5 * SEC + JITTER));
        different.extend(times.windows(2).map(|two| two[1] - two[0]));
        let gave_up = end.times(|did| *did == Did::GaveUp { dropped: 2 });
        assert_eq!(gave_up.len(), 1);
        let last = *times.last().unwrap();
        assert!((5 * SEC..=5 * SEC + JITTER).contains(&(gave_up[0] - last)));
        assert_eq!(end.times(|did| *did == Did::ClearedSource), times[1..]);
        let zeroed = end.times(|did| *did == Did::ZeroedKeys);
        assert_eq!(zeroed, [gave_up[0] + 540 * SEC]);
        assert_eq!(end.timers.next(), None);
    }
    assert!(different.len() > 100, "no jitter");
    let spread = different.iter().max().unwrap() - different.iter().min().unwrap();
    assert!(spread > JITTER * 9 / 10, "little jitter");
}

/// New packets begin the count of attempts anew, but make no initiation come earlier.
#[test]
fn packets_keep_a_handshake_going() {
    let mut pair = Pair::new(3);
    pair.loss = [1000, 1000];
    for _ in 0..300 {
        pair.send(A);
        pair.run_for(SEC);
    }
    let times = pair.ends[A].initiations();
    assert!(times.len() > 55, "{} initiations in 300 s", times.len());
    assert!(apart(&times, 5 * SEC, 5 * SEC + JITTER));
    assert_eq!(
        pair.ends[A].times(|did| matches!(did, Did::GaveUp { .. })),
        []
    );
}

/// A lost initiation and a lost response cost one timeout each.
#[test]
fn the_first_messages_are_lost() {
    for lost in [A, B] {
        let mut pair = Pair::new(4);
        pair.loss[lost] = 1000;
        let id = pair.send(A);
        pair.run_for(SEC);
        pair.loss[lost] = 0;
        pair.run_for(5 * SEC);
        assert_eq!(pair.delivered(B), [id]);
        assert_eq!(pair.ends[A].initiations().len(), 2);
        pair.run_for(100 * SEC);
        assert_eq!(pair.ends[A].initiations().len(), 2);
    }
}

/// §6.2: its initiator renews a session when it sends after 120 s; its responder does not.
#[test]
fn the_initiator_renews() {
    let mut pair = Pair::new(5);
    pair.establish();
    for _ in 0..119 {
        pair.send(B);
        pair.send(A);
        pair.run_for(SEC);
    }
    assert_eq!(pair.ends[A].sessions().len(), 1);
    pair.run_until(120 * SEC + 2 * MILLI - 1);
    pair.send(B);
    pair.run_for(0);
    pair.send(A);
    assert_eq!(pair.ends[A].initiations().len(), 1);
    pair.run_for(1);
    pair.send(A);
    assert_eq!(pair.ends[A].initiations().len(), 2);
    pair.run_for(SEC);
    assert_eq!(pair.ends[A].sessions().len(), 2);
    assert_eq!(pair.ends[B].sessions().len(), 2);
    assert_eq!(pair.ends[B].initiations(), []);
}

/// A responder sends with its session to the end, then begins a new one itself.
#[test]
fn the_responder_waits_for_the_end() {
    let mut pair = Pair::new(6);
    pair.establish();
    let born = pair.ends[B].sessions()[0];
    // Nothing reaches the initiator, which would renew.
    pair.loss[B] = 1000;
    pair.run_until(born + 180 * SEC - 1);
    pair.send(B);
    assert_eq!(pair.ends[B].initiations(), []);
    pair.run_until(born + 180 * SEC);
    pair.loss[B] = 0;
    let id = pair.send(B);
    assert_eq!(pair.ends[B].initiations(), [born + 180 * SEC]);
    pair.run_for(SEC);
    assert!(pair.delivered(A).contains(&id));
}

/// §6.2: an initiator that only receives renews at 165 s, once; received keepalives count, too.
#[test]
fn the_last_minute() {
    let mut pair = Pair::new(7);
    pair.establish();
    let born = pair.ends[A].sessions()[0];
    let arrives_at = |age: u64| born + age - MILLI;
    // A keepalive of A's 10 s later would renew at 120 s already, so nothing before this.
    pair.run_until(arrives_at(165 * SEC - 1));
    pair.send(B);
    pair.run_for(MILLI);
    assert_eq!(pair.ends[A].initiations().len(), 1);
    pair.run_until(arrives_at(165 * SEC));
    pair.loss = [1000, 0];
    pair.send(B);
    pair.send(B);
    pair.run_for(2 * MILLI);
    assert_eq!(pair.ends[A].initiations().len(), 2);
    // Lost. Its timer repeats it; more data does not.
    for _ in 0..4 {
        pair.send(B);
        pair.run_for(SEC);
    }
    assert_eq!(pair.ends[A].initiations().len(), 2);
    pair.loss = [0, 0];
    pair.run_for(3 * SEC);
    let times = pair.ends[A].initiations();
    assert_eq!(times.len(), 3);
    assert!(apart(&times[1..], 5 * SEC, 5 * SEC + JITTER));
    assert_eq!(pair.ends[A].sessions().len(), 2);
}

/// §6.5: data that gets no answer for 15 s and a random part of 1/3 s begins a new handshake.
#[test]
fn the_peer_falls_silent() {
    for seed in 0..8 {
        let mut pair = Pair::new(seed);
        pair.establish();
        pair.run_for(30 * SEC);
        pair.loss[B] = 1000;
        let start = pair.now;
        for _ in 0..10 {
            pair.send(A);
            pair.run_for(SEC);
        }
        pair.run_for(10 * SEC);
        let times = pair.ends[A].initiations();
        let waited = times[1] - start;
        assert!((15 * SEC..=15 * SEC + JITTER).contains(&waited), "{waited}");
        assert_eq!(
            pair.ends[A].times(|did| *did == Did::ClearedSource)[0],
            times[1]
        );
    }
}

/// A persistent keepalive goes out that long after the last message either way, and it keeps
/// sessions coming.
#[test]
fn persistent_keepalive() {
    let mut pair = Pair::new(8);
    pair.ends[A].timers.set_persistent_keepalive(25);
    pair.act(A, End::keepalive);
    pair.run_until(3_600 * SEC);
    let keepalives = pair.ends[A].times(|did| *did == Did::Keepalive);
    // Those that come at once confirm a session that has just begun.
    for two in keepalives.windows(2) {
        let gap = two[1] - two[0];
        assert!(
            gap <= 5 * MILLI || (25 * SEC - 5 * MILLI..=25 * SEC).contains(&gap),
            "{gap}"
        );
    }
    assert!(keepalives.len() >= 140);
    let sessions = pair.ends[A].sessions();
    assert!(apart(&sessions, 120 * SEC, 146 * SEC));
    assert!(sessions.len() >= 24);
    assert_eq!(pair.ends[B].initiations(), []);

    // Also when the peer is away for longer than a handshake is tried.
    pair.loss = [1000, 1000];
    pair.run_for(1_000 * SEC);
    assert!(
        pair.ends[A]
            .times(|did| matches!(did, Did::GaveUp { .. }))
            .len()
            >= 2
    );
    pair.loss = [0, 0];
    let before = pair.ends[A].sessions().len();
    pair.run_for(60 * SEC);
    assert_eq!(pair.ends[A].sessions().len(), before + 1);

    // Off: the tunnel falls silent and forgets its keys.
    pair.ends[A].timers.set_persistent_keepalive(0);
    pair.run_for(700 * SEC);
    assert_eq!(pair.ends[A].timers.next(), None);
    assert!(!pair.ends[A].has_keys());
}

/// Under load the responder answers with a cookie; the next initiation carries it.
#[test]
fn cookies() {
    let mut pair = Pair::new(9);
    pair.ends[B].under_load = true;
    let id = pair.send(A);
    pair.run_for(10 * SEC);
    let [a, b] = &pair.ends;
    assert_eq!(b.times(|did| *did == Did::CookieReply), [MILLI]);
    let with_mac2 = a.times(|did| *did == Did::Initiation { mac2: true });
    assert_eq!(with_mac2, a.initiations()[1..]);
    assert_eq!(pair.delivered(B), [id]);
    // The initiator under load: the response needs a cookie.
    let mut pair = Pair::new(10);
    pair.ends[A].under_load = true;
    let id = pair.send(A);
    pair.run_for(10 * SEC);
    assert_eq!(pair.ends[A].times(|did| *did == Did::CookieReply).len(), 1);
    assert_eq!(pair.delivered(B), [id]);
}

/// Both begin in the same moment, with any timing of the crossing messages. When each side has
/// dropped its own handshake for the other's, only a retry can help, and it must come.
#[test]
fn both_begin() {
    let mut crossed = 0;
    for seed in 0..200 {
        let mut pair = Pair::new(seed);
        pair.delay = (MILLI, 80 * MILLI);
        let to_b = pair.send(A);
        pair.run_for(seed % 5 * 10 * MILLI);
        let to_a = pair.send(B);
        pair.run_for(60 * SEC);
        assert_eq!(pair.delivered(B), [to_b], "seed {seed}");
        assert_eq!(pair.delivered(A), [to_a], "seed {seed}");
        for end in &pair.ends {
            let times = end.initiations();
            assert!(apart(&times, 5 * SEC, 6 * SEC), "seed {seed}");
        }
        crossed += u32::from(pair.ends[A].initiations().len() > 1);
    }
    assert!(crossed > 10, "only {crossed} handshakes crossed");
}

/// Half an hour of traffic over networks of all qualities.
fn traffic(seed: u64, loss: u64, delay: (u64, u64)) -> Pair {
    let mut pair = Pair::new(seed);
    let mut rng = wireguard_host::rng::Rng::new(seed ^ 0xffff);
    pair.loss = [loss; 2];
    pair.delay = delay;
    let mut of = [HashSet::new(), HashSet::new()];
    while pair.now < 1_800 * SEC {
        let end = rng.below(2) as usize;
        of[1 - end].insert(pair.send(end));
        // Mostly busy, at times a pause in which sessions end.
        let pause = if rng.below(200) == 0 { 200 * SEC } else { SEC };
        pair.run_for(rng.below(pause));
    }
    pair.run_for(20 * SEC);
    for (end, of) in of.iter().enumerate() {
        let delivered = pair.delivered(end);
        let unique: HashSet<_> = delivered.iter().copied().collect();
        assert_eq!(
            unique.len(),
            delivered.len(),
            "seed {seed}: delivered twice"
        );
        assert!(
            unique.is_subset(of),
            "seed {seed}: delivered what was not sent"
        );
        let share = 1000 * unique.len() / of.len();
        assert!(
            share as u64 >= 1000 - loss - 40,
            "seed {seed}: {share} of 1000"
        );
        if loss == 0 && delay.1 == MILLI {
            assert_eq!(unique.len(), of.len(), "seed {seed}: lost without loss");
        }
        let initiations = pair.ends[end].initiations();
        assert!(
            apart(&initiations, 5 * SEC, u64::MAX),
            "seed {seed}: too many initiations"
        );
    }
    pair
}

#[test]
fn traffic_without_loss() {
    for seed in 0..4 {
        let pair = traffic(seed, 0, (MILLI, MILLI));
        for end in &pair.ends {
            assert_eq!(end.times(|did| matches!(did, Did::GaveUp { .. })), []);
        }
    }
}

#[test]
fn traffic_out_of_order() {
    for seed in 10..14 {
        traffic(seed, 0, (MILLI, 900 * MILLI));
    }
}

#[test]
fn traffic_with_loss() {
    for seed in 20..24 {
        traffic(seed, 20, (MILLI, 200 * MILLI));
        traffic(seed, 200, (MILLI, 400 * MILLI));
    }
}

/// The clock may stand still or jump, as over suspend: no session outlives its time.
#[test]
fn a_long_sleep() {
    let mut pair = Pair::new(11);
    pair.establish();
    // Not `run_until`: nobody looks at a timer meanwhile.
    pair.now += 3_600 * SEC;
    let id = pair.send(A);
    assert_eq!(pair.ends[A].initiations().len(), 2);
    // The deadline for wiping all keys has long come and takes this handshake along.
    pair.run_for(6 * SEC);
    assert_eq!(pair.ends[A].initiations().len(), 3);
    assert_eq!(pair.delivered(B).last(), Some(&id));
}
