// SPDX-License-Identifier: GPL-2.0

//! Rate limits of handshake messages (§5.3): how many one source is served under load, and how many may
//! turn out to be from no peer before there is load.

use super::time::{
    Duration,
    Instant, //
};

/// Under load, each source is served 20 messages a second, and 5 at once after a pause.
pub type Bucket = TokenBucket<20, 5>;

/// How many messages that turn out to be from no peer a device computes for (one to three percent of a
/// CPU's time); beyond that, it is under load.
pub type WasteBucket = TokenBucket<50, 50>;

/// A token bucket that serves `PER_SECOND` messages a second, `BURST` of them at once after a pause; its
/// content is counted in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct TokenBucket<const PER_SECOND: u64, const BURST: u64> {
    tokens: u64,
    last: Instant,
}

impl<const PER_SECOND: u64, const BURST: u64> TokenBucket<PER_SECOND, BURST> {
    const COST: u64 = Duration::from_secs(1).as_nanos() / PER_SECOND;
    const FULL: u64 = Self::COST * BURST;

    /// A full bucket.
    pub const fn new(now: Instant) -> Self {
        Self {
            tokens: Self::FULL,
            last: now,
        }
    }

    /// Whether a message may be served now; deducts its cost if so.
    #[must_use]
    pub fn allow(&mut self, now: Instant) -> bool {
        let earned = now.since(self.last).as_nanos();
        self.last = self.last.max(now);
        self.tokens = self.tokens.saturating_add(earned).min(Self::FULL);
        match self.tokens.checked_sub(Self::COST) {
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
