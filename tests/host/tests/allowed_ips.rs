// SPDX-License-Identifier: GPL-2.0

//! Cryptokey routing against a plain list of prefixes: the trie of the kernel module, with what it needs
//! of the kernel replaced by safe stand-ins.

extern crate self as kernel;

#[path = "../driver/places.rs"]
#[allow(dead_code)]
mod places;

#[path = "../driver/allowed_ips.rs"]
#[allow(dead_code, unreachable_pub)]
mod allowed_ips;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use allowed_ips::{AllowedIps, Owner, Prefix, PrefixList, Writer};
use net::rcu::{read_lock, Shared};
use wireguard_host::rng::Rng;

pub mod prelude {
    pub type Result<T = (), E = super::Error> = core::result::Result<T, E>;
    pub const ENOENT: super::Error = super::Error;
    pub const ENOMEM: super::Error = super::Error;
}

#[derive(Debug)]
pub struct Error;

pub mod sync {
    pub mod atomic {
        pub struct Relaxed;

        /// The kernel's interface on top of the standard library's.
        pub struct Atomic<T>(std::sync::Mutex<T>);

        impl<T: Copy> Atomic<T> {
            pub fn new(value: T) -> Self {
                Self(std::sync::Mutex::new(value))
            }

            pub fn load(&self, _: Relaxed) -> T {
                *self.0.lock().unwrap()
            }

            pub fn store(&self, value: T, _: Relaxed) {
                *self.0.lock().unwrap() = value;
            }
        }
    }
}

mod net {
    /// What [`crate::allowed_ips`] uses of the real ones, with counted references only.
    pub(crate) mod rcu {
        use std::cell::Cell;
        use std::ops::Deref;
        use std::sync::{Arc, Mutex, RwLock, RwLockReadGuard};

        /// Readers hold it shared; who has had it alone has waited for all that were there.
        static READERS: RwLock<()> = RwLock::new(());

        thread_local! {
            /// How many guards this thread has: a reader inside of another one does not wait, as a second share would
            /// for who waits to have it alone.
            static DEPTH: Cell<usize> = const { Cell::new(0) };
        }

        /// The outermost of a thread holds the share.
        pub(crate) struct Guard(#[allow(dead_code)] Option<RwLockReadGuard<'static, ()>>);

        impl Drop for Guard {
            fn drop(&mut self) {
                DEPTH.set(DEPTH.get() - 1);
            }
        }

        pub(crate) struct Dying;

        pub(crate) struct Bare<T: ?Sized>(core::marker::PhantomData<fn(&T)>);

        impl<T: Unpin> Bare<T> {
            pub(crate) const YES: Self = Self(core::marker::PhantomData);
        }

        pub(crate) trait Object {
            #[allow(dead_code)]
            const BARE: Option<Bare<Self>> = None;

            /// Not called: the last reference drops what the object leads to.
            #[allow(dead_code)]
            fn release(&self, _dying: &Dying) {}
        }

        pub(crate) fn read_lock() -> Guard {
            let outermost = DEPTH.get() == 0;
            DEPTH.set(DEPTH.get() + 1);
            Guard(outermost.then(|| READERS.read().unwrap()))
        }

        pub(crate) fn synchronize() {
            drop(READERS.write().unwrap());
        }

        pub(crate) struct Shared<T>(Arc<T>);

        impl<T> Shared<T> {
            pub(crate) fn new(value: T) -> crate::prelude::Result<Self> {
                crate::take_memory()?;
                Ok(Self(Arc::new(value)))
            }

            pub(crate) fn ptr_eq(a: &Self, b: &Self) -> bool {
                Arc::ptr_eq(&a.0, &b.0)
            }
        }

        impl<T> Clone for Shared<T> {
            fn clone(&self) -> Self {
                Self(self.0.clone())
            }
        }

        impl<T> Deref for Shared<T> {
            type Target = T;

            fn deref(&self) -> &T {
                &self.0
            }
        }

        pub(crate) struct SharedRef<'g, T>(&'g Arc<T>);

        impl<T> Clone for SharedRef<'_, T> {
            fn clone(&self) -> Self {
                *self
            }
        }

        impl<T> Copy for SharedRef<'_, T> {}

        impl<'g, T> SharedRef<'g, T> {
            pub(crate) fn get(self) -> &'g T {
                self.0
            }

            pub(crate) fn upgrade(self) -> Option<Shared<T>> {
                Some(Shared(self.0.clone()))
            }
        }

        pub(crate) struct Slot<T>(Mutex<Option<Arc<T>>>);

        impl<T> Slot<T> {
            pub(crate) const fn empty() -> Self {
                Self(Mutex::new(None))
            }

            pub(crate) fn new(value: Option<Shared<T>>) -> Self {
                Self(Mutex::new(value.map(|value| value.0)))
            }

            /// The reader's reference is never given back: a grace period that does not end.
            pub(crate) fn load<'g>(&self, _guard: &'g Guard) -> Option<SharedRef<'g, T>> {
                let value = self.0.lock().unwrap().clone()?;
                Some(SharedRef(Box::leak(Box::new(value))))
            }

            pub(crate) fn get(&self) -> Option<Shared<T>> {
                self.0.lock().unwrap().clone().map(Shared)
            }

            pub(crate) fn set(&self, new: Option<Shared<T>>) {
                *self.0.lock().unwrap() = new.map(|new| new.0);
                crate::changed();
            }

            pub(crate) fn release(&self, _dying: &Dying) {
                self.set(None);
            }

            pub(crate) fn is_some(&self) -> bool {
                self.0.lock().unwrap().is_some()
            }
        }
    }

    pub(crate) mod vector {
        pub(crate) struct Vector<T>(Vec<T>, usize);

        impl<T> Vector<T> {
            pub(crate) const fn new() -> Self {
                Self(Vec::new(), 0)
            }

            /// Takes memory for each element beyond the most that there have been.
            pub(crate) fn reserve_one(&mut self) -> crate::prelude::Result {
                if self.0.len() == self.1 {
                    crate::take_memory()?;
                    self.1 += 1;
                }
                Ok(())
            }

            pub(crate) fn push(&mut self, value: T) -> crate::prelude::Result {
                self.reserve_one()?;
                self.0.push(value);
                Ok(())
            }

            pub(crate) fn pop(&mut self) -> Option<T> {
                self.0.pop()
            }

            pub(crate) fn retain(&mut self, keep: impl FnMut(&T) -> bool) {
                self.0.retain(keep);
            }

            pub(crate) fn get(&self, index: usize) -> Option<&T> {
                self.0.get(index)
            }

            pub(crate) fn get_mut(&mut self, index: usize) -> Option<&mut T> {
                self.0.get_mut(index)
            }

            pub(crate) fn iter(&self) -> core::slice::Iter<'_, T> {
                self.0.iter()
            }

            pub(crate) fn len(&self) -> usize {
                self.0.len()
            }
        }
    }
}

thread_local! {
    /// What is looked at after each change that this thread publishes.
    static LOOK: RefCell<Option<Box<dyn Fn()>>> = const { RefCell::new(None) };
    /// How often this thread still gets memory.
    static MEMORY: Cell<usize> = const { Cell::new(usize::MAX) };
}

fn changed() {
    LOOK.with_borrow(|look| look.iter().for_each(|look| look()));
}

fn take_memory() -> prelude::Result {
    let left = MEMORY.get().checked_sub(1).ok_or(prelude::ENOMEM)?;
    MEMORY.set(left);
    Ok(())
}

struct Peer {
    number: usize,
    prefixes: Mutex<PrefixList<Peer>>,
}

impl net::rcu::Object for Peer {}

impl Owner for Peer {
    fn with_prefixes<R>(&self, f: impl FnOnce(&mut PrefixList<Self>) -> R) -> R {
        f(&mut self.prefixes.lock().unwrap())
    }
}

/// Whether it is IPv6, the address, the length.
type Key = (bool, u128, u8);

fn prefix((v6, address, bits): Key) -> Prefix {
    if v6 {
        Prefix::v6(address.to_be_bytes(), bits).unwrap()
    } else {
        Prefix::v4((address as u32).to_be_bytes(), bits).unwrap()
    }
}

fn masked(v6: bool, address: u128, bits: u8) -> u128 {
    let width = if v6 { 128 } else { 32 };
    let mask = u128::MAX.checked_shl(width - u32::from(bits)).unwrap_or(0);
    address & mask & (u128::MAX >> (128 - width))
}

struct World {
    trie: Arc<AllowedIps<Peer>>,
    writer: Writer,
    peers: Vec<Shared<Peer>>,
    model: BTreeMap<Key, usize>,
    /// What each peer has, in the order in which it was given.
    order: Vec<Vec<Key>>,
}

impl World {
    fn new(peers: usize) -> Self {
        let peer = |number| {
            let prefixes = Mutex::new(PrefixList::new());
            Shared::new(Peer { number, prefixes }).unwrap()
        };
        Self {
            trie: Arc::new(AllowedIps::new()),
            writer: Writer::new(),
            peers: (0..peers).map(peer).collect(),
            model: BTreeMap::new(),
            order: vec![Vec::new(); peers],
        }
    }

    fn given(&mut self, key: Key, number: usize) {
        self.taken(&key);
        self.model.insert(key, number);
        self.order[number].push(key);
    }

    fn taken(&mut self, key: &Key) {
        if let Some(number) = self.model.remove(key) {
            self.order[number].retain(|other| other != key);
        }
    }

    fn taken_all(&mut self, number: usize) {
        self.model.retain(|_, owner| *owner != number);
        self.order[number].clear();
    }

    fn replaced(&mut self, number: usize, list: &[Key]) {
        self.taken_all(number);
        for (index, key) in list.iter().enumerate() {
            if !list[..index].contains(key) {
                self.given(*key, number);
            }
        }
    }

    fn lookup(&self, v6: bool, address: u128) -> Option<usize> {
        lookup(&self.trie, v6, address)
    }

    fn expected(&self, v6: bool, address: u128) -> Option<usize> {
        (0..=if v6 { 128 } else { 32 })
            .rev()
            .find_map(|bits| self.model.get(&(v6, masked(v6, address, bits), bits)))
            .copied()
    }

    fn listed(&self) -> Vec<Vec<Key>> {
        let list = |peer: &Shared<Peer>| {
            let (mut listed, mut place) = (Vec::new(), 0);
            peer.with_prefixes(|list| {
                while let Some(prefix) = list.next(&mut place) {
                    let (octets, len) = prefix.octets();
                    let octets = &octets[..len];
                    let address = octets.iter().fold(0, |all, &o| (all << 8) | u128::from(o));
                    listed.push((prefix.is_v6(), address, prefix.bits()));
                    place += 1;
                }
            });
            listed
        };
        self.peers.iter().map(list).collect()
    }

    fn check_lists(&self) {
        assert_eq!(self.listed(), self.order);
    }

    /// After a failed replacement: the owner's own list is as it was, and others have what they had.
    fn check_lists_but_for_order(&mut self, owner: usize) {
        let listed = self.listed();
        assert_eq!(listed[owner], self.order[owner]);
        let sorted = |lists: &[Vec<Key>]| -> Vec<BTreeSet<Key>> {
            lists
                .iter()
                .map(|list| list.iter().copied().collect())
                .collect()
        };
        assert_eq!(sorted(&listed), sorted(&self.order));
        assert!(listed
            .iter()
            .map(Vec::len)
            .eq(self.order.iter().map(Vec::len)));
        self.order = listed;
    }
}

fn lookup(trie: &AllowedIps<Peer>, v6: bool, address: u128) -> Option<usize> {
    let guard = read_lock();
    let found = if v6 {
        trie.lookup_v6(&guard, &address.to_be_bytes())
    } else {
        let address = (address as u32).to_be_bytes();
        trie.lookup_v4(&guard, address)
    };
    found.map(|peer| peer.get().number)
}

/// A prefix of which many lie inside one another.
fn key(rng: &mut Rng, v6: bool) -> Key {
    let bits = rng.below(if v6 { 129 } else { 33 }) as u8;
    (v6, masked(v6, address(rng, v6), bits), bits)
}

/// Addresses of which many share long prefixes.
fn address(rng: &mut Rng, v6: bool) -> u128 {
    let width: u32 = if v6 { 128 } else { 32 };
    let mut address = 0;
    for _ in 0..3 {
        address ^= 1u128 << rng.below(u64::from(width));
    }
    address
}

#[test]
fn the_trie_answers_as_a_plain_list_does() {
    for seed in 0..40 {
        let mut rng = Rng::new(seed);
        let mut world = World::new(4);
        for step in 0..600 {
            let v6 = rng.below(2) == 1;
            let bits = rng.below(if v6 { 129 } else { 33 }) as u8;
            let key = (v6, masked(v6, address(&mut rng, v6), bits), bits);
            let number = rng.below(4) as usize;
            let peer = world.peers[number].clone();
            match rng.below(100) {
                0 => {
                    world.trie.remove_owner(&mut world.writer, &peer);
                    world.taken_all(number);
                }
                1..40 => {
                    // Most of the time one that is there, though perhaps somebody else's.
                    let index = rng.below(world.model.len().max(1) as u64) as usize;
                    let key = *world.model.keys().nth(index).unwrap_or(&key);
                    world.trie.remove(&mut world.writer, &prefix(key), &peer);
                    if world.model.get(&key) == Some(&number) {
                        world.taken(&key);
                    }
                }
                _ => {
                    let given = prefix(key);
                    world.trie.insert(&mut world.writer, given, &peer).unwrap();
                    world.given(key, number);
                }
            }
            for _ in 0..10 {
                let address = address(&mut rng, v6);
                let (found, expected) = (world.lookup(v6, address), world.expected(v6, address));
                assert_eq!(found, expected, "seed {seed}, step {step}, {address:x}");
            }
            if step % 20 == 0 {
                world.check_lists();
            }
        }
        world.check_lists();
        // Nothing is left of what everybody has lost.
        for peer in world.peers.clone() {
            world.trie.remove_owner(&mut world.writer, &peer);
            world.taken_all(peer.number);
        }
        world.check_lists();
        for v6 in [false, true] {
            assert_eq!(world.lookup(v6, address(&mut rng, v6)), None);
        }
    }
}

/// Whoever gives an owner again and again what it has, in whatever order, does not make its list longer.
#[test]
fn gaps_are_bounded() {
    let mut world = World::new(1);
    let peer = world.peers[0].clone();
    let mut rng = Rng::new(3);
    let keys: Vec<Key> = (0..20u32)
        .map(|n| (false, u128::from(n) << 24, 8))
        .collect();
    for turn in 0..10_000 {
        let again = rng.below(3) as usize;
        let key = keys[if turn < 20 { turn } else { again }];
        world
            .trie
            .insert(&mut world.writer, prefix(key), &peer)
            .unwrap();
        world.given(key, 0);
    }
    world.check_lists();
    let mut place = 0;
    let mut last = 0;
    peer.with_prefixes(|list| {
        while list.next(&mut place).is_some() {
            last = place;
            place += 1;
        }
    });
    assert!(last <= 2 * keys.len(), "{last}");
}

/// A cleared trie forgets, and its owners can be given prefixes again.
#[test]
fn a_cleared_trie_is_empty() {
    let mut world = World::new(1);
    let peer = world.peers[0].clone();
    let key = (false, 0x0a00_0000, 8);
    let given = prefix(key);
    world.trie.insert(&mut world.writer, given, &peer).unwrap();
    world.trie.clear(&mut world.writer);
    AllowedIps::forget(&peer);
    assert_eq!(world.lookup(false, 0x0a00_0001), None);
    world.check_lists();
    world.trie.insert(&mut world.writer, given, &peer).unwrap();
    assert_eq!(world.lookup(false, 0x0a00_0001), Some(0));
}

/// A world in which everybody has something, and the next list of one of them.
fn before_replacement(rng: &mut Rng) -> (World, usize, Vec<Key>) {
    let mut world = World::new(3);
    for _ in 0..30 {
        let (key, number) = (key(rng, false), rng.below(3) as usize);
        let peer = world.peers[number].clone();
        world
            .trie
            .insert(&mut world.writer, prefix(key), &peer)
            .unwrap();
        world.given(key, number);
    }
    let number = rng.below(3) as usize;
    // Some that are there, some that are not, and one twice.
    let mut list: Vec<Key> = (0..rng.below(12)).map(|_| key(rng, false)).collect();
    let there: Vec<Key> = world.model.keys().copied().collect();
    list.extend(there.iter().filter(|_| rng.below(3) == 0));
    list.extend(list.first().copied());
    (world, number, list)
}

/// After each single change that readers can see, each address has the owner of before or that of afterwards.
#[test]
fn no_address_falls_through_a_replacement() {
    for seed in 0..150 {
        let mut rng = Rng::new(seed);
        let (mut world, number, list) = before_replacement(&mut rng);
        let addresses: Vec<u128> = (0..60).map(|_| address(&mut rng, false)).collect();
        let before: Vec<_> = addresses
            .iter()
            .map(|a| world.expected(false, *a))
            .collect();
        world.replaced(number, &list);
        let after: Vec<_> = addresses
            .iter()
            .map(|a| world.expected(false, *a))
            .collect();
        let (trie, looked) = (world.trie.clone(), addresses.clone());
        let may: Vec<_> = before.into_iter().zip(after).collect();
        LOOK.set(Some(Box::new(move || {
            for (address, (before, after)) in looked.iter().zip(&may) {
                let found = lookup(&trie, false, *address);
                let fits = found == *before || found == *after;
                assert!(
                    fits,
                    "seed {seed}, {address:x}: {found:?}, not {before:?} or {after:?}"
                );
            }
        })));
        let peer = world.peers[number].clone();
        let prefixes = list.iter().copied().map(prefix);
        world
            .trie
            .replace(&mut world.writer, &peer, prefixes)
            .unwrap();
        LOOK.set(None);
        world.check_lists();
        for address in addresses {
            assert_eq!(world.lookup(false, address), world.expected(false, address));
        }
    }
}

/// Without memory for all of it everything stays, whenever it ends.
#[test]
fn a_replacement_without_memory_changes_nothing() {
    let mut failures = 0;
    for seed in 0..40 {
        for memory in 0.. {
            let mut rng = Rng::new(seed);
            let (mut world, number, list) = before_replacement(&mut rng);
            let peer = world.peers[number].clone();
            MEMORY.set(memory);
            let prefixes = list.iter().copied().map(prefix);
            let result = world.trie.replace(&mut world.writer, &peer, prefixes);
            MEMORY.set(usize::MAX);
            if result.is_ok() {
                break;
            }
            failures += 1;
            world.check_lists_but_for_order(number);
            for _ in 0..60 {
                let address = address(&mut rng, false);
                let (found, expected) =
                    (world.lookup(false, address), world.expected(false, address));
                assert_eq!(found, expected, "seed {seed}, memory {memory}, {address:x}");
            }
            // And what comes next finds the lists in order.
            world.replaced(number, &list);
            let prefixes = list.iter().copied().map(prefix);
            world
                .trie
                .replace(&mut world.writer, &peer, prefixes)
                .unwrap();
            world.check_lists();
        }
    }
    assert!(failures > 500, "{failures}");
}

/// Readers that are under way while lists change by turns: of two lists that both have an address, one is found.
#[test]
fn readers_under_way_find_an_owner() {
    let mut rng = Rng::new(7);
    let mut world = World::new(1);
    let peer = world.peers[0].clone();
    let addresses: Vec<u128> = (0..8).map(|_| address(&mut rng, false)).collect();
    // Each list has each address, at another length.
    let lists: Vec<Vec<Key>> = (0..16)
        .map(|_| {
            let one = |a: &u128| {
                let bits = 4 + rng.below(29) as u8;
                (false, masked(false, *a, bits), bits)
            };
            addresses
                .iter()
                .map(one)
                .collect::<BTreeSet<Key>>()
                .into_iter()
                .collect()
        })
        .collect();
    let first = lists[0].iter().copied().map(prefix);
    world.trie.replace(&mut world.writer, &peer, first).unwrap();
    let ends = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let (trie, ends, addresses) = (world.trie.clone(), ends.clone(), addresses.clone());
            std::thread::spawn(move || {
                let mut misses = 0;
                while !ends.load(Ordering::Relaxed) {
                    misses += addresses
                        .iter()
                        .filter(|a| lookup(&trie, false, **a).is_none())
                        .count();
                }
                misses
            })
        })
        .collect();
    for turn in 0..3000 {
        let list = lists[turn % lists.len()].iter().copied().map(prefix);
        world.trie.replace(&mut world.writer, &peer, list).unwrap();
    }
    ends.store(true, Ordering::Relaxed);
    for reader in readers {
        assert_eq!(reader.join().unwrap(), 0);
    }
}
