// SPDX-License-Identifier: GPL-2.0

//! Why a packet is dropped, in the kernel's words.
//!
//! The reasons of subsystems are numbered by an enumeration of the kernel, in which each number is taken
//! (`Documentation/troubleshooting.md`), so an out-of-tree driver has only those of the core.
//!
//! C header: [`include/net/dropreason-core.h`](srctree/include/net/dropreason-core.h)

use crate::net::bindings::{
    self,
    skb_drop_reason, //
};

/// A reason that `dropwatch`, `perf` and the tracepoint `skb:kfree_skb` show.
#[derive(Clone, Copy)]
pub(crate) struct DropReason(skb_drop_reason);

#[rustfmt::skip]
impl DropReason {
    /// The core has no word for it.
    pub(crate) const NOT_SPECIFIED: Self = Self(bindings::skb_drop_reason_SKB_DROP_REASON_NOT_SPECIFIED);
    /// Too much waits for a CPU.
    pub(crate) const CPU_BACKLOG: Self = Self(bindings::skb_drop_reason_SKB_DROP_REASON_CPU_BACKLOG);
    /// The device is not there, or not in a state to take packets.
    pub(crate) const DEV_READY: Self = Self(bindings::skb_drop_reason_SKB_DROP_REASON_DEV_READY);
    /// A queue of fixed length is full.
    pub(crate) const FULL_RING: Self = Self(bindings::skb_drop_reason_SKB_DROP_REASON_FULL_RING);
    /// A GSO packet that cannot be cut.
    pub(crate) const GSO: Self = Self(bindings::skb_drop_reason_SKB_DROP_REASON_SKB_GSO_SEG);
    /// Not of the protocol that is spoken here.
    pub(crate) const INVALID_PROTO: Self = Self(bindings::skb_drop_reason_SKB_DROP_REASON_INVALID_PROTO);
    /// A source address that is not allowed.
    pub(crate) const IP_INVALID_SOURCE: Self = Self(bindings::skb_drop_reason_SKB_DROP_REASON_IP_INVALID_SOURCE);
    /// The neighbour did not answer.
    pub(crate) const NEIGH_FAILED: Self = Self(bindings::skb_drop_reason_SKB_DROP_REASON_NEIGH_FAILED);
    /// Too many packets wait for the neighbour's answer.
    pub(crate) const NEIGH_QUEUE_FULL: Self = Self(bindings::skb_drop_reason_SKB_DROP_REASON_NEIGH_QUEUEFULL);
    /// No memory.
    pub(crate) const NO_MEMORY: Self = Self(bindings::skb_drop_reason_SKB_DROP_REASON_NOMEM);
    /// No way to the destination.
    pub(crate) const NO_ROUTE: Self = Self(bindings::skb_drop_reason_SKB_DROP_REASON_IP_OUTNOROUTES);
    /// A tunnel does not know where its other end is.
    pub(crate) const NO_TX_TARGET: Self = Self(bindings::skb_drop_reason_SKB_DROP_REASON_NO_TX_TARGET);
    /// Longer than it may be.
    pub(crate) const PKT_TOO_BIG: Self = Self(bindings::skb_drop_reason_SKB_DROP_REASON_PKT_TOO_BIG);
    /// Shorter than it has to be.
    pub(crate) const PKT_TOO_SMALL: Self = Self(bindings::skb_drop_reason_SKB_DROP_REASON_PKT_TOO_SMALL);
    /// It was in a queue that is emptied.
    pub(crate) const QUEUE_PURGE: Self = Self(bindings::skb_drop_reason_SKB_DROP_REASON_QUEUE_PURGE);
    /// The UDP checksum is wrong.
    pub(crate) const UDP_CSUM: Self = Self(bindings::skb_drop_reason_SKB_DROP_REASON_UDP_CSUM);
    /// Nobody takes this protocol.
    pub(crate) const UNHANDLED_PROTO: Self = Self(bindings::skb_drop_reason_SKB_DROP_REASON_UNHANDLED_PROTO);

    pub(super) fn as_raw(self) -> skb_drop_reason {
        self.0
    }
}
