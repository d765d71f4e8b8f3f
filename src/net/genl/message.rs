// SPDX-License-Identifier: GPL-2.0

//! Writing a message's attributes.

use core::marker::PhantomData;
use core::mem::size_of;

use kernel::prelude::*;

use super::super::attr;
use super::super::bindings;

/// A message that is being written.
///
/// # Invariants
///
/// `skb` is a netlink message buffer for `'a`.
pub(crate) struct Message<'a> {
    pub(super) skb: *mut bindings::sk_buff,
    pub(super) _part: PhantomData<&'a mut ()>,
}

/// A nest that has been begun, by its distance from the start of the buffer.
pub(crate) struct Nest(usize);

impl Message<'_> {
    /// Appends octets.
    ///
    /// # Errors
    ///
    /// `EMSGSIZE` when the message is full; nothing was appended. Likewise for the others.
    pub(crate) fn put_bytes(&mut self, kind: u16, bytes: &[u8]) -> Result {
        let len = i32::try_from(bytes.len()).map_err(|_| EMSGSIZE)?;
        // SAFETY: By the type invariant; `bytes` is good for its length.
        kernel::error::to_result(unsafe {
            bindings::nla_put(self.skb, i32::from(kind), len, bytes.as_ptr().cast())
        })
    }

    /// Appends a number of 16 bits.
    pub(crate) fn put_u16(&mut self, kind: u16, value: u16) -> Result {
        self.put_bytes(kind, &value.to_ne_bytes())
    }

    /// Appends a number of 32 bits.
    pub(crate) fn put_u32(&mut self, kind: u16, value: u32) -> Result {
        self.put_bytes(kind, &value.to_ne_bytes())
    }

    /// Appends a number of 64 bits, aligned.
    pub(crate) fn put_u64(&mut self, kind: u16, value: u64) -> Result {
        // SAFETY: By the type invariant.
        kernel::error::to_result(unsafe {
            bindings::nla_put_64bit(self.skb, i32::from(kind), 8, (&raw const value).cast(), 0)
        })
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

    /// Appends several attributes, or none if there is no room for all. A fraction of the work of as many calls.
    /// Not for numbers of 64 bits, which would not be aligned.
    #[inline]
    pub(crate) fn put_all(&mut self, attrs: &[(u16, &[u8])]) -> Result {
        let mut room = self.room(attr::len_of(attrs))?;
        attr::write(&mut room, attrs).ok_or(EMSGSIZE)
    }

    /// Appends a nest with these attributes in it, or nothing if there is no room for all.
    #[inline]
    pub(crate) fn put_nest(&mut self, kind: u16, attrs: &[(u16, &[u8])]) -> Result {
        let len = attr::len_of(attrs);
        let mut room = self.room(len.saturating_add(attr::HEADER_LEN))?;
        attr::write_header(&mut room, kind | attr::NESTED, len).ok_or(EMSGSIZE)?;
        attr::write(&mut room, attrs).ok_or(EMSGSIZE)
    }

    /// Appends zeros, to be overwritten.
    fn room(&mut self, len: usize) -> Result<&mut [u8]> {
        let size = i32::try_from(len).map_err(|_| EMSGSIZE)?;
        // SAFETY: By the type invariant.
        let start: *mut u8 = unsafe { bindings::nla_reserve_nohdr(self.skb, size) }.cast();
        if start.is_null() {
            return Err(EMSGSIZE);
        }
        // SAFETY: So many octets were just appended, all of them set to zero; nobody else has the buffer.
        Ok(unsafe { core::slice::from_raw_parts_mut(start, len) })
    }

    /// Begins a nest.
    pub(crate) fn nest(&mut self, kind: u16) -> Result<Nest> {
        // SAFETY: By the type invariant.
        let start = unsafe { bindings::nla_nest_start(self.skb, i32::from(kind)) };
        if start.is_null() {
            return Err(EMSGSIZE);
        }
        // SAFETY: The nest is in the buffer.
        Ok(Nest(
            (start as usize).wrapping_sub(unsafe { (*self.skb).data } as usize),
        ))
    }

    /// Where a nest begins, if it is in the message: one that was inside another, and cancelled with it, or
    /// that belongs to another message, need not be.
    fn nest_ptr(&self, nest: &Nest) -> Option<*mut bindings::nlattr> {
        // SAFETY: By the type invariant.
        let (data, len) = unsafe { ((*self.skb).data, (*self.skb).len as usize) };
        let end = nest.0.checked_add(size_of::<bindings::nlattr>())?;
        (end <= len).then(|| data.wrapping_add(nest.0).cast())
    }

    /// Ends a nest with what is in it.
    pub(crate) fn end(&mut self, nest: Nest) {
        if let Some(start) = self.nest_ptr(&nest) {
            // SAFETY: There is room for an attribute's header within the message at this place.
            unsafe { bindings::nla_nest_end(self.skb, start) };
        }
    }

    /// Takes a nest back with all that is in it.
    pub(crate) fn cancel(&mut self, nest: Nest) {
        if let Some(start) = self.nest_ptr(&nest) {
            // SAFETY: The place is within the message.
            unsafe { bindings::nla_nest_cancel(self.skb, start) };
        }
    }
}
