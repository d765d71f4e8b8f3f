// SPDX-License-Identifier: GPL-2.0

//! Handing received packets to the stack, merged where they belong together.
//!
//! C header: [`include/net/gro.h`](srctree/include/net/gro.h)

use core::pin::{
    pin,
    Pin, //
};

use super::bh::BhGuard;
use super::bindings;
use super::skb::{
    LinearSkb,
    Skb, //
};

/// Packets that are on their way up together.
///
/// # Invariants
///
/// The node's lists are initialised, and bottom halves are off.
pub(crate) struct Gro {
    node: bindings::gro_node,
    _pin: core::marker::PhantomPinned,
}

/// Runs `f` with a place for received packets, and afterwards passes on what is in it.
pub(crate) fn with_gro<R>(_bh: &BhGuard, f: impl FnOnce(Pin<&mut Gro>) -> R) -> R {
    let mut gro = pin!(Gro {
        node: bindings::gro_node::default(),
        _pin: core::marker::PhantomPinned,
    });
    let node = gro.as_mut().node();
    // An empty list points to itself, so this has to be done where the node stays.
    for bucket in &mut node.hash {
        init_list(&mut bucket.list);
    }
    init_list(&mut node.rx_list);
    let result = f(gro.as_mut());
    gro.flush();
    result
}

fn init_list(list: &mut bindings::list_head) {
    list.next = list;
    list.prev = list;
}

impl Gro {
    fn node(self: Pin<&mut Self>) -> &mut bindings::gro_node {
        // SAFETY: Nobody in this module, which alone can reach the node, moves it.
        unsafe { &mut self.get_unchecked_mut().node }
    }

    /// Takes a packet that a device has received. `false` if there is nothing that it could be merged with,
    /// now or later; the same then holds for the other packets of its flow in the same scope.
    pub(crate) fn receive(self: Pin<&mut Self>, skb: LinearSkb) -> bool {
        // SAFETY: By the type invariant; the packet is handed over.
        let result = unsafe { bindings::gro_receive_skb(self.node(), Skb::from(skb).into_raw()) };
        result != bindings::gro_result_GRO_NORMAL
    }

    /// Takes a packet for which [`Gro::receive`] would return `false`.
    pub(crate) fn receive_alone(self: Pin<&mut Self>, skb: LinearSkb) {
        let node = self.node();
        let skb = Skb::from(skb).into_raw();
        // SAFETY: By the type invariant; the packet is handed over, and a packet may be on this list
        // instead of on one that is linked by `next`.
        unsafe { bindings::skb_list_add_tail(skb, &mut node.rx_list) };
        node.rx_count = node.rx_count.saturating_add(1);
    }

    fn flush(self: Pin<&mut Self>) {
        let node = self.node();
        // SAFETY: By the type invariant the lists are good; what is on the list of finished packets is handed over, and
        // the list is not used again.
        unsafe {
            bindings::__gro_flush(node, false);
            if node.rx_count != 0 {
                bindings::netif_receive_skb_list(&mut node.rx_list);
            }
        }
    }
}
