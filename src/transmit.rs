// SPDX-License-Identifier: GPL-2.0

//! From the network stack to the peer.
//!
//! A packet goes in at [`xmit`]; cryptokey routing finds the peer. If the peer has a keypair, the
//! packet, which may be a GSO packet of up to 64 KiB, becomes one [`Outgoing`] job: a worker cuts it
//! into packets of the path's size, takes as many counters, and seals them; when it is the job's turn
//! the messages go to the socket. If there is no keypair, the packet is staged and a handshake begins.

#![forbid(unsafe_code)]

use kernel::prelude::*;
use kernel::sync::atomic::Relaxed;

use crate::debug;
use crate::device::Device;
use crate::keypair::{
    now,
    Keypair, //
};
#[cfg(kernel_7_2)]
use crate::net::errno::*;
use crate::net::icmp;
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
    Skb,
    SkbList, //
};
use crate::peer::Peer;
use crate::protocol::messages::{
    padded_len,
    DATA_HEADER_LEN,
    DATA_OVERHEAD,
    TAG_LEN, //
};
use crate::protocol::timers::Event;

/// Packets that wait for a keypair, at most this many per peer; the oldest go first.
const MAX_STAGED: usize = 128;

/// Room before a message: the outer IPv6 and UDP headers, the link layer's, and our own.
pub(crate) const HEADROOM: usize = crate::net::skb::TUNNEL_HEADROOM + DATA_HEADER_LEN;

/// The packets of a peer that wait for a keypair.
pub(crate) struct Staged {
    packets: SkbList,
    closed: bool,
}

impl Staged {
    /// No packets.
    pub(crate) fn new() -> Self {
        Self {
            packets: SkbList::new(),
            closed: false,
        }
    }

    /// Adds a packet at the end and returns how many old ones had to go for it.
    fn push(&mut self, skb: Skb) -> usize {
        if self.closed {
            return 1;
        }
        let mut dropped = 0usize;
        while self.packets.len() >= MAX_STAGED && self.packets.pop_front().is_some() {
            dropped = dropped.saturating_add(1);
        }
        self.packets.push_back(skb);
        dropped
    }

    /// Takes all packets.
    pub(crate) fn take(&mut self) -> SkbList {
        core::mem::replace(&mut self.packets, SkbList::new())
    }

    /// Lets no packet in any more.
    pub(crate) fn close(&mut self) {
        self.closed = true;
    }
}

/// A packet for one peer on its way through the workers.
pub(crate) struct Outgoing {
    peer: Shared<Peer>,
    keypair: Shared<Keypair>,
    state: State,
}

enum State {
    /// As the stack handed it over, with the path's MTU.
    Plain(Skb),
    /// Sealed messages in order.
    Sealed(SkbList),
    /// Nothing left to send.
    Spent,
}

/// Sends a packet that the stack handed to the device. Bottom halves off.
///
/// # Errors
///
/// The packet is gone in any case, and counted. The errno goes to the local sender:
/// `EPROTONOSUPPORT` for what is not IP, `ENOKEY` when no peer has the destination among its allowed
/// IPs, `EDESTADDRREQ` when the peer has no endpoint. For the latter two the source also gets an ICMP
/// message.
pub(crate) fn xmit(device: &Shared<Device>, dev: &NetDevice, mut skb: Skb) -> Result {
    let guard = rcu::read_lock();
    let peer = match skb.inner_protocol() {
        Some(IpVersion::V4) => skb
            .ipv4_destination()
            .and_then(|to| device.allowed_ips.lookup_v4(&guard, to)),
        Some(IpVersion::V6) => skb
            .ipv6_destination()
            .and_then(|to| device.allowed_ips.lookup_v6(&guard, &to)),
        None => {
            debug::not_ip(device);
            dev.count(Stat::TxErrors, 1);
            return Err(EPROTONOSUPPORT);
        }
    };
    let result = match peer.and_then(|peer| peer.upgrade()) {
        None => {
            debug::no_peer(device, &skb);
            Err(ENOKEY)
        }
        Some(peer) if !peer.has_endpoint() => {
            debug::no_endpoint(device, &peer);
            Err(EDESTADDRREQ)
        }
        Some(peer) => Ok(peer),
    };
    match result {
        Ok(peer) => {
            // The padding may not make a message longer than the path takes.
            let mtu = skb.dst_mtu().unwrap_or(dev.mtu());
            skb.set_tag(mtu);
            skb.drop_dst();
            send(&peer, skb);
            Ok(())
        }
        Err(e) => {
            icmp::host_unreachable(&mut skb);
            dev.count(Stat::TxErrors, 1);
            Err(e)
        }
    }
}

/// Sends one packet to `peer`, or stages it until there is a keypair. Any context.
fn send(peer: &Shared<Peer>, skb: Skb) {
    let dropped = peer.staged.lock().push(skb);
    peer.device.count_tx_dropped(dropped);
    send_staged(peer);
}

/// Sends what is staged if there is a keypair for it; asks for a handshake otherwise. Any context.
pub(crate) fn send_staged(peer: &Shared<Peer>) {
    let mut staged = peer.staged.lock();
    if staged.packets.is_empty() {
        return;
    }
    let keypair = peer
        .keypairs
        .current()
        .get()
        .filter(|keypair| keypair.may_send(now()));
    let Some(keypair) = keypair else {
        // Their sockets need not wait for a handshake that may never complete.
        staged.packets.orphan();
        drop(staged);
        Peer::initiate(peer);
        return;
    };
    // Submitted under the lock, so that two senders cannot swap what they took.
    let mut refused = 0usize;
    while let Some(skb) = staged.packets.pop_front() {
        let job = Outgoing {
            peer: peer.clone(),
            keypair: keypair.clone(),
            state: State::Plain(skb),
        };
        if peer.device.workers.seal.submit(job).is_err() {
            refused = refused.saturating_add(1);
        }
    }
    drop(staged);
    peer.device.count_tx_dropped(refused);
}

/// Sends an empty message, or what is staged if there is something. Any context.
pub(crate) fn send_keepalive(peer: &Shared<Peer>) {
    if peer.staged.lock().packets.is_empty() {
        let Ok(skb) = LinearSkb::alloc(HEADROOM, TAG_LEN) else {
            return;
        };
        peer.staged.lock().push(skb.into());
        debug::sending_keepalive(&peer.device, peer);
    }
    send_staged(peer);
}

/// The outer DS field for an inner one: no DSCP leaks, ECN follows RFC 6040 (normal mode).
fn outer_ds(inner: u8) -> u8 {
    const ECN_MASK: u8 = 3;
    const ECT_0: u8 = 2;
    match inner & ECN_MASK {
        // A mark of the inner path is not the outer path's affair, but that the flow is capable is.
        ECN_MASK => ECT_0,
        ecn => ecn,
    }
}

impl Outgoing {
    /// Cuts, counts and seals.
    fn seal(&self, skb: Skb) -> Result<SkbList> {
        let mtu = skb.tag();
        let mut messages = SkbList::new();
        let packets = skb.segment()?;
        let mut counter = self
            .keypair
            .reserve(packets.len() as u64)
            .ok_or(EKEYEXPIRED)?;
        for packet in packets {
            messages.push_back(self.seal_one(packet, mtu, counter)?);
            counter = counter.wrapping_add(1);
        }
        Ok(messages)
    }

    /// Turns one packet into one message.
    fn seal_one(&self, mut packet: Skb, mtu: u32, counter: u64) -> Result<Skb> {
        // The inner flow hash stays with the message, so that the outer path sees flows.
        packet.ensure_hash();
        packet.finish_checksum()?;
        let ds = packet.inner_ds().map_or(0, outer_ds);
        let len = packet.len();
        let padding = padded_len(len, mtu as usize).saturating_sub(len);
        let tail = padding.saturating_add(TAG_LEN);
        let mut packet = packet.into_linear(HEADROOM, tail)?;
        packet.put_zeros(tail)?;
        packet.push(&self.keypair.session.header(counter))?;
        let (_, body) = packet
            .data_mut()
            .split_at_mut_checked(DATA_HEADER_LEN)
            .ok_or(EINVAL)?;
        if !self.keypair.session.seal_in_place(counter, body) {
            return Err(EINVAL);
        }
        packet.prepare_outer();
        let mut message = Skb::from(packet);
        message.set_tag(u32::from(ds));
        Ok(message)
    }

    /// Hands sealed messages to the socket.
    fn send(&self, messages: SkbList) {
        let peer = &self.peer;
        let Some(mut endpoint) = peer.endpoint() else {
            return;
        };
        Peer::events(peer, &[Event::Traversal, Event::AuthenticatedSent]);

        let guard = rcu::read_lock();
        let mark = peer.device.mark();
        let before = endpoint;
        let mut data_sent = false;
        for message in messages {
            let len = message.len();
            let ds = message.tag() as u8;
            let sent =
                peer.device
                    .sockets
                    .send(message, &mut endpoint, Some(&peer.route), mark, ds);
            if let Err(e) = sent {
                debug::no_route(&peer.device, &before, e);
            } else {
                peer.tx_bytes.add(len as u64, Relaxed);
                if let Some(dev) = peer.device.dev.get(&guard) {
                    dev.tx_stats(1, len);
                }
                data_sent |= len != DATA_OVERHEAD;
            }
        }
        drop(guard);
        if endpoint != before {
            peer.source_failed(&endpoint);
        }
        if data_sent {
            Peer::events(peer, &[Event::DataSent]);
        }
        keep_key_fresh(peer);
    }
}

/// Asks for a new keypair when the current one has served long enough (§6.2).
fn keep_key_fresh(peer: &Shared<Peer>) {
    let due = {
        let guard = rcu::read_lock();
        peer.keypairs
            .current()
            .load(&guard)
            .is_some_and(|keypair| keypair.rekey_due_after_sending(now()))
    };
    if due {
        Peer::initiate(peer);
    }
}

impl Job for Outgoing {
    type Scope = ();

    fn with_scope<R>(f: impl FnOnce(&mut ()) -> R) -> R {
        f(&mut ())
    }

    fn lane(&self) -> &Lane<Self> {
        &self.peer.outgoing
    }

    fn cost(&self) -> usize {
        match &self.state {
            State::Plain(skb) => skb.truesize(),
            State::Sealed(_) | State::Spent => 0,
        }
    }

    fn process(&mut self) {
        if let State::Plain(skb) = core::mem::replace(&mut self.state, State::Spent) {
            match self.seal(skb) {
                Ok(messages) => self.state = State::Sealed(messages),
                Err(_) => self.peer.device.count_tx_dropped(1),
            }
        }
    }

    fn complete(&mut self, _scope: &mut ()) {
        if let State::Sealed(messages) = core::mem::replace(&mut self.state, State::Spent) {
            self.send(messages);
        }
    }
}
