// SPDX-License-Identifier: GPL-2.0

//! From packets to messages.

#![forbid(unsafe_code)]

use kernel::prelude::*;

use super::{
    outer_ds,
    Outgoing,
    HEADROOM, //
};
use crate::counters::{
    Count,
    Dropped, //
};
use crate::device::Device;
use crate::keypair::Keypair;
use crate::net::bh::BhGuard;
use crate::net::clock;
#[cfg(kernel_7_2)]
use crate::net::errno::*;
use crate::net::gso::Segments;
use crate::net::rcu;
use crate::net::skb::{
    LinearSkb,
    Skb,
    SkbList,
    TUNNEL_HEADROOM, //
};
use crate::net::train::{
    self,
    Train, //
};
use crate::options::Chosen;
use crate::protocol::messages::{
    padded_len,
    DataHeader,
    DATA_HEADER_LEN,
    DATA_OVERHEAD,
    TAG_LEN, //
};
use crate::protocol::session::LEAD;

/// What a packet becomes when it is sealed; kept as the packet's tag.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Plan {
    /// The MTU inside the tunnel, of the route or the device: padding may not make a packet longer than that.
    mtu: u32,
    /// The DS field of the outer IP packet.
    ds: u8,
}

impl Plan {
    pub(super) fn new(skb: &Skb, mtu: u32, chosen: Chosen) -> Self {
        Self {
            mtu,
            ds: skb
                .inner_ds()
                .map_or(0, |ds| outer_ds(ds) | chosen.copied_dscp(ds)),
        }
    }

    fn of(skb: &Skb) -> Self {
        let tag = skb.tag();
        Self {
            mtu: tag as u32,
            ds: (tag >> 32) as u8,
        }
    }

    /// Octets of the message that a packet of `len` octets becomes.
    fn message_len(&self, len: usize) -> usize {
        padded_len(len, self.mtu as usize).saturating_add(DATA_OVERHEAD)
    }
}

impl From<Plan> for u64 {
    fn from(plan: Plan) -> u64 {
        u64::from(plan.ds) << 32 | u64::from(plan.mtu)
    }
}

/// The place of the header in a message with a lead.
fn header_of(message: &mut [u8]) -> Option<&mut [u8; DATA_HEADER_LEN]> {
    message.get_mut(train::LEAD..)?.first_chunk_mut()
}

/// Seals one packet after another, with ascending counters.
struct Sealer<'a> {
    keypair: &'a Keypair,
    counter: u64,
    plan: Plan,
}

impl Sealer<'_> {
    /// Octets of the next message.
    fn next_len(&self, segments: &Segments) -> Option<usize> {
        Some(self.plan.message_len(segments.next_len()?))
    }

    /// Seals the next packet into `to`, which is as long as a lead and the message.
    fn seal_next(&mut self, segments: &mut Segments, to: &mut [u8]) -> Result {
        let len = segments.next_len().ok_or(EINVAL)?;
        let session = &self.keypair.session;
        *header_of(to).ok_or(EINVAL)? = session.header(self.counter);
        let end = to.len().saturating_sub(TAG_LEN);
        let body = to.get_mut(LEAD..end).ok_or(EINVAL)?;
        if !segments.write_next(body) {
            return Err(EINVAL);
        }
        body.get_mut(len..).ok_or(EINVAL)?.fill(0);
        if !session.seal_behind_in_place(self.counter, to) {
            return Err(EINVAL);
        }
        self.counter = self.counter.wrapping_add(1);
        Ok(())
    }

    /// Seals the next packet into a message of its own.
    fn seal_alone(&mut self, segments: &mut Segments) -> Result<Skb> {
        let len = self.next_len(segments).ok_or(EINVAL)?;
        let mut skb = LinearSkb::alloc(TUNNEL_HEADROOM, len)?;
        skb.extend(len)?;
        self.seal_next(segments, skb.data_behind_mut(train::LEAD).ok_or(EINVAL)?)?;
        Ok(skb.into_message(segments.packet()))
    }
}

impl Outgoing {
    /// Cuts packets, gives them counters and seals them. What cannot be sealed is counted as dropped.
    pub(super) fn seal(&self, device: &Device, mut packets: SkbList, bh: &BhGuard) -> SkbList {
        let mut sealed = SkbList::new();
        if packets.len() > 1 && makes_trains(device) {
            packets = self.seal_together(device, packets, &mut sealed, bh);
        }
        for skb in packets {
            let count = skb.packets();
            let plan = Plan::of(&skb);
            let result = match Segments::of(skb) {
                Ok(segments) => self.seal_trains(device, segments, plan, bh),
                Err(skb) => self.seal_packets(device, skb, plan),
            };
            match result {
                Ok(messages) => sealed.append(messages),
                Err(e) => device.count_tx_dropped(unsealed(e), count),
            }
        }
        sealed
    }

    /// Seals single packets into trains, as long as there are runs of the same length; returns the rest.
    fn seal_together(
        &self,
        device: &Device,
        mut packets: SkbList,
        sealed: &mut SkbList,
        bh: &BhGuard,
    ) -> SkbList {
        let buffers = &device.workers.buffers;
        let now = clock::monotonic_ns();
        // A train leaves as one, so what is to leave at another time cannot be part of it.
        let rest_of = |skb: &Skb| (Plan::of(skb), skb.leaves_later(now));
        while let Some((len, rest)) = packets.front().map(|skb| (skb.len(), rest_of(&skb))) {
            let (plan, _) = rest;
            let len = plan.message_len(len);
            // A train has one timestamp, that of its first packet.
            let mut first = true;
            let run = packets
                .iter()
                .take(train::capacity(len))
                .take_while(|skb| {
                    let begins = core::mem::take(&mut first);
                    plan.message_len(skb.len()) == len
                        && rest_of(skb) == rest
                        && (begins || !skb.wants_timestamp())
                })
                .count();
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
                // Without memory for more, the train is shorter.
                room = train.make_room(len, bh).is_ok();
                let skb = if room { packets.pop_front() } else { None };
                let Some(skb) = skb else {
                    break;
                };
                let added = train.add(len, |to| self.seal_into(skb, counter, to));
                counter = counter.wrapping_add(1);
                match added {
                    Ok(skb) if model.is_none() => model = Some(skb),
                    Ok(skb) => skb.consume(bh),
                    Err(e) => device.count_tx_dropped(unsealed(e), 1),
                }
            }
            if let Some(model) = model {
                let messages = train.count();
                match train.finish(&model) {
                    Ok(mut skb) => {
                        skb.set_tag(u64::from(plan.ds));
                        skb.stamp_for(&model);
                        sealed.push_back(skb);
                    }
                    Err(e) => device.count_tx_dropped(unsealed(e), messages),
                }
                model.consume(bh);
            }
            if !room {
                break;
            }
        }
        packets
    }

    /// Seals a single packet into `to`, which is as long as a lead and the message. Gives the packet back.
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
    fn seal_packets(&self, device: &Device, skb: Skb, plan: Plan) -> Result<SkbList> {
        let mut messages = SkbList::new();
        if skb.stride() != 0 {
            device.count(Count::TxSoftwareSegmented, 1);
        }
        let packets = {
            // The core looks at the device that the packet was sent by, which a job may outlive.
            let guard = rcu::read_lock();
            device.dev.get(&guard).ok_or(ENODEV)?;
            skb.segment()?
        };
        let mut counter = self.reserve(packets.len())?;
        for packet in packets {
            messages.push_back(self.seal_one(packet, plan, counter)?);
            counter = counter.wrapping_add(1);
        }
        Ok(messages)
    }

    /// Takes so many counters.
    fn reserve(&self, count: usize) -> Result<u64> {
        let count = count as u64;
        let first = self.keypair.reserve(count).ok_or(EKEYEXPIRED)?;
        self.first.set(self.first.get().min(first));
        self.end
            .set(self.end.get().max(first.saturating_add(count)));
        Ok(first)
    }

    /// Seals the packets that a GSO packet stands for into trains of messages.
    fn seal_trains(
        &self,
        device: &Device,
        mut segments: Segments,
        plan: Plan,
        bh: &BhGuard,
    ) -> Result<SkbList> {
        let message_len = plan.message_len(segments.next_len().ok_or(EINVAL)?);
        let total = segments.count();
        let capacity = train::capacity(message_len);
        if capacity < 2 || total < 2 {
            return self.seal_packets(device, segments.into_packet(), plan);
        }
        let counter = self.reserve(total)?;
        let mut sealer = Sealer {
            keypair: &self.keypair,
            counter,
            plan,
        };
        // Prefer two trains of the same length to a long one and a short one.
        let trains = train::pieces(total, capacity);
        let planned = train::pieces(total, trains);
        let mut messages = SkbList::new();
        while segments.next_len().is_some() {
            let built = seal_train(device, &mut segments, &mut sealer, message_len, planned, bh);
            // Without memory for a train, there may be some for one message.
            let built = built.or_else(|_| {
                device.count(Count::TxTrainNoMemory, 1);
                sealer.seal_alone(&mut segments)
            });
            match built {
                Ok(mut skb) => {
                    skb.set_tag(u64::from(plan.ds));
                    if messages.is_empty() {
                        skb.stamp_for(segments.packet());
                    }
                    messages.push_back(skb);
                }
                Err(e) => {
                    let left = segments.count();
                    device.count_tx_dropped(unsealed(e), left);
                    break;
                }
            }
        }
        segments.into_packet().consume(bh);
        Ok(messages)
    }

    /// Seals messages again, with the next counters. What cannot be sealed is counted as dropped.
    pub(super) fn renew(&self, device: &Device, messages: SkbList) -> SkbList {
        let session = &self.keypair.session;
        let mut renewed = SkbList::new();
        for mut skb in messages {
            let count = skb.messages();
            let result = self.reserve(count).and_then(|mut counter| {
                let end = counter.saturating_add(count as u64);
                skb.for_each_message(|message| {
                    if counter == end {
                        return Err(EINVAL);
                    }
                    let (head, sealed) = message.split_first_chunk_mut().ok_or(EINVAL)?;
                    let old = DataHeader::read(head).counter;
                    *head = session.header(counter);
                    if !session.reseal_in_place(old, counter, sealed) {
                        return Err(EINVAL);
                    }
                    counter = counter.wrapping_add(1);
                    Ok(())
                })
            });
            match result {
                Ok(()) => {
                    device.count(Count::TxResealed, count);
                    renewed.push_back(skb);
                }
                Err(e) => {
                    device.count_tx_dropped(unsealed(e), count);
                    skb.drop_for(unsealed(e).reason());
                }
            }
        }
        renewed
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
}

/// One train of up to `planned` messages; shorter if memory is short.
fn seal_train(
    device: &Device,
    segments: &mut Segments,
    sealer: &mut Sealer<'_>,
    message_len: usize,
    planned: usize,
    bh: &BhGuard,
) -> Result<Skb> {
    let buffers = &device.workers.buffers;
    let mut train = Train::new(buffers, TUNNEL_HEADROOM, message_len, planned)?;
    for _ in 0..planned {
        let Some(len) = sealer.next_len(segments) else {
            break;
        };
        let added = train
            .make_room(len, bh)
            .and_then(|()| train.add(len, |to| sealer.seal_next(segments, to)));
        if added.is_err() {
            break;
        }
    }
    let messages = train.count();
    train.finish(segments.packet()).inspect_err(|e| {
        device.count_tx_dropped(unsealed(*e), messages);
    })
}

/// Whether single packets may become a train: not if the device was told not to take any (`ethtool -K wg0 gso off`). That
/// is for programs on the way out that cannot do with trains.
fn makes_trains(device: &Device) -> bool {
    let guard = rcu::read_lock();
    device.dev.get(&guard).is_some_and(|dev| dev.has_gso())
}

/// Why a packet that could not be sealed is dropped.
fn unsealed(e: Error) -> Dropped {
    match e {
        e if e == EKEYEXPIRED => Dropped::TxSpent,
        e if e == ENOMEM => Dropped::TxNoMemory,
        _ => Dropped::TxSegment,
    }
}
