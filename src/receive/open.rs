// SPDX-License-Identifier: GPL-2.0

//! From messages to packets.

#![forbid(unsafe_code)]

use super::Incoming;
use crate::counters::Dropped;
use crate::device::Device;
use crate::keypair::now;
use crate::net::bh::BhGuard;
use crate::net::skb::{
    LinearList,
    LinearSkb,
    Skb, //
};
use crate::net::train::Reader;
use crate::protocol::messages::{
    DataHeader,
    Kind,
    DATA_HEADER_LEN,
    TAG_LEN, //
};
use crate::protocol::session::LEAD;

/// Room before a packet that was opened, for the headers of the next link or tunnel that it takes.
const INNER_HEADROOM: usize = 128;

/// Why a message of a train was not opened.
enum Unopened {
    /// It is another kind of message, or for another keypair.
    NotOurs,
    /// It is not authentic, comes too late, or there is no memory for it.
    Lost(Dropped),
}

impl Incoming {
    /// Opens messages and adds them to `opened`; those that are not authentic are dropped. A train with a
    /// message that is not for this keypair comes back, with the number of messages before the first such one.
    pub(super) fn open(
        &self,
        device: &Device,
        skb: Skb,
        opened: &mut LinearList,
        bh: &BhGuard,
    ) -> Option<(Skb, usize)> {
        let alone = skb.stride() == 0;
        if alone && !self.keypair.may_receive(now()) {
            device.drop_packet(skb, Dropped::SessionEnded);
            return None;
        }
        let skb = match skb.try_linear(0, 0) {
            Ok(packet) if alone => {
                match self.open_in_place(packet) {
                    Ok(packet) => opened.push_back(packet),
                    Err(packet) => device.drop_packet(packet, Dropped::NotAuthentic),
                }
                return None;
            }
            Ok(packet) => packet.into(),
            Err(skb) => skb,
        };
        // The contents may also belong to somebody else, so they stay as they are.
        let stride = if alone { skb.len() } else { skb.stride() };
        let mut reader = Reader::new(&skb);
        let mut offset = 0usize;
        let mut before = 0usize;
        let mut others = false;
        let (mut lost, mut any) = (None, false);
        while offset < skb.len() {
            let len = skb.len().saturating_sub(offset).min(stride);
            match self.open_copy(device, &mut reader, offset, len, bh) {
                Ok(mut packet) => {
                    if alone {
                        packet.received_as(&skb);
                    }
                    opened.push_back(packet);
                    any = true;
                }
                Err(Unopened::NotOurs) if !alone => {
                    others = true;
                    break;
                }
                Err(unopened) => {
                    let why = match unopened {
                        Unopened::Lost(why) => why,
                        // Its memory is also somebody else's, who has changed its type or its receiver since it came.
                        Unopened::NotOurs => Dropped::NotAuthentic,
                    };
                    device.dropped(why, 1);
                    lost = Some(why);
                }
            }
            offset = offset.saturating_add(stride);
            before = before.saturating_add(1);
        }
        drop(reader);
        if others {
            return Some((skb, before));
        }
        match lost {
            Some(why) if !any => skb.drop_for(why.reason()),
            _ => skb.consume(bh),
        }
        None
    }

    /// Opens the message that `skb` consists of; it comes back if it is not authentic.
    fn open_in_place(&self, mut skb: LinearSkb) -> Result<LinearSkb, LinearSkb> {
        let Some(header) = skb.data().first_chunk().map(DataHeader::read) else {
            return Err(skb);
        };
        let session = &self.keypair.session;
        let opened = skb.pull(DATA_HEADER_LEN).is_some()
            && session.open_in_place(header.counter, skb.data_mut());
        let len = skb.data().len().checked_sub(TAG_LEN);
        let Some(len) = len.filter(|_| opened) else {
            return Err(skb);
        };
        skb.trim(len);
        skb.forget_origin();
        skb.set_tag(header.counter);
        Ok(skb)
    }

    /// Opens the message of `len` octets at `offset` into a packet of its own.
    fn open_copy(
        &self,
        device: &Device,
        reader: &mut Reader<'_>,
        offset: usize,
        len: usize,
        bh: &BhGuard,
    ) -> Result<LinearSkb, Unopened> {
        let sealed_len = len.checked_sub(DATA_HEADER_LEN).ok_or(Unopened::NotOurs)?;
        let plain_len = sealed_len.checked_sub(TAG_LEN).ok_or(Unopened::NotOurs)?;
        let buffers = &device.workers.buffers;
        let mut packet = LinearSkb::from_pool(buffers, INNER_HEADROOM, sealed_len, bh)
            .or_else(|_| LinearSkb::with_len(INNER_HEADROOM, sealed_len))
            .map_err(|_| Unopened::Lost(Dropped::RxNoMemory))?;
        let session = &self.keypair.session;
        const BEFORE: usize = LEAD - DATA_HEADER_LEN;
        let (counter, authentic) = if let Some(message) = reader.piece(BEFORE, offset, len) {
            let head = message.get(BEFORE..).and_then(|head| head.first_chunk());
            let counter = self.counter_of(head.ok_or(Unopened::NotOurs)?, len)?;
            let to = packet.data_behind_mut(LEAD);
            let to = to.and_then(|to| to.get_mut(..plain_len.saturating_add(LEAD)));
            let opened = to.is_some_and(|to| session.open_behind(counter, to, message));
            (counter, opened)
        } else if let Some((head, sealed)) = reader
            .piece(0, offset, len)
            .and_then(|message| message.split_first_chunk())
        {
            // The first one in a piece of memory has too little before it.
            let counter = self.counter_of(head, len)?;
            let to = packet.data_mut().get_mut(..plain_len);
            let opened = to.is_some_and(|to| session.open(counter, to, sealed));
            (counter, opened)
        } else {
            // It straddles two pieces of memory, or lies in one that somebody else can write to.
            let whole = reader.packet();
            let mut head = [0; DATA_HEADER_LEN];
            let sealed = offset.saturating_add(DATA_HEADER_LEN);
            let there =
                whole.copy_bytes(offset, &mut head) && whole.copy_bytes(sealed, packet.data_mut());
            let counter = self.counter_of(&head, len)?;
            let opened = there && session.open_in_place(counter, packet.data_mut());
            (counter, opened)
        };
        if !authentic {
            // Not a drop: the message is dropped along with the packet that it came in.
            Skb::from(packet).consume(bh);
            return Err(Unopened::Lost(Dropped::NotAuthentic));
        }
        packet.trim(plain_len);
        packet.set_tag(counter);
        Ok(packet)
    }

    /// The counter of a message, if it is transport data for this keypair and the keypair may still be used.
    fn counter_of(&self, head: &[u8; DATA_HEADER_LEN], len: usize) -> Result<u64, Unopened> {
        let header = DataHeader::read(head);
        if Kind::of(head, len) != Some(Kind::Data)
            || header.receiver != self.keypair.session.local_index()
        {
            return Err(Unopened::NotOurs);
        }
        if !self.keypair.may_receive(now()) {
            return Err(Unopened::Lost(Dropped::SessionEnded));
        }
        Ok(header.counter)
    }
}
