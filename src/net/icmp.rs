// SPDX-License-Identifier: GPL-2.0

//! ICMP errors to the source of a packet that a device cannot send.
//!
//! C headers: [`include/linux/icmp.h`](srctree/include/linux/icmp.h),
//! [`include/linux/icmpv6.h`](srctree/include/linux/icmpv6.h)

use super::bindings;
use super::skb::{
    IpVersion,
    Skb, //
};

/// Says that the packet is longer than the `mtu` octets that can be sent; otherwise like [`host_unreachable`].
pub(crate) fn too_long(skb: &mut Skb, mtu: u32) {
    // SAFETY: The packet is owned, and not modified yet.
    unsafe {
        match skb.inner_protocol() {
            Some(IpVersion::V4) => bindings::icmp_ndo_send(
                skb.as_ptr(),
                bindings::ICMP_DEST_UNREACH as i32,
                bindings::ICMP_FRAG_NEEDED as i32,
                mtu.to_be(),
            ),
            Some(IpVersion::V6) => {
                bindings::icmpv6_ndo_send(skb.as_ptr(), bindings::ICMPV6_PKT_TOOBIG as u8, 0, mtu)
            }
            None => {}
        }
    }
}

/// Says that the packet's destination cannot be reached. The packet is as the stack handed it to the
/// device; bottom halves are off.
pub(crate) fn host_unreachable(skb: &mut Skb) {
    // SAFETY: The packet is owned, and not modified yet.
    unsafe {
        match skb.inner_protocol() {
            Some(IpVersion::V4) => bindings::icmp_ndo_send(
                skb.as_ptr(),
                bindings::ICMP_DEST_UNREACH as i32,
                bindings::ICMP_HOST_UNREACH as i32,
                0,
            ),
            Some(IpVersion::V6) => bindings::icmpv6_ndo_send(
                skb.as_ptr(),
                bindings::ICMPV6_DEST_UNREACH as u8,
                bindings::ICMPV6_ADDR_UNREACH as u8,
                0,
            ),
            None => {}
        }
    }
}
