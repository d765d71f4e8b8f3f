// SPDX-License-Identifier: GPL-2.0

//! From packets to messages.

#![forbid(unsafe_code)]

use kernel::prelude::*;

use super::outer_ds;
use crate::keypair::Keypair;
use crate::net::gso::Segments;
use crate::net::skb::{
    LinearSkb,
    Skb,
    TUNNEL_HEADROOM, //
};
use crate::net::train;
use crate::options::Chosen;
use crate::protocol::messages::{
    padded_len,
    DATA_HEADER_LEN,
    DATA_OVERHEAD,
    TAG_LEN, //
};
use crate::protocol::session::LEAD;

/// What a packet becomes when it is sealed; kept as the packet's tag.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Plan {
    /// The path's MTU: padding may not make a message longer than that.
    pub(super) mtu: u32,
    /// The DS field of the outer IP packet.
    pub(super) ds: u8,
}

impl Plan {
    pub(super) fn new(skb: &Skb, mtu: u32, chosen: Chosen) -> Self {
        Self {
            mtu,
            ds: skb
                .inner_ds()
                .map_or(0, |ds| outer_ds(ds) | chosen.copied_dscp(ds)),
        }
    }

    pub(super) fn of(skb: &Skb) -> Self {
        let tag = skb.tag();
        Self {
            mtu: tag as u32,
            ds: (tag >> 32) as u8,
        }
    }

    /// Octets of the message that a packet of `len` octets becomes.
    pub(super) fn message_len(&self, len: usize) -> usize {
        padded_len(len, self.mtu as usize).saturating_add(DATA_OVERHEAD)
    }
}

impl From<Plan> for u64 {
    fn from(plan: Plan) -> u64 {
        u64::from(plan.ds) << 32 | u64::from(plan.mtu)
    }
}

/// The place of the header in a message with a lead.
pub(super) fn header_of(message: &mut [u8]) -> Option<&mut [u8; DATA_HEADER_LEN]> {
    message.get_mut(train::LEAD..)?.first_chunk_mut()
}

/// Seals one packet after the other, with ascending counters.
pub(super) struct Sealer<'a> {
    pub(super) keypair: &'a Keypair,
    pub(super) counter: u64,
    pub(super) plan: Plan,
}

impl Sealer<'_> {
    /// Octets of the next message.
    pub(super) fn next_len(&self, segments: &Segments) -> Option<usize> {
        Some(self.plan.message_len(segments.next_len()?))
    }

    /// Seals the next packet into `to`, which has the length of the message and a lead.
    pub(super) fn seal_next(&mut self, segments: &mut Segments, to: &mut [u8]) -> Result {
        let len = segments.next_len().ok_or(EINVAL)?;
        let session = &self.keypair.session;
        *header_of(to).ok_or(EINVAL)? = session.header(self.counter);
        let end = to.len().saturating_sub(TAG_LEN);
        let body = to.get_mut(LEAD..end).ok_or(EINVAL)?;
        if !segments.write_next(body) {
            return Err(EINVAL);
        }
        body.get_mut(len..).ok_or(EINVAL)?.fill(0);
        if !session.seal_behind_in_place(self.counter, to) {
            return Err(EINVAL);
        }
        self.counter = self.counter.wrapping_add(1);
        Ok(())
    }

    /// Seals the next packet into a message of its own.
    pub(super) fn seal_alone(&mut self, segments: &mut Segments) -> Result<Skb> {
        let len = self.next_len(segments).ok_or(EINVAL)?;
        let mut skb = LinearSkb::alloc(TUNNEL_HEADROOM, len)?;
        skb.extend(len)?;
        self.seal_next(segments, skb.data_behind_mut(train::LEAD).ok_or(EINVAL)?)?;
        Ok(skb.into_message(segments.packet()))
    }
}
