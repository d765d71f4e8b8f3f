// SPDX-License-Identifier: GPL-2.0

//! When it is said that a peer refuses us because our clock went back.

use wireguard_host::protocol::clock::ClockWatch;
use wireguard_host::protocol::time::Tai64n;

fn at(seconds: u64) -> Tai64n {
    Tai64n::from_unix(seconds, 0)
}

#[test]
fn it_is_said_once_in_a_row_of_attempts() {
    let mut watch = ClockWatch::new();
    assert!(!watch.sending(at(1000)));
    watch.answered();
    assert!(!watch.sending(at(1120)), "time goes on");
    watch.answered();
    assert!(watch.sending(at(500)), "the clock went back");
    assert!(!watch.sending(at(505)), "that has been said");
    assert!(!watch.sending(at(510)));
    watch.series_ended();
    assert!(watch.sending(at(600)), "another row");
    assert!(!watch.sending(at(1121)), "the peer takes it again");
    watch.answered();
    assert!(watch.sending(at(1100)), "and the clock goes back once more");
}

#[test]
fn what_was_not_answered_does_not_count() {
    let mut watch = ClockWatch::new();
    assert!(!watch.sending(at(0)), "before anything is known");
    assert!(!watch.sending(at(5000)));
    assert!(!watch.sending(at(1000)), "nobody has heard of 5000");
    watch.answered();
    assert!(
        !watch.sending(at(1000)),
        "the same moment, so the clock is right"
    );
    assert!(watch.sending(at(999)));
}

/// A peer may have been restarted: then it takes what we think it refuses.
#[test]
fn an_answer_ends_it() {
    let mut watch = ClockWatch::new();
    watch.sending(at(1000));
    watch.answered();
    assert!(watch.sending(at(500)));
    watch.answered();
    assert!(
        !watch.sending(at(505)),
        "what counts is what was answered last"
    );
}
