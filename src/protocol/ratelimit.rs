// SPDX-License-Identifier: GPL-2.0

//! The rate at which one source may have handshake messages served under load (§5.3).

use super::time::{
    Duration,
    Instant, //
};

/// Messages served each second.
pub const PER_SECOND: u64 = 20;
/// Messages that may come at once after a pause.
pub const BURST: u64 = 5;

const COST: u64 = Duration::from_secs(1).as_nanos() / PER_SECOND;
const FULL: u64 = COST * BURST;

/// The token bucket of one source; its content is counted in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    tokens: u64,
    last: Instant,
}

impl Bucket {
    /// A full bucket.
    pub const fn new(now: Instant) -> Self {
        Self {
            tokens: FULL,
            last: now,
        }
    }

    /// Whether a message may be served now; takes its price if so.
    #[must_use]
    pub fn allow(&mut self, now: Instant) -> bool {
        let earned = now.since(self.last).as_nanos();
        self.last = self.last.max(now);
        self.tokens = self.tokens.saturating_add(earned).min(FULL);
        match self.tokens.checked_sub(COST) {
            Some(rest) => {
                self.tokens = rest;
                true
            }
            None => false,
        }
    }

    /// Whether the source has been quiet for so long that a new bucket would be no different.
    pub fn idle(&self, now: Instant) -> bool {
        now.since(self.last) > Duration::from_secs(1)
    }
}
