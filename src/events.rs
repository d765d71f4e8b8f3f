// SPDX-License-Identifier: GPL-2.0

//! What happens to peers, for those who want to know: `ethtool -S`, and listeners on netlink.

#![forbid(unsafe_code)]

use crate::counters::{
    Count,
    Dropped, //
};
use crate::device::Device;
use crate::net::endpoint::Endpoint;
use crate::netlink::events::{
    self,
    Event, //
};
use crate::peer::Peer;
use crate::protocol::time::Duration;
use crate::protocol::PublicKey;

/// An endpoint that goes to and fro is announced this often: the last change always is.
pub(crate) const MOVES_APART: Duration = Duration::from_millis(100);
/// Strangers are announced this often by each device.
pub(crate) const STRANGERS_APART: Duration = Duration::from_millis(100);

/// Handshake messages.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Initiation = 1,
    Response = 2,
    Cookie = 3,
}

/// A handshake message was sent to a peer.
pub(crate) fn handshake_sent(peer: &Peer, kind: Kind) {
    let what = match kind {
        Kind::Initiation => Count::TxInitiations,
        Kind::Response => Count::TxResponses,
        Kind::Cookie => Count::TxCookies,
    };
    peer.device.count(what, 1);
}

/// A handshake message of a peer was accepted.
pub(crate) fn handshake_accepted(peer: &Peer, kind: Kind) {
    let what = match kind {
        Kind::Initiation => Count::RxInitiations,
        Kind::Response => Count::RxResponses,
        Kind::Cookie => Count::RxCookies,
    };
    peer.device.count(what, 1);
}

/// A session stands on both sides.
pub(crate) fn handshake_completed(peer: &Peer) {
    peer.device.count(Count::Completed, 1);
    events::about_peer(Event::HandshakeCompleted, peer);
}

/// Nobody has answered yet.
pub(crate) fn handshake_retried(peer: &Peer) {
    peer.device.count(Count::Retried, 1);
}

/// Nobody answered.
pub(crate) fn handshake_gave_up(peer: &Peer) {
    peer.device.count(Count::GaveUp, 1);
    events::about_peer(Event::HandshakeGaveUp, peer);
}

/// A session came to its end, and none followed.
pub(crate) fn session_expired(peer: &Peer) {
    peer.device.count(Count::Expired, 1);
    events::about_peer(Event::SessionExpired, peer);
}

/// A message of the peer came from another address than before.
pub(crate) fn endpoint_changed(peer: &Peer) {
    peer.device.count(Count::Roamed, 1);
}

/// Time to tell where the peer is.
pub(crate) fn announce_endpoint(peer: &Peer) {
    events::about_peer(Event::EndpointChanged, peer);
}

/// Somebody who is no peer began a handshake. Returns why his message is dropped.
pub(crate) fn unknown_peer(device: &Device, public_key: &PublicKey, from: Endpoint) -> Dropped {
    if device.may_announce_stranger() {
        events::about_stranger(device, public_key, from);
    }
    Dropped::UnknownPeer
}
