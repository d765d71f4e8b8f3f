// SPDX-License-Identifier: GPL-2.0

//! The handshake from the driver's side: sending initiations, and answering what comes in.
//!
//! Whitepaper §5.4. Everything here runs in process context, because Curve25519 takes long and the
//! peer's handshake mutex is held over it.

#![forbid(unsafe_code)]

use kernel::prelude::*;
use kernel::sync::atomic::Relaxed;

use crate::counters::Dropped;
use crate::crypto::{
    CookieSecret,
    Received, //
};
use crate::debug;
use crate::device::{
    Device,
    LocalIdentity, //
};
use crate::events::{
    self,
    Kind, //
};
use crate::keypair::{
    copies,
    now, //
};
use crate::net::bh;
use crate::net::clock;
use crate::net::endpoint::{
    DstCache,
    Endpoint, //
};
#[cfg(kernel_7_2)]
use crate::net::errno::*;
use crate::net::libcrypto;
use crate::net::rcu::{
    self,
    Shared, //
};
use crate::net::skb::Skb;
use crate::net::udp::Outer;
use crate::peer::{
    HandshakeSide,
    Peer, //
};
use crate::protocol::messages::{
    Message,
    Response,
    INITIATION_LEN, //
};
use crate::protocol::noise::Refused;
use crate::protocol::time::{
    Instant,
    Tai64n, //
};
use crate::protocol::timers::Event;

/// The DS field of initiations and responses: AF41, so that they get through a loaded path.
const HANDSHAKE_DS: u8 = 0x88;
/// That of cookie replies. Anybody can have them sent, so they must not get in the way of those.
const COOKIE_DS: u8 = 0;

/// Sends an initiation to `peer` unless one was sent a moment ago. May sleep.
pub(crate) fn send_initiation(peer: &Shared<Peer>) {
    if peer.device.identity().is_none() {
        return;
    }
    // Early after boot there may be no good random numbers, and whoever can guess the ephemeral key learns who we are.
    // Do not wait for them: whoever takes the interface down waits for us, and all of the machine's network
    // configuration waits for that.
    if !libcrypto::random_ready() {
        Peer::initiate_later(peer);
        return;
    }
    let mut guard = peer.handshake.lock();
    let now = now();
    // With the lock held until the timers know of the initiation: whoever lets the next one be sent at once has cleared
    // the handshake before.
    if !peer.claim_initiation(now) {
        return;
    }
    debug::sending_initiation(&peer.device, peer);
    let side = &mut *guard;
    // Read only now: whoever changes the key clears each handshake afterwards, under this lock.
    let Some(identity) = peer.device.identity() else {
        return;
    };
    let index = match fresh_index(peer, side) {
        Ok(index) => index,
        Err(e) => {
            drop(guard);
            if e != ESHUTDOWN {
                Peer::events(peer, &[Event::InitiationFailed]);
            }
            return;
        }
    };
    let (seconds, nanoseconds) = clock::realtime();
    let timestamp = Tai64n::from_unix(seconds, nanoseconds);
    let initiation = libcrypto::with_wiped_stack(|| {
        side.noise
            .initiate(&identity.keys, &mut side.remote, random(), index, timestamp)
    });
    let Some(mut message) = initiation else {
        return;
    };
    side.cookies.add_macs(&peer.cookie_keys, &mut message, now);
    let clock_went_back = side.clock.sending(timestamp);
    // Before it is sent: otherwise the response may be here first, and nothing would cancel the retry.
    let sent = if peer.has_endpoint() {
        Event::InitiationSent
    } else {
        Event::InitiationUnaddressed
    };
    Peer::events(peer, &[Event::Traversal, Event::AuthenticatedSent, sent]);
    drop(guard);
    if clock_went_back {
        debug::clock_went_back(&peer.device, peer);
        events::clock_went_back(peer);
    }
    send_buffer(peer, &message, Kind::Initiation);
}

/// An index for a new handshake; that of an unfinished handshake is given back.
fn fresh_index(peer: &Shared<Peer>, side: &mut HandshakeSide) -> Result<u32> {
    if side.closed {
        return Err(ESHUTDOWN);
    }
    let copies = copies();
    let index = peer.device.indices.reserve(peer)?;
    // From here on there is no way back to the ephemeral key before.
    side.copies = copies;
    if let Some(old) = side.index.replace(index) {
        peer.device.indices.remove(old);
    }
    Ok(index)
}

/// Sends a handshake message to the peer's endpoint.
fn send_buffer(peer: &Shared<Peer>, message: &[u8], kind: Kind) {
    let Some(mut endpoint) = peer.endpoint() else {
        peer.device.dropped(Dropped::NoEndpoint, 1);
        return;
    };
    let before = endpoint;
    let sent = send_to(
        &peer.device,
        message,
        &mut endpoint,
        Some(&peer.route),
        HANDSHAKE_DS,
    );
    match sent {
        Ok(sent) => {
            peer.tx_bytes.add(message.len() as u64, Relaxed);
            if sent {
                events::handshake_sent(peer, kind);
            }
        }
        Err(e) => {
            debug::no_route(&peer.device, &before, e);
        }
    }
    if endpoint != before {
        peer.source_failed(&before, endpoint.source);
    }
}

/// Sends a handshake message; counts it as dropped if it is lost here. `false` if the host has dropped it.
fn send_to(
    device: &Device,
    message: &[u8],
    to: &mut Endpoint,
    cache: Option<&DstCache>,
    ds: u8,
) -> Result<bool> {
    let guard = rcu::read_lock();
    let outer = Outer {
        mark: device.mark(),
        ds,
        // It is short enough for every path.
        path_mtu: None,
        dev: device.dev.get(&guard),
    };
    let sent = device.sockets.send_buffer(message, to, cache, outer);
    match sent {
        Ok(true) => {}
        Ok(false) => device.dropped(Dropped::Outside, 1),
        Err(e) => device.dropped(crate::transmit::unsent(e), 1),
    }
    sent
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    libcrypto::random(&mut bytes);
    bytes
}

/// Answers one received handshake message. Whether it was accepted. May sleep.
pub(crate) fn receive(device: &Shared<Device>, skb: Skb) -> bool {
    let result = take(device, &skb);
    match result {
        Ok(()) => skb.consume(&bh::disable()),
        Err(why) => device.drop_packet(skb, why),
    }
    result.is_ok()
}

/// What [`receive`] does with the message.
fn take(device: &Shared<Device>, skb: &Skb) -> Result<(), Dropped> {
    // The longest handshake message is the initiation; the length was checked on arrival.
    let mut buffer = [0; INITIATION_LEN];
    let datagram = buffer.get_mut(..skb.len()).ok_or(Dropped::NotWireGuard)?;
    if !skb.copy_bytes(0, datagram) {
        return Err(Dropped::NotWireGuard);
    }
    let identity = device.identity().ok_or(Dropped::NoPrivateKey)?;
    let from = Endpoint::of_received(skb).ok_or(Dropped::NotWireGuard)?;
    let message = Message::parse(datagram).ok_or(Dropped::NotWireGuard)?;
    match message {
        Message::CookieReply(reply) => {
            debug::receiving_cookie(device, &from);
            let peer = peer_of_index(device, reply.receiver()).ok_or(Dropped::BadCookie)?;
            let mut side = peer.handshake.lock();
            let taken = libcrypto::with_wiped_stack(|| {
                side.cookies
                    .consume_reply(&peer.cookie_keys, reply.bytes(), now())
            });
            drop(side);
            if !taken {
                debug::invalid_cookie(device);
                return Err(Dropped::BadCookie);
            }
            events::cookie_accepted(&peer);
        }
        Message::Initiation(initiation) => {
            may_serve(device, &identity, datagram, initiation.sender(), &from)?;
            let begun = clock::cpu_ns();
            let peer = libcrypto::with_wiped_stack(|| {
                respond(device, &identity, initiation.bytes(), from)
            })
            .inspect_err(|_| {
                device.handshakes.wasted(begun);
                debug::invalid_initiation(device, &from);
            })?;
            authenticated(&peer, datagram.len());
        }
        Message::Response(response) => {
            may_serve(device, &identity, datagram, response.sender(), &from)?;
            let invalid = || debug::invalid_response(device, &from);
            let Some(peer) = peer_of_index(device, response.receiver()) else {
                invalid();
                return Err(Dropped::StaleResponse);
            };
            let begun = clock::cpu_ns();
            libcrypto::with_wiped_stack(|| complete(&peer, &identity, &response, from))
                .inspect_err(|why| {
                    // Anybody who guesses an index can make us compute. An old response is refused before that.
                    if *why != Dropped::StaleResponse {
                        device.handshakes.wasted(begun);
                    }
                    invalid();
                })?;
            authenticated(&peer, datagram.len());
        }
        Message::Data { .. } => return Err(Dropped::NotWireGuard),
    }
    Ok(())
}

/// Checks mac1, and under load mac2 and the sender's rate. A sender without a valid cookie gets one.
fn may_serve(
    device: &Shared<Device>,
    identity: &LocalIdentity,
    datagram: &[u8],
    sender: u32,
    from: &Endpoint,
) -> Result<(), Dropped> {
    if !identity.cookie_keys.check_mac1(datagram) {
        debug::invalid_mac(device, from);
        return Err(Dropped::BadMac);
    }
    let now = now();
    if !device.handshakes.under_load(now) {
        return Ok(());
    }
    let (source, len) = from.remote.octets();
    let source = source.get(..len).ok_or(Dropped::NotWireGuard)?;
    let secret = cookie_secret(device, now).ok_or(Dropped::HandshakeFailed)?;
    if secret.check_mac2(datagram, source) {
        return if device.limiter.allow(&from.remote) {
            Ok(())
        } else {
            Err(Dropped::RateLimited)
        };
    }
    let reply = secret.reply(&identity.cookie_keys, datagram, sender, source, random());
    if let Some(reply) = reply {
        debug::sending_cookie(device, &from.remote);
        let mut to = *from;
        if let Ok(true) = send_to(device, &reply, &mut to, None, COOKIE_DS) {
            events::cookie_sent(device, &to.remote);
        }
    }
    Err(Dropped::NoCookie)
}

/// The secret of the cookies that we hand out now; a new one every two minutes.
fn cookie_secret(device: &Device, now: Instant) -> Option<Shared<CookieSecret>> {
    let present = device.cookie_secret.get();
    if let Some(secret) = present.filter(|secret| !secret.expired(now)) {
        return Some(secret);
    }
    let secret = libcrypto::with_wiped_stack(|| Shared::new(CookieSecret::new(random(), now)));
    let secret = secret.ok()?;
    // If two workers come here at once, the later secret stays. A sender that got a cookie made with
    // the other one is given a new one when it uses it.
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

/// Whether `identity` is still the device's: the key may have been changed while we computed. Must be
/// called with the peer's handshake locked, since whoever changes the key clears each handshake
/// afterwards.
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
) -> Result<Shared<Peer>, Dropped> {
    let failed = Dropped::HandshakeFailed;
    let received = Received::open(&identity.keys, message).ok_or(Dropped::ForgedInitiation)?;
    let peer = device
        .find_peer(received.remote_public())
        .ok_or_else(|| events::unknown_peer(device, received.remote_public(), from))?;

    let mut guard = peer.handshake.lock();
    let side = &mut *guard;
    let now = now();
    if !is_current(device, identity) {
        return Err(failed);
    }
    side.noise
        .accept(&identity.keys, &mut side.remote, received, now)
        .map_err(|refused| match refused {
            Refused::Forged => Dropped::ForgedInitiation,
            Refused::Replayed => Dropped::OldInitiation,
            Refused::TooSoon => Dropped::TooSoon,
        })?;
    events::handshake_accepted(&peer, Kind::Initiation);
    Peer::heard_from(&peer, from);
    debug::receiving_initiation(device, &peer);
    debug::sending_response(device, &peer);

    let Ok(index) = fresh_index(&peer, side) else {
        // Do not leave lying about what would have gone into the response.
        side.noise.clear();
        return Err(failed);
    };
    let mut response = side
        .noise
        .respond(&side.remote, random(), index)
        .ok_or(Dropped::ForgedInitiation)?;
    side.cookies.add_macs(&peer.cookie_keys, &mut response, now);
    let session = side.noise.begin_session(now).ok_or(failed)?;
    side.index = None;
    peer.keypairs
        .install(&peer, session, side.copies)
        .map_err(|_| failed)?;
    // With the lock held, lest the new keys are taken for old ones that are to be wiped.
    Peer::events(
        &peer,
        &[
            Event::ResponseSent,
            Event::SessionDerived,
            Event::Traversal,
            Event::AuthenticatedSent,
        ],
    );
    drop(guard);

    send_buffer(&peer, &response, Kind::Response);
    Ok(peer)
}

/// Completes a handshake of ours with the peer's response (§5.4.3, §5.4.5).
fn complete(
    peer: &Shared<Peer>,
    identity: &Shared<LocalIdentity>,
    response: &Response<'_>,
    from: Endpoint,
) -> Result<(), Dropped> {
    let mut guard = peer.handshake.lock();
    let side = &mut *guard;
    if !is_current(&peer.device, identity) {
        return Err(Dropped::HandshakeFailed);
    }
    if side.noise.awaited_index() != Some(response.receiver()) {
        return Err(Dropped::StaleResponse);
    }
    if !side
        .noise
        .accept_response(&identity.keys, &side.remote, response.bytes())
    {
        return Err(Dropped::BadResponse);
    }
    side.clock.answered();
    events::handshake_accepted(peer, Kind::Response);
    Peer::heard_from(peer, from);
    debug::receiving_response(&peer.device, peer);
    let Some(session) = side.noise.begin_session(now()) else {
        return Ok(());
    };
    side.index = None;
    if peer.keypairs.install(peer, session, side.copies).is_err() {
        return Ok(());
    }
    // With the lock held, as in `respond`.
    Peer::events(peer, &[Event::SessionDerived, Event::HandshakeComplete]);
    drop(guard);
    peer.handshake_completed();
    // What waits for the session confirms it to the responder; if nothing waits, an empty
    // message does.
    crate::transmit::send_keepalive(peer);
    Ok(())
}

/// Counts an authentic handshake message and tells the timers.
fn authenticated(peer: &Shared<Peer>, len: usize) {
    peer.count_rx(len);
    peer.device.count_rx(len);
    Peer::events(peer, &[Event::AuthenticatedReceived, Event::Traversal]);
}
