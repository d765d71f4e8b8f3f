// SPDX-License-Identifier: GPL-2.0

//! From the peer to the network stack.
//!
//! A datagram, or a train of datagrams, comes in at the socket. Handshake messages go to the handshake
//! workers. The receiver index of transport data leads to a keypair and its peer; the messages become one
//! [`Incoming`] job: they are opened; when it is the job's turn their counters are checked against the
//! replay window, the endpoint is noted, and the packets inside go up the stack if cryptokey routing
//! allows their source. All this happens where the datagram comes in, or on other CPUs when this one has
//! too much of it.

#![forbid(unsafe_code)]

use kernel::prelude::*;

mod admission;
mod open;
mod singles;

pub(crate) use singles::Singles;

use admission::{
    Admission,
    Dishonest, //
};

use crate::counters::{
    Count,
    Dropped, //
};
use crate::debug;
use crate::device::Device;
use crate::events;
use crate::keypair::{
    now,
    Keypair, //
};
use crate::net::bh::{
    self,
    BhGuard, //
};
use crate::net::endpoint::Endpoint;
use crate::net::gro::{
    self,
    Gro, //
};
use crate::net::libcrypto;
use crate::net::netdev::Stat;
use crate::net::pipeline::{
    Account,
    Job,
    Lane,
    Ready, //
};
use crate::net::rcu::{
    self,
    Shared, //
};
use crate::net::skb::{
    LinearList,
    LinearSkb,
    Skb,
    SkbList, //
};
use crate::net::udp::{
    Receiver,
    Sockets, //
};
use crate::peer::Peer;
use crate::protocol::messages::{
    DataHeader,
    Kind,
    DATA_HEADER_LEN,
    DATA_OVERHEAD, //
};
use crate::protocol::timers::Event;

/// Single messages that are collected into one job.
const MAX_COLLECTED: usize = 64;

/// Messages of transport data that came in together, on their way up.
pub(crate) struct Incoming {
    keypair: Shared<Keypair>,
    endpoint: Endpoint,
    outer_ds: u8,
    state: State,
}

enum State {
    /// As they came: a train of messages, of which the first is for this receiver index, or single ones, all for it.
    Sealed(SkbList),
    /// The plaintexts, tagged with the counters that they were sealed with; and what was not for this
    /// receiver index, with the number of messages before it.
    Open(LinearList, Option<(Skb, usize)>),
    /// Nothing left.
    Spent,
}

/// What is left to be done with what has come in, once its place in the order is fixed.
pub(crate) enum Rest<'a> {
    /// Messages that may be opened here and now.
    Open(Ready<'a, Incoming>),
    /// A train whose messages are to be taken one by one. Anybody can send such trains, and to cut one takes long: other
    /// CPUs must not wait for that.
    Apart(Skb),
}

impl Receiver for Device {
    type Work<'a> = Rest<'a>;

    fn sockets(&self) -> &Sockets<Self> {
        &self.sockets
    }

    fn receive(this: &Shared<Self>, skb: Skb) -> Option<Rest<'_>> {
        let mut head = [0; DATA_HEADER_LEN];
        // No message is shorter than this head.
        if !skb.copy_bytes(0, &mut head) {
            this.drop_packet(skb, Dropped::NotWireGuard);
            return None;
        }
        match Kind::of(&head, skb.first_message_len()) {
            // All but the last are as long as the first; the train need not be cut to see that none is a message.
            None if skb.stride() != 0 && skb.stride() < DATA_OVERHEAD => {
                this.drop_packet(skb, Dropped::NotWireGuard);
                None
            }
            Some(Kind::Data) => receive_data(this, skb, &head, true),
            _ if skb.stride() == 0 => {
                receive_handshake(this, skb, &head);
                None
            }
            _ => Some(Rest::Apart(skb)),
        }
    }

    fn finish(this: &Shared<Self>, rest: Rest<'_>) {
        match rest {
            Rest::Open(job) => job.run(),
            Rest::Apart(skb) => receive_apart(this, skb, 0),
        }
    }
}

/// Takes the messages of a train, except for the first `skip` of them, one by one: they are of several kinds, or for
/// several receivers, or the first is for nobody. None is opened here: a caller may be completing another job, and jobs
/// do not nest.
fn receive_apart(device: &Shared<Device>, skb: Skb, skip: usize) {
    let count = skb.messages().saturating_sub(skip);
    device.count(Count::RxTrainsCut, 1);
    let Ok(mut messages) = skb.cut() else {
        device.dropped(Dropped::RxNoMemory, count);
        return;
    };
    for _ in 0..skip {
        if let Some(taken) = messages.pop_front() {
            taken.consume(&bh::disable());
        }
    }
    for skb in messages {
        let mut head = [0; DATA_HEADER_LEN];
        if !skb.copy_bytes(0, &mut head) {
            device.drop_packet(skb, Dropped::NotWireGuard);
            continue;
        }
        match Kind::of(&head, skb.len()) {
            // Nothing is left of a single message that is not to be opened here.
            Some(Kind::Data) => drop(receive_data(device, skb, &head, false)),
            _ => receive_handshake(device, skb, &head),
        }
    }
}

/// Queues a handshake message for the workers.
fn receive_handshake(device: &Shared<Device>, skb: Skb, head: &[u8]) {
    if Kind::of(head, skb.len()).is_none() {
        device.drop_packet(skb, Dropped::NotWireGuard);
        return;
    }
    events::handshake_received(device, head, || Endpoint::of_received(&skb));
    // Without good random numbers no answer could be computed.
    let queued = if libcrypto::random_ready() {
        device.handshakes.push(device, skb)
    } else {
        Err((skb, Dropped::HandshakeNotReady))
    };
    if let Err((skb, why)) = queued {
        refuse_handshake(device, skb, why);
    }
}

/// Drops a handshake message that nobody looks at.
pub(crate) fn refuse_handshake(device: &Device, skb: Skb, why: Dropped) {
    if let Some(from) = Endpoint::of_received(&skb) {
        debug::dropping_handshake(device, &from);
    }
    device.drop_packet(skb, why);
    let guard = rcu::read_lock();
    if let Some(dev) = device.dev.get(&guard) {
        dev.count(Stat::RxDropped, 1);
    }
}

/// Finds the keypair of data messages. They may be opened here if `at_once` is set; otherwise the workers do it.
fn receive_data<'a>(
    device: &'a Shared<Device>,
    skb: Skb,
    head: &[u8; DATA_HEADER_LEN],
    at_once: bool,
) -> Option<Rest<'a>> {
    let header = DataHeader::read(head);
    let guard = rcu::read_lock();
    let found = device
        .indices
        .get(&guard, header.receiver)
        .and_then(|entry| {
            let keypair = entry.keypair.load(&guard)?.upgrade()?;
            Some((entry.peer.clone(), keypair))
        });
    let Some((peer, keypair)) = found else {
        if skb.stride() != 0 {
            // What is behind the first message may well be for us: anybody can send that one, and after a restart
            // the peer's answer comes at the end of messages of the session that is gone. What was cut is no train
            // any more, so this goes no deeper.
            return Some(Rest::Apart(skb));
        }
        device.drop_packet(skb, Dropped::NoSession);
        return None;
    };
    let Some(endpoint) = Endpoint::of_received(&skb) else {
        device.drop_packet(skb, Dropped::NotWireGuard);
        return None;
    };
    let messages = skb.messages();
    if messages != 1 {
        device.count(Count::RxTrains, 1);
        device.count(Count::RxTrainMessages, messages);
    }
    let singles = &peer.singles;
    let in_a_row = if skb.stride() == 0 {
        singles.in_a_row()
    } else {
        singles.interrupt();
        false
    };
    let job = Incoming {
        keypair,
        endpoint,
        outer_ds: skb.outer_ds(),
        state: State::Sealed(SkbList::of(skb)),
    };
    let started = if in_a_row || !at_once {
        device.workers.open.collect(peer, job).map(|()| None)
    } else {
        device.workers.open.start(peer, job)
    };
    match started {
        Ok(ready) => ready.map(Rest::Open),
        Err(job) => {
            if let State::Sealed(packets) = job.state {
                for skb in packets {
                    device.drop_packet(skb, Dropped::RxQueueFull);
                }
            }
            if let Some(dev) = device.dev.get(&guard) {
                dev.count(Stat::RxDropped, messages);
            }
            None
        }
    }
}

impl Incoming {
    /// Does what authentic messages call for, and delivers the packets inside, if any.
    fn deliver(
        &self,
        peer: &Shared<Peer>,
        packets: LinearList,
        mut gro: Pin<&mut Gro>,
        bh: &BhGuard,
    ) {
        let device = &peer.device;
        Peer::heard_from(peer, self.endpoint);
        peer.one_way.answered();
        // One that may not send any more, since our key has changed meanwhile, leaves us waiting for another one.
        let confirmed = peer.keypairs.confirm(&device.indices, &self.keypair);
        if confirmed && self.keypair.is_sending() {
            Peer::events(peer, &[Event::HandshakeComplete]);
            peer.handshake_completed();
            crate::transmit::send_staged(peer);
        }
        keep_key_fresh(peer);

        let guard = rcu::read_lock();
        // An interface that was brought down may soon be deleted, or be in another namespace. The kernel lets all guards
        // of this kind end in between, and no packet of the interface is to be in the stack afterwards.
        let Some(dev) = device.dev.get(&guard).filter(|_| device.is_up()) else {
            for packet in packets {
                device.drop_packet(packet, Dropped::NoDevice);
            }
            return;
        };
        let mut admission = Admission::new(self, peer, dev, &guard);
        let mut data = false;
        let mut octets = 0usize;
        let mut unmerged = None;
        let events = [
            Event::AuthenticatedReceived,
            Event::Traversal,
            Event::DataReceived,
        ];
        let mut mergeable = false;
        for mut packet in packets {
            let len = packet.data().len();
            let message_len = len.saturating_add(DATA_OVERHEAD);
            if len != 0 && !data {
                // Before any packet goes up, since the stack may answer at once; then no keepalive is due.
                Peer::events(peer, &events);
                data = true;
            }
            let admitted = if len == 0 {
                debug::receiving_keepalive(device, peer);
                device.count(Count::RxKeepalives, 1);
                Ok(())
            } else {
                admission.check(&mut packet)
            };
            match admitted {
                Ok(()) => {
                    octets = octets.saturating_add(message_len);
                    dev.rx_stats(message_len, bh);
                    if len != 0 {
                        mergeable = pass_up(packet, gro.as_mut(), &mut unmerged);
                    } else {
                        Skb::from(packet).consume(bh);
                    }
                }
                Err(why) => {
                    let cause = match why {
                        Dishonest::Type => {
                            debug::neither_v4_nor_v6(device, peer);
                            Dropped::InnerType
                        }
                        Dishonest::Size => {
                            debug::incorrect_size(device, peer);
                            Dropped::InnerSize
                        }
                        Dishonest::Source => {
                            debug::unallowed_source(device, &packet, peer);
                            Dropped::SourceNotAllowed
                        }
                    };
                    device.drop_packet(packet, cause);
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
        peer.singles.passed_up(mergeable);
        peer.count_rx(octets);
        if !data {
            Peer::events(peer, &events[..2]);
        }
    }
}

/// Gives a packet to the stack, merged with others where possible. `unmerged` is the UDP flow of the
/// last packet for which there was nothing to merge with: most applications want their datagrams one by
/// one, and looking for others in vain costs as much as receiving.
/// Returns whether the packet could be merged with others.
fn pass_up(packet: LinearSkb, gro: Pin<&mut Gro>, unmerged: &mut Option<[u8; 13]>) -> bool {
    let flow = udp_flow(packet.data());
    if flow.is_some() && flow == *unmerged {
        gro.receive_alone(packet);
        return false;
    }
    let merged = gro.receive(packet);
    if !merged {
        *unmerged = flow;
    }
    merged
}

/// What tells the flow of a UDP packet over IPv4 that has no options and is no fragment: addresses, ports, and the TOS
/// octet.
fn udp_flow(packet: &[u8]) -> Option<[u8; 13]> {
    const UDP: u8 = 17;
    let head: &[u8; 24] = packet.first_chunk()?;
    let [0x45, tos, _, _, _, _, f0, f1, _, UDP, _, _, a, b, c, d, e, f, g, h, i, j, k, l] = *head
    else {
        return None;
    };
    let whole = u16::from_be_bytes([f0, f1]) & 0x3fff == 0;
    whole.then_some([a, b, c, d, e, f, g, h, i, j, k, l, tos])
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
    type Owner = Peer;

    type Scope = Gro;

    // Packets go up the stack, not into a queue.
    const ON_ONE_CPU: bool = false;

    fn with_scope<R>(bh: &BhGuard, f: impl FnOnce(Pin<&mut Gro>) -> R) -> R {
        gro::with_gro(bh, f)
    }

    fn lane<'a>(&self, peer: &'a Peer) -> &'a Lane<Self> {
        &peer.incoming
    }

    fn account(peer: &Peer) -> &Account {
        &peer.device.opening
    }

    fn cost(&self) -> usize {
        match &self.state {
            State::Sealed(packets) => packets.truesize(),
            State::Open(..) | State::Spent => 0,
        }
    }

    fn absorb(&mut self, other: Self) -> Result<(), Self> {
        let fits = Shared::ptr_eq(&self.keypair, &other.keypair)
            && self.endpoint == other.endpoint
            && self.outer_ds == other.outer_ds;
        match (&mut self.state, other) {
            (
                State::Sealed(ours),
                Self {
                    state: State::Sealed(theirs),
                    ..
                },
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
        if let State::Sealed(packets) = core::mem::replace(&mut self.state, State::Spent) {
            let mut opened = LinearList::new();
            let mut others = None;
            for skb in packets {
                // Only a train has others, and a train is the only packet of its job.
                others = self.open(&peer.device, skb, &mut opened, bh);
            }
            self.state = State::Open(opened, others);
        }
    }

    fn complete(&mut self, peer: &Shared<Peer>, gro: Pin<&mut Gro>, bh: &BhGuard) {
        let State::Open(packets, others) = core::mem::replace(&mut self.state, State::Spent) else {
            return;
        };
        let (packets, refused) = self.keypair.accept_counters(packets);
        for packet in refused {
            debug::invalid_nonce(&peer.device, packet.tag(), &self.keypair);
            peer.device.drop_packet(packet, Dropped::Replay);
        }
        if !packets.is_empty() {
            self.deliver(peer, packets, gro, bh);
        }
        if let Some((skb, skip)) = others {
            receive_apart(&peer.device, skb, skip);
        }
    }
}
