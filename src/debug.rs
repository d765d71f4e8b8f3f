// SPDX-License-Identifier: GPL-2.0

//! What the driver says in the kernel's log, most of it when dynamic debugging is on (`Documentation/reference.md`).
//!
//! The wording is what users of WireGuard on Linux know and search their logs for.

use core::fmt;

use kernel::prelude::*;

use crate::device::Device;
use crate::keypair::Keypair;
use crate::net::debug::{
    debug_messages,
    within_limit, //
};
use crate::net::endpoint::{
    Address,
    Endpoint, //
};
use crate::net::rcu;
use crate::net::skb::{
    IpVersion,
    LinearSkb,
    Skb, //
};
use crate::peer::Peer;
use crate::protocol::timers::ATTEMPTS;

/// The name of a device's interface.
struct Name<'a>(&'a Device);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let guard = rcu::read_lock();
        match self.0.dev.get(&guard) {
            Some(dev) => dev.display_name().fmt(f),
            None => f.write_str("(gone)"),
        }
    }
}

/// The number and the address of a peer. Both are read before the message is formatted: printk formats with
/// interrupts off, where the endpoint's lock may not be taken.
struct Who {
    id: u64,
    endpoint: Option<Endpoint>,
}

impl Who {
    fn of(peer: &Peer) -> Self {
        Self {
            id: peer.id,
            endpoint: peer.endpoint(),
        }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (", self.id)?;
        match self.endpoint {
            Some(endpoint) => endpoint.remote.fmt(f)?,
            None => f.write_str("(einval)")?,
        }
        f.write_str(")")
    }
}

/// An address that is written without leaving out zeros.
struct Full(Ip);

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(core::net::IpAddr::V6(address)) = self.0 .0 else {
            return self.0.fmt(f);
        };
        let [first, rest @ ..] = address.segments();
        write!(f, "{first:04x}")?;
        for segment in rest {
            write!(f, ":{segment:04x}")?;
        }
        Ok(())
    }
}

/// An address in a packet.
struct Ip(Option<core::net::IpAddr>);

impl Ip {
    /// Where a packet from the stack wants to go.
    fn destination(packet: &Skb) -> Self {
        Self(match packet.inner_protocol() {
            Some(IpVersion::V4) => packet.ipv4_destination().map(Into::into),
            Some(IpVersion::V6) => packet.ipv6_destination().map(Into::into),
            None => None,
        })
    }

    /// Where a packet from a peer claims to come from.
    fn source(packet: &LinearSkb) -> Self {
        Self(match packet.data().first().map(|first| first >> 4) {
            Some(4) => packet.ipv4_source().map(Into::into),
            Some(6) => packet.ipv6_source().map(Into::into),
            _ => None,
        })
    }
}

impl fmt::Display for Ip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(address) => address.fmt(f),
            None => f.write_str("(einval)"),
        }
    }
}

/// The interface cannot go up. It is said always: whoever wants it up is given an errno and nothing else.
pub(crate) fn cannot_open(device: &Device, port: u16, e: Error) {
    if within_limit() {
        pr_err!(
            "{}: Could not create sockets, port {}: {:?}\n",
            format_args!("{}", Name(device)),
            port,
            e
        );
    }
}

debug_messages! {
    module: "wireguard";
    name: Name;

    /// A link was added.
    unlimited fn interface_created(device: &Device) {
        "Interface created"
    }
    /// A link was deleted.
    unlimited fn interface_destroyed(device: &Device) {
        "Interface destroyed"
    }
    /// The sockets' namespace ends before the link does.
    unlimited fn namespace_exiting(device: &Device) {
        "Creating namespace exiting"
    }
    /// A peer was configured.
    unlimited fn peer_created(device: &Device, peer: &Peer) {
        "Peer {} created", peer.id
    }
    /// A peer was removed.
    unlimited fn peer_destroyed(device: &Device, peer: &Peer) {
        "Peer {} destroyed", Who::of(peer)
    }

    /// The stack handed us something that is not IP.
    limited fn not_ip(device: &Device) {
        "Invalid IP packet"
    }
    /// Cryptokey routing knows no peer for a destination.
    limited fn no_peer(device: &Device, packet: &Skb) {
        "No peer has allowed IPs matching {}",
        Full(Ip::destination(packet))
    }
    /// The peer was never heard from, and no address is configured.
    limited fn no_endpoint(device: &Device, peer: &Peer) {
        "No valid endpoint has been configured or discovered for peer {}", peer.id
    }
    /// The sockets could not send.
    limited fn no_route(device: &Device, to: &Endpoint, error: kernel::error::Error) {
        "No route to {}, error {}", to.remote, error.to_errno()
    }

    /// A handshake begins here.
    limited fn sending_initiation(device: &Device, peer: &Peer) {
        "Sending handshake initiation to peer {}", Who::of(peer)
    }
    /// A handshake is answered.
    limited fn sending_response(device: &Device, peer: &Peer) {
        "Sending handshake response to peer {}", Who::of(peer)
    }
    /// We are under load, and the sender has shown no cookie.
    limited fn sending_cookie(device: &Device, to: &Address) {
        "Sending cookie response for denied handshake message for {}", to
    }
    /// An empty message goes out.
    limited fn sending_keepalive(device: &Device, peer: &Peer) {
        "Sending keepalive packet to peer {}", Who::of(peer)
    }

    /// A handshake message is not queued: the queue is full, or there is no randomness yet.
    limited fn dropping_handshake(device: &Device, from: &Endpoint) {
        "Dropping handshake packet from {}", from.remote
    }
    /// A peer under load answered with a cookie.
    limited fn receiving_cookie(device: &Device, from: &Endpoint) {
        "Receiving cookie response from {}", from.remote
    }
    /// The cookie was not for the message that we sent last.
    limited fn invalid_cookie(device: &Device) {
        "Could not decrypt invalid cookie response"
    }
    /// The first check of each handshake message failed.
    limited fn invalid_mac(device: &Device, from: &Endpoint) {
        "Invalid MAC of handshake, dropping packet from {}", from.remote
    }
    /// Not from a peer of ours, or replayed, or one too many.
    limited fn invalid_initiation(device: &Device, from: &Endpoint) {
        "Invalid handshake initiation from {}", from.remote
    }
    /// Not the answer to the initiation that we sent last.
    limited fn invalid_response(device: &Device, from: &Endpoint) {
        "Invalid handshake response from {}", from.remote
    }
    /// A peer begins a handshake.
    limited fn receiving_initiation(device: &Device, peer: &Peer) {
        "Receiving handshake initiation from peer {}", Who::of(peer)
    }
    /// A peer answered.
    limited fn receiving_response(device: &Device, peer: &Peer) {
        "Receiving handshake response from peer {}", Who::of(peer)
    }
    /// An empty message came in.
    limited fn receiving_keepalive(device: &Device, peer: &Peer) {
        "Receiving keepalive packet from peer {}", Who::of(peer)
    }
    /// A peer sent a packet whose source it may not use.
    limited fn unallowed_source(device: &Device, packet: &LinearSkb, peer: &Peer) {
        "Packet has unallowed src IP ({}) from peer {}",
        Ip::source(packet), Who::of(peer)
    }
    /// A peer sent a packet that is not IP.
    limited fn neither_v4_nor_v6(device: &Device, peer: &Peer) {
        "Packet is neither ipv4 nor ipv6 from peer {}", Who::of(peer)
    }
    /// A peer sent a packet that is shorter than its header says.
    limited fn incorrect_size(device: &Device, peer: &Peer) {
        "Packet has incorrect size from peer {}", Who::of(peer)
    }
    /// A message came twice, or too late to tell.
    limited fn invalid_nonce(device: &Device, nonce: u64, keypair: &Keypair) {
        "Packet has invalid nonce {} (max {})", nonce, keypair.newest_counter()
    }

    /// A handshake led to a session.
    limited fn keypair_created(device: &Device, keypair: u64, peer: &Peer) {
        "Keypair {} created for peer {}", keypair, peer.id
    }
    /// A session ended.
    limited fn keypair_destroyed(device: &Device, keypair: u64, peer: &Peer) {
        "Keypair {} destroyed for peer {}", keypair, peer.id
    }

    /// The peer is going to refuse what we send.
    unlimited fn clock_went_back(device: &Device, peer: &Peer) {
        "Clock went back: peer {} will not answer before it has passed the time of the last handshake again",
        Who::of(peer)
    }
    /// Nobody answers.
    unlimited fn handshake_given_up(device: &Device, peer: &Peer) {
        "Handshake for peer {} did not complete after {} attempts, giving up", Who::of(peer), ATTEMPTS
    }
    /// Nobody has answered yet.
    unlimited fn handshake_retried(device: &Device, peer: &Peer, seconds: u64, attempt: u32) {
        "Handshake for peer {} did not complete after {} seconds, retrying (try {})",
        Who::of(peer), seconds, attempt
    }
    /// We sent, and heard nothing.
    unlimited fn stopped_hearing(device: &Device, peer: &Peer, seconds: u64) {
        "Retrying handshake with peer {} because we stopped hearing back after {} seconds",
        Who::of(peer), seconds
    }
    /// The session has long been too old to be used.
    unlimited fn zeroing_keys(device: &Device, peer: &Peer, seconds: u64) {
        "Zeroing out all keys for peer {}, since we haven't received a new one in {} seconds",
        Who::of(peer), seconds
    }
}
