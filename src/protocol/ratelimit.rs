// SPDX-License-Identifier: GPL-2.0

//! Rate limits of handshake messages (§5.3): how many one source is served under load, and how much time may be spent on
//! those that turn out to be from no peer before there is load.

use super::time::{
    Duration,
    Instant, //
};

/// Under load, each source is served 20 messages a second, and 5 at once after a pause.
pub type Bucket = TokenBucket<20, 5>;

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

/// The time of all CPUs that a device may spend on messages which turn out, once it has computed for them, to be from no
/// peer; beyond that, it is under load. A time and not a number of messages: what a slow machine must not do, because
/// it is missing elsewhere, a fast one with many CPUs does not notice, and there a peer that was removed and goes on
/// trying makes nobody ask twice.
#[derive(Clone, Copy, Debug)]
pub struct WasteBudget {
    /// What is left, in nanoseconds of each CPU.
    left: u64,
    last: Instant,
}

impl WasteBudget {
    /// One part of so many of the time.
    pub const SHARE: u64 = 32;
    /// After a pause, what a second brings in may be spent at once.
    pub const FULL: Duration = Duration::from_nanos(1_000_000_000 / Self::SHARE);
    /// No message is charged more than this: what took longer was waiting for its CPU.
    pub const MOST: Duration = Duration::from_millis(1);

    /// A full budget.
    pub const fn new(now: Instant) -> Self {
        Self {
            left: Self::FULL.as_nanos(),
            last: now,
        }
    }

    /// Takes `spent` by one of `cpus` CPUs out of the budget. Whether it was in there; otherwise it is empty now.
    #[must_use]
    pub fn spend(&mut self, now: Instant, spent: Duration, cpus: u64) -> bool {
        let earned = now.since(self.last).as_nanos() / Self::SHARE;
        self.last = self.last.max(now);
        let left = self.left.saturating_add(earned).min(Self::FULL.as_nanos());
        let spent = spent.min(Self::MOST).as_nanos();
        let cost = spent.checked_div(cpus).unwrap_or(spent);
        self.left = left.saturating_sub(cost);
        left >= cost
    }
}
