// SPDX-License-Identifier: GPL-2.0

//! Points and spans of time, and the timestamp of an initiation.

/// A span of time in nanoseconds. All arithmetic saturates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Duration(u64);

impl Duration {
    /// `n` nanoseconds.
    pub const fn from_nanos(n: u64) -> Self {
        Self(n)
    }

    /// `n` milliseconds.
    pub const fn from_millis(n: u64) -> Self {
        Self(n.saturating_mul(1_000_000))
    }

    /// `n` seconds.
    pub const fn from_secs(n: u64) -> Self {
        Self(n.saturating_mul(1_000_000_000))
    }

    /// Nanoseconds.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Whole seconds.
    pub const fn as_secs(self) -> u64 {
        self.0 / 1_000_000_000
    }

    /// The sum.
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// `self` multiplied by `n`.
    pub const fn times(self, n: u64) -> Self {
        Self(self.0.saturating_mul(n))
    }

    /// A span between zero and `self`, selected by the random number `random`.
    pub const fn fraction(self, random: u32) -> Self {
        // The product of a 64-bit and a 32-bit number fits 128 bits.
        Self(((self.0 as u128).wrapping_mul(random as u128) >> 32) as u64)
    }
}

/// A point in time: nanoseconds of a monotonic clock that also counts while the machine sleeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(u64);

impl Instant {
    /// The point `n` nanoseconds after the clock's zero.
    pub const fn from_nanos(n: u64) -> Self {
        Self(n)
    }

    /// Nanoseconds since the clock's zero.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The point `span` later.
    pub const fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(span.0))
    }

    /// The span from `earlier` to here; zero if `earlier` is not earlier.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration(self.0.saturating_sub(earlier.0))
    }
}

/// A TAI64N timestamp: 8 octets of seconds and 4 of nanoseconds, big-endian, so that later ones
/// compare greater (§5.1, §5.4.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tai64n(pub [u8; 12]);

impl Tai64n {
    /// The label of the second in which the Unix epoch began: 2^62 plus ten leap seconds.
    const EPOCH: u64 = 0x4000_0000_0000_000a;
    /// The low 24 bits of the nanoseconds, about 17 ms, are left out: a peer need not learn the exact
    /// time, and it accepts no more than 50 initiations a second anyway.
    const HIDDEN: u32 = (1 << 24) - 1;

    /// The timestamp of a wall clock time in seconds and nanoseconds since the Unix epoch.
    pub fn from_unix(seconds: u64, nanoseconds: u32) -> Self {
        let [a, b, c, d, e, f, g, h] = Self::EPOCH.wrapping_add(seconds).to_be_bytes();
        let [i, j, k, l] = (nanoseconds & !Self::HIDDEN).to_be_bytes();
        Self([a, b, c, d, e, f, g, h, i, j, k, l])
    }
}
