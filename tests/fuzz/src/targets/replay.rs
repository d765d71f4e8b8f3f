// SPDX-License-Identifier: GPL-2.0

//! The replay window against a set of all counters that were accepted.

use crate::prelude::*;

pub fn run(data: &[u8]) {
    let mut window = ReplayWindow::new();
    let mut accepted = BTreeSet::new();
    for next in steps(data) {
        let newest = accepted.last().copied();
        let counter = match next {
            Counter::Ahead(n) => newest.unwrap_or(0u64).saturating_add(n.into()),
            Counter::Behind(n) => newest.unwrap_or(0).saturating_sub(n.into()),
            Counter::Any(n) => n,
            Counter::Edge(n) => newest
                .unwrap_or(0)
                .saturating_sub(WINDOW)
                .saturating_add_signed(n.into()),
            Counter::NearTheEnd(n) => (REJECT_AFTER_MESSAGES - 128).wrapping_add(n.into()),
        };
        let old = newest.is_some_and(|newest| newest.saturating_sub(counter) > WINDOW);
        let fresh = counter < REJECT_AFTER_MESSAGES && !old && accepted.insert(counter);
        assert_eq!(window.accept(counter), fresh, "{counter} after {newest:?}");
        assert!(!window.accept(counter), "{counter} twice");
    }
}
