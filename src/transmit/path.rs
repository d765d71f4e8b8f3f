// SPDX-License-Identifier: GPL-2.0

//! What the path to a peer takes, as told to those who send through the tunnel. This needs the option to be on:
//! otherwise messages that are too long are fragmented outside, and nobody inside is bothered.

#![forbid(unsafe_code)]

use crate::net::icmp;
use crate::net::skb::{
    IpVersion,
    Skb, //
};
use crate::peer::Peer;
use crate::protocol::messages::DATA_OVERHEAD;

/// Nobody has to live with less: over IPv4 the kernel believes no router that claims less (`net.ipv4.route.min_pmtu`),
/// and IPv6 guarantees its minimum. What is still too long goes in fragments.
const LEAST_V4: u32 = 552;
/// See [`LEAST_V4`].
const LEAST_V6: u32 = 1280;

/// The longest packet like this one that the path takes, if that is known.
fn known(peer: &Peer, skb: &Skb) -> Option<u32> {
    let least = match skb.inner_protocol()? {
        IpVersion::V4 => LEAST_V4,
        IpVersion::V6 => LEAST_V6,
    };
    let takes = peer
        .path_mtu
        .payload()?
        .saturating_sub(DATA_OVERHEAD as u32);
    Some(takes.max(least))
}

/// The longest packet that the path takes, at most `mtu`; `None` if this one is longer and may not be fragmented, in
/// which case its source has been told. The packet is as the stack handed it to the device: one that was forwarded may
/// be longer than `mtu`, which the route has learned from what we told others.
pub(super) fn takes(peer: &Peer, skb: &mut Skb, mtu: u32) -> Option<u32> {
    let Some(takes) = known(peer, skb) else {
        return Some(mtu);
    };
    if skb.may_be_fragmented() || skb.fits(takes) {
        return Some(takes.min(mtu));
    }
    icmp::too_long(skb, takes);
    None
}
