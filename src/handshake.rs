// SPDX-License-Identifier: GPL-2.0

//! The handshake from the driver's side: sending initiations, and answering what comes in.
//!
//! Whitepaper §5.4. Everything here runs in process context, because Curve25519 takes long and the
//! peer's handshake mutex is held over it.

#![forbid(unsafe_code)]

use kernel::prelude::*;
use kernel::sync::atomic::Relaxed;

use crate::crypto::{
    CookieSecret,
    Received, //
};
use crate::debug;
use crate::device::{
    Device,
    LocalIdentity, //
};
use crate::keypair::now;
use crate::net::clock;
use crate::net::endpoint::Endpoint;
#[cfg(kernel_7_2)]
use crate::net::errno::*;
use crate::net::libcrypto;
use crate::net::rcu::{
    self,
    Shared, //
};
use crate::net::skb::Skb;
use crate::peer::{
    HandshakeSide,
    Peer, //
};
use crate::protocol::messages::{
    Message,
    INITIATION_LEN, //
};
use crate::protocol::time::{
    Instant,
    Tai64n, //
};
use crate::protocol::timers::Event;

/// The DS field of handshake messages: AF41, so that they pass a loaded path.
const HANDSHAKE_DS: u8 = 0x88;

/// Sends an initiation to `peer` unless one was sent a moment ago. May sleep.
pub(crate) fn send_initiation(peer: &Shared<Peer>) {
    let now = now();
    let Some(identity) = peer.device.identity() else {
        return;
    };
    if !peer.claim_initiation(now) {
        return;
    }
    debug::sending_initiation(&peer.device, peer);
    let mut guard = peer.handshake.lock();
    let side = &mut *guard;
    let Ok(index) = fresh_index(peer, side) else {
        return;
    };
    let (seconds, nanoseconds) = clock::realtime();
    let initiation = side.noise.initiate(
        &identity.keys,
        &mut side.remote,
        random(),
        index,
        Tai64n::from_unix(seconds, nanoseconds),
    );
    let Some(mut message) = initiation else {
        return;
    };
    side.cookies.add_macs(&peer.cookie_keys, &mut message, now);
    drop(guard);
    Peer::events(peer, &[Event::Traversal, Event::AuthenticatedSent]);
    send_buffer(peer, &message);
    Peer::events(peer, &[Event::InitiationSent]);
}

/// An index for a new handshake; the one of an unfinished handshake is given back.
fn fresh_index(peer: &Shared<Peer>, side: &mut HandshakeSide) -> Result<u32> {
    if side.closed {
        return Err(ESHUTDOWN);
    }
    let index = peer.device.indices.reserve(peer)?;
    if let Some(old) = side.index.replace(index) {
        peer.device.indices.remove(old);
    }
    Ok(index)
}

/// Sends a handshake message to the peer's endpoint.
fn send_buffer(peer: &Shared<Peer>, message: &[u8]) {
    let Some(mut endpoint) = peer.endpoint() else {
        return;
    };
    let before = endpoint;
    let sent = peer.device.sockets.send_buffer(
        message,
        &mut endpoint,
        Some(&peer.route),
        peer.device.mark(),
        HANDSHAKE_DS,
    );
    match sent {
        Ok(()) => {
            peer.tx_bytes.add(message.len() as u64, Relaxed);
            peer.device.count_tx(message.len());
        }
        Err(e) => debug::no_route(&peer.device, &before, e),
    }
    if endpoint != before {
        peer.source_failed(&endpoint);
    }
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    libcrypto::random(&mut bytes);
    bytes
}

/// Answers one received handshake message. May sleep.
pub(crate) fn receive(device: &Shared<Device>, skb: Skb) {
    // The longest handshake message is the initiation; the length was checked on arrival.
    let mut buffer = [0; INITIATION_LEN];
    let Some(datagram) = buffer.get_mut(..skb.len()) else {
        return;
    };
    if !skb.copy_bytes(0, datagram) {
        return;
    }
    let Some(identity) = device.identity() else {
        return;
    };
    let Some(from) = Endpoint::of_received(&skb) else {
        return;
    };
    let Some(message) = Message::parse(datagram) else {
        return;
    };
    match message {
        Message::CookieReply(reply) => {
            debug::receiving_cookie(device, &from);
            if let Some(peer) = peer_of_index(device, reply.receiver()) {
                let mut side = peer.handshake.lock();
                let taken = side
                    .cookies
                    .consume_reply(&peer.cookie_keys, reply.bytes(), now());
                drop(side);
                if !taken {
                    debug::invalid_cookie(device);
                }
            }
        }
        Message::Initiation(initiation) => {
            if may_serve(device, &identity, datagram, initiation.sender(), &from) {
                match respond(device, &identity, initiation.bytes(), from) {
                    Some(peer) => authenticated(&peer, datagram.len()),
                    None => {
                        device.handshakes.wasted(now());
                        debug::invalid_initiation(device, &from);
                    }
                }
            }
        }
        Message::Response(response) => {
            if may_serve(device, &identity, datagram, response.sender(), &from) {
                match peer_of_index(device, response.receiver()) {
                    Some(peer) if complete(&peer, &identity, response.bytes(), from) => {
                        authenticated(&peer, datagram.len());
                    }
                    // Whoever guesses an index makes us compute.
                    Some(_) => {
                        device.handshakes.wasted(now());
                        debug::invalid_response(device, &from);
                    }
                    None => debug::invalid_response(device, &from),
                }
            }
        }
        Message::Data { .. } => {}
    }
}

/// Checks mac1, and under load mac2 and the sender's rate. A sender without a valid cookie gets one.
fn may_serve(
    device: &Shared<Device>,
    identity: &LocalIdentity,
    datagram: &[u8],
    sender: u32,
    from: &Endpoint,
) -> bool {
    if !identity.cookie_keys.check_mac1(datagram) {
        debug::invalid_mac(device, from);
        return false;
    }
    let now = now();
    if !device.handshakes.under_load(now) {
        return true;
    }
    let (source, len) = from.remote.octets();
    let Some(source) = source.get(..len) else {
        return false;
    };
    let Some(secret) = cookie_secret(device, now) else {
        return false;
    };
    if secret.check_mac2(datagram, source) {
        return device.limiter.allow(&from.remote);
    }
    let reply = secret.reply(&identity.cookie_keys, datagram, sender, source, random());
    if let Some(reply) = reply {
        debug::sending_cookie(device, &from.remote);
        let mut to = *from;
        let sent = device
            .sockets
            .send_buffer(&reply, &mut to, None, device.mark(), HANDSHAKE_DS);
        if sent.is_ok() {
            device.count_tx(reply.len());
        }
    }
    false
}

/// The secret of the cookies that we hand out now; a new one every two minutes.
fn cookie_secret(device: &Device, now: Instant) -> Option<Shared<CookieSecret>> {
    let present = device.cookie_secret.get();
    if let Some(secret) = present.filter(|secret| !secret.expired(now)) {
        return Some(secret);
    }
    let secret = Shared::new(CookieSecret::new(random(), now)).ok()?;
    // If two workers come here at once, the later secret stays. Who got a cookie of the other one
    // is given a new one when he uses it.
    device.cookie_secret.set(Some(secret.clone()));
    Some(secret)
}

/// The peer that a receiver index was handed to.
fn peer_of_index(device: &Device, index: u32) -> Option<Shared<Peer>> {
    let guard = rcu::read_lock();
    device
        .indices
        .get(&guard, index)
        .map(|entry| entry.peer.clone())
}

/// Whether `identity` is still the device's: the key may have been changed while we computed. To be
/// asked with the peer's handshake locked, since a change of key clears each handshake afterwards.
fn is_current(device: &Device, identity: &Shared<LocalIdentity>) -> bool {
    device
        .identity()
        .is_some_and(|current| Shared::ptr_eq(&current, identity))
}

/// Answers an initiation with a response (§5.4.2, §5.4.3).
fn respond(
    device: &Shared<Device>,
    identity: &Shared<LocalIdentity>,
    message: &[u8; INITIATION_LEN],
    from: Endpoint,
) -> Option<Shared<Peer>> {
    let received = Received::open(&identity.keys, message)?;
    let peer = device.find_peer(received.remote_public())?;

    let mut guard = peer.handshake.lock();
    let side = &mut *guard;
    let now = now();
    if !is_current(device, identity) {
        return None;
    }
    side.noise
        .accept(&identity.keys, &mut side.remote, received, now)
        .ok()?;
    peer.set_endpoint(from);
    debug::receiving_initiation(device, &peer);
    debug::sending_response(device, &peer);

    let index = fresh_index(&peer, side).ok()?;
    let mut response = side.noise.respond(&side.remote, random(), index)?;
    side.cookies.add_macs(&peer.cookie_keys, &mut response, now);
    let session = side.noise.begin_session(now)?;
    side.index = None;
    peer.keypairs.install(&device.indices, session).ok()?;
    drop(guard);

    Peer::events(
        &peer,
        &[
            Event::ResponseSent,
            Event::SessionDerived,
            Event::Traversal,
            Event::AuthenticatedSent,
        ],
    );
    send_buffer(&peer, &response);
    Some(peer)
}

/// Completes a handshake of ours with the peer's response (§5.4.3, §5.4.5).
fn complete(
    peer: &Shared<Peer>,
    identity: &Shared<LocalIdentity>,
    message: &[u8; crate::protocol::messages::RESPONSE_LEN],
    from: Endpoint,
) -> bool {
    let mut guard = peer.handshake.lock();
    let side = &mut *guard;
    if !is_current(&peer.device, identity)
        || !side
            .noise
            .accept_response(&identity.keys, &side.remote, message)
    {
        return false;
    }
    peer.set_endpoint(from);
    debug::receiving_response(&peer.device, peer);
    if let Some(session) = side.noise.begin_session(now()) {
        side.index = None;
        let installed = peer.keypairs.install(&peer.device.indices, session);
        drop(guard);
        if installed.is_ok() {
            Peer::events(peer, &[Event::SessionDerived, Event::HandshakeComplete]);
            peer.handshake_completed();
            // What waits for the session confirms it to the responder; if nothing waits, an empty
            // message does.
            crate::transmit::send_keepalive(peer);
        }
    }
    true
}

/// Counts an authentic handshake message and tells the timers.
fn authenticated(peer: &Shared<Peer>, len: usize) {
    peer.count_rx(len);
    peer.device.count_rx(len);
    Peer::events(peer, &[Event::AuthenticatedReceived, Event::Traversal]);
}
