// SPDX-License-Identifier: GPL-2.0

//! What listeners of the multicast group `events` are told (`Documentation/netlink/wireguard-events.yaml`).
//!
//! A message looks like one of a dump: the device, and in it one peer.

#![forbid(unsafe_code)]

use kernel::prelude::*;

use super::{
    device_attr,
    peer_attr,
    show, //
};
use crate::device::Device;
use crate::net::endpoint::Endpoint;
use crate::net::genl::{
    Message,
    Multicast, //
};
use crate::net::rcu;
use crate::peer::Peer;
use crate::protocol::PublicKey;

/// The listeners.
pub(super) static GROUP: Multicast = Multicast::new();

/// What happened. The numbers are commands of the family, far from the kernel's own.
#[derive(Clone, Copy)]
#[repr(u8)]
pub(crate) enum Event {
    /// A session is established on both sides.
    HandshakeCompleted = 64,
    /// The peer is at another address than before.
    EndpointChanged = 65,
    /// A session ended, and none has followed it.
    SessionExpired = 66,
    /// Nobody answered the initiations: it may help to look the endpoint up again.
    HandshakeGaveUp = 67,
    /// Somebody who knows our public key, but whose own is not configured, began a handshake.
    UnknownPeer = 68,
    /// Our clock is behind the timestamp of an initiation that the peer has answered: it is going to refuse what
    /// we send.
    ClockWentBack = 69,
}

/// Tells what happened to a peer. Any context.
pub(crate) fn about_peer(what: Event, peer: &Peer) {
    tell(&peer.device, what, |m| {
        m.put_bytes(peer_attr::PUBLIC_KEY, &peer.public_key)?;
        m.put_bytes(
            peer_attr::LAST_HANDSHAKE_TIME,
            &show::timespec(peer.status().last_handshake),
        )?;
        put_endpoint(m, peer.endpoint())
    });
}

/// Tells of somebody who is not a peer. Any context.
pub(crate) fn about_stranger(device: &Device, public_key: &PublicKey, from: Endpoint) {
    tell(device, Event::UnknownPeer, |m| {
        m.put_bytes(peer_attr::PUBLIC_KEY, public_key)?;
        put_endpoint(m, Some(from))
    });
}

fn put_endpoint(m: &mut Message<'_>, endpoint: Option<Endpoint>) -> Result {
    let Some(endpoint) = endpoint else {
        return Ok(());
    };
    let (sockaddr, len) = endpoint.remote.to_sockaddr();
    m.put_bytes(peer_attr::ENDPOINT, sockaddr.get(..len).unwrap_or_default())
}

fn tell(device: &Device, what: Event, put_peer: impl FnOnce(&mut Message<'_>) -> Result) {
    let guard = rcu::read_lock();
    let Some(dev) = device.dev.get(&guard) else {
        return;
    };
    GROUP.send(dev, &guard, what as u8, |m| {
        m.put_u32(device_attr::IFINDEX, dev.ifindex())?;
        m.put_str(device_attr::IFNAME, &dev.present_name())?;
        let peers = m.nest(device_attr::PEERS)?;
        let peer = m.nest(0)?;
        put_peer(m)?;
        m.end(peer);
        m.end(peers);
        Ok(())
    });
}
