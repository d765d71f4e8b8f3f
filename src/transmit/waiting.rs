// SPDX-License-Identifier: GPL-2.0

//! What a peer keeps for the packets on their way to it: those without a keypair, their order, and how fast
//! they come.

#![forbid(unsafe_code)]

use kernel::prelude::*;
use kernel::sync::atomic::{
    Atomic,
    Relaxed, //
};

use super::Outgoing;
use crate::counters::Dropped;
use crate::net::pipeline::Lane;
use crate::net::skb::{
    Skb,
    SkbList, //
};
use crate::protocol::time::Instant;

/// Packets that wait for a keypair, at most this many per peer; the oldest are dropped first.
const MAX_STAGED: usize = 128;
/// Octets of memory that they may occupy, unless it is a single packet: no socket pays for them any more. Enough for
/// that many packets of an Ethernet's length; a GSO packet has up to 64 KiB.
const MAX_STAGED_COST: usize = 512 << 10;

/// The packets of a peer that wait for a keypair.
pub(crate) struct Staged {
    packets: SkbList,
    /// Octets of memory that the packets occupy.
    cost: usize,
    closed: bool,
}

impl Staged {
    /// No packets.
    pub(crate) fn new() -> Self {
        Self {
            packets: SkbList::new(),
            cost: 0,
            closed: false,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// Takes the oldest packet.
    pub(super) fn pop(&mut self) -> Option<Skb> {
        let skb = self.packets.pop_front()?;
        self.cost = self.cost.saturating_sub(skb.truesize());
        Some(skb)
    }

    /// The senders' sockets no longer pay for the packets.
    pub(super) fn orphan(&mut self) {
        self.packets.orphan();
    }

    /// Adds a packet at the end, if the device is `up`. Returns how many packets were dropped, to make room or because
    /// no more are let in, and why.
    pub(super) fn push(&mut self, skb: Skb, up: bool) -> (Dropped, usize) {
        if self.closed || !up {
            let count = skb.packets();
            skb.drop_for(Dropped::Closed.reason());
            return (Dropped::Closed, count);
        }
        let mut dropped = 0usize;
        let cost = skb.truesize();
        while self.packets.len() >= MAX_STAGED || self.cost.saturating_add(cost) > MAX_STAGED_COST {
            let Some(oldest) = self.pop() else {
                break;
            };
            dropped = dropped.saturating_add(oldest.packets());
            oldest.drop_for(Dropped::StagedFull.reason());
        }
        self.cost = self.cost.saturating_add(cost);
        self.packets.push_back(skb);
        (Dropped::StagedFull, dropped)
    }

    /// Takes all packets.
    pub(crate) fn take(&mut self) -> SkbList {
        self.cost = 0;
        core::mem::replace(&mut self.packets, SkbList::new())
    }

    /// Lets no packet in any more.
    pub(crate) fn close(&mut self) {
        self.closed = true;
    }
}

/// How fast single packets are sent to a peer that does not answer.
///
/// A sender that waits for answers, or keeps to a pace, wants each packet to leave at once. One that sends
/// packet after packet as fast as it can gains more if they leave together, in trains.
pub(crate) struct OneWay {
    /// Packets since the span began or the peer last answered.
    count: Atomic<u32>,
    /// Nanoseconds of the protocol's clock when the span began.
    begun: Atomic<u64>,
    /// The span before had more packets than may leave one by one.
    fast: Atomic<bool>,
}

impl OneWay {
    /// This many packets of a span leave one by one.
    const PATIENCE: u32 = 64;
    /// Length of a span, in nanoseconds.
    const SPAN: u64 = 10_000_000;

    /// Nothing was sent.
    pub(crate) const fn new() -> Self {
        Self {
            count: Atomic::new(0),
            begun: Atomic::new(0),
            fast: Atomic::new(false),
        }
    }

    /// A packet is sent. `true` if it is better collected with others. CPUs may lose count of each other's
    /// packets, which does no harm.
    pub(super) fn sent(&self, now: Instant) -> bool {
        let now = now.as_nanos();
        let count = self.count.load(Relaxed);
        let elapsed = now.saturating_sub(self.begun.load(Relaxed));
        if elapsed < Self::SPAN {
            self.count.store(count.saturating_add(1), Relaxed);
            return count >= Self::PATIENCE || self.fast.load(Relaxed);
        }
        let fast = count > Self::PATIENCE && elapsed < Self::SPAN.saturating_mul(2);
        self.begun.store(now, Relaxed);
        self.count.store(1, Relaxed);
        self.fast.store(fast, Relaxed);
        fast
    }

    /// The peer has sent something.
    pub(crate) fn answered(&self) {
        if self.count.load(Relaxed) != 0 {
            self.count.store(0, Relaxed);
            self.fast.store(false, Relaxed);
        }
    }
}

/// The lanes of a peer: packets of one flow keep their order, and one flow does not wait for another.
/// The counters of their messages therefore do not come in order, but lie within the replay window: messages whose
/// counters would not are sealed again.
#[pin_data]
pub(crate) struct FlowLanes {
    #[pin]
    first: Lane<Outgoing>,
    #[pin]
    second: Lane<Outgoing>,
    #[pin]
    third: Lane<Outgoing>,
    #[pin]
    fourth: Lane<Outgoing>,
    #[pin]
    fifth: Lane<Outgoing>,
    #[pin]
    sixth: Lane<Outgoing>,
    #[pin]
    seventh: Lane<Outgoing>,
    #[pin]
    eighth: Lane<Outgoing>,
}

impl FlowLanes {
    /// Empty lanes.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            first <- Lane::new(),
            second <- Lane::new(),
            third <- Lane::new(),
            fourth <- Lane::new(),
            fifth <- Lane::new(),
            sixth <- Lane::new(),
            seventh <- Lane::new(),
            eighth <- Lane::new(),
        })
    }

    pub(super) fn of(&self, flow: u32) -> &Lane<Outgoing> {
        match flow % 8 {
            0 => &self.first,
            1 => &self.second,
            2 => &self.third,
            3 => &self.fourth,
            4 => &self.fifth,
            5 => &self.sixth,
            6 => &self.seventh,
            _ => &self.eighth,
        }
    }
}
