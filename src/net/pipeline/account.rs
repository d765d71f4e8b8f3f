// SPDX-License-Identifier: GPL-2.0

//! By what the jobs of many lanes are bounded together.

use kernel::sync::atomic::{
    Atomic,
    Relaxed, //
};

use super::Limits;

/// Whether `cost` more fits beside what is `pending`. The first job always does.
pub(super) fn fits(pending: usize, cost: usize, limit: usize) -> bool {
    pending.saturating_add(cost) <= limit.max(cost)
}

/// Octets of [`cost`](super::Job::cost) that are under way, from the time when a job was queued until it is completed.
/// Whoever has an account of its own cannot be kept from queueing by others, as much as they queue.
///
/// All CPUs write to it, so it has a cache line of its own.
#[repr(align(64))]
pub(crate) struct Account(Atomic<usize>);

impl Account {
    /// Nothing is under way.
    pub(crate) const fn new() -> Self {
        Self(Atomic::new(0))
    }

    /// Whether `cost` more may be under way. CPUs that ask at once may go beyond the limit together, by one job each.
    pub(super) fn takes(&self, cost: usize, limits: Limits) -> bool {
        fits(self.0.load(Relaxed), cost, limits.account)
    }

    /// A job of this cost is under way.
    pub(super) fn add(&self, cost: usize) {
        self.0.fetch_add(cost, Relaxed);
    }

    /// Jobs of this cost are completed.
    pub(super) fn take(&self, cost: usize) {
        self.0.fetch_sub(cost, Relaxed);
    }
}
