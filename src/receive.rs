// SPDX-License-Identifier: GPL-2.0

//! From the peer to the network stack.
//!
//! A datagram comes in at the socket. Handshake messages go to the handshake workers. The receiver
//! index of transport data leads to a keypair and its peer; the message becomes an [`Incoming`] job:
//! a worker opens it; when it is the job's turn its counter is checked against the replay window, the
//! endpoint is noted, and the packet inside goes up the stack if cryptokey routing allows its source.

#![forbid(unsafe_code)]

use kernel::prelude::*;

use crate::debug;
use crate::device::Device;
use crate::keypair::{
    now,
    Keypair, //
};
use crate::net::bh;
use crate::net::endpoint::Endpoint;
use crate::net::gro::{
    self,
    Gro, //
};
use crate::net::libcrypto;
use crate::net::netdev::{
    NetDevice,
    Stat, //
};
use crate::net::pipeline::{
    Job,
    Lane, //
};
use crate::net::rcu::{
    self,
    Shared, //
};
use crate::net::skb::{
    IpVersion,
    LinearSkb,
    Skb, //
};
use crate::net::udp::Receiver;
use crate::peer::Peer;
use crate::protocol::messages::{
    DataHeader,
    Kind,
    DATA_HEADER_LEN,
    DATA_OVERHEAD,
    TAG_LEN, //
};
use crate::protocol::timers::Event;

/// A message of transport data on its way through the workers.
pub(crate) struct Incoming {
    peer: Shared<Peer>,
    keypair: Shared<Keypair>,
    endpoint: Endpoint,
    outer_ds: u8,
    state: State,
}

enum State {
    /// As it came: header, ciphertext and tag.
    Sealed(Skb),
    /// The plaintext, and the counter it was sealed with.
    Open(LinearSkb, u64),
    /// Nothing left.
    Spent,
}

impl Receiver for Device {
    /// Takes one datagram. Softirq.
    fn receive(this: &Shared<Self>, skb: Skb) {
        let mut head = [0; DATA_HEADER_LEN];
        // No message is shorter than this head.
        if !skb.copy_bytes(0, &mut head) {
            return;
        }
        match Kind::of(&head, skb.len()) {
            Some(Kind::Data) => receive_data(this, skb, &head),
            Some(_) => {
                // Without good random numbers no answer could be computed.
                let from = Endpoint::of_received(&skb);
                if !libcrypto::random_ready() || !this.handshakes.push(this, skb) {
                    if let Some(from) = &from {
                        debug::dropping_handshake(this, from);
                    }
                    let guard = rcu::read_lock();
                    if let Some(dev) = this.dev.get(&guard) {
                        dev.count(Stat::RxDropped, 1);
                    }
                }
            }
            None => {}
        }
    }
}

/// Finds the keypair of a data message and queues the message for it.
fn receive_data(device: &Shared<Device>, skb: Skb, head: &[u8; DATA_HEADER_LEN]) {
    let header = DataHeader::read(head);
    let guard = rcu::read_lock();
    let Some(entry) = device.indices.get(&guard, header.receiver) else {
        return;
    };
    let Some(keypair) = entry.keypair.load(&guard).and_then(|k| k.upgrade()) else {
        return;
    };
    let Some(endpoint) = Endpoint::of_received(&skb) else {
        return;
    };
    let job = Incoming {
        peer: entry.peer.clone(),
        keypair,
        endpoint,
        outer_ds: skb.outer_ds(),
        state: State::Sealed(skb),
    };
    if device.workers.open.submit(job).is_err() {
        if let Some(dev) = device.dev.get(&guard) {
            dev.count(Stat::RxDropped, 1);
        }
    }
}

/// Why a packet that was opened does not go up the stack.
enum Dishonest {
    /// Neither IPv4 nor IPv6.
    Type,
    /// Shorter than its own header says.
    Size,
    /// A source that is not among the peer's allowed IPs.
    Source,
}

impl Incoming {
    fn open(&self, skb: Skb) -> Option<(LinearSkb, u64)> {
        if !self.keypair.may_receive(now()) {
            return None;
        }
        let mut skb = skb.into_linear(0, 0).ok()?;
        let header = DataHeader::read(skb.data().first_chunk()?);
        skb.pull(DATA_HEADER_LEN)?;
        if !self
            .keypair
            .session
            .open_in_place(header.counter, skb.data_mut())
        {
            return None;
        }
        let len = skb.data().len().checked_sub(TAG_LEN)?;
        skb.trim(len);
        Some((skb, header.counter))
    }

    /// What an authentic message sets in motion, and the packet inside, if any.
    fn deliver(&self, mut skb: LinearSkb, gro: &mut Gro) {
        let peer = &self.peer;
        let device = &peer.device;
        peer.set_endpoint(self.endpoint);
        if peer.keypairs.confirm(&device.indices, &self.keypair) {
            Peer::events(peer, &[Event::HandshakeComplete]);
            peer.handshake_completed();
            crate::transmit::send_staged(peer);
        }
        keep_key_fresh(peer);

        let guard = rcu::read_lock();
        let Some(dev) = device.dev.get(&guard) else {
            return;
        };
        let len = skb.data().len();
        let message_len = len.saturating_add(DATA_OVERHEAD);
        if len == 0 {
            debug::receiving_keepalive(device, peer);
            Peer::events(peer, &[Event::AuthenticatedReceived, Event::Traversal]);
            peer.count_rx(message_len);
            dev.rx_stats(message_len);
            return;
        }
        Peer::events(
            peer,
            &[
                Event::AuthenticatedReceived,
                Event::Traversal,
                Event::DataReceived,
            ],
        );
        match self.admit(&mut skb, dev, &guard) {
            Ok(()) => {
                peer.count_rx(message_len);
                dev.rx_stats(message_len);
                gro.receive(skb);
            }
            Err(why) => {
                match why {
                    Dishonest::Type => debug::neither_v4_nor_v6(device, peer),
                    Dishonest::Size => debug::incorrect_size(device, peer),
                    Dishonest::Source => debug::unallowed_source(device, &skb, peer),
                }
                dev.count(Stat::RxErrors, 1);
                dev.count(
                    match why {
                        Dishonest::Size => Stat::RxLengthErrors,
                        Dishonest::Type | Dishonest::Source => Stat::RxFrameErrors,
                    },
                    1,
                );
            }
        }
    }

    /// Checks the packet's shape and source, takes the padding off, and makes it one of `dev`'s.
    fn admit(
        &self,
        skb: &mut LinearSkb,
        dev: &NetDevice,
        guard: &rcu::Guard,
    ) -> Result<(), Dishonest> {
        let (version, len) = ip_version_and_length(skb.data()).ok_or(Dishonest::Type)?;
        let shortest = match version {
            IpVersion::V4 => 20,
            IpVersion::V6 => 40,
        };
        if len < shortest || len > skb.data().len() {
            return Err(Dishonest::Size);
        }
        skb.prepare_inner(dev, version);
        skb.ecn_decapsulate(self.outer_ds);
        skb.trim(len);

        let allowed = &self.peer.device.allowed_ips;
        let owner = match version {
            IpVersion::V4 => skb
                .ipv4_source()
                .and_then(|from| allowed.lookup_v4(guard, from)),
            IpVersion::V6 => skb
                .ipv6_source()
                .and_then(|from| allowed.lookup_v6(guard, &from)),
        };
        match owner {
            Some(owner) if core::ptr::eq(&*owner, &*self.peer) => Ok(()),
            _ => Err(Dishonest::Source),
        }
    }
}

/// Version of the IP packet and the length that its header claims, header included.
fn ip_version_and_length(packet: &[u8]) -> Option<(IpVersion, usize)> {
    match packet.first()? >> 4 {
        4 => {
            let header: &[u8; 20] = packet.first_chunk()?;
            let [_, _, high, low, ..] = *header;
            Some((IpVersion::V4, usize::from(u16::from_be_bytes([high, low]))))
        }
        6 => {
            let header: &[u8; 40] = packet.first_chunk()?;
            let [_, _, _, _, high, low, ..] = *header;
            let payload = usize::from(u16::from_be_bytes([high, low]));
            Some((IpVersion::V6, payload.wrapping_add(40)))
        }
        _ => None,
    }
}

/// Asks for a new keypair in good time before this one may no longer open messages (§6.2).
fn keep_key_fresh(peer: &Shared<Peer>) {
    let due = {
        let guard = rcu::read_lock();
        peer.keypairs
            .current()
            .load(&guard)
            .is_some_and(|keypair| keypair.rekey_due_after_receiving(now()))
    };
    if due {
        Peer::last_minute(peer);
    }
}

impl Job for Incoming {
    type Scope = Gro;

    fn with_scope<R>(f: impl FnOnce(&mut Gro) -> R) -> R {
        gro::with_gro(&bh::disable(), f)
    }

    fn lane(&self) -> &Lane<Self> {
        &self.peer.incoming
    }

    fn cost(&self) -> usize {
        match &self.state {
            State::Sealed(skb) => skb.truesize(),
            State::Open(..) | State::Spent => 0,
        }
    }

    fn process(&mut self) {
        if let State::Sealed(skb) = core::mem::replace(&mut self.state, State::Spent) {
            if let Some((skb, counter)) = self.open(skb) {
                self.state = State::Open(skb, counter);
            }
        }
    }

    fn complete(&mut self, gro: &mut Gro) {
        if let State::Open(skb, counter) = core::mem::replace(&mut self.state, State::Spent) {
            if self.keypair.accept_counter(counter) {
                self.deliver(skb, gro);
            } else {
                debug::invalid_nonce(&self.peer.device, counter, &self.keypair);
            }
        }
    }
}
