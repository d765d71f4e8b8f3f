// SPDX-License-Identifier: GPL-2.0

//! Packets in one piece.

use core::ptr::{
    self,
    NonNull, //
};

use kernel::prelude::*;

use super::{
    IpVersion,
    Skb, //
};
use crate::net::bh::BhGuard;
use crate::net::bindings;
#[cfg(kernel_7_2)]
use crate::net::errno::*;
use crate::net::netdev::NetDevice;
use crate::net::pool::{
    Buffers,
    PAGE_LEN, //
};

/// A packet in one piece that is shared with nobody.
///
/// # Invariants
///
/// The packet's data is linear, and neither it nor the `sk_buff` has another user.
pub(crate) struct LinearSkb(pub(super) Skb);

impl LinearSkb {
    /// An empty packet with room before and after the data. Any context.
    pub(crate) fn alloc(headroom: usize, tailroom: usize) -> Result<Self> {
        // What the kernel adds must not wrap either.
        let size = headroom.saturating_add(tailroom);
        let size = u32::try_from(size).ok().filter(|size| *size < 1 << 30);
        let size = size.ok_or(EMSGSIZE)?;
        // SAFETY: No requirements.
        let skb = unsafe { bindings::alloc_skb(size, bindings::GFP_ATOMIC_MASK) };
        let skb = NonNull::new(skb).ok_or(ENOMEM)?;
        // SAFETY: The packet is new and empty, and has the room.
        unsafe { bindings::skb_reserve(skb.as_ptr(), headroom as i32) };
        // INVARIANT: New, so linear and ours alone.
        Ok(Self(Skb { ptr: skb }))
    }

    /// A packet of `len` arbitrary octets in memory from a pool, with `headroom` octets before them.
    ///
    /// # Errors
    ///
    /// `EMSGSIZE` when that does not fit a page of the pool, `ENOMEM`.
    pub(crate) fn from_pool(
        buffers: &Buffers,
        headroom: usize,
        len: usize,
        bh: &BhGuard,
    ) -> Result<Self> {
        let room = headroom.saturating_add(len);
        if room > PAGE_LEN {
            return Err(EMSGSIZE);
        }
        // SAFETY: No requirements.
        let size = unsafe { bindings::skb_head_size(room as u32) } as usize;
        let buffer = buffers.alloc(size, bh)?;
        // SAFETY: The buffer is ours, and as long as it says. If the function succeeds, the memory belongs
        // to the packet, which is marked so that it goes back to its pool.
        unsafe {
            let skb = bindings::napi_build_skb(buffer.as_ptr().cast(), buffer.size() as u32);
            let skb = NonNull::new(skb).ok_or(ENOMEM)?;
            buffer.into_raw();
            bindings::skb_mark_for_recycle(skb.as_ptr());
            bindings::skb_reserve(skb.as_ptr(), headroom as i32);
            bindings::skb_put(skb.as_ptr(), len as u32);
            // INVARIANT: New, so linear and ours alone.
            Ok(Self(Skb { ptr: skb }))
        }
    }

    /// A packet of `len` arbitrary octets, with `headroom` octets before them. Any context.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn with_len(headroom: usize, len: usize) -> Result<Self> {
        let mut skb = Self::alloc(headroom, len)?;
        skb.extend(len)?;
        Ok(skb)
    }

    /// See [`Skb::tag`].
    pub(crate) fn tag(&self) -> u64 {
        self.0.tag()
    }

    /// See [`Skb::tag`].
    pub(crate) fn set_tag(&mut self, tag: u64) {
        self.0.set_tag(tag);
    }

    /// The packet as one of any shape, to be looked at and, within `net`, to be changed, in ways that keep
    /// the invariant or give it up for good.
    pub(in crate::net) fn as_skb(&self) -> &Skb {
        &self.0
    }

    /// The octets.
    pub(crate) fn data(&self) -> &[u8] {
        let raw = self.0.as_ptr();
        // SAFETY: By the type invariant all `len` octets are at `data`.
        unsafe { core::slice::from_raw_parts((*raw).data, (*raw).len as usize) }
    }

    /// The octets, to be written.
    pub(crate) fn data_mut(&mut self) -> &mut [u8] {
        let raw = self.0.as_ptr();
        // SAFETY: As in `data`, and nobody else uses them.
        unsafe { core::slice::from_raw_parts_mut((*raw).data, (*raw).len as usize) }
    }

    /// The octets with `lead` octets of the room in front, if there are that many.
    pub(crate) fn data_behind(&self, lead: usize) -> Option<&[u8]> {
        let raw = self.0.as_ptr();
        // SAFETY: By the type invariant, as in `data`; the room in front was checked, and what is in it comes
        // from outside of Rust's view.
        unsafe {
            if (bindings::skb_headroom(raw) as usize) < lead {
                return None;
            }
            let len = ((*raw).len as usize).saturating_add(lead);
            Some(core::slice::from_raw_parts((*raw).data.sub(lead), len))
        }
    }

    /// Likewise, to be written.
    pub(crate) fn data_behind_mut(&mut self, lead: usize) -> Option<&mut [u8]> {
        let (data, len) = self
            .data_behind(lead)
            .map(|data| (data.as_ptr(), data.len()))?;
        // SAFETY: As in `data_behind`, and nobody else uses the octets.
        Some(unsafe { core::slice::from_raw_parts_mut(data.cast_mut(), len) })
    }

    /// Puts octets in front.
    ///
    /// # Errors
    ///
    /// `ENOBUFS` when there is no room.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result {
        let raw = self.0.as_ptr();
        // SAFETY: The packet is ours; the room is checked before it is used.
        unsafe {
            if (bindings::skb_headroom(raw) as usize) < bytes.len() {
                return Err(ENOBUFS);
            }
            let to = bindings::skb_push(raw, bytes.len() as u32);
            ptr::copy_nonoverlapping(bytes.as_ptr(), to.cast(), bytes.len());
        }
        Ok(())
    }

    /// Appends octets.
    ///
    /// # Errors
    ///
    /// `ENOBUFS` when there is no room.
    pub(crate) fn put(&mut self, bytes: &[u8]) -> Result {
        let to = self.make_tail(bytes.len())?;
        // SAFETY: The room was just made, in memory that is ours alone.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
        Ok(())
    }

    /// Appends zeros.
    ///
    /// # Errors
    ///
    /// `ENOBUFS` when there is no room.
    pub(crate) fn put_zeros(&mut self, len: usize) -> Result {
        let to = self.make_tail(len)?;
        // SAFETY: The room was just made.
        unsafe { to.write_bytes(0, len) };
        Ok(())
    }

    /// Appends arbitrary octets, and gives access to them.
    ///
    /// # Errors
    ///
    /// `ENOBUFS` when there is no room.
    pub(crate) fn extend(&mut self, len: usize) -> Result<&mut [u8]> {
        let to = self.make_tail(len)?;
        // SAFETY: The room was just made, in memory that is ours alone and comes from outside of Rust's
        // view.
        Ok(unsafe { core::slice::from_raw_parts_mut(to, len) })
    }

    /// The packet as a payload of its own, with flow and socket of `model`.
    pub(crate) fn into_message(self, model: &Skb) -> Skb {
        let mut skb = self.0;
        // SAFETY: The packet is ours.
        unsafe { bindings::skb_reset_offsets(skb.as_ptr()) };
        skb.copy_flow(model);
        skb.charge_like(model);
        skb
    }

    fn make_tail(&mut self, len: usize) -> Result<*mut u8> {
        let raw = self.0.as_ptr();
        // SAFETY: The packet is ours; the room is checked before it is used.
        unsafe {
            if (bindings::skb_tailroom(raw) as usize) < len {
                return Err(ENOBUFS);
            }
            Ok(bindings::skb_put(raw, len as u32).cast())
        }
    }

    /// Takes octets off the front; `None` when there are not that many.
    pub(crate) fn pull(&mut self, len: usize) -> Option<()> {
        let raw = self.0.as_ptr();
        // SAFETY: The packet is linear; `skb_pull` checks the length.
        (!unsafe { bindings::skb_pull(raw, len as u32) }.is_null()).then_some(())
    }

    /// Shortens the packet to `len` octets, if it is longer.
    pub(crate) fn trim(&mut self, len: usize) {
        // SAFETY: The packet is linear; `skb_trim` checks the length.
        unsafe { bindings::skb_trim(self.0.as_ptr(), len as u32) };
    }

    /// Makes the packet a payload that has nothing to do with what it was before, apart from its flow:
    /// the flow hash and the socket that it counts against stay.
    pub(crate) fn prepare_outer(&mut self) {
        self.reset(true);
    }

    /// Makes the packet one that has nothing to do with what it was before.
    pub(crate) fn forget_origin(&mut self) {
        self.reset(false);
        let skb = self.0.as_ptr();
        // SAFETY: The packet is ours, and nobody else has a part of it. Programs would be told an address as a time.
        unsafe {
            if bindings::skb_hwtstamps_are_private(skb) {
                bindings::skb_clear_hwtstamps(skb);
            }
        }
    }

    /// Gives the packet, a new one, the time at which hardware received `model`, if it has said so.
    pub(crate) fn received_as(&mut self, model: &Skb) {
        // SAFETY: Both are ours, and nobody else has a part of this one.
        unsafe {
            if !bindings::skb_hwtstamps_are_private(model.as_ptr()) {
                bindings::skb_copy_hwtstamps(self.0.as_ptr(), model.as_ptr());
            }
        }
    }

    /// Turns the packet, which is new or has forgotten its origin, into one that `dev` has received,
    /// checked as well as hardware could. Bottom halves are off, and stay off until the packet has been
    /// given to the stack.
    pub(crate) fn prepare_inner(&mut self, dev: &NetDevice, version: IpVersion) {
        let protocol = match version {
            IpVersion::V4 => bindings::ETH_P_IP,
            IpVersion::V6 => bindings::ETH_P_IPV6,
        };
        let skb = self.0.as_ptr();
        // SAFETY: The packet is ours; the device outlives the read-side section.
        unsafe {
            bindings::skb_reset_offsets(skb);
            bindings::skb_set_received(skb, dev.as_ptr(), (protocol as u16).to_be());
        }
    }

    /// Forgets all that the stack knows about the packet, apart from its flow if `keep_flow`.
    fn reset(&mut self, keep_flow: bool) {
        let skb = self.0.as_ptr();
        // SAFETY: The packet is ours, and its data begins with the new header.
        unsafe {
            let hash = bindings::skb_hash_raw(skb);
            let (l4, sw) = (bindings::skb_l4_hash(skb), bindings::skb_sw_hash(skb));
            let tstamp_type = bindings::skb_tstamp_type(skb);
            bindings::skb_scrub_packet(skb, true);
            bindings::skb_clear_headers(skb);
            if keep_flow {
                bindings::skb_set_flow(skb, hash, l4, sw, tstamp_type);
            }
            bindings::skb_forget_device(skb);
            bindings::skb_reset_offsets(skb);
        }
    }

    /// Computes the checksum that was left to the hardware, if it was.
    ///
    /// # Errors
    ///
    /// `EINVAL` when what is to be summed is not in the packet.
    pub(crate) fn finish_checksum(&mut self) -> Result {
        let raw = self.0.as_ptr();
        // SAFETY: The packet is ours.
        let (start, offset) = unsafe {
            if !bindings::skb_needs_checksum(raw) {
                return Ok(());
            }
            (
                usize::try_from(bindings::skb_checksum_start_offset(raw)),
                bindings::skb_checksum_offset(raw) as usize,
            )
        };
        let start = start.map_err(|_| EINVAL)?;
        let covered = self.data_mut().get_mut(start..).ok_or(EINVAL)?;
        // SAFETY: The octets are good for their length. What is at the place of the checksum, the sum over
        // the pseudo header, counts as well.
        let sum = unsafe {
            bindings::csum_fold(bindings::csum_partial(
                covered.as_ptr().cast(),
                covered.len() as i32,
                0,
            ))
        };
        // Zero would mean that a UDP packet has no checksum; for TCP both stand for zero.
        let sum = if sum == 0 { 0xffff } else { sum };
        *covered
            .get_mut(offset..)
            .and_then(|rest| rest.first_chunk_mut())
            .ok_or(EINVAL)? = sum.to_ne_bytes();
        // SAFETY: The packet is ours.
        unsafe { bindings::skb_set_checksummed(raw) };
        Ok(())
    }

    /// Carries a congestion mark of the outer header over to the IP header that the data begins with
    /// (RFC 6040, section 4.2).
    pub(crate) fn ecn_decapsulate(&mut self, outer_ds: u8) {
        let raw = self.0.as_ptr();
        if let Some(inner) = self.0.inner_ds() {
            // SAFETY: The packet is linear and ours, and holds an IP header.
            unsafe { bindings::inet_ecn_decapsulate(raw, outer_ds, inner) };
        }
    }

    /// The source of an IPv4 packet.
    pub(crate) fn ipv4_source(&self) -> Option<[u8; 4]> {
        self.0.bytes_at(12)
    }

    /// The source of an IPv6 packet.
    pub(crate) fn ipv6_source(&self) -> Option<[u8; 16]> {
        self.0.bytes_at(8)
    }
}

impl From<LinearSkb> for Skb {
    fn from(skb: LinearSkb) -> Self {
        skb.0
    }
}
