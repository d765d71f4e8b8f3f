// SPDX-License-Identifier: GPL-2.0

//! Trains: many datagrams of one length in one packet.
//!
//! A train that is sent has to be cut into its datagrams by the network device, or by the stack just
//! before it (`SKB_GSO_UDP_L4`); until then it is routed, filtered and queued as one packet. A train that
//! was received is a packet whose data is the payloads, one behind the other. Only the last one may be
//! shorter than the others.

use core::mem::MaybeUninit;

use kernel::prelude::*;

use super::bh::BhGuard;
use super::bindings;
#[cfg(kernel_7_2)]
use super::errno::*;
use super::pool::{
    Buffer,
    Buffers,
    PAGE_LEN, //
};
use super::skb::{
    LinearSkb,
    Skb,
    SkbList, //
};

/// The UDP layer takes no more datagrams in one packet.
const MAX_MESSAGES: usize = 128;
/// Octets of payload that fit the length fields of IP and UDP.
const MAX_PAYLOAD: usize = 65535 - 40 - super::udp::HEADER_LEN;

/// Octets before each message that belong to the same memory; see [`Train::add`].
pub(crate) const LEAD: usize = 48;
/// Octets of a page that are left for messages.
const ROOM: usize = PAGE_LEN - LEAD;

/// How many messages of `len` octets fit in one train; zero when none does.
pub(crate) fn capacity(len: usize) -> usize {
    let per_page = ROOM.checked_div(len).unwrap_or(0);
    (MAX_PAYLOAD.checked_div(len).unwrap_or(0))
        .min(MAX_MESSAGES)
        .min(per_page.saturating_mul(bindings::MAX_SKB_FRAGS as usize))
}

/// How many pieces of `size` octets `total` octets make; the last may be shorter. Zero when `size` is zero.
pub(crate) fn pieces(total: usize, size: usize) -> usize {
    let whole = total.checked_div(size).unwrap_or(0);
    let rest = total.checked_rem(size).unwrap_or(0);
    whole.saturating_add(usize::from(rest != 0))
}

/// A train that is being put together.
pub(crate) struct Train<'a> {
    head: LinearSkb,
    buffers: &'a Buffers,
    /// What the next messages are written to, and where in it the next one begins.
    buffer: Option<(Buffer<'a>, usize)>,
    /// Octets of each message but the last.
    len: usize,
    /// Messages that there are so far.
    count: usize,
    /// Messages that there will be.
    planned: usize,
}

impl<'a> Train<'a> {
    /// An empty train for `planned` messages, at most [`capacity`], of at most `len` octets, with `headroom`
    /// octets in front. Whoever writes a message has the use of [`LEAD`] octets before it.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(
        buffers: &'a Buffers,
        headroom: usize,
        len: usize,
        planned: usize,
    ) -> Result<Self> {
        Ok(Self {
            head: LinearSkb::alloc(headroom, 0)?,
            buffers,
            buffer: None,
            len,
            count: 0,
            planned,
        })
    }

    /// Makes room for a message of `len` octets.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EMSGSIZE` when the message does not fit.
    pub(crate) fn make_room(&mut self, len: usize, bh: &BhGuard) -> Result {
        match self.buffer.take() {
            Some((buffer, end)) if buffer.size().saturating_sub(end) >= len => {
                self.buffer = Some((buffer, end));
                return Ok(());
            }
            Some((buffer, end)) => self.attach(buffer, end)?,
            None => {}
        }
        let left = self.planned.saturating_sub(self.count).max(1);
        let per_page = ROOM.checked_div(self.len).unwrap_or(1).max(1);
        let size = self.len.saturating_mul(left.min(per_page));
        let buffer = self.buffers.alloc(size.saturating_add(LEAD), bh)?;
        self.buffer = Some((buffer, LEAD));
        Ok(())
    }

    /// Adds a message of `len` octets, for which there has to be room; `write` fills them. It gets [`LEAD`]
    /// octets in front as well, which it has to leave as they are. Only the last message may be shorter than
    /// the others.
    ///
    /// # Errors
    ///
    /// `EMSGSIZE` when there is no room; what `write` says.
    pub(crate) fn add<R>(
        &mut self,
        len: usize,
        write: impl FnOnce(&mut [u8]) -> Result<R>,
    ) -> Result<R> {
        let (buffer, end) = self.buffer.as_mut().ok_or(EMSGSIZE)?;
        let to = buffer
            .octets()
            .get_mut(end.saturating_sub(LEAD)..)
            .and_then(|to| to.get_mut(..len.saturating_add(LEAD)))
            .ok_or(EMSGSIZE)?;
        let result = write(to)?;
        *end = end.saturating_add(len);
        self.count = self.count.saturating_add(1);
        Ok(result)
    }

    /// How many messages it has.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Makes a buffer, whose messages reach to `end`, part of the packet.
    fn attach(&mut self, buffer: Buffer<'_>, end: usize) -> Result {
        let used = end.saturating_sub(LEAD);
        if used == 0 {
            return Ok(());
        }
        let raw = self.head.as_skb().as_ptr();
        // SAFETY: The packet is ours; the buffer goes to it and is freed with it, back to its pool. Messages
        // begin behind the lead, within the buffer.
        unsafe {
            if bindings::skb_nr_frags(raw) >= bindings::MAX_SKB_FRAGS {
                return Err(EMSGSIZE);
            }
            let size = buffer.size();
            let data = buffer.into_raw().add(LEAD);
            bindings::skb_add_buffer(raw, data.cast(), used as u32, size as u32);
        }
        Ok(())
    }

    /// The packet, with flow and socket of `model`.
    ///
    /// # Errors
    ///
    /// `ENODATA` when there is no message.
    pub(crate) fn finish(mut self, model: &Skb) -> Result<Skb> {
        if let Some((buffer, end)) = self.buffer.take() {
            self.attach(buffer, end)?;
        }
        let mut skb = Skb::from(self.head);
        let raw = skb.as_ptr();
        // SAFETY: The packet is ours.
        unsafe {
            match self.count {
                0 => return Err(ENODATA),
                1 => {}
                count => bindings::skb_set_udp_gso(raw, self.len as u16, count as u16),
            }
            bindings::skb_reset_offsets(raw);
        }
        skb.copy_flow(model);
        skb.charge_like(model);
        Ok(skb)
    }
}

/// Reads the messages of a packet one after the other.
///
/// # Invariants
///
/// `state` was prepared for `skb`, which is not changed while this exists. `block` points to `block_len` octets of it,
/// from `block_start` on, which stay mapped until the state is asked for the next ones.
pub(crate) struct Reader<'a> {
    skb: &'a Skb,
    state: bindings::skb_seq_state,
    block: *const u8,
    block_start: usize,
    block_len: usize,
    /// Nobody else can write to the packet.
    steady: bool,
}

impl<'a> Reader<'a> {
    /// Begins at the packet's data.
    pub(crate) fn new(skb: &'a Skb) -> Self {
        let mut state = MaybeUninit::uninit();
        // SAFETY: The function initialises all that is looked at later.
        let state = unsafe {
            bindings::skb_prepare_seq_read(
                skb.as_ptr(),
                0,
                (*skb.as_ptr()).len,
                state.as_mut_ptr(),
            );
            state.assume_init()
        };
        // INVARIANT: A block of no octets.
        Self {
            skb,
            state,
            block: core::ptr::NonNull::dangling().as_ptr(),
            block_start: 0,
            block_len: 0,
            steady: !skb.may_change(),
        }
    }

    /// `len` octets at `offset` with `lead` octets before them, if all are in one piece and do not change while they
    /// are looked at. Offsets must not decrease from call to call.
    pub(crate) fn piece(&mut self, lead: usize, offset: usize, len: usize) -> Option<&[u8]> {
        if !self.steady {
            return None;
        }
        let end = offset.checked_add(len)?;
        if offset < self.block_start {
            return None;
        }
        if end > self.block_start.saturating_add(self.block_len) && offset < self.skb.len() {
            let mut data = core::ptr::null();
            // SAFETY: By the type invariant.
            let there =
                unsafe { bindings::skb_seq_read(offset as u32, &mut data, &mut self.state) };
            if there == 0 {
                return None;
            }
            // INVARIANT: The function gives as many octets as it says, mapped until it is called again.
            (self.block, self.block_start, self.block_len) = (data, offset, there as usize);
        }
        // SAFETY: By the type invariant.
        let block = unsafe { core::slice::from_raw_parts(self.block, self.block_len) };
        let begin = offset.checked_sub(lead)?.checked_sub(self.block_start)?;
        block.get(begin..end.checked_sub(self.block_start)?)
    }

    /// The packet.
    pub(crate) fn packet(&self) -> &'a Skb {
        self.skb
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::skb_abort_seq_read(&mut self.state) };
    }
}

impl Skb {
    /// Whether part of the data is in memory that a process may write to at any time, like that of a file sent by
    /// `sendfile()`. What is looked at more than once has to be copied first.
    fn may_change(&self) -> bool {
        // SAFETY: The packet is ours, and so are those that are part of it.
        unsafe {
            if bindings::skb_has_shared_frag(self.as_ptr()) {
                return true;
            }
            let mut part = bindings::skb_frag_list(self.as_ptr());
            while !part.is_null() {
                if bindings::skb_has_shared_frag(part) || bindings::skb_has_frag_list(part) {
                    return true;
                }
                part = (*part).__bindgen_anon_1.__bindgen_anon_1.next;
            }
        }
        false
    }

    /// How many messages the packet is, as a train or alone.
    pub(crate) fn messages(&self) -> usize {
        match self.stride() {
            0 => 1,
            stride => pieces(self.len(), stride),
        }
    }

    /// Calls `f` for each message of a train that was made here, or for the one that the packet is.
    ///
    /// # Errors
    ///
    /// The first one that `f` returns.
    pub(crate) fn for_each_message(&mut self, mut f: impl FnMut(&mut [u8]) -> Result) -> Result {
        let raw = self.as_ptr();
        let stride = match self.stride() {
            0 => self.len(),
            stride => stride,
        };
        // SAFETY: The packet is ours, and nobody else has a part of its memory: its messages were written there. No
        // message lies in two pieces ([`Train::add`]), and a train has none in the first one.
        unsafe {
            let linear = (*raw).len.saturating_sub((*raw).data_len) as usize;
            let head = core::slice::from_raw_parts_mut((*raw).data, linear);
            head.chunks_mut(stride.max(1)).try_for_each(&mut f)?;
            for frag in 0..bindings::skb_nr_frags(raw) {
                let data = bindings::skb_frag_address(raw, frag).cast();
                let len = bindings::skb_frag_size(raw, frag) as usize;
                let messages = core::slice::from_raw_parts_mut(data, len);
                messages.chunks_mut(stride.max(1)).try_for_each(&mut f)?;
            }
        }
        Ok(())
    }

    /// How many packets it stands for as it came from the stack; if they have headers, those are there only once.
    pub(crate) fn packets(&self) -> usize {
        // SAFETY: The packet is ours.
        match unsafe { bindings::skb_gso_segs(self.as_ptr()) } {
            // Not a GSO packet, or whoever made it has not said.
            0 => self.messages(),
            count => count as usize,
        }
    }

    /// Octets of each message of a train but the last; zero when the packet is one message.
    pub(crate) fn stride(&self) -> usize {
        // SAFETY: The packet is ours.
        unsafe { bindings::skb_gso_size(self.as_ptr()) as usize }
    }

    /// What came out of a socket is from here on a train of datagrams, or else one datagram, as other GSO packets are:
    /// a virtual machine may leave it to others to fragment what it sends, and in a tunnel of another kind it may be
    /// the contents that are to be cut, not the datagram around them.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(super) fn take_as_datagrams(&mut self) -> Result {
        if self.stride() == 0 {
            return Ok(());
        }
        // SAFETY: The packet is ours; what it shares with clones is its own before it is changed.
        unsafe {
            if !bindings::skb_is_udp_train(self.as_ptr()) {
                kernel::error::to_result(bindings::skb_unclone_atomic(self.as_ptr()))?;
                bindings::skb_gso_reset(self.as_ptr());
            }
        }
        Ok(())
    }

    /// Octets of the packet's first message.
    pub(crate) fn first_message_len(&self) -> usize {
        match self.stride() {
            0 => self.len(),
            stride => stride.min(self.len()),
        }
    }

    /// Cuts a received train into its datagrams, each with IP and UDP headers before its data.
    ///
    /// # Errors
    ///
    /// `EINVAL`, `ENOMEM`. The packet is gone.
    pub(crate) fn cut(self) -> Result<SkbList> {
        // SAFETY: The packet is ours, and its headers lie before its data.
        let segments = unsafe {
            bindings::skb_push_to_mac(self.as_ptr());
            // The train's checksum has been verified, and nobody looks at those of its datagrams. As long as they are left to
            // others, no octet is summed, and nothing is copied because somebody might write to it meanwhile. It is no
            // list of fragments: the sockets do not take those.
            bindings::skb_checksum_partial(self.as_ptr());
            bindings::__skb_gso_segment(self.as_ptr(), bindings::KEEP_CHECKSUMS, false)
        };
        // SAFETY: That is what the function returns.
        let mut list = unsafe { self.replaced_by(segments)? };
        let mut out = SkbList::new();
        while let Some(skb) = list.pop_front() {
            // SAFETY: The packet is ours and begins at its link layer header.
            unsafe { bindings::skb_pull_to_udp_payload(skb.as_ptr()) };
            out.push_back(skb);
        }
        Ok(out)
    }
}
