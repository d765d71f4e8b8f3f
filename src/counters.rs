// SPDX-License-Identifier: GPL-2.0

//! What `ethtool -S` shows of a device, and why packets are dropped.
//!
//! Every packet that the driver drops has a [`Dropped`]: it selects the counter, and the reason that the kernel's
//! own tools show, as far as the kernel has a word for it. `Documentation/troubleshooting.md` tells an
//! administrator what follows from each. Where all goes well, counting is done once for each train at most, not
//! for each of its messages.

#![forbid(unsafe_code)]

use kernel::sync::atomic::{
    Atomic,
    Relaxed, //
};

use crate::net::skb::DropReason;

/// Declares the two kinds of counters with their names.
macro_rules! counters {
    (
        $(#[$count_doc:meta])* enum $Count:ident { $($(#[$doc:meta])* $count:ident = $count_text:literal,)* }
        $(#[$drop_doc:meta])* enum $Drop:ident {
            $($(#[$why_doc:meta])* $why:ident = $why_text:literal, $reason:ident;)*
        }
    ) => {
        $(#[$count_doc])*
        #[derive(Clone, Copy)]
        pub(crate) enum $Count { $($(#[$doc])* $count,)* }

        $(#[$drop_doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum $Drop { $($(#[$why_doc])* $why,)* }

        /// The names of all counters, in their order.
        pub(crate) const NAMES: &[&str] = &[$($count_text,)* $($why_text,)*];

        const COUNTS: usize = [$($count_text),*].len();

        impl $Drop {
            /// What the kernel's tools show.
            pub(crate) fn reason(self) -> DropReason {
                match self { $(Self::$why => DropReason::$reason,)* }
            }
        }
    };
}

counters! {
    /// What happened.
    enum Count {
        /// Trains of two or more messages that were given to the socket.
        TxTrains = "tx_trains",
        /// The messages in them.
        TxTrainMessages = "tx_train_messages",
        /// GSO packets that were cut by the stack, because no train could be made of them.
        TxSoftwareSegmented = "tx_software_segmented",
        /// Messages that were sealed again, because too many others had overtaken them.
        TxResealed = "tx_resealed",
        /// Messages of a GSO packet that left alone, because there was no memory for a train.
        TxTrainNoMemory = "tx_train_no_memory",
        /// Trains of two or more messages that came in.
        RxTrains = "rx_trains",
        /// The messages in them.
        RxTrainMessages = "rx_train_messages",
        /// Trains that were cut, because their messages were for several sessions or of several kinds.
        RxTrainsCut = "rx_trains_cut",
        /// Messages without a packet inside.
        TxKeepalives = "tx_keepalives",
        /// See `TxKeepalives`.
        RxKeepalives = "rx_keepalives",
        /// Handshake messages that were sent.
        TxInitiations = "tx_handshake_initiations",
        /// See `TxInitiations`.
        TxResponses = "tx_handshake_responses",
        /// Cookie replies, under load, to senders that have shown no cookie.
        TxCookies = "tx_handshake_cookies",
        /// Handshake messages that were accepted.
        RxInitiations = "rx_handshake_initiations",
        /// See `RxInitiations`.
        RxResponses = "rx_handshake_responses",
        /// Cookie replies from peers under load.
        RxCookies = "rx_handshake_cookies",
        /// Sessions that are known to be established on both sides.
        Completed = "handshakes_completed",
        /// Initiations that were repeated because nobody answered.
        Retried = "handshakes_retried",
        /// Handshakes that were given up.
        GaveUp = "handshakes_gave_up",
        /// Series of initiations that are older than one that the peer has answered, because our clock went back.
        ClockWentBack = "handshakes_clock_went_back",
        /// Sessions that ended without another one to follow.
        Expired = "sessions_expired",
        /// Peers that were heard from at another address than before.
        Roamed = "endpoints_changed",
    }

    /// Why a packet is dropped.
    enum Dropped {
        /// From the stack: neither IPv4 nor IPv6.
        NotIp = "tx_drop_not_ip", UNHANDLED_PROTO;
        /// No peer has the destination among its allowed IPs.
        NoPeer = "tx_drop_no_peer", NO_ROUTE;
        /// The peer has no endpoint.
        NoEndpoint = "tx_drop_no_endpoint", NO_TX_TARGET;
        /// The packet is too long for the path to the peer and may not be fragmented; its source was told.
        PathMtu = "tx_drop_path_mtu", PKT_TOO_BIG;
        /// Too many packets are waiting for the handshake; the oldest goes.
        StagedFull = "tx_drop_no_session_full", NEIGH_QUEUE_FULL;
        /// The packet waited for a handshake that was given up.
        GaveUp = "tx_drop_handshake_gave_up", NEIGH_FAILED;
        /// The packet waited for a handshake when the interface went down or the peer was removed.
        Closed = "tx_drop_closed", QUEUE_PURGE;
        /// Too much is waiting to be sealed.
        TxQueueFull = "tx_drop_queue_full", CPU_BACKLOG;
        /// There was no memory.
        TxNoMemory = "tx_drop_no_memory", NO_MEMORY;
        /// The packet could not be cut into packets of the path's size, or has no good checksum.
        TxSegment = "tx_drop_segment", GSO;
        /// The session has sent all the messages that it may, or was closed meanwhile.
        TxSpent = "tx_drop_session_spent", NOT_SPECIFIED;
        /// There is no route to the endpoint, or no socket.
        NoRoute = "tx_drop_no_route", NO_ROUTE;
        /// The host dropped the message on its way out: netfilter, or a queue that was full.
        Outside = "tx_drop_outside", NOT_SPECIFIED;

        /// A datagram that is no WireGuard message.
        NotWireGuard = "rx_drop_not_wireguard", INVALID_PROTO;
        /// No session has the message's receiver index.
        NoSession = "rx_drop_no_session", NOT_SPECIFIED;
        /// The session is too old, or has received all the messages that it may.
        SessionEnded = "rx_drop_session_expired", NOT_SPECIFIED;
        /// Too much is waiting to be opened.
        RxQueueFull = "rx_drop_queue_full", CPU_BACKLOG;
        /// There was no memory.
        RxNoMemory = "rx_drop_no_memory", NO_MEMORY;
        /// The message was not sealed with the session's key.
        NotAuthentic = "rx_drop_bad_mac", NOT_SPECIFIED;
        /// The message came twice, or too late to tell.
        Replay = "rx_drop_replay", NOT_SPECIFIED;
        /// The packet inside is neither IPv4 nor IPv6.
        InnerType = "rx_drop_not_ip", UNHANDLED_PROTO;
        /// The packet inside is shorter than its header says.
        InnerSize = "rx_drop_bad_length", PKT_TOO_SMALL;
        /// The packet inside has a source that is not among the peer's allowed IPs.
        SourceNotAllowed = "rx_drop_source_not_allowed", IP_INVALID_SOURCE;
        /// The device went away meanwhile.
        NoDevice = "rx_drop_no_device", DEV_READY;

        /// Too many handshake messages are waiting.
        HandshakeQueueFull = "rx_refused_queue_full", FULL_RING;
        /// A handshake message has waited for so long that an answer would be too late.
        HandshakeTooLate = "rx_refused_too_late", CPU_BACKLOG;
        /// There are no random numbers yet, or the interface goes down.
        HandshakeNotReady = "rx_refused_not_ready", DEV_READY;
        /// The interface has no private key.
        NoPrivateKey = "rx_refused_no_private_key", DEV_READY;
        /// The first mac is wrong: the sender does not know our public key.
        BadMac = "rx_refused_bad_mac1", NOT_SPECIFIED;
        /// Under load, a sender without a cookie; it was sent one.
        NoCookie = "rx_refused_no_cookie", NOT_SPECIFIED;
        /// Under load, a source that has had its share.
        RateLimited = "rx_refused_rate_limited", NOT_SPECIFIED;
        /// A public key that is not configured.
        UnknownPeer = "rx_refused_unknown_peer", NOT_SPECIFIED;
        /// An initiation that was not made with the key that it names.
        ForgedInitiation = "rx_refused_forged", NOT_SPECIFIED;
        /// An initiation that is not newer than an earlier one: replayed, or the peer's clock went back.
        OldInitiation = "rx_refused_old_timestamp", NOT_SPECIFIED;
        /// An initiation right after another one.
        TooSoon = "rx_refused_too_soon", NOT_SPECIFIED;
        /// A response to no initiation that we have outstanding.
        StaleResponse = "rx_refused_stale_response", NOT_SPECIFIED;
        /// A response that does not fit: forged, or the preshared keys differ.
        BadResponse = "rx_refused_bad_response", NOT_SPECIFIED;
        /// A cookie that does not fit the message that we sent last.
        BadCookie = "rx_refused_bad_cookie", NOT_SPECIFIED;
        /// There was no memory, or the keys changed meanwhile.
        HandshakeFailed = "rx_refused_failed", NO_MEMORY;
    }
}

impl Dropped {
    /// Whether this is about a handshake message that came in.
    pub(crate) fn is_handshake(self) -> bool {
        self as usize >= Self::HandshakeQueueFull as usize
    }

    /// The name of the counter.
    pub(crate) fn name(self) -> &'static str {
        let index = COUNTS.wrapping_add(self as usize);
        NAMES.get(index).copied().unwrap_or("")
    }
}

/// The counters of one device. They have cache lines of their own.
#[repr(align(64))]
pub(crate) struct Counters([Atomic<u64>; NAMES.len()]);

impl Counters {
    /// Nothing has happened yet.
    pub(crate) const fn new() -> Self {
        Self([const { Atomic::new(0) }; NAMES.len()])
    }

    fn add(&self, index: usize, n: usize) {
        if let Some(counter) = self.0.get(index) {
            counter.add(n as u64, Relaxed);
        }
    }

    /// Counts something that happened `n` times.
    pub(crate) fn count(&self, what: Count, n: usize) {
        self.add(what as usize, n);
    }

    /// Counts packets that are dropped.
    pub(crate) fn dropped(&self, why: Dropped, packets: usize) {
        self.add(COUNTS.wrapping_add(why as usize), packets);
    }

    /// All values, in the order of [`NAMES`].
    pub(crate) fn read(&self, to: &mut [u64]) {
        for (to, counter) in to.iter_mut().zip(&self.0) {
            *to = counter.load(Relaxed);
        }
    }
}
