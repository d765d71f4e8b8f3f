// SPDX-License-Identifier: GPL-2.0

//! What a family tells its listeners without being asked.

use kernel::prelude::*;

use super::Message;
use crate::net::bindings;
use crate::net::netdev::NetDevice;
use crate::net::rcu::{
    self,
    Guard,
    RawSlot, //
};
use crate::net::skb::Skb;

/// Octets of a message, at least; one that is much longer is not sent.
const ROOM: u32 = 512;

/// `GENL_MCAST_CAP_NET_ADMIN`, which bindgen does not see through.
const NEEDS_CAP_NET_ADMIN: u8 = 1 << 0;

/// The one multicast group of a family. Listening takes `CAP_NET_ADMIN` over the namespace.
///
/// # Invariants
///
/// The pointer is null, or a registered family whose only group is this one; it is made null a grace period
/// before the family goes.
pub(crate) struct Multicast(RawSlot<bindings::genl_family>);

// SAFETY: A registered family is not changed.
unsafe impl Sync for Multicast {}

impl Multicast {
    /// A group without a family: nobody listens.
    pub(crate) const fn new() -> Self {
        // INVARIANT: Null.
        Self(RawSlot::new(core::ptr::null_mut()))
    }

    /// How the family describes the group.
    pub(super) fn describe(name: &CStr) -> bindings::genl_multicast_group {
        let mut group = bindings::genl_multicast_group {
            flags: NEEDS_CAP_NET_ADMIN,
            ..Default::default()
        };
        for (to, from) in group.name.iter_mut().zip(name.to_bytes()) {
            *to = *from;
        }
        group
    }

    /// Lets messages be sent.
    ///
    /// # Safety
    ///
    /// The family is registered with one group, and [`Multicast::close`] is called before that ends.
    pub(super) unsafe fn open(&self, family: *mut bindings::genl_family) {
        // INVARIANT: The caller's promise.
        self.0.store(family);
    }

    /// Ensures that nothing is sent from now on. Sleeps until what is being sent is out.
    pub(super) fn close(&self) {
        self.0.store(core::ptr::null_mut());
        rcu::synchronize();
    }

    /// Tells the listeners in the namespace that `dev` is in. Nothing is done if there are none, and the
    /// message is lost if there is no memory for it; a listener that does not keep up learns from its
    /// socket that it has missed some. Any context.
    pub(crate) fn send(
        &self,
        dev: &NetDevice,
        _guard: &Guard,
        command: u8,
        write: impl FnOnce(&mut Message<'_>) -> Result,
    ) {
        let family = self.0.load();
        if family.is_null() {
            return;
        }
        // SAFETY: By the type invariant the family lives while the guard does, and so do the namespace that
        // the device is in and its netlink socket.
        unsafe {
            let socket = bindings::genl_sock(dev.as_ptr());
            let group = (*family).mcgrp_offset;
            if bindings::netlink_has_listeners(socket, group) == 0 {
                return;
            }
            let raw = bindings::alloc_skb(ROOM, bindings::GFP_ATOMIC_MASK);
            if raw.is_null() {
                return;
            }
            let skb = Skb::from_raw(raw);
            let header = bindings::genlmsg_put(raw, 0, 0, family, 0, command);
            if header.is_null() {
                return;
            }
            if Message::append(raw, write).is_err() {
                return;
            }
            bindings::genlmsg_end(raw, header);
            // The control block of a netlink message has this layout.
            (*(&raw mut (*raw).cb).cast::<bindings::netlink_skb_parms>()).dst_group = group;
            // An error says that some listener has no room for the message, and the listener is told so.
            bindings::netlink_broadcast(
                socket,
                skb.into_raw(),
                0,
                group,
                bindings::GFP_ATOMIC_MASK,
            );
        }
    }
}
