// SPDX-License-Identifier: GPL-2.0

//! How long a datagram may be on the way to a peer.
//!
//! The kernel's routes know it: they take in what routers say in ICMP messages about datagrams that our sockets
//! have sent, and forget it after a while. Here is kept what they said last.

use kernel::sync::atomic::{
    Atomic,
    Relaxed, //
};

use super::clock;

/// The longest payload of a datagram to a peer, and when that was said.
pub(crate) struct PathMtu(Atomic<u64>);

impl PathMtu {
    /// Seconds for which it is believed without being said again. It is said for each train that is sent; without
    /// an end somebody to whom too much is told would never try again.
    const LIFETIME: u32 = 30;

    /// Nothing is known.
    pub(crate) const fn unknown() -> Self {
        Self(Atomic::new(0))
    }

    /// The path is another one from now on.
    pub(crate) fn forget(&self) {
        self.0.store(0, Relaxed);
    }

    /// Seconds of a clock that begins with the machine. They wrap after a lifetime.
    fn now() -> u32 {
        (clock::boottime_coarse_ns() / 1_000_000_000) as u32
    }

    /// A route says that the payload may have so many octets.
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
