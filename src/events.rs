// SPDX-License-Identifier: GPL-2.0

//! What happens to peers, for those who want to know: `ethtool -S`, tracepoints, and listeners on netlink.

#![forbid(unsafe_code)]

use crate::counters::{
    Count,
    Dropped, //
};
use crate::device::Device;
use crate::net::endpoint::{
    Address,
    Endpoint,
    SOCKADDR_IN6_LEN, //
};
use crate::net::rcu;
use crate::net::trace::{
    self,
    MessageRecord,
    PacketsRecord,
    PeerRecord, //
};
use crate::netlink::events::{
    self,
    Event, //
};
use crate::peer::Peer;
use crate::protocol::messages;
use crate::protocol::time::Duration;
use crate::protocol::PublicKey;

/// An endpoint that goes back and forth is announced at most this often; the last change always is.
pub(crate) const MOVES_APART: Duration = Duration::from_millis(100);
/// How long after a change it is announced.
pub(crate) const MOVE_DELAY: Duration = Duration::from_millis(10);
/// Each device announces strangers at most this often.
pub(crate) const STRANGERS_APART: Duration = Duration::from_millis(100);

/// What a tracepoint shows of a peer.
fn record(peer: &Peer, value: u64) -> PeerRecord<'_> {
    let endpoint = match peer.endpoint() {
        Some(endpoint) => endpoint.remote.to_sockaddr().0,
        None => [0; SOCKADDR_IN6_LEN],
    };
    PeerRecord {
        dev: name(&peer.device),
        peer: peer.id,
        key: &peer.public_key,
        endpoint,
        value,
    }
}

fn name(device: &Device) -> [u8; 16] {
    let guard = rcu::read_lock();
    device
        .dev
        .get(&guard)
        .map_or([0; 16], |dev| dev.present_name())
}

/// Packets are dropped. Any context.
pub(crate) fn dropped(device: &Device, why: Dropped, packets: usize) {
    let record = || {
        let mut reason = [0; 32];
        let text = why.name().bytes().take(reason.len().saturating_sub(1));
        reason
            .iter_mut()
            .zip(text)
            .for_each(|(to, from)| *to = from);
        PacketsRecord {
            dev: name(device),
            reason,
            packets: packets as u64,
        }
    };
    if why.is_handshake() {
        trace::handshake_refused(record);
    } else {
        trace::drop(record);
    }
}

/// There is a new keypair. Any context.
pub(crate) fn keypair_created(peer: &Peer, id: u64) {
    trace::keypair_created(|| record(peer, id));
}

/// A keypair is gone. Any context.
pub(crate) fn keypair_destroyed(peer: &Peer, id: u64) {
    trace::keypair_destroyed(|| record(peer, id));
}

/// Handshake messages of a peer.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Initiation = messages::Kind::INITIATION as isize,
    Response = messages::Kind::RESPONSE as isize,
}

/// A handshake message was sent to a peer.
pub(crate) fn handshake_sent(peer: &Peer, kind: Kind) {
    let what = match kind {
        Kind::Initiation => Count::TxInitiations,
        Kind::Response => Count::TxResponses,
    };
    peer.device.count(what, 1);
    trace::handshake_sent(|| record(peer, kind as u64));
}

/// A handshake message came in: `head` is its beginning, and `from` says who sent it. Bottom halves off.
pub(crate) fn handshake_received(
    device: &Device,
    head: &[u8],
    from: impl FnOnce() -> Option<Endpoint>,
) {
    trace::handshake_received(|| MessageRecord {
        dev: name(device),
        endpoint: from().map_or([0; SOCKADDR_IN6_LEN], |from| from.remote.to_sockaddr().0),
        value: head.first().copied().unwrap_or_default().into(),
    });
}

/// A cookie reply was sent to whoever is at `to`.
pub(crate) fn cookie_sent(device: &Device, to: &Address) {
    device.count(Count::TxCookies, 1);
    trace::cookie_sent(|| MessageRecord {
        dev: name(device),
        endpoint: to.to_sockaddr().0,
        value: messages::Kind::COOKIE_REPLY.into(),
    });
}

/// A handshake message of a peer was accepted.
pub(crate) fn handshake_accepted(peer: &Peer, kind: Kind) {
    let what = match kind {
        Kind::Initiation => Count::RxInitiations,
        Kind::Response => Count::RxResponses,
    };
    peer.device.count(what, 1);
    trace::handshake_accepted(|| record(peer, kind as u64));
}

/// A peer's cookie reply was accepted.
pub(crate) fn cookie_accepted(peer: &Peer) {
    peer.device.count(Count::RxCookies, 1);
    trace::handshake_accepted(|| record(peer, messages::Kind::COOKIE_REPLY.into()));
}

/// A session is established on both sides.
pub(crate) fn handshake_completed(peer: &Peer) {
    peer.device.count(Count::Completed, 1);
    trace::handshake_completed(|| record(peer, 0));
    events::about_peer(Event::HandshakeCompleted, peer);
}

/// Nobody has answered yet.
pub(crate) fn handshake_retried(peer: &Peer, attempt: u32) {
    peer.device.count(Count::Retried, 1);
    trace::handshake_retried(|| record(peer, attempt.into()));
}

/// The peer is going to refuse what we send, since our clock went back.
pub(crate) fn clock_went_back(peer: &Peer) {
    peer.device.count(Count::ClockWentBack, 1);
    events::about_peer(Event::ClockWentBack, peer);
}

/// Nobody answered so many initiations; if there is more to send, the attempts go on.
pub(crate) fn handshake_gave_up(peer: &Peer, initiations: u32) {
    peer.device.count(Count::GaveUp, 1);
    trace::handshake_gave_up(|| record(peer, initiations.into()));
    events::about_peer(Event::HandshakeGaveUp, peer);
}

/// A session ended, and none followed.
pub(crate) fn session_expired(peer: &Peer) {
    peer.device.count(Count::Expired, 1);
    trace::session_expired(|| record(peer, 0));
    events::about_peer(Event::SessionExpired, peer);
}

/// A message of the peer came from another address than before.
pub(crate) fn endpoint_changed(peer: &Peer) {
    peer.device.count(Count::Roamed, 1);
    trace::endpoint_changed(|| record(peer, 0));
}

/// It is time to tell listeners where the peer is.
pub(crate) fn announce_endpoint(peer: &Peer) {
    events::about_peer(Event::EndpointChanged, peer);
}

/// Somebody who is not a peer began a handshake. Returns why the message is dropped.
pub(crate) fn unknown_peer(device: &Device, public_key: &PublicKey, from: Endpoint) -> Dropped {
    if device.may_announce_stranger() {
        events::about_stranger(device, public_key, from);
    }
    Dropped::UnknownPeer
}
