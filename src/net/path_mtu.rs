// SPDX-License-Identifier: GPL-2.0

//! How long a datagram to a peer may be on its path.
//!
//! The kernel's routes know it: they take in what routers say in ICMP messages about datagrams that our sockets
//! have sent, and forget it after a while. What they said last is kept here.

use kernel::sync::atomic::{
    Atomic,
    Relaxed, //
};

use super::clock;

/// The longest payload of a datagram to a peer, and when a route last said so.
pub(crate) struct PathMtu(Atomic<u64>);

impl PathMtu {
    /// Seconds for which it is believed unless it is said again, as it is for each train that is sent. Without an
    /// expiry, a sender that is told that all its packets are too long would never get to try again.
    const LIFETIME: u32 = 30;

    /// Nothing is known.
    pub(crate) const fn unknown() -> Self {
        Self(Atomic::new(0))
    }

    /// Forgets what is known: the path is a different one from now on.
    pub(crate) fn forget(&self) {
        self.0.store(0, Relaxed);
    }

    /// Seconds since boot. They wrap after 136 years.
    fn now() -> u32 {
        (clock::boottime_coarse_ns() / 1_000_000_000) as u32
    }

    /// Takes note that, according to a route, the payload may have this many octets.
    pub(super) fn note(&self, payload: u32) {
        let new = u64::from(Self::now()) << 32 | u64::from(payload);
        if self.0.load(Relaxed) != new {
            self.0.store(new, Relaxed);
        }
    }

    /// How many octets the payload may have, if that is known.
    pub(crate) fn payload(&self) -> Option<u32> {
        let known = self.0.load(Relaxed);
        let age = Self::now().wrapping_sub((known >> 32) as u32);
        (known as u32 != 0 && age <= Self::LIFETIME).then_some(known as u32)
    }
}
