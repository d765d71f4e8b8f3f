// SPDX-License-Identifier: GPL-2.0

//! From the network stack to the peer.
//!
//! A packet goes in at [`xmit`]; cryptokey routing finds the peer. If the peer has a keypair, the
//! packet, which may be a GSO packet of up to 64 KiB, becomes one [`Outgoing`] job: it is cut into packets
//! of the path's size, takes as many counters, and each packet is sealed into its place in a train of
//! messages; when it is the job's turn, the train goes to the socket, and as one packet through routing,
//! netfilter and queues. All this happens where the packet comes in, or on other CPUs when this one has too much of it.
//! If there is no keypair, the packet is staged and a handshake begins.

#![forbid(unsafe_code)]

use core::cell::Cell;

use kernel::prelude::*;
use kernel::sync::atomic::Relaxed;

mod path;
mod seal;
mod waiting;

pub(crate) use waiting::{
    FlowLanes,
    OneWay,
    Staged, //
};

use seal::Plan;

use crate::counters::{
    Count,
    Dropped, //
};
use crate::debug;
use crate::device::Device;
use crate::keypair::{
    now,
    Keypair, //
};
use crate::net::bh::BhGuard;
#[cfg(kernel_7_2)]
use crate::net::errno::*;
use crate::net::icmp;
use crate::net::netdev::{
    self,
    NetDevice,
    Stat, //
};
use crate::net::pipeline::{
    Account,
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
    SkbList,
    TUNNEL_HEADROOM, //
};
use crate::net::train;
use crate::net::udp::{
    is_no_memory,
    Outer, //
};
use crate::options::Switch;
use crate::peer::Peer;
use crate::protocol::messages::{
    DATA_HEADER_LEN,
    DATA_OVERHEAD,
    TAG_LEN, //
};
use crate::protocol::session::LEAD;
use crate::protocol::time::Instant;
use crate::protocol::timers::Event;

// The lead of a packet is what precedes it in the message, together with what precedes the message.
const _: () = assert!(train::LEAD + DATA_HEADER_LEN == LEAD);

/// Single packets that are collected into one job.
const MAX_COLLECTED: usize = 128;

/// How far a job's first counter may lag behind the highest one that has been sent before it. A receiver takes
/// messages that are late by 1,024 or more for replays (boringtun; 8,128 or more in Linux), and the network may
/// put them out of order as well. Some for microcontrollers take no more than 32, which is not provided for.
const MAX_LAG: u64 = 768;

/// How many devices and tunnels a packet may have passed on its way here ([`netdev::nesting`]) to be sealed on the spot.
/// What a worker sends begins at zero again. The kernel drops what goes through more than five: our own encapsulation
/// is one, and there is room for another tunnel below. Three are this device under a VXLAN or the like.
const MAX_NESTING: usize = 3;

/// Room before a message: the outer IPv6 and UDP headers, the link layer's, and our own.
pub(crate) const HEADROOM: usize = TUNNEL_HEADROOM + DATA_HEADER_LEN;

/// Packets for one peer on their way to the socket: a GSO packet, or single ones of one flow.
pub(crate) struct Outgoing {
    keypair: Shared<Keypair>,
    flow: u32,
    /// The first counter that was taken for the messages, and the one after the last. Others may have taken what is in
    /// between.
    first: Cell<u64>,
    end: Cell<u64>,
    state: State,
}

enum State {
    /// As the stack handed them over, each with its plan as its tag.
    Plain(SkbList),
    /// Sealed messages and trains of them, in order.
    Sealed(SkbList),
    /// Nothing left to send.
    Spent,
}

/// Sends a packet that the stack handed to the device. Bottom halves off.
///
/// # Errors
///
/// The packet is gone in any case, and counted. The errno goes to the local sender:
/// `ENOMEM`, `EPROTONOSUPPORT` for what is not IP, `ENOKEY` when no peer has the destination among its allowed
/// IPs, `EDESTADDRREQ` when the peer has no endpoint. For the latter two the source also gets an ICMP
/// message.
pub(crate) fn xmit(device: &Shared<Device>, dev: &NetDevice, skb: Skb) -> Result {
    // Its control block is ours from here on.
    let packets = skb.packets();
    let mut skb = skb
        .unshare()
        .inspect_err(|_| device.count_tx_dropped(Dropped::TxNoMemory, packets))?;
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
            device.drop_packet(skb, Dropped::NotIp);
            return Err(EPROTONOSUPPORT);
        }
    };
    let result = match peer.and_then(|peer| peer.upgrade()) {
        None => {
            debug::no_peer(device, &skb);
            Err((ENOKEY, Dropped::NoPeer))
        }
        Some(peer) if !peer.has_endpoint() => {
            debug::no_endpoint(device, &peer);
            Err((EDESTADDRREQ, Dropped::NoEndpoint))
        }
        Some(peer) => Ok(peer),
    };
    match result {
        Ok(peer) => {
            // The padding may not make a message longer than the path takes.
            let chosen = device.chosen();
            let mut mtu = skb.dst_mtu().unwrap_or_else(|| dev.mtu());
            if chosen.has(Switch::PathMtu) {
                match path::takes(&peer, &mut skb, mtu) {
                    Some(takes) => mtu = takes,
                    // No error, as with other tunnels: whoever sent the packet learns of it by ICMP.
                    None => {
                        dev.count(Stat::TxErrors, 1);
                        device.drop_packet(skb, Dropped::PathMtu);
                        return Ok(());
                    }
                }
            }
            skb.set_tag(Plan::new(&skb, mtu, chosen).into());
            skb.drop_dst();
            send(&peer, skb);
            Ok(())
        }
        Err((e, why)) => {
            icmp::host_unreachable(&mut skb);
            dev.count(Stat::TxErrors, 1);
            device.drop_packet(skb, why);
            Err(e)
        }
    }
}

/// Sends one packet to `peer`, or stages it until there is a keypair. Bottom halves off.
fn send(peer: &Shared<Peer>, skb: Skb) {
    let now = now();
    let keypair = {
        // Whoever sends what is staged holds the lock until all of it has its place in the order.
        let staged = peer.staged.lock();
        if staged.is_empty() {
            usable_keypair(peer, now)
        } else {
            None
        }
    };
    if let Some(keypair) = keypair {
        peer.singles.interrupt();
        let collect = skb.stride() == 0 && peer.one_way.sent(now);
        let job = Outgoing::new(keypair, skb);
        let workers = &peer.device.workers;
        let started = if collect {
            workers.collect.collect(peer.clone(), job).map(|()| None)
        } else if netdev::nesting() > MAX_NESTING {
            workers.seal.submit(peer.clone(), job).map(|()| None)
        } else {
            workers.seal.start(peer.clone(), job)
        };
        match started {
            Ok(Some(ready)) => ready.run(),
            Ok(None) => {}
            Err(job) => job.refused(&peer.device),
        }
        return;
    }
    let (why, dropped) = stage(peer, skb);
    peer.device.count_tx_dropped(why, dropped);
    send_staged(peer);
}

/// Lets a packet wait for a keypair. Returns how many packets were dropped for that, and why.
fn stage(peer: &Peer, skb: Skb) -> (Dropped, usize) {
    let mut staged = peer.staged.lock();
    // Asked with the lock held: whoever takes the device down takes it later, to drop what waits.
    staged.push(skb, peer.device.is_up())
}

/// The keypair to send with, if it may still be used.
fn usable_keypair(peer: &Peer, now: Instant) -> Option<Shared<Keypair>> {
    peer.keypairs
        .current()
        .get()
        .filter(|keypair| keypair.may_send(now))
}

/// Sends what is staged if there is a keypair for it; asks for a handshake otherwise. Any context.
pub(crate) fn send_staged(peer: &Shared<Peer>) {
    let mut staged = peer.staged.lock();
    if staged.is_empty() {
        return;
    }
    let Some(keypair) = usable_keypair(peer, now()) else {
        // Their sockets need not wait for a handshake that may never complete.
        staged.orphan();
        drop(staged);
        Peer::initiate(peer);
        return;
    };
    // Submitted under the lock, so that two senders cannot reorder what they took.
    while let Some(skb) = staged.pop() {
        let job = Outgoing::new(keypair.clone(), skb);
        if let Err(job) = peer.device.workers.seal.collect(peer.clone(), job) {
            job.refused(&peer.device);
        }
    }
}

/// Begins to send persistent keepalives, if the peer is to have them, with one at once. Any context.
pub(crate) fn begin_keepalives(peer: &Shared<Peer>) {
    if peer.persistent_keepalive() != 0 {
        Peer::events(peer, &[Event::KeepalivesBegin]);
        send_keepalive(peer);
    }
}

/// Sends an empty message, or what is staged if there is something. Any context.
pub(crate) fn send_keepalive(peer: &Shared<Peer>) {
    if peer.staged.lock().is_empty() {
        let Ok(skb) = LinearSkb::alloc(HEADROOM, TAG_LEN) else {
            return;
        };
        let mut skb = Skb::from(skb);
        skb.set_tag(0);
        if let (_, 0) = stage(peer, skb) {
            debug::sending_keepalive(&peer.device, peer);
        }
    }
    send_staged(peer);
}

/// The outer DS field for an inner one: ECN by RFC 6040 (normal mode), and no DSCP, which [`Plan::new`] adds if that is
/// asked for.
fn outer_ds(inner: u8) -> u8 {
    const ECN_MASK: u8 = 3;
    const ECT_0: u8 = 2;
    match inner & ECN_MASK {
        // A mark of the inner path does not concern the outer path, but that the flow is ECN-capable does.
        ECN_MASK => ECT_0,
        ecn => ecn,
    }
}

impl Outgoing {
    fn new(keypair: Shared<Keypair>, mut skb: Skb) -> Self {
        Self {
            // The inner flow hash stays with the message, so that the outer path sees flows.
            flow: skb.flow(),
            first: Cell::new(u64::MAX),
            end: Cell::new(0),
            keypair,
            state: State::Plain(SkbList::of(skb)),
        }
    }

    /// Drops the packets, for which there was no room.
    fn refused(self, device: &Device) {
        if let State::Plain(packets) = self.state {
            let why = Dropped::TxQueueFull;
            let count = packets.packets();
            packets.drop_for(why.reason());
            device.count_tx_dropped(why, count);
        }
    }

    /// Hands sealed messages to the socket.
    fn send(&self, peer: &Shared<Peer>, messages: SkbList, bh: &BhGuard) {
        let Some(mut endpoint) = peer.endpoint() else {
            let why = Dropped::NoEndpoint;
            peer.device.dropped(why, messages.messages());
            messages.drop_for(why.reason());
            return;
        };
        Peer::events(peer, &[Event::Traversal, Event::AuthenticatedSent]);

        let guard = rcu::read_lock();
        let device = &peer.device;
        let path_mtu = device.chosen().has(Switch::PathMtu);
        let mut outer = Outer {
            mark: device.mark(),
            ds: 0,
            path_mtu: path_mtu.then_some(&peer.path_mtu),
            dev: device.dev.get(&guard),
        };
        let before = endpoint;
        let mut data_sent = false;
        let (mut trains, mut in_trains, mut keepalives) = (0usize, 0usize, 0usize);
        for message in messages {
            let len = message.len();
            let count = message.messages();
            outer.ds = message.tag() as u8;
            let sent = device
                .sockets
                .send(message, &mut endpoint, Some(&peer.route), outer);
            if let Err(e) = sent {
                debug::no_route(&peer.device, &before, e);
                peer.device.dropped(unsent(e), count);
            } else {
                peer.tx_bytes.add(len as u64, Relaxed);
                // One of them was counted by the core.
                let others = count.wrapping_sub(1);
                match (sent, outer.dev) {
                    (Ok(true), Some(dev)) if others != 0 => dev.tx_stats(others as u32, 0, bh),
                    (Ok(false), Some(dev)) => {
                        device.dropped(Dropped::Outside, count);
                        dev.count(Stat::TxDropped, others);
                    }
                    _ => {}
                }
                if count != 1 {
                    trains = trains.wrapping_add(1);
                    in_trains = in_trains.wrapping_add(count);
                }
                if len != DATA_OVERHEAD {
                    data_sent = true;
                } else {
                    keepalives = keepalives.wrapping_add(1);
                }
            }
        }
        drop(guard);
        if trains != 0 {
            peer.device.count(Count::TxTrains, trains);
            peer.device.count(Count::TxTrainMessages, in_trains);
        }
        if keepalives != 0 {
            peer.device.count(Count::TxKeepalives, keepalives);
        }
        if endpoint != before {
            peer.source_failed(&before, endpoint.source);
        }
        if path_mtu {
            peer.check_path(&before);
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
    type Owner = Peer;

    type Scope = ();

    const ON_ONE_CPU: bool = true;

    fn with_scope<R>(_bh: &BhGuard, f: impl FnOnce(Pin<&mut ()>) -> R) -> R {
        f(Pin::new(&mut ()))
    }

    fn lane<'a>(&self, peer: &'a Peer) -> &'a Lane<Self> {
        peer.outgoing.of(self.flow)
    }

    fn account(peer: &Peer) -> &Account {
        &peer.device.sealing
    }

    fn cost(&self) -> usize {
        match &self.state {
            State::Plain(packets) => packets.truesize(),
            State::Sealed(_) | State::Spent => 0,
        }
    }

    fn absorb(&mut self, other: Self) -> Result<(), Self> {
        let fits = self.flow == other.flow && Shared::ptr_eq(&self.keypair, &other.keypair);
        match (&mut self.state, other) {
            (
                State::Plain(ours),
                Self {
                    state: State::Plain(theirs),
                    ..
                },
                // A GSO packet is cut by itself.
            ) if fits
                && ours.len() < MAX_COLLECTED
                && ours.begins_alone()
                && theirs.begins_alone() =>
            {
                ours.append(theirs);
                Ok(())
            }
            (_, other) => Err(other),
        }
    }

    fn process(&mut self, peer: &Shared<Peer>, bh: &BhGuard) {
        if let State::Plain(packets) = core::mem::replace(&mut self.state, State::Spent) {
            self.state = State::Sealed(self.seal(&peer.device, packets, bh));
        }
    }

    fn complete(&mut self, peer: &Shared<Peer>, _scope: Pin<&mut ()>, bh: &BhGuard) {
        match core::mem::replace(&mut self.state, State::Spent) {
            State::Sealed(mut messages) if !messages.is_empty() => {
                if self.keypair.lag(self.first.get()) > MAX_LAG {
                    messages = self.renew(&peer.device, messages);
                }
                self.keypair.sent_below(self.end.get());
                self.send(peer, messages, bh);
            }
            _ => {}
        }
    }
}

/// Why messages that could not be sent are dropped.
pub(crate) fn unsent(e: Error) -> Dropped {
    if is_no_memory(e) {
        Dropped::TxNoMemory
    } else {
        Dropped::NoRoute
    }
}
