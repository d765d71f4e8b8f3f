// SPDX-License-Identifier: GPL-2.0

//! What a dump shows of a device's peers, message by message.

#![forbid(unsafe_code)]

use kernel::prelude::*;
use kernel::sync::atomic::Relaxed;

use super::{
    allowedip_attr,
    device_attr,
    peer_attr,
    AF_INET,
    AF_INET6,
    PROTOCOL_VERSION, //
};
use crate::allowed_ips::{
    Owner,
    Prefix, //
};
use crate::device::Config;
use crate::net::genl::Message;
use crate::peer::Peer;

/// Puts the peers from position `peer` on into a message. `true` when all are out.
pub(super) fn put_peers(
    m: &mut Message<'_>,
    config: &Config,
    peer: &mut usize,
    allowed_ip: &mut usize,
) -> Result<bool> {
    if config.peers.len() == 0 {
        return Ok(true);
    }
    let nest = m.nest(device_attr::PEERS)?;
    let mut complete = true;
    while let Some(next) = config.peers.next(peer) {
        if put_peer(m, next, allowed_ip).is_err() {
            complete = false;
            break;
        }
        *peer = peer.saturating_add(1);
    }
    m.end(nest);
    Ok(complete)
}

/// Puts one peer, or the rest of it from position `allowed_ip` on. An error means that the message is
/// full; what went in is complete, and the position says where to continue.
fn put_peer(m: &mut Message<'_>, peer: &Peer, allowed_ip: &mut usize) -> Result {
    let nest = m.nest(0)?;
    let first = *allowed_ip;
    let result = put_peer_attrs(m, peer, allowed_ip);
    if result.is_err() && *allowed_ip == first {
        // The head alone would be repeated in the next message, and whoever adds up would count the peer twice.
        m.cancel(nest);
    } else {
        m.end(nest);
    }
    if result.is_ok() {
        *allowed_ip = 0;
    }
    result
}

/// What is in the nest of a peer.
fn put_peer_attrs(m: &mut Message<'_>, peer: &Peer, allowed_ip: &mut usize) -> Result {
    let first = *allowed_ip;
    put_peer_head(m, peer, first == 0)?;
    let list = m.nest(peer_attr::ALLOWEDIPS)?;
    let result = peer.with_prefixes(|prefixes| {
        let mut place = first;
        while let Some(prefix) = prefixes.next(&mut place) {
            put_prefix(m, &prefix)?;
            place = place.saturating_add(1);
            *allowed_ip = place;
        }
        Ok(())
    });
    if *allowed_ip == first {
        m.cancel(list);
    } else {
        m.end(list);
    }
    result
}

/// The attributes of a peer apart from its allowed IPs; only the public key if they are out already.
fn put_peer_head(m: &mut Message<'_>, peer: &Peer, first: bool) -> Result {
    if !first {
        return m.put_bytes(peer_attr::PUBLIC_KEY, &peer.public_key);
    }
    let status = peer.status();
    let endpoint = peer
        .endpoint()
        .map(|endpoint| endpoint.remote.to_sockaddr());
    let endpoint = endpoint
        .as_ref()
        .and_then(|(sockaddr, len)| sockaddr.get(..*len));
    let handshake = peer.handshake.lock();
    let all: [(u16, &[u8]); 6] = [
        (peer_attr::PUBLIC_KEY, &peer.public_key),
        (peer_attr::PRESHARED_KEY, handshake.remote.preshared()),
        (
            peer_attr::LAST_HANDSHAKE_TIME,
            &timespec(status.last_handshake),
        ),
        (
            peer_attr::PERSISTENT_KEEPALIVE_INTERVAL,
            &status.persistent_keepalive.to_ne_bytes(),
        ),
        (peer_attr::PROTOCOL_VERSION, &PROTOCOL_VERSION.to_ne_bytes()),
        (peer_attr::ENDPOINT, endpoint.unwrap_or_default()),
    ];
    let [without_endpoint @ .., _] = &all;
    m.put_all(match endpoint {
        Some(_) => &all,
        None => without_endpoint,
    })?;
    drop(handshake);
    m.put_u64(peer_attr::TX_BYTES, peer.tx_bytes.load(Relaxed))?;
    m.put_u64(peer_attr::RX_BYTES, peer.rx_bytes.load(Relaxed))
}

/// Seconds and nanoseconds as a `struct __kernel_timespec`.
pub(super) fn timespec((seconds, nanoseconds): (u64, u32)) -> [u8; 16] {
    let mut timespec = [0; 16];
    if let Some((s, ns)) = timespec.split_first_chunk_mut::<8>() {
        *s = seconds.to_ne_bytes();
        if let Some(ns) = ns.first_chunk_mut::<8>() {
            *ns = u64::from(nanoseconds).to_ne_bytes();
        }
    }
    timespec
}

fn put_prefix(m: &mut Message<'_>, prefix: &Prefix) -> Result {
    let family = if prefix.is_v6() { AF_INET6 } else { AF_INET };
    let (octets, len) = prefix.octets();
    m.put_nest(
        0,
        &[
            (allowedip_attr::CIDR_MASK, &[prefix.bits()]),
            (allowedip_attr::FAMILY, &family.to_ne_bytes()),
            (
                allowedip_attr::IPADDR,
                octets.get(..len).unwrap_or_default(),
            ),
        ],
    )
}
