// SPDX-License-Identifier: GPL-2.0

//! Addresses and prefixes, in the form that the tries use.

#![forbid(unsafe_code)]

use super::{
    Listed,
    Node,
    Owner, //
};
use crate::net::rcu::Shared;

/// What a trie is keyed by: the address of one IP version.
pub(crate) trait Address: Copy + Unpin + Eq + Send + Sync + Sized + 'static {
    /// Bits of an address.
    const LENGTH: u8;

    /// `count` ones, followed by zeros.
    fn ones(count: u8) -> Self;

    /// The bits that are set in both.
    fn and(self, other: Self) -> Self;

    /// Whether both have the same bits where `mask` has ones.
    fn same(self, other: Self, mask: Self) -> bool;

    /// How many leading bits both have in common.
    fn common(self, other: Self) -> u8;

    /// Whether bit number `index` is set; the first bit is number zero.
    fn bit(self, index: u8) -> bool;

    /// A node as its owner lists it.
    fn listed<V: Owner>(node: Shared<Node<V, Self>>) -> Listed<V>;
}

impl Address for u32 {
    const LENGTH: u8 = 32;

    fn ones(count: u8) -> Self {
        match count {
            0 => 0,
            _ => u32::MAX.wrapping_shl(32u32.wrapping_sub(u32::from(count))),
        }
    }

    fn and(self, other: Self) -> Self {
        self & other
    }

    fn same(self, other: Self, mask: Self) -> bool {
        (self ^ other) & mask == 0
    }

    fn common(self, other: Self) -> u8 {
        (self ^ other).leading_zeros() as u8
    }

    fn bit(self, index: u8) -> bool {
        self.wrapping_shl(u32::from(index)) >> 31 != 0
    }

    fn listed<V: Owner>(node: Shared<Node<V, Self>>) -> Listed<V> {
        Listed::V4(node)
    }
}

/// An IPv6 address: its two halves.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bits {
    high: u64,
    low: u64,
}

impl Address for Bits {
    const LENGTH: u8 = 128;

    fn ones(count: u8) -> Self {
        let mask = |count: u32| match count {
            0 => 0,
            1..64 => u64::MAX.wrapping_shl(64u32.wrapping_sub(count)),
            _ => u64::MAX,
        };
        let count = u32::from(count);
        Self {
            high: mask(count),
            low: mask(count.saturating_sub(64)),
        }
    }

    fn and(self, other: Self) -> Self {
        Self {
            high: self.high & other.high,
            low: self.low & other.low,
        }
    }

    fn same(self, other: Self, mask: Self) -> bool {
        (self.high ^ other.high) & mask.high == 0 && (self.low ^ other.low) & mask.low == 0
    }

    fn common(self, other: Self) -> u8 {
        let high = (self.high ^ other.high).leading_zeros() as u8;
        if high < 64 {
            return high;
        }
        // Both numbers are at most 64.
        64u8.wrapping_add((self.low ^ other.low).leading_zeros() as u8)
    }

    fn bit(self, index: u8) -> bool {
        let word = if index < 64 { self.high } else { self.low };
        word.wrapping_shl(u32::from(index)) >> 63 != 0
    }

    fn listed<V: Owner>(node: Shared<Node<V, Self>>) -> Listed<V> {
        Listed::V6(node)
    }
}

/// An address whose first `bits` bits count; the others are zero.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Net<A> {
    pub(super) address: A,
    pub(super) bits: u8,
}

impl<A: Address> Net<A> {
    /// `None` if `address` does not have that many bits.
    pub(super) fn new(address: A, bits: u8) -> Option<Self> {
        (bits <= A::LENGTH).then(|| Self {
            address: address.and(A::ones(bits)),
            bits,
        })
    }
}

/// An address and how many of its bits count.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Prefix {
    /// Of IPv4.
    V4(Net<u32>),
    /// Of IPv6.
    V6(Net<Bits>),
}

impl Prefix {
    /// An IPv4 prefix; `None` for more than 32 bits. Bits of the address beyond the prefix are ignored.
    pub(crate) fn v4(addr: [u8; 4], bits: u8) -> Option<Self> {
        Net::new(u32::from_be_bytes(addr), bits).map(Self::V4)
    }

    /// An IPv6 prefix; `None` for more than 128 bits. Bits of the address beyond the prefix are
    /// ignored.
    pub(crate) fn v6(addr: [u8; 16], bits: u8) -> Option<Self> {
        Net::new(Bits::from(&addr), bits).map(Self::V6)
    }

    /// How many bits count.
    pub(crate) fn bits(&self) -> u8 {
        match self {
            Self::V4(net) => net.bits,
            Self::V6(net) => net.bits,
        }
    }

    /// Whether the address is of IPv6.
    pub(crate) fn is_v6(&self) -> bool {
        matches!(self, Self::V6(_))
    }

    /// The address in the first 4 or 16 octets, and how many.
    pub(crate) fn octets(&self) -> ([u8; 16], usize) {
        match self {
            Self::V4(net) => ((u128::from(net.address) << 96).to_be_bytes(), 4),
            Self::V6(net) => {
                let Bits { high, low } = net.address;
                (
                    ((u128::from(high) << 64) | u128::from(low)).to_be_bytes(),
                    16,
                )
            }
        }
    }
}

impl From<&[u8; 16]> for Bits {
    fn from(octets: &[u8; 16]) -> Self {
        let all = u128::from_be_bytes(*octets);
        Self {
            high: (all >> 64) as u64,
            low: all as u64,
        }
    }
}
