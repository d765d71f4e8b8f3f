// SPDX-License-Identifier: GPL-2.0

//! From the network stack to the peer.
//!
//! A packet goes in at [`xmit`]; cryptokey routing finds the peer. If the peer has a keypair, the
//! packet, which may be a GSO packet of up to 64 KiB, becomes one [`Outgoing`] job: it is cut into packets
//! of the path's size, takes as many counters, and each is sealed into its place in a train of messages;
//! when it is the job's turn the train goes to the socket, through routing, netfilter and queues as one
//! packet. All this happens where the packet comes in, or on other CPUs when this one has too much of it.
//! If there is no keypair, the packet is staged and a handshake begins.

#![forbid(unsafe_code)]

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

use seal::{
    header_of,
    Plan,
    Sealer, //
};

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
use crate::net::bh;
#[cfg(kernel_7_2)]
use crate::net::errno::*;
use crate::net::gso::Segments;
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
    SkbList,
    TUNNEL_HEADROOM, //
};
use crate::net::train::{
    self,
    Train, //
};
use crate::net::udp::Outer;
use crate::options::Switch;
use crate::peer::Peer;
use crate::protocol::messages::{
    padded_len,
    DATA_HEADER_LEN,
    DATA_OVERHEAD,
    TAG_LEN, //
};
use crate::protocol::session::LEAD;
use crate::protocol::time::Instant;
use crate::protocol::timers::Event;

// What is before the packet in a message, and before the message, is the lead of the packet.
const _: () = assert!(train::LEAD + DATA_HEADER_LEN == LEAD);

/// Single packets that are collected into one job.
const MAX_COLLECTED: usize = 128;

/// Room before a message: the outer IPv6 and UDP headers, the link layer's, and our own.
pub(crate) const HEADROOM: usize = TUNNEL_HEADROOM + DATA_HEADER_LEN;

/// Packets for one peer on their way to the socket: a GSO packet, or single ones of one flow.
pub(crate) struct Outgoing {
    peer: Shared<Peer>,
    keypair: Shared<Keypair>,
    flow: u32,
    state: State,
}

enum State {
    /// As the stack handed them over, with the path's MTU.
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
                    // As other tunnels do: whoever sent it learns of it by ICMP.
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

/// Sends one packet to `peer`, or stages it until there is a keypair. Any context.
fn send(peer: &Shared<Peer>, skb: Skb) {
    let now = now();
    let keypair = {
        // Who sends what is staged holds the lock until all of it has its place in the order.
        let staged = peer.staged.lock();
        if staged.packets.is_empty() {
            usable_keypair(peer, now)
        } else {
            None
        }
    };
    if let Some(keypair) = keypair {
        peer.singles.interrupt();
        let collect = skb.stride() == 0 && peer.one_way.sent(now);
        let job = Outgoing::new(peer, keypair, skb);
        let workers = &peer.device.workers;
        let started = if collect {
            workers.collect.collect(job).map(|()| None)
        } else {
            workers.seal.start(job)
        };
        match started {
            Ok(Some(ready)) => ready.run(),
            Ok(None) => {}
            Err(job) => job.refused(),
        }
        return;
    }
    let (why, dropped) = peer.staged.lock().push(skb);
    peer.device.count_tx_dropped(why, dropped);
    send_staged(peer);
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
    if staged.packets.is_empty() {
        return;
    }
    let Some(keypair) = usable_keypair(peer, now()) else {
        // Their sockets need not wait for a handshake that may never complete.
        staged.packets.orphan();
        drop(staged);
        Peer::initiate(peer);
        return;
    };
    // Submitted under the lock, so that two senders cannot swap what they took.
    while let Some(skb) = staged.packets.pop_front() {
        let job = Outgoing::new(peer, keypair.clone(), skb);
        if let Err(job) = peer.device.workers.seal.collect(job) {
            job.refused();
        }
    }
}

/// Sends an empty message, or what is staged if there is something. Any context.
pub(crate) fn send_keepalive(peer: &Shared<Peer>) {
    if peer.staged.lock().packets.is_empty() {
        let Ok(skb) = LinearSkb::alloc(HEADROOM, TAG_LEN) else {
            return;
        };
        let mut skb = Skb::from(skb);
        skb.set_tag(0);
        peer.staged.lock().push(skb);
        debug::sending_keepalive(&peer.device, peer);
    }
    send_staged(peer);
}

/// The outer DS field for an inner one: no DSCP leaks unless that is asked for, ECN follows RFC 6040 (normal mode).
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
    fn new(peer: &Shared<Peer>, keypair: Shared<Keypair>, mut skb: Skb) -> Self {
        Self {
            // The inner flow hash stays with the message, so that the outer path sees flows.
            flow: skb.flow(),
            peer: peer.clone(),
            keypair,
            state: State::Plain(SkbList::of(skb)),
        }
    }

    /// Drops the packets, for which there was no room.
    fn refused(self) {
        if let State::Plain(packets) = self.state {
            let why = Dropped::TxQueueFull;
            let count = packets.messages();
            packets.drop_for(why.reason());
            self.peer.device.count_tx_dropped(why, count);
        }
    }

    /// Cuts, counts and seals. What cannot be sealed is counted.
    fn seal(&self, mut packets: SkbList) -> SkbList {
        let mut sealed = SkbList::new();
        if packets.len() > 1 {
            packets = self.seal_together(packets, &mut sealed);
        }
        for skb in packets {
            let count = skb.messages();
            let plan = Plan::of(&skb);
            let result = match Segments::of(skb) {
                Ok(segments) => self.seal_trains(segments, plan),
                Err(skb) => self.seal_packets(skb, plan),
            };
            match result {
                Ok(messages) => sealed.append(messages),
                Err(e) => self.peer.device.count_tx_dropped(unsealed(e), count),
            }
        }
        sealed
    }

    /// Seals single packets into trains, as far as there are runs of the same length; returns the others.
    fn seal_together(&self, mut packets: SkbList, sealed: &mut SkbList) -> SkbList {
        let buffers = &self.peer.device.workers.buffers;
        let bh = bh::disable();
        while let Some((len, plan)) = packets.front().map(|skb| (skb.len(), Plan::of(&skb))) {
            let len = plan.message_len(len);
            let run = packets
                .iter()
                .take(train::capacity(len))
                .take_while(|skb| plan.message_len(skb.len()) == len && Plan::of(skb) == plan)
                .count();
            // The last of a train may be shorter.
            if run < 2 {
                break;
            }
            let Ok(counter) = self.reserve(run) else {
                break;
            };
            let Ok(mut train) = Train::new(buffers, TUNNEL_HEADROOM, len, run) else {
                break;
            };
            let mut counter = counter;
            let mut model = None;
            let mut room = true;
            for _ in 0..run {
                // Without memory for more the train is shorter.
                room = train.make_room(len, &bh).is_ok();
                let skb = if room { packets.pop_front() } else { None };
                let Some(skb) = skb else {
                    break;
                };
                let added = train.add(len, |to| self.seal_into(skb, counter, to));
                counter = counter.wrapping_add(1);
                match added {
                    Ok(skb) if model.is_none() => model = Some(skb),
                    Ok(skb) => skb.consume(),
                    Err(e) => self.peer.device.count_tx_dropped(unsealed(e), 1),
                }
            }
            if let Some(model) = model {
                let messages = train.count();
                match train.finish(&model) {
                    Ok(mut skb) => {
                        skb.set_tag(u64::from(plan.ds));
                        sealed.push_back(skb);
                    }
                    Err(e) => self.peer.device.count_tx_dropped(unsealed(e), messages),
                }
                model.consume();
            }
            if !room {
                break;
            }
        }
        packets
    }

    /// Seals a single packet into `to`, which has the length of the message and a lead. Gives the packet back.
    fn seal_into(&self, skb: Skb, counter: u64, to: &mut [u8]) -> Result<Skb> {
        let session = &self.keypair.session;
        let end = to.len().checked_sub(TAG_LEN).ok_or(EINVAL)?;
        let body = to.get_mut(LEAD..end).ok_or(EINVAL)?;
        let padding = body.len().checked_sub(skb.len()).ok_or(EINVAL)?;
        let (sealed, skb) = match skb.try_linear(LEAD, padding) {
            Ok(mut packet) => {
                packet.finish_checksum()?;
                if padding != 0 {
                    packet.put_zeros(padding)?;
                }
                let plain = packet.data_behind(LEAD).ok_or(EINVAL)?;
                let sealed = session.seal_behind(counter, to, plain);
                (sealed, packet.into())
            }
            Err(skb) => {
                let (packet, padding) = body.split_at_mut_checked(skb.len()).ok_or(EINVAL)?;
                skb.copy_with_checksum(packet);
                padding.fill(0);
                (session.seal_behind_in_place(counter, to), skb)
            }
        };
        *header_of(to).ok_or(EINVAL)? = session.header(counter);
        sealed.then_some(skb).ok_or(EINVAL)
    }

    /// Seals the packets that `skb` stands for into messages of their own.
    fn seal_packets(&self, skb: Skb, plan: Plan) -> Result<SkbList> {
        let mut messages = SkbList::new();
        if skb.stride() != 0 {
            self.peer.device.count(Count::TxSoftwareSegmented, 1);
        }
        let packets = skb.segment()?;
        let mut counter = self.reserve(packets.len())?;
        for packet in packets {
            messages.push_back(self.seal_one(packet, plan, counter)?);
            counter = counter.wrapping_add(1);
        }
        Ok(messages)
    }

    fn reserve(&self, count: usize) -> Result<u64> {
        self.keypair.reserve(count as u64).ok_or(EKEYEXPIRED)
    }

    /// Seals the packets that a GSO packet stands for into trains of messages.
    fn seal_trains(&self, mut segments: Segments, plan: Plan) -> Result<SkbList> {
        let message_len = plan.message_len(segments.next_len().ok_or(EINVAL)?);
        let total = segments.count();
        let capacity = train::capacity(message_len);
        if capacity < 2 || total < 2 {
            return self.seal_packets(segments.into_packet(), plan);
        }
        let counter = self.reserve(total)?;
        let mut sealer = Sealer {
            keypair: &self.keypair,
            counter,
            plan,
        };
        // Rather two trains of the same length than a long one and a short one.
        let trains = train::pieces(total, capacity);
        let planned = train::pieces(total, trains);
        let mut messages = SkbList::new();
        while segments.next_len().is_some() {
            let built = self.seal_train(&mut segments, &mut sealer, message_len, planned);
            // Without memory for a train there may be some for one message.
            let built = built.or_else(|_| {
                self.peer.device.count(Count::TxTrainNoMemory, 1);
                sealer.seal_alone(&mut segments)
            });
            match built {
                Ok(mut skb) => {
                    skb.set_tag(u64::from(plan.ds));
                    messages.push_back(skb);
                }
                Err(e) => {
                    let left = segments.count();
                    self.peer.device.count_tx_dropped(unsealed(e), left);
                    break;
                }
            }
        }
        segments.into_packet().consume();
        Ok(messages)
    }

    /// One train of up to `planned` messages; shorter if memory is.
    fn seal_train(
        &self,
        segments: &mut Segments,
        sealer: &mut Sealer<'_>,
        message_len: usize,
        planned: usize,
    ) -> Result<Skb> {
        let bh = bh::disable();
        let buffers = &self.peer.device.workers.buffers;
        let mut train = Train::new(buffers, TUNNEL_HEADROOM, message_len, planned)?;
        for _ in 0..planned {
            let Some(len) = sealer.next_len(segments) else {
                break;
            };
            let added = train
                .make_room(len, &bh)
                .and_then(|()| train.add(len, |to| sealer.seal_next(segments, to)));
            if added.is_err() {
                break;
            }
        }
        let messages = train.count();
        train.finish(segments.packet()).inspect_err(|e| {
            self.peer.device.count_tx_dropped(unsealed(*e), messages);
        })
    }

    /// Turns one packet into one message.
    fn seal_one(&self, mut packet: Skb, plan: Plan, counter: u64) -> Result<Skb> {
        packet.finish_checksum()?;
        let len = packet.len();
        let padding = padded_len(len, plan.mtu as usize).saturating_sub(len);
        let tail = padding.saturating_add(TAG_LEN);
        let mut packet = packet.into_linear(HEADROOM, tail)?;
        packet.put_zeros(tail)?;
        packet.push(&self.keypair.session.header(counter))?;
        let message = packet.data_behind_mut(train::LEAD).ok_or(EINVAL)?;
        if !self.keypair.session.seal_behind_in_place(counter, message) {
            return Err(EINVAL);
        }
        packet.prepare_outer();
        let mut message = Skb::from(packet);
        message.set_tag(u64::from(plan.ds));
        Ok(message)
    }

    /// Hands sealed messages to the socket.
    fn send(&self, messages: SkbList) {
        let peer = &self.peer;
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
                peer.device.dropped(Dropped::NoRoute, count);
            } else {
                peer.tx_bytes.add(len as u64, Relaxed);
                if let Some(dev) = peer.device.dev.get(&guard) {
                    dev.tx_stats(count as u32, len);
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
            peer.source_failed(&endpoint);
        }
        if data_sent {
            Peer::events(peer, &[Event::DataSent]);
        }
        keep_key_fresh(peer);
    }
}

/// Why a packet is dropped that could not be sealed.
fn unsealed(e: Error) -> Dropped {
    match e {
        e if e == EKEYEXPIRED => Dropped::TxSpent,
        e if e == ENOMEM => Dropped::TxNoMemory,
        _ => Dropped::TxSegment,
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

    const ON_ONE_CPU: bool = true;

    fn with_scope<R>(f: impl FnOnce(&mut ()) -> R) -> R {
        f(&mut ())
    }

    fn lane(&self) -> &Lane<Self> {
        self.peer.outgoing.of(self.flow)
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
            ) if fits && ours.len() < MAX_COLLECTED => {
                ours.append(theirs);
                Ok(())
            }
            (_, other) => Err(other),
        }
    }

    fn process(&mut self) {
        if let State::Plain(packets) = core::mem::replace(&mut self.state, State::Spent) {
            self.state = State::Sealed(self.seal(packets));
        }
    }

    fn complete(&mut self, _scope: &mut ()) {
        match core::mem::replace(&mut self.state, State::Spent) {
            State::Sealed(messages) if !messages.is_empty() => self.send(messages),
            _ => {}
        }
    }
}
