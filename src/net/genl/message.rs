// SPDX-License-Identifier: GPL-2.0

//! Writing a message's attributes.

use core::mem::{
    size_of,
    MaybeUninit, //
};

use kernel::prelude::*;

use super::super::attr::{
    self,
    HEADER_LEN,
    NESTED, //
};
use super::super::bindings;

/// The part of a message that is being written: attributes one after the other, in the room that is left in
/// its buffer. They belong to the message only once the whole part is done ([`Message::append`]).
///
/// # Invariants
///
/// The first `len` octets of `room` have been written; `room` is not longer than [`LIMIT`].
pub(crate) struct Message<'a> {
    room: &'a mut [MaybeUninit<u8>],
    len: usize,
}

/// The greatest length in octets, header included, that the header of a nest can state.
const LIMIT: usize = u16::MAX as usize;

/// The type that no attribute has; one with it is padding.
const UNSPEC: u16 = 0;

/// A nest that has been begun: the position of its header.
pub(crate) struct Nest(usize);

impl Message<'_> {
    /// Appends to the message in `skb` what `f` writes.
    ///
    /// # Errors
    ///
    /// Those of `f`; then nothing is appended.
    ///
    /// # Safety
    ///
    /// `skb` is a linear buffer that only the caller uses.
    pub(super) unsafe fn append<R>(
        skb: *mut bindings::sk_buff,
        f: impl FnOnce(&mut Message<'_>) -> Result<R>,
    ) -> Result<R> {
        // SAFETY: By the caller's promise. The tail, to which `skb_put()` of nothing points, is followed by that many
        // octets, which nobody else uses until `f` is done.
        let room = unsafe {
            core::slice::from_raw_parts_mut(
                bindings::skb_put(skb, 0).cast::<MaybeUninit<u8>>(),
                (bindings::skb_tailroom(skb) as usize).min(LIMIT),
            )
        };
        // INVARIANT: Nothing is written yet.
        let mut message = Message { room, len: 0 };
        let result = f(&mut message)?;
        // SAFETY: That many octets have been written; there is room for them, so their number fits.
        unsafe { bindings::skb_put(skb, message.len as u32) };
        Ok(result)
    }

    /// Appends one attribute.
    ///
    /// # Errors
    ///
    /// `EMSGSIZE` if the message is full; then nothing is appended. The same goes for the other methods.
    #[inline]
    pub(crate) fn put_bytes(&mut self, kind: u16, bytes: &[u8]) -> Result {
        self.put_all(&[(kind, bytes)])
    }

    /// Appends a 16-bit number.
    pub(crate) fn put_u16(&mut self, kind: u16, value: u16) -> Result {
        self.put_bytes(kind, &value.to_ne_bytes())
    }

    /// Appends a 32-bit number.
    pub(crate) fn put_u32(&mut self, kind: u16, value: u32) -> Result {
        self.put_bytes(kind, &value.to_ne_bytes())
    }

    /// Appends a 64-bit number, placed so that every processor can read it in one access.
    #[inline]
    pub(crate) fn put_u64(&mut self, kind: u16, value: u64) -> Result {
        let before = self.len;
        let payload = (self.room.as_ptr() as usize)
            .wrapping_add(before)
            .wrapping_add(HEADER_LEN);
        if !cfg!(CONFIG_HAVE_EFFICIENT_UNALIGNED_ACCESS) && payload % size_of::<u64>() != 0 {
            self.put_bytes(UNSPEC, &[])?;
        }
        self.put_bytes(kind, &value.to_ne_bytes())
            .inspect_err(|_| self.len = before)
    }

    /// Appends a string that ends at its first null octet.
    pub(crate) fn put_str(&mut self, kind: u16, value: &[u8]) -> Result {
        let mut len = 1usize;
        for octet in value {
            if *octet == 0 {
                break;
            }
            len = len.saturating_add(1);
        }
        self.put_bytes(kind, value.get(..len).ok_or(EINVAL)?)
    }

    /// Appends several attributes, or none if there is no room for all.
    #[inline(always)]
    pub(crate) fn put_all(&mut self, attrs: &[(u16, &[u8])]) -> Result {
        let before = self.len;
        for (kind, payload) in attrs {
            if self.put(*kind, payload).is_none() {
                self.len = before;
                return Err(EMSGSIZE);
            }
        }
        Ok(())
    }

    /// Appends a nest with these attributes in it, or nothing if there is no room for all.
    #[inline(always)]
    pub(crate) fn put_nest(&mut self, kind: u16, attrs: &[(u16, &[u8])]) -> Result {
        let nest = self.nest(kind)?;
        if let Err(e) = self.put_all(attrs) {
            self.cancel(nest);
            return Err(e);
        }
        self.end(nest);
        Ok(())
    }

    /// Begins a nest.
    #[inline]
    pub(crate) fn nest(&mut self, kind: u16) -> Result<Nest> {
        let nest = Nest(self.len);
        self.put(kind | NESTED, &[]).ok_or(EMSGSIZE)?;
        Ok(nest)
    }

    /// Ends a nest with what is in it.
    #[inline]
    pub(crate) fn end(&mut self, nest: Nest) {
        // By the type invariant it fits.
        let len = (self.len.wrapping_sub(nest.0) as u16).to_ne_bytes();
        // A nest that was inside another and was cancelled with it is gone; then there is no header to write.
        if nest.0 < self.len {
            if let Some([a, b, ..]) = self.room.get_mut(nest.0..) {
                let [x, y] = len;
                a.write(x);
                b.write(y);
            }
        }
    }

    /// Takes a nest back, with everything in it.
    #[inline]
    pub(crate) fn cancel(&mut self, nest: Nest) {
        self.len = self.len.min(nest.0);
    }

    /// Writes an attribute; `None` if there is no room for it.
    #[inline(always)]
    fn put(&mut self, kind: u16, payload: &[u8]) -> Option<()> {
        let size = HEADER_LEN.checked_add(attr::aligned(payload.len()))?;
        let place = self.room.get_mut(self.len..)?.get_mut(..size)?;
        let len = HEADER_LEN.wrapping_add(payload.len());
        let (header, body) = place.split_first_chunk_mut::<HEADER_LEN>()?;
        let [a, b] = (len as u16).to_ne_bytes();
        let [c, d] = kind.to_ne_bytes();
        *header = [a, b, c, d].map(MaybeUninit::new);
        let (octets, padding) = body.split_at_mut_checked(payload.len())?;
        // SAFETY: Both are that long, and `octets` belongs to a buffer that only we use.
        unsafe {
            core::ptr::copy_nonoverlapping(
                payload.as_ptr(),
                octets.as_mut_ptr().cast(),
                payload.len(),
            )
        };
        padding.fill(MaybeUninit::new(0));
        // INVARIANT: Header, payload and padding have been written.
        self.len = self.len.wrapping_add(size);
        Some(())
    }
}
