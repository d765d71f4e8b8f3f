// SPDX-License-Identifier: GPL-2.0

//! Packets.
//!
//! [`Skb`] owns one packet of any shape. [`LinearSkb`] owns one that is in one piece and shared with
//! nobody, so that its octets can be read and written as a slice. [`SkbList`] owns a chain of packets.
//! Packets that stand for several others are the subject of [`gso`](super::gso) and [`train`](super::train).
//!
//! C header: [`include/linux/skbuff.h`](srctree/include/linux/skbuff.h)

use core::ptr::{
    self,
    NonNull, //
};

use kernel::prelude::*;

use super::bh::{
    self,
    BhGuard, //
};
use super::bindings;

mod linear;
mod list;
mod reason;

pub(crate) use linear::LinearSkb;
pub(crate) use list::{
    LinearList,
    SkbList, //
};
pub(crate) use reason::DropReason;

/// Room for the headers that a tunnel puts in front of its payload: UDP, IPv6 and the link layer's.
pub(crate) const TUNNEL_HEADROOM: usize = 8 + 40 + 128;

/// The version of an IP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IpVersion {
    V4,
    V6,
}

/// A packet.
///
/// # Invariants
///
/// `ptr` is an `sk_buff` that this value owns and that is on no list.
pub(crate) struct Skb {
    ptr: NonNull<bindings::sk_buff>,
}

// SAFETY: A packet may be used from any thread, by one at a time.
unsafe impl Send for Skb {}
// SAFETY: Shared references only read.
unsafe impl Sync for Skb {}

impl Skb {
    /// # Safety
    ///
    /// `ptr` is a packet that is handed over and is on no list.
    pub(super) unsafe fn from_raw(ptr: *mut bindings::sk_buff) -> Self {
        // SAFETY: The caller's promise.
        // INVARIANT: Likewise.
        let ptr = unsafe {
            (*ptr).__bindgen_anon_1.__bindgen_anon_1.next = ptr::null_mut();
            NonNull::new_unchecked(ptr)
        };
        Self { ptr }
    }

    pub(super) fn as_ptr(&self) -> *mut bindings::sk_buff {
        self.ptr.as_ptr()
    }

    pub(super) fn into_raw(self) -> *mut bindings::sk_buff {
        let ptr = self.as_ptr();
        core::mem::forget(self);
        ptr
    }

    /// Octets of the packet from where its data begins.
    pub(crate) fn len(&self) -> usize {
        // SAFETY: By the type invariant.
        unsafe { (*self.as_ptr()).len as usize }
    }

    /// Octets of memory that the packet accounts for.
    pub(crate) fn truesize(&self) -> usize {
        // SAFETY: By the type invariant.
        unsafe { (*self.as_ptr()).truesize as usize }
    }

    /// A number that its owner keeps with the packet.
    pub(crate) fn tag(&self) -> u64 {
        // SAFETY: The control block belongs to whoever owns the packet, and is aligned for it.
        unsafe { (&raw const (*self.as_ptr()).cb).cast::<u64>().read() }
    }

    /// See [`Skb::tag`].
    pub(crate) fn set_tag(&mut self, tag: u64) {
        // SAFETY: As in `tag`.
        unsafe { (&raw mut (*self.as_ptr()).cb).cast::<u64>().write(tag) };
    }

    /// A time that the owner of a received packet keeps with it; before that, when it arrived, if anybody wanted to know.
    /// Unlike [`Skb::tag`] it leaves alone what the stack says about the packet ([`Skb::incoming_link6`]).
    pub(crate) fn time(&self) -> u64 {
        // SAFETY: By the type invariant; the union is the same number by either name.
        unsafe { (*self.as_ptr()).__bindgen_anon_2.skb_mstamp_ns }
    }

    /// See [`Skb::time`].
    pub(crate) fn set_time(&mut self, time: u64) {
        // SAFETY: The packet is ours.
        unsafe { (*self.as_ptr()).__bindgen_anon_2.skb_mstamp_ns = time };
    }

    /// The version of the IP packet in the data, if the stack agrees.
    pub(crate) fn inner_protocol(&self) -> Option<IpVersion> {
        // SAFETY: By the type invariant.
        unsafe {
            let real = bindings::ip_tunnel_parse_protocol(self.as_ptr());
            if real != bindings::skb_protocol_raw(self.as_ptr()) {
                return None;
            }
            version_of(real)
        }
    }

    /// The octets of the packet that are in its first piece of memory.
    fn linear(&self) -> &[u8] {
        let raw = self.as_ptr();
        // SAFETY: By the type invariant; all that is not in fragments is at `data`.
        unsafe {
            let len = (*raw).len.saturating_sub((*raw).data_len);
            core::slice::from_raw_parts((*raw).data, len as usize)
        }
    }

    /// Copies octets of the data from `offset` on; `false` when there are not enough.
    #[must_use]
    pub(crate) fn copy_bytes(&self, offset: usize, to: &mut [u8]) -> bool {
        let (Ok(offset), Ok(len)) = (i32::try_from(offset), i32::try_from(to.len())) else {
            return false;
        };
        // SAFETY: The function checks the range; `to` is good for `len`.
        unsafe { bindings::skb_copy_bits(self.as_ptr(), offset, to.as_mut_ptr().cast(), len) == 0 }
    }

    /// Copies the packet to `to`, which has its length, and fills in the checksum if that was left to the
    /// hardware. A packet is never refused because its checksum cannot be filled in: then it is as the stack left it.
    pub(crate) fn copy_with_checksum(&self, to: &mut [u8]) {
        if to.len() != self.len() {
            return;
        }
        let Some(at) = self.checksum_place() else {
            if !self.copy_bytes(0, to) {
                to.fill(0);
            }
            return;
        };
        // SAFETY: The packet is ours; `to` has its length. Linux 7.2 takes it for granted that what is to be summed and
        // the place of the checksum are in the packet.
        unsafe { bindings::skb_copy_and_csum_dev(self.as_ptr(), to.as_mut_ptr()) };
        // Zero would mean that a UDP packet has no checksum; for TCP both stand for zero.
        if let Some(sum @ [0, 0]) = to.get_mut(at..).and_then(|rest| rest.first_chunk_mut()) {
            *sum = [0xff, 0xff];
        }
    }

    /// Where the checksum that was left to the hardware belongs, if one was and can be filled in.
    fn checksum_place(&self) -> Option<usize> {
        let raw = self.as_ptr();
        // SAFETY: By the type invariant.
        let (start, offset) = unsafe {
            if !bindings::skb_needs_checksum(raw) {
                return None;
            }
            (
                usize::try_from(bindings::skb_checksum_start_offset(raw)).ok()?,
                bindings::skb_checksum_offset(raw) as usize,
            )
        };
        let at = start.checked_add(offset)?;
        let fits = start <= self.linear().len() && at.checked_add(2)? <= self.len();
        fits.then_some(at)
    }

    /// `N` octets at `offset` of the data.
    pub(crate) fn bytes_at<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        let near = self
            .linear()
            .get(offset..)
            .and_then(|rest| rest.first_chunk());
        if let Some(bytes) = near {
            return Some(*bytes);
        }
        let mut bytes = [0; N];
        self.copy_bytes(offset, &mut bytes).then_some(bytes)
    }

    /// `N` octets at `offset` from the network header, which is at or before the data.
    fn network_bytes<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        // SAFETY: By the type invariant.
        let network = unsafe { bindings::skb_network_offset(self.as_ptr()) };
        let position = network.checked_add(i32::try_from(offset).ok()?)?;
        self.bytes_before::<N>(position)
    }

    /// `N` octets at a position relative to the data, within the packet's linear buffer.
    fn bytes_before<const N: usize>(&self, position: i32) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        // SAFETY: The function checks that the range is between `head` and the end of the data.
        let ok = unsafe {
            position >= (bindings::skb_headroom(self.as_ptr()) as i32).wrapping_neg()
                && bindings::skb_copy_bits(
                    self.as_ptr(),
                    position,
                    bytes.as_mut_ptr().cast(),
                    N as i32,
                ) == 0
        };
        ok.then_some(bytes)
    }

    /// The destination of an IPv4 packet.
    pub(crate) fn ipv4_destination(&self) -> Option<[u8; 4]> {
        self.bytes_at(16)
    }

    /// The destination of an IPv6 packet.
    pub(crate) fn ipv6_destination(&self) -> Option<[u8; 16]> {
        self.bytes_at(24)
    }

    /// Octets of the packet, or of the longest of those that it stands for, without their headers.
    pub(super) fn longest(&self) -> u32 {
        // SAFETY: By the type invariant.
        unsafe {
            match bindings::skb_gso_size(self.as_ptr()) {
                0 => (*self.as_ptr()).len,
                size => size,
            }
        }
    }

    /// Whether a router may fragment the IP packet in the data.
    pub(crate) fn may_be_fragmented(&self) -> bool {
        const DONT_FRAGMENT: u8 = 0x40;
        match self.bytes_at(0) {
            Some([first, _, _, _, _, _, flags]) => first >> 4 == 4 && flags & DONT_FRAGMENT == 0,
            None => false,
        }
    }

    /// Whether the IP packet, or each of those that it stands for, has at most `mtu` octets.
    pub(crate) fn fits(&self, mtu: u32) -> bool {
        // SAFETY: By the type invariant; the stack has set the headers' places.
        unsafe {
            if bindings::skb_is_gso(self.as_ptr()) {
                bindings::skb_gso_validate_network_len(self.as_ptr(), mtu)
            } else {
                (*self.as_ptr()).len <= mtu
            }
        }
    }

    /// The DS field of the IP packet in the data.
    pub(crate) fn inner_ds(&self) -> Option<u8> {
        let [first, second] = self.bytes_at(0)?;
        match first >> 4 {
            4 => Some(second),
            6 => Some((first << 4) | (second >> 4)),
            _ => None,
        }
    }

    /// The version of the IP packet that the data came in.
    pub(crate) fn outer_version(&self) -> Option<IpVersion> {
        // SAFETY: By the type invariant.
        version_of(unsafe { bindings::skb_protocol_raw(self.as_ptr()) })
    }

    /// The DS field of the IP header that came before the data.
    pub(crate) fn outer_ds(&self) -> u8 {
        let Some([first, second]) = self.network_bytes(0) else {
            return 0;
        };
        match self.outer_version() {
            Some(IpVersion::V6) => (first << 4) | (second >> 4),
            _ => second,
        }
    }

    /// Source and destination in the IPv4 header that came before the data.
    pub(super) fn outer_ipv4(&self) -> Option<([u8; 4], [u8; 4])> {
        Some((self.network_bytes(12)?, self.network_bytes(16)?))
    }

    /// Source and destination in the IPv6 header that came before the data.
    pub(super) fn outer_ipv6(&self) -> Option<([u8; 16], [u8; 16])> {
        Some((self.network_bytes(8)?, self.network_bytes(24)?))
    }

    /// The source port in the UDP header that came before the data.
    pub(super) fn outer_source_port(&self) -> Option<u16> {
        // SAFETY: By the type invariant.
        let transport = unsafe { bindings::skb_transport_offset(self.as_ptr()) };
        self.bytes_before(transport).map(u16::from_be_bytes)
    }

    /// Forgets the device that the packet came in by, but not its number: whoever queues the packet may
    /// keep it longer than the device lives.
    pub(super) fn forget_device(&mut self) {
        // SAFETY: The packet is ours.
        unsafe { bindings::skb_clear_dev(self.as_ptr()) };
    }

    /// The number of the device that the packet came in by.
    pub(super) fn incoming_ifindex(&self) -> u32 {
        // SAFETY: By the type invariant.
        unsafe { bindings::skb_iif(self.as_ptr()) as u32 }
    }

    /// The number of the link by which the IPv6 packet that carried the data came in: a VRF has put its own number in
    /// place of that. To be called before anybody uses the packet's control block.
    pub(super) fn incoming_link6(&self) -> u32 {
        // SAFETY: By the type invariant; the control block is as the stack has left it.
        match unsafe { bindings::skb_inet6_sdif(self.as_ptr()) } {
            0 => self.incoming_ifindex(),
            link => link as u32,
        }
    }

    /// The MTU of the packet's route, if it has one.
    pub(crate) fn dst_mtu(&self) -> Option<u32> {
        // SAFETY: By the type invariant.
        match unsafe { bindings::skb_dst_mtu(self.as_ptr()) } {
            0 => None,
            mtu => Some(mtu),
        }
    }

    /// Forgets the packet's route.
    pub(crate) fn drop_dst(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::skb_dst_drop(self.as_ptr()) };
    }

    /// A number that is the same for all packets of a flow; computed if it is not known yet.
    pub(crate) fn flow(&mut self) -> u32 {
        // The flow dissector wants a device or a socket, which a packet of our own making lacks.
        if self.len() == 0 {
            return 0;
        }
        // SAFETY: By the type invariant.
        unsafe { bindings::skb_get_hash(self.as_ptr()) }
    }

    /// When the packet is to leave, if it says so and that is later than `now`, in nanoseconds of the monotonic clock:
    /// the clock that it means, and nanoseconds on that clock. A time on another clock is taken at its word.
    pub(crate) fn leaves_later(&self, now: u64) -> Option<(u8, u64)> {
        const MONOTONIC: u8 = bindings::skb_tstamp_type_SKB_CLOCK_MONOTONIC as u8;
        // SAFETY: By the type invariant; the union is the same number by either name.
        unsafe {
            let time = (*self.as_ptr()).__bindgen_anon_2.skb_mstamp_ns;
            if time == 0 {
                return None;
            }
            match bindings::skb_tstamp_type(self.as_ptr()) {
                0 => None,
                MONOTONIC if time <= now => None,
                clock => Some((clock, time)),
            }
        }
    }

    /// Gives the packet the flow of another one, and the time when it is to leave, if there is one: a time that does not
    /// name its clock is that of an arrival. Not the priority, as for what is sealed in its place
    /// ([`LinearSkb::prepare_outer`]): in a queue that heeds it, one part of a flow would overtake the other.
    pub(super) fn copy_flow(&mut self, model: &Self) {
        let from = model.as_ptr();
        // SAFETY: Both are ours.
        unsafe {
            let clock = bindings::skb_tstamp_type(from);
            bindings::skb_set_flow(
                self.as_ptr(),
                bindings::skb_hash_raw(from),
                bindings::skb_l4_hash(from),
                bindings::skb_sw_hash(from),
                clock,
            );
            if clock != 0 {
                (*self.as_ptr()).__bindgen_anon_2 = (*from).__bindgen_anon_2;
            }
        }
    }

    /// Whether the sender wants to know when the packet leaves (`SO_TIMESTAMPING`).
    pub(crate) fn wants_timestamp(&self) -> bool {
        // SAFETY: By the type invariant.
        unsafe { bindings::skb_wants_timestamp(self.as_ptr()) }
    }

    /// Lets the sender of `model` know when this packet, a new one, leaves, if it wants to know that of `model`. To be
    /// called for the first packet that `model` becomes only: a timestamp is expected once.
    pub(crate) fn stamp_for(&mut self, model: &Self) {
        // SAFETY: Both are ours, and nobody else has a part of this one.
        unsafe { bindings::skb_copy_timestamp_request(self.as_ptr(), model.as_ptr()) };
    }

    /// Makes the packet, a new one, count against the socket that `model` counts against, if that counts as
    /// sent data there. That keeps a sender from filling the queues behind us: its data counts until the
    /// device has sent it.
    pub(super) fn charge_like(&mut self, model: &Self) {
        let (to, from) = (self.as_ptr(), model.as_ptr());
        // SAFETY: Both are ours. The socket lives while `model` counts against it, and then while `to`
        // does: that is what the two destructors, which undo this, are for.
        unsafe {
            if bindings::skb_counts_as_sent(from) {
                bindings::skb_copy_socket(to, from);
                bindings::sk_wmem_add(bindings::skb_sk(from), (*to).truesize as i32);
            }
        }
    }

    /// Frees the packet as one that was consumed, not dropped.
    pub(crate) fn consume(self, _bh: &BhGuard) {
        // SAFETY: Ownership goes to the function, which, given a budget, keeps the memory for this CPU; bottom halves
        // are off.
        unsafe { bindings::napi_consume_skb(self.into_raw(), 1) };
    }

    /// Frees the packet as one that is dropped. Any context.
    pub(crate) fn drop_for(self, reason: DropReason) {
        // SAFETY: Ownership goes to the function.
        unsafe {
            bindings::sk_skb_reason_drop(ptr::null_mut(), self.into_raw(), reason.as_raw());
        }
    }

    /// The packet, or a copy of its `sk_buff` if somebody else has a reference to that.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; the packet is gone.
    pub(crate) fn unshare(self) -> Result<Self> {
        // SAFETY: Ownership goes through the function: it returns the packet, a copy, or nothing.
        let skb = unsafe { bindings::skb_share_check(self.into_raw(), bindings::GFP_ATOMIC_MASK) };
        let ptr = NonNull::new(skb).ok_or(ENOMEM)?;
        // INVARIANT: Ours, and on no list.
        Ok(Self { ptr })
    }

    /// Cuts a GSO packet into the packets that it stands for; any other is returned as it is. The
    /// device that the packet was sent by must still live. Bottom halves off.
    ///
    /// # Errors
    ///
    /// When it cannot be cut. The packet is gone.
    pub(crate) fn segment(self) -> Result<SkbList> {
        // From here on headers are rewritten, which the kernel forbids for a shared `sk_buff`.
        let skb = self.unshare()?;
        // SAFETY: By the type invariant.
        if !unsafe { bindings::skb_is_gso(skb.as_ptr()) } {
            let mut list = SkbList::new();
            list.push_back(skb);
            return Ok(list);
        }
        // SAFETY: As above. The packet stays ours; the segments are new.
        let segments = unsafe { bindings::__skb_gso_segment(skb.as_ptr(), 0, true) };
        // SAFETY: That is what the function returns.
        unsafe { skb.replaced_by(segments) }
    }

    /// Frees the packet that `segments` were made from; if that failed, as one that is dropped.
    ///
    /// # Errors
    ///
    /// Why it failed.
    ///
    /// # Safety
    ///
    /// `segments` is an error, null, or packets that are linked by `next` and owned by nobody else.
    pub(super) unsafe fn replaced_by(self, segments: *mut bindings::sk_buff) -> Result<SkbList> {
        match kernel::error::from_err_ptr(segments) {
            Ok(segments) if !segments.is_null() => {
                self.consume(&bh::disable());
                // SAFETY: The caller's promise.
                Ok(unsafe { SkbList::from_chain(segments) })
            }
            other => {
                self.drop_for(DropReason::GSO);
                Err(other.err().unwrap_or(EINVAL))
            }
        }
    }

    /// Computes the checksum that was left to the hardware, if it was.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, or `EINVAL` when what is to be summed is not in the packet.
    pub(crate) fn finish_checksum(&mut self) -> Result {
        let raw = self.as_ptr();
        // SAFETY: The packet is ours.
        unsafe {
            if bindings::skb_needs_checksum(raw) {
                kernel::error::to_result(bindings::skb_checksum_help(raw))?;
            }
        }
        Ok(())
    }

    /// The packet with its octets, if they are in one piece, nobody else uses them, and there is room for
    /// `headroom` more before and `tailroom` more behind them.
    pub(crate) fn try_linear(self, headroom: usize, tailroom: usize) -> Result<LinearSkb, Self> {
        // SAFETY: The packet is ours.
        let (before, behind) = unsafe {
            (
                bindings::skb_headroom(self.as_ptr()) as usize,
                bindings::skb_tailroom(self.as_ptr()) as usize,
            )
        };
        if self.is_linear_and_private() && before >= headroom && behind >= tailroom {
            // INVARIANT: That was checked.
            Ok(LinearSkb(self))
        } else {
            Err(self)
        }
    }

    /// Whether the packet is in one piece, and neither it nor its contents have another user.
    pub(crate) fn is_linear_and_private(&self) -> bool {
        let raw = self.as_ptr();
        // SAFETY: The packet is ours.
        unsafe { (*raw).data_len == 0 && !bindings::skb_cloned(raw) && !bindings::skb_shared(raw) }
    }

    /// Makes the packet linear, private, and with room before and after the data. The packet keeps
    /// counting against its socket.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; the packet is gone.
    pub(crate) fn into_linear(self, headroom: usize, tailroom: usize) -> Result<LinearSkb> {
        let skb = self.unshare()?;
        match skb.make_linear(headroom, tailroom) {
            // INVARIANT: Neither cloned nor shared, and in one piece.
            Ok(()) => Ok(LinearSkb(skb)),
            Err(e) => {
                skb.drop_for(DropReason::NO_MEMORY);
                Err(e)
            }
        }
    }

    /// Makes the packet, whose `sk_buff` nobody else uses, linear and private, with room around the data.
    fn make_linear(&self, headroom: usize, tailroom: usize) -> Result {
        let raw = self.as_ptr();
        // SAFETY: The packet is owned and not shared.
        unsafe {
            let missing_head = headroom.saturating_sub(bindings::skb_headroom(raw) as usize);
            let nonlinear = (*raw).data_len as usize;
            let wanted_tail = tailroom.saturating_add(nonlinear);
            // For a packet that is not linear, this room is where its fragments are copied to.
            let linear_end = (*raw).end.saturating_sub((*raw).tail) as usize;
            let missing_tail = wanted_tail.saturating_sub(linear_end);
            if missing_head != 0 || missing_tail != 0 || bindings::skb_cloned(raw) {
                kernel::error::to_result(bindings::pskb_expand_head(
                    raw,
                    i32::try_from(missing_head).map_err(|_| EMSGSIZE)?,
                    i32::try_from(missing_tail).map_err(|_| EMSGSIZE)?,
                    bindings::GFP_ATOMIC_MASK,
                ))?;
            }
            if (*raw).data_len != 0
                && bindings::__pskb_pull_tail(raw, (*raw).data_len as i32).is_null()
            {
                return Err(ENOMEM);
            }
        }
        Ok(())
    }
}

impl Drop for Skb {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe {
            bindings::sk_skb_reason_drop(
                ptr::null_mut(),
                self.as_ptr(),
                bindings::skb_drop_reason_SKB_DROP_REASON_NOT_SPECIFIED,
            )
        };
    }
}

fn version_of(protocol: u16) -> Option<IpVersion> {
    const IPV4: u16 = (bindings::ETH_P_IP as u16).to_be();
    const IPV6: u16 = (bindings::ETH_P_IPV6 as u16).to_be();
    match protocol {
        IPV4 => Some(IpVersion::V4),
        IPV6 => Some(IpVersion::V6),
        _ => None,
    }
}
