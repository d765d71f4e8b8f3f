// SPDX-License-Identifier: GPL-2.0

//! Packets.
//!
//! [`Skb`] owns one packet of any shape. [`LinearSkb`] owns one that is in one piece and shared with
//! nobody, so that its octets can be read and written as a slice. [`SkbList`] owns a chain of packets.
//!
//! C header: [`include/linux/skbuff.h`](srctree/include/linux/skbuff.h)

use core::ptr::{
    self,
    NonNull, //
};

use kernel::prelude::*;

use super::bindings;
#[cfg(kernel_7_2)]
use super::errno::*;
use super::netdev::NetDevice;

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

    /// Octets of memory that the packet stands for.
    pub(crate) fn truesize(&self) -> usize {
        // SAFETY: By the type invariant.
        unsafe { (*self.as_ptr()).truesize as usize }
    }

    /// A number that its owner keeps with the packet.
    pub(crate) fn tag(&self) -> u32 {
        // SAFETY: The control block belongs to whoever owns the packet, and is aligned for it.
        unsafe { (&raw const (*self.as_ptr()).cb).cast::<u32>().read() }
    }

    /// See [`Skb::tag`].
    pub(crate) fn set_tag(&mut self, tag: u32) {
        // SAFETY: As in `tag`.
        unsafe { (&raw mut (*self.as_ptr()).cb).cast::<u32>().write(tag) };
    }

    /// The version of the IP packet that the data is, if the stack agrees.
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

    /// Copies octets from `offset` of the data on; `false` when there are not enough.
    #[must_use]
    pub(crate) fn copy_bytes(&self, offset: usize, to: &mut [u8]) -> bool {
        let (Ok(offset), Ok(len)) = (i32::try_from(offset), i32::try_from(to.len())) else {
            return false;
        };
        // SAFETY: The function checks the range; `to` is good for `len`.
        unsafe { bindings::skb_copy_bits(self.as_ptr(), offset, to.as_mut_ptr().cast(), len) == 0 }
    }

    fn bytes_at<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
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

    /// The DS field of the IP packet that the data is.
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

    /// The DS field of the IP header that the data came behind.
    pub(crate) fn outer_ds(&self) -> u8 {
        let Some([first, second]) = self.network_bytes(0) else {
            return 0;
        };
        match self.outer_version() {
            Some(IpVersion::V6) => (first << 4) | (second >> 4),
            _ => second,
        }
    }

    /// Source and destination of the IPv4 header that the data came behind.
    pub(super) fn outer_ipv4(&self) -> Option<([u8; 4], [u8; 4])> {
        Some((self.network_bytes(12)?, self.network_bytes(16)?))
    }

    /// Source and destination of the IPv6 header that the data came behind.
    pub(super) fn outer_ipv6(&self) -> Option<([u8; 16], [u8; 16])> {
        Some((self.network_bytes(8)?, self.network_bytes(24)?))
    }

    /// The source port of the UDP header that the data came behind.
    pub(super) fn outer_source_port(&self) -> Option<u16> {
        // SAFETY: By the type invariant.
        let transport = unsafe { bindings::skb_transport_offset(self.as_ptr()) };
        self.bytes_before(transport).map(u16::from_be_bytes)
    }

    /// Goes from the UDP header to its payload; `false` when the header's length is not that of the
    /// packet. Route and device are forgotten: whoever queues the packet may keep it longer than they
    /// live. The device's number stays.
    pub(super) fn strip_udp(&mut self) -> bool {
        const UDP_HEADER_LEN: u32 = 8;
        let raw = self.as_ptr();
        // SAFETY: The packet is ours, and at its UDP header, which is linear.
        unsafe {
            let payload = bindings::udp_len(raw).checked_sub(UDP_HEADER_LEN);
            let fits = payload.is_some_and(|len| len <= (*raw).len.wrapping_sub(UDP_HEADER_LEN));
            let Some(len) = payload.filter(|_| fits) else {
                return false;
            };
            bindings::skb_dst_drop(raw);
            bindings::skb_clear_dev(raw);
            !bindings::skb_pull(raw, UDP_HEADER_LEN).is_null()
                && ((*raw).len == len || bindings::pskb_trim(raw, len) == 0)
        }
    }

    /// The number of the device that the packet came in by.
    pub(super) fn incoming_ifindex(&self) -> u32 {
        // SAFETY: By the type invariant.
        unsafe { bindings::skb_iif(self.as_ptr()) as u32 }
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

    /// Computes the flow hash, if it is not known. An empty packet belongs to no flow.
    pub(crate) fn ensure_hash(&mut self) {
        // The flow dissector wants a device or a socket, which a packet of our own making lacks.
        if self.len() == 0 {
            return;
        }
        // SAFETY: By the type invariant.
        unsafe { bindings::skb_get_hash(self.as_ptr()) };
    }

    /// Frees the packet as one that was used, not dropped.
    pub(crate) fn consume(self) {
        // SAFETY: Ownership goes to the function.
        unsafe { bindings::consume_skb(self.into_raw()) };
    }

    /// The packet, or a copy of its `sk_buff` if somebody else has a reference to that.
    fn unshare(self) -> Result<Self> {
        // SAFETY: Ownership goes through the function: it returns the packet, a copy, or nothing.
        let skb = unsafe { bindings::skb_share_check(self.into_raw(), bindings::GFP_ATOMIC_MASK) };
        let ptr = NonNull::new(skb).ok_or(ENOMEM)?;
        // INVARIANT: Ours, and on no list.
        Ok(Self { ptr })
    }

    /// Cuts a GSO packet into the packets that it stands for; any other is returned as it is. The
    /// device that the packet was sent by must still live.
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
        let segments = kernel::error::from_err_ptr(segments)?;
        if segments.is_null() {
            return Err(EINVAL);
        }
        skb.consume();
        // SAFETY: The segments are linked by `next` and owned by nobody else.
        Ok(unsafe { SkbList::from_chain(segments) })
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

    /// Makes the packet linear, private, and with room before and after the data. The packet keeps
    /// counting against its socket.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; the packet is gone.
    pub(crate) fn into_linear(self, headroom: usize, tailroom: usize) -> Result<LinearSkb> {
        let skb = self.unshare()?;
        let raw = skb.as_ptr();
        // SAFETY: The packet is owned and not shared.
        unsafe {
            let missing_head = headroom.saturating_sub(bindings::skb_headroom(raw) as usize);
            let nonlinear = (*raw).data_len as usize;
            let wanted_tail = tailroom.saturating_add(nonlinear);
            // For a packet that is not linear this room is where its fragments are copied to.
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
        // INVARIANT: Neither cloned nor shared, and in one piece.
        Ok(LinearSkb(skb))
    }
}

impl Drop for Skb {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::kfree_skb(self.as_ptr()) };
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

/// A packet in one piece that is shared with nobody.
///
/// # Invariants
///
/// The packet's data is linear, and neither it nor the `sk_buff` has another user.
pub(crate) struct LinearSkb(Skb);

impl LinearSkb {
    /// An empty packet with room before and after the data. Any context.
    pub(crate) fn alloc(headroom: usize, tailroom: usize) -> Result<Self> {
        let size = u32::try_from(headroom.saturating_add(tailroom)).map_err(|_| EMSGSIZE)?;
        // SAFETY: No requirements.
        let skb = unsafe { bindings::alloc_skb(size, bindings::GFP_ATOMIC_MASK) };
        let skb = NonNull::new(skb).ok_or(ENOMEM)?;
        // SAFETY: The packet is new and empty, and has the room.
        unsafe { bindings::skb_reserve(skb.as_ptr(), headroom as i32) };
        // INVARIANT: New, so linear and ours alone.
        Ok(Self(Skb { ptr: skb }))
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

    /// Takes octets off the front; `None` when there are not so many.
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

    /// Makes the packet one that `dev` has received, checked as well as hardware could. Bottom halves
    /// off, and they stay so until the packet has been given to the stack.
    pub(crate) fn prepare_inner(&mut self, dev: &NetDevice, version: IpVersion) {
        let protocol = match version {
            IpVersion::V4 => bindings::ETH_P_IP,
            IpVersion::V6 => bindings::ETH_P_IPV6,
        };
        self.reset(false);
        // SAFETY: The packet is ours; the device outlives the read-side section.
        unsafe {
            bindings::skb_set_received(self.0.as_ptr(), dev.as_ptr(), (protocol as u16).to_be());
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

/// A chain of packets.
///
/// # Invariants
///
/// `head` to `tail` are owned and linked by `next`; there are `len`.
pub(crate) struct SkbList {
    head: *mut bindings::sk_buff,
    tail: *mut bindings::sk_buff,
    len: usize,
}

// SAFETY: As for the packets in it.
unsafe impl Send for SkbList {}
// SAFETY: As above.
unsafe impl Sync for SkbList {}

impl SkbList {
    /// No packets.
    pub(crate) const fn new() -> Self {
        Self {
            head: ptr::null_mut(),
            tail: ptr::null_mut(),
            len: 0,
        }
    }

    /// # Safety
    ///
    /// `head` begins a chain of packets, linked by `next`, that is handed over.
    unsafe fn from_chain(head: *mut bindings::sk_buff) -> Self {
        let mut list = Self::new();
        let mut next = head;
        while !next.is_null() {
            let skb = next;
            // SAFETY: The caller's promise. The link is read before the packet is taken.
            unsafe {
                next = (*skb).__bindgen_anon_1.__bindgen_anon_1.next;
                list.push_back(Skb::from_raw(skb));
            }
        }
        list
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.head.is_null()
    }

    /// Adds a packet at the end.
    pub(crate) fn push_back(&mut self, skb: Skb) {
        let skb = skb.into_raw();
        if self.tail.is_null() {
            self.head = skb;
        } else {
            // SAFETY: By the type invariant.
            unsafe { (*self.tail).__bindgen_anon_1.__bindgen_anon_1.next = skb };
        }
        self.tail = skb;
        self.len = self.len.saturating_add(1);
    }

    /// Takes the first packet.
    pub(crate) fn pop_front(&mut self) -> Option<Skb> {
        let skb = NonNull::new(self.head)?.as_ptr();
        // SAFETY: By the type invariant; the packet leaves the chain.
        let skb = unsafe {
            self.head = (*skb).__bindgen_anon_1.__bindgen_anon_1.next;
            Skb::from_raw(skb)
        };
        if self.head.is_null() {
            self.tail = ptr::null_mut();
        }
        self.len = self.len.saturating_sub(1);
        Some(skb)
    }

    /// Makes all packets count against no socket any more.
    pub(crate) fn orphan(&mut self) {
        let mut skb = self.head;
        while !skb.is_null() {
            // SAFETY: By the type invariant.
            unsafe {
                bindings::skb_orphan(skb);
                skb = (*skb).__bindgen_anon_1.__bindgen_anon_1.next;
            }
        }
    }
}

impl Iterator for SkbList {
    type Item = Skb;

    fn next(&mut self) -> Option<Skb> {
        self.pop_front()
    }
}

impl Drop for SkbList {
    fn drop(&mut self) {
        while self.pop_front().is_some() {}
    }
}
