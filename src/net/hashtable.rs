// SPDX-License-Identifier: GPL-2.0

//! A hash table for readers under RCU.
//!
//! Chains of [`Shared`] entries hang in a fixed number of buckets. Readers walk them without a lock;
//! writers take one, in any context. An entry that is taken out keeps its link until a grace period
//! has passed, so that a reader standing on it still finds the rest of the chain. The hash is keyed,
//! so that no outsider can choose keys that all fall into one bucket.

use core::marker::PhantomData;

use kernel::prelude::*;
use kernel::sync::atomic::{
    Atomic,
    Relaxed, //
};

use super::bh::BhLock;
use super::libcrypto::{
    self,
    SipHashKey, //
};
use super::rcu::{
    Guard,
    Object,
    Shared,
    Slot, //
};
use super::vector::Vector;
use crate::new_bh_lock;

/// Plain octets that can be a key.
pub(crate) trait Key: Eq + Copy + Send + Sync + 'static {
    /// The octets that are hashed.
    fn octets(&self) -> impl AsRef<[u8]>;
}

impl<const N: usize> Key for [u8; N] {
    fn octets(&self) -> impl AsRef<[u8]> {
        *self
    }
}

impl Key for u32 {
    fn octets(&self) -> impl AsRef<[u8]> {
        self.to_ne_bytes()
    }
}

struct Entry<K: Key, V: Send + Sync + 'static> {
    key: K,
    value: V,
    next: Slot<Entry<K, V>>,
}

impl<K: Key, V: Send + Sync + 'static> Object for Entry<K, V> {}

/// A map from `K` to `V`.
#[pin_data]
pub(crate) struct HashMap<K: Key, V: Send + Sync + 'static> {
    /// Their number is a power of two.
    buckets: Vector<Slot<Entry<K, V>>>,
    hash: SipHashKey,
    /// Held by writers.
    #[pin]
    writers: BhLock<()>,
    len: Atomic<usize>,
    _key: PhantomData<K>,
}

impl<K: Key, V: Send + Sync + 'static> HashMap<K, V> {
    /// An empty map with `1 << bits` buckets. May sleep.
    pub(crate) fn new(bits: u32) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            buckets: {
                let count = 1usize.checked_shl(bits).ok_or(EINVAL)?;
                let mut buckets = Vector::new();
                for _ in 0..count {
                    buckets.push(Slot::empty())?;
                }
                buckets
            },
            hash: SipHashKey::random(),
            writers <- new_bh_lock!((), "hashtable"),
            len: Atomic::new(0),
            _key: PhantomData,
        }? Error)
    }

    fn bucket(&self, key: &K) -> Option<&Slot<Entry<K, V>>> {
        let hash = libcrypto::siphash(key.octets().as_ref(), &self.hash);
        let mask = self.buckets.len().wrapping_sub(1);
        self.buckets.get(hash as usize & mask)
    }

    fn entry<'g>(&'g self, guard: &'g Guard, key: &K) -> Option<&'g Entry<K, V>> {
        let mut slot = self.bucket(key)?;
        while let Some(entry) = slot.load(guard) {
            let entry = entry.get();
            if entry.key == *key {
                return Some(entry);
            }
            slot = &entry.next;
        }
        None
    }

    /// The value of `key`. Any context.
    pub(crate) fn get<'g>(&'g self, guard: &'g Guard, key: &K) -> Option<&'g V> {
        self.entry(guard, key).map(|entry| &entry.value)
    }

    /// How many keys there are.
    pub(crate) fn len(&self) -> usize {
        self.len.load(Relaxed)
    }

    /// Adds a key. May sleep.
    ///
    /// # Errors
    ///
    /// `EEXIST` if the key is already there; `ENOMEM`.
    pub(crate) fn insert(&self, key: K, value: V) -> Result {
        let entry = Shared::new(Entry {
            key,
            value,
            next: Slot::empty(),
        })?;
        let bucket = self.bucket(&key).ok_or(EINVAL)?;
        let _writer = self.writers.lock();
        if self.entry(&super::rcu::read_lock(), &key).is_some() {
            return Err(EEXIST);
        }
        entry.next.set(bucket.get());
        bucket.set(Some(entry));
        self.len.fetch_add(1, Relaxed);
        Ok(())
    }

    /// Takes a key out; `false` if it was not there. Any context.
    pub(crate) fn remove(&self, key: &K) -> bool {
        let Some(bucket) = self.bucket(key) else {
            return false;
        };
        let _writer = self.writers.lock();
        self.remove_from(bucket, |entry| entry.key == *key, 1) != 0
    }

    /// Takes out all keys for which `keep` is false. May sleep.
    pub(crate) fn retain(&self, mut keep: impl FnMut(&K, &V) -> bool) {
        for bucket in self.buckets.iter() {
            if bucket.is_some() {
                let _writer = self.writers.lock();
                self.remove_from(bucket, |entry| !keep(&entry.key, &entry.value), usize::MAX);
            }
        }
    }

    /// Takes up to `limit` entries out of a chain. The caller holds `writers`.
    fn remove_from(
        &self,
        bucket: &Slot<Entry<K, V>>,
        mut unwanted: impl FnMut(&Entry<K, V>) -> bool,
        limit: usize,
    ) -> usize {
        let guard = super::rcu::read_lock();
        let mut removed = 0usize;
        let mut slot = bucket;
        while let Some(entry) = slot.load(&guard) {
            let entry = entry.get();
            if removed < limit && unwanted(entry) {
                slot.set(entry.next.get());
                removed = removed.saturating_add(1);
            } else {
                slot = &entry.next;
            }
        }
        self.len.fetch_sub(removed, Relaxed);
        removed
    }
}
