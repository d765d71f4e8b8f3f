// SPDX-License-Identifier: GPL-2.0

//! A request, and the answer to it.

use core::marker::PhantomData;
use core::mem::size_of;
use core::ptr;

use kernel::prelude::*;

use super::super::attr::{
    self,
    Attr,
    Extack, //
};
use super::super::bindings;
use super::super::netdev::Net;
use super::super::skb::Skb;
use super::Message;

/// Octets of an answer, at least.
const ROOM: u32 = 512;

/// A request.
///
/// # Invariants
///
/// `info` is good for `'a`, and its table of attributes has `max_attr + 1` entries.
pub(crate) struct Request<'a> {
    info: *const bindings::genl_info,
    max_attr: u32,
    _info: PhantomData<&'a ()>,
}

impl<'a> Request<'a> {
    /// # Safety
    ///
    /// `info` is good for `'a`; the core has checked the message, and parsed it into a table of
    /// `max_attr + 1` entries.
    pub(super) unsafe fn from_raw(info: *const bindings::genl_info, max_attr: u32) -> Self {
        // INVARIANT: The caller's promise.
        Self {
            info,
            max_attr,
            _info: PhantomData,
        }
    }

    fn raw_attr(&self, kind: u16) -> *mut bindings::nlattr {
        if u32::from(kind) > self.max_attr {
            return ptr::null_mut();
        }
        // SAFETY: By the type invariant.
        unsafe { *(*self.info).attrs.add(usize::from(kind)) }
    }

    /// The attribute of this type.
    pub(crate) fn attr(&self, kind: u16) -> Option<Attr<'a>> {
        let attr = self.raw_attr(kind);
        // SAFETY: The core has checked the attribute; it lives as long as the request.
        (!attr.is_null()).then(|| unsafe { Attr::from_raw(attr) })
    }

    /// The namespace that the request came from.
    pub(crate) fn net(&self) -> &'a Net {
        // SAFETY: The socket of the request keeps its namespace.
        unsafe { Net::from_raw(bindings::genl_info_net(self.info)) }
    }

    /// Where to say what is wrong.
    pub(crate) fn extack(&self) -> Extack<'a> {
        // SAFETY: By the type invariant.
        unsafe { Extack::from_raw((*self.info).extack) }
    }

    /// Where the attributes of the message are, and how many octets they take up.
    fn octets(&self) -> (*const u8, usize) {
        // SAFETY: By the type invariant the information and the message live.
        unsafe {
            let message = (*self.info).nlhdr;
            let header = size_of::<bindings::nlmsghdr>()
                .wrapping_add(size_of::<bindings::genlmsghdr>())
                .wrapping_add((*(*self.info).family).hdrsize as usize);
            let len = ((*message).nlmsg_len as usize).saturating_sub(header);
            (message.cast::<u8>().add(header), len)
        }
    }

    /// All attributes of this type, in order; [`Request::attr`] gives only the last.
    pub(crate) fn each(&self, kind: u16) -> impl Iterator<Item = Attr<'a>> {
        let (start, len) = self.octets();
        // SAFETY: The message lives for `'a` and has that many octets. Whoever writes to it ends the request's life.
        let octets = unsafe { core::slice::from_raw_parts(start, len) };
        attr::typed(octets)
            .filter(move |(other, _)| *other == kind)
            .map(|(_, attr)| attr)
    }

    /// Answers with one message.
    ///
    /// # Errors
    ///
    /// Those of `write`, for example `EMSGSIZE` when the message gets much longer than [`ROOM`]; `ENOMEM`; and those of
    /// the requester's socket. Nothing was sent then.
    pub(crate) fn reply(&self, write: impl FnOnce(&mut Message<'_>) -> Result) -> Result {
        // SAFETY: By the type invariant the information lives, and with it the namespace and its socket; the
        // buffer is ours until the last call takes it.
        unsafe {
            let info = &*self.info;
            let raw = bindings::alloc_skb(ROOM, bindings::GFP_ATOMIC_MASK);
            if raw.is_null() {
                return Err(ENOMEM);
            }
            let skb = Skb::from_raw(raw);
            let command = (*info.genlhdr).cmd;
            let header =
                bindings::genlmsg_put(raw, info.snd_portid, info.snd_seq, info.family, 0, command);
            if header.is_null() {
                return Err(EMSGSIZE);
            }
            Message::append(raw, write)?;
            bindings::genlmsg_end(raw, header);
            kernel::error::to_result(bindings::genlmsg_reply(
                skb.into_raw(),
                self.info.cast_mut(),
            ))
        }
    }

    /// Overwrites the secrets of the request with zeros. It takes the request, which its handler has only borrowed: so
    /// nobody has an attribute of it any more.
    pub(super) fn wipe(self, secrets: &[&[u16]]) {
        let (start, len) = self.octets();
        // SAFETY: The message's buffer is ours to write while it is handled, and what was borrowed from it
        // through the request is not used any more.
        let attrs = unsafe { core::slice::from_raw_parts_mut(start.cast_mut(), len) };
        for path in secrets {
            attr::wipe(attrs, path);
        }
    }
}
