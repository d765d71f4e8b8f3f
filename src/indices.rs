// SPDX-License-Identifier: GPL-2.0

//! Receiver indices: what the numbers in messages to us stand for.
//!
//! Whitepaper §5.4. Anybody can send messages with any index, and whoever looks one up may make other CPUs wait. So the
//! chains in the table are short however many peers there are: with their number come larger tables. What is in the
//! smaller ones stays there until its session ends, a few minutes later; nothing is moved.

#![forbid(unsafe_code)]

use kernel::prelude::*;
use kernel::sync::{
    new_mutex,
    Mutex, //
};

use crate::debug;
use crate::keypair::Keypair;
use crate::net::hashtable::HashMap;
use crate::net::libcrypto;
use crate::net::rcu::{
    self,
    Object,
    Shared,
    Slot, //
};
use crate::peer::Peer;

/// Buckets of the table that each device has, as a power of two. There are up to four indices for each peer.
const BITS: u32 = 12;
/// The same for the larger ones: each is used when there are as many peers as the one before has buckets.
const LARGER_BITS: [u32; 3] = [15, 18, 20];

/// What a receiver index stands for.
pub(crate) struct IndexEntry {
    /// The peer that the index was handed to.
    pub(crate) peer: Shared<Peer>,
    /// The keypair, once the handshake with this index is complete.
    pub(crate) keypair: Slot<Keypair>,
}

type Map = HashMap<u32, IndexEntry>;

/// A larger table.
#[pin_data]
struct Larger {
    #[pin]
    map: Map,
}

impl Object for Larger {}

/// The receiver indices of one device: random 32-bit numbers, so that an observer learns nothing
/// from them.
#[pin_data]
pub(crate) struct IndexTable {
    #[pin]
    map: Map,
    /// Those that were needed so far. They stay.
    larger: [Slot<Larger>; LARGER_BITS.len()],
    /// Held while one is made. Process context.
    #[pin]
    growing: Mutex<()>,
}

impl IndexTable {
    /// An empty table.
    pub(crate) fn new() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            map <- HashMap::new(BITS),
            larger: [const { Slot::empty() }; LARGER_BITS.len()],
            growing <- new_mutex!((), "indices"),
        }? Error)
    }

    /// All tables.
    fn maps<'g>(&'g self, guard: &'g rcu::Guard) -> impl Iterator<Item = &'g Map> {
        let larger = self.larger.iter().filter_map(|slot| slot.load(guard));
        let larger = larger.map(|larger| &larger.get().map);
        Iterator::chain(core::iter::once(&self.map), larger)
    }

    /// The larger table for so many peers, or the largest that there is if there is no memory; `None` if that is the first
    /// one. May sleep.
    fn larger_for(&self, peers: usize) -> Option<Shared<Larger>> {
        let full = |bits: &u32| peers.checked_shr(*bits).is_some_and(|times| times != 0);
        let place = LARGER_BITS.iter().rposition(full);
        // One that is full calls for the next one.
        let place = match place {
            Some(place) => place.saturating_add(1).min(LARGER_BITS.len() - 1),
            None if full(&BITS) => 0,
            None => return None,
        };
        let (slot, bits) = (self.larger.get(place)?, *LARGER_BITS.get(place)?);
        if let Some(table) = slot.get() {
            return Some(table);
        }
        let _growing = self.growing.lock();
        slot.get()
            .or_else(|| {
                let map = HashMap::new(bits);
                let table = Shared::pin_init(try_pin_init!(Larger { map <- map }? Error)).ok()?;
                slot.set(Some(table.clone()));
                Some(table)
            })
            .or_else(|| self.larger.iter().rev().find_map(Slot::get))
    }

    /// Reserves a fresh index for a handshake with `peer`. May sleep.
    pub(crate) fn reserve(&self, peer: &Shared<Peer>) -> Result<u32> {
        let larger = self.larger_for(peer.device.peers.len());
        let map = larger.as_ref().map_or(&self.map, |larger| &larger.map);
        // With 2^20 peers of 4 indices each, one try in 2^10 finds its number taken.
        for _ in 0..32 {
            let index = libcrypto::random_u32();
            if self.get(&rcu::read_lock(), index).is_some() {
                continue;
            }
            let entry = IndexEntry {
                peer: peer.clone(),
                keypair: Slot::empty(),
            };
            match map.insert(index, entry) {
                Err(e) if e == EEXIST => continue,
                other => return other.map(|()| index),
            }
        }
        Err(EBUSY)
    }

    /// Publishes the keypair that the handshake with `index` has led to.
    pub(crate) fn publish(&self, index: u32, keypair: &Shared<Keypair>) -> bool {
        let guard = rcu::read_lock();
        match self.get(&guard, index) {
            Some(entry) => {
                entry.keypair.set(Some(keypair.clone()));
                debug::keypair_created(&entry.peer.device, keypair.id(), &entry.peer);
                true
            }
            None => false,
        }
    }

    /// What `index` stands for, if it is one of ours. Any context.
    pub(crate) fn get<'g>(&'g self, guard: &'g rcu::Guard, index: u32) -> Option<&'g IndexEntry> {
        self.maps(guard)
            .filter(|map| map.len() != 0)
            .find_map(|map| map.get(guard, &index))
    }

    /// Gives an index back. Any context.
    pub(crate) fn remove(&self, index: u32) {
        let guard = rcu::read_lock();
        // In none but one of them.
        let _ = self.maps(&guard).any(|map| map.remove(&index));
    }
}
