// SPDX-License-Identifier: GPL-2.0

//! How closely single messages of a peer follow one another.

#![forbid(unsafe_code)]

use kernel::sync::atomic::{
    Atomic,
    Relaxed, //
};

use crate::net::clock;

/// Whether single messages of a peer follow one another so closely that they are better taken together: then
/// the packets inside that belong together can be merged on their way up. Not if we send something in between,
/// since somebody may be waiting for each, and not if the last ones could not be merged anyway.
///
/// It does no harm if CPUs disagree about the time, or lose count of each other's messages.
pub(crate) struct Singles {
    /// When the last one came, in nanoseconds of the CPU's clock; zero if something has been sent, or a train has
    /// come, since then.
    last: Atomic<u64>,
    /// The last packet that went up could be merged with others.
    mergeable: Atomic<bool>,
}

impl Singles {
    /// Two that are less than this many nanoseconds apart come in a row.
    const GAP: u64 = 100_000;

    /// None has come.
    pub(crate) const fn new() -> Self {
        Self {
            last: Atomic::new(0),
            mergeable: Atomic::new(false),
        }
    }

    /// One has come; `true` if it is better taken together with others.
    pub(super) fn in_a_row(&self) -> bool {
        if !self.mergeable.load(Relaxed) {
            return false;
        }
        let now = clock::cpu_ns();
        let gap = now.wrapping_sub(self.last.load(Relaxed));
        self.last.store(now, Relaxed);
        gap < Self::GAP
    }

    /// Something is sent, or a train has come.
    pub(crate) fn interrupt(&self) {
        if self.last.load(Relaxed) != 0 {
            self.last.store(0, Relaxed);
        }
    }

    /// Packets have gone up; `mergeable` if the last one could be merged with others.
    pub(super) fn passed_up(&self, mergeable: bool) {
        if self.mergeable.load(Relaxed) != mergeable {
            self.mergeable.store(mergeable, Relaxed);
        }
    }
}
