// SPDX-License-Identifier: GPL-2.0

//! How much of a CPU's time is spent on jobs that are done on the spot.

use kernel::sync::atomic::{
    Atomic,
    Relaxed, //
};

use crate::net::clock;
use crate::net::workqueue;

/// One in this many nanoseconds of a CPU's time may be spent on jobs that are done on the spot, as long
/// as there is another CPU that could do them.
const SHARE: u64 = 4;
/// Nanoseconds by which that share may be exceeded for a short time.
const BURST: u64 = 1_000_000;
/// No more nanoseconds than this are remembered as spent: an only CPU spends without earning, and may not stay the only
/// one.
const MOST: u64 = 20 * BURST;

/// How much of a CPU's time goes into jobs that are done on the spot. Used by that CPU only, with bottom
/// halves off.
pub(super) struct Load {
    /// A job is being done. Nesting jobs would use up the stack, as when a tunnel leads through another
    /// one, or through itself.
    busy: Atomic<bool>,
    /// Nanoseconds that have been spent but not earned yet.
    debt: Atomic<u64>,
    /// When `debt` was last brought up to date.
    since: Atomic<u64>,
}

impl Load {
    pub(super) const fn new() -> Self {
        Self {
            busy: Atomic::new(false),
            debt: Atomic::new(0),
            since: Atomic::new(0),
        }
    }

    /// Whether a job may be done here and now.
    pub(super) fn permits(&self) -> bool {
        if self.busy.load(Relaxed) {
            return false;
        }
        if workqueue::online_cpus() == 1 {
            return true;
        }
        let now = clock::cpu_ns();
        let earned = now.wrapping_sub(self.since.load(Relaxed)) / SHARE;
        let debt = self.debt.load(Relaxed).saturating_sub(earned);
        self.debt.store(debt, Relaxed);
        self.since.store(now, Relaxed);
        debt <= BURST
    }

    /// A job begins.
    pub(super) fn enter(&self) -> u64 {
        self.busy.store(true, Relaxed);
        clock::cpu_ns()
    }

    /// The job that began at `begun` has ended.
    pub(super) fn leave(&self, begun: u64) {
        let spent = clock::cpu_ns_since(begun);
        let debt = self.debt.load(Relaxed).saturating_add(spent);
        self.debt.store(debt.min(MOST), Relaxed);
        self.busy.store(false, Relaxed);
    }
}
