// SPDX-License-Identifier: GPL-2.0

//! Cryptokey routing: which peer an address belongs to (whitepaper §2).
//!
//! A binary trie for each IP version, with paths compressed: a node stands for a prefix, its two
//! children for longer prefixes that go on with a zero or a one. A node without an owner is a mere
//! fork and has both children. The data path looks addresses up under RCU; netlink changes the trie
//! with a [`Writer`] in hand. A change publishes finished nodes only, so that a reader never misses a
//! prefix that stays, and no step is recursive.
//!
//! Each owner lists the nodes that lead to it, which is what a dump shows.

#![forbid(unsafe_code)]

use kernel::prelude::*;
use kernel::sync::atomic::{
    Atomic,
    Relaxed, //
};

use crate::net::rcu::{
    self,
    Guard,
    Shared,
    SharedRef,
    Slot, //
};
use crate::net::vector::Vector;

/// Up to 128 bits, the first one topmost; an IPv4 address has 32 of them.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Bits {
    high: u64,
    low: u64,
}

impl Bits {
    fn v4(addr: [u8; 4]) -> Self {
        Self {
            high: u64::from(u32::from_be_bytes(addr)) << 32,
            low: 0,
        }
    }

    fn v6(addr: &[u8; 16]) -> Self {
        let all = u128::from_be_bytes(*addr);
        Self {
            high: (all >> 64) as u64,
            low: all as u64,
        }
    }

    fn to_octets(self) -> [u8; 16] {
        ((u128::from(self.high) << 64) | u128::from(self.low)).to_be_bytes()
    }

    /// `count` ones, the others are zero.
    fn ones(count: u8) -> Self {
        let mask = |count: u32| match count {
            0 => 0,
            1..64 => u64::MAX.wrapping_shl(64u32.wrapping_sub(count)),
            _ => u64::MAX,
        };
        let count = u32::from(count);
        Self {
            high: mask(count),
            low: mask(count.saturating_sub(64)),
        }
    }

    /// The first `count` bits; the others are zero.
    fn prefix(self, count: u8) -> Self {
        let mask = Self::ones(count);
        Self {
            high: self.high & mask.high,
            low: self.low & mask.low,
        }
    }

    /// Whether both have the same bits where `mask` has ones. Of an IPv4 address the second half is zero.
    fn same<const V6: bool>(self, other: Self, mask: Self) -> bool {
        (self.high ^ other.high) & mask.high == 0 && (!V6 || (self.low ^ other.low) & mask.low == 0)
    }

    /// How many bits both begin with.
    fn common(self, other: Self) -> u8 {
        let high = (self.high ^ other.high).leading_zeros() as u8;
        if high < 64 {
            return high;
        }
        // Both numbers are at most 64.
        64u8.wrapping_add((self.low ^ other.low).leading_zeros() as u8)
    }

    /// [`Bits::bit`]; if not of an IPv6 address, then of an IPv4 one.
    fn bit_of<const V6: bool>(self, index: u8) -> bool {
        if V6 {
            self.bit(index)
        } else {
            self.high.wrapping_shl(u32::from(index)) >> 63 != 0
        }
    }

    /// Whether bit number `index` is set.
    fn bit(self, index: u8) -> bool {
        let word = if index < 64 { self.high } else { self.low };
        word.wrapping_shl(u32::from(index)) >> 63 != 0
    }
}

/// An address and how many of its bits count.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Prefix {
    key: Bits,
    bits: u8,
    v6: bool,
}

impl Prefix {
    /// An IPv4 prefix; `None` for more than 32 bits. Bits of the address beyond the prefix are ignored.
    pub(crate) fn v4(addr: [u8; 4], bits: u8) -> Option<Self> {
        (bits <= 32).then(|| Self {
            key: Bits::v4(addr).prefix(bits),
            bits,
            v6: false,
        })
    }

    /// An IPv6 prefix; `None` for more than 128 bits. Bits of the address beyond the prefix are
    /// ignored.
    pub(crate) fn v6(addr: [u8; 16], bits: u8) -> Option<Self> {
        (bits <= 128).then(|| Self {
            key: Bits::v6(&addr).prefix(bits),
            bits,
            v6: true,
        })
    }

    /// How many bits count.
    pub(crate) fn bits(&self) -> u8 {
        self.bits
    }

    /// Whether the address is of IPv6.
    pub(crate) fn is_v6(&self) -> bool {
        self.v6
    }

    /// The address in the first 4 or 16 octets, and how many.
    pub(crate) fn octets(&self) -> ([u8; 16], usize) {
        (self.key.to_octets(), if self.v6 { 16 } else { 4 })
    }
}

/// Who a prefix can belong to.
pub(crate) trait Owner: Send + Sync + Sized + 'static {
    /// Runs `f` on the owner's list of prefixes, locked. May sleep.
    fn with_prefixes<R>(&self, f: impl FnOnce(&mut PrefixList<Self>) -> R) -> R;
}

/// A node of the trie.
pub(crate) struct Node<V: Owner> {
    prefix: Prefix,
    /// The bits that count.
    mask: Bits,
    children: [Slot<Node<V>>; 2],
    /// Nobody for a fork.
    owner: Slot<V>,
    /// Where the node is in its owner's list; guarded by the list's lock.
    position: Atomic<usize>,
}

impl<V: Owner> Node<V> {
    /// A node that leads to `below`, which have longer prefixes that this one is a prefix of and differ in
    /// the next bit.
    fn new<const N: usize>(
        prefix: Prefix,
        owner: Option<&Shared<V>>,
        below: [Shared<Self>; N],
    ) -> Result<Shared<Self>> {
        let mut children = [const { None }; 2];
        for node in below {
            let place = usize::from(node.prefix.key.bit(prefix.bits));
            if let Some(child) = children.get_mut(place) {
                *child = Some(node);
            }
        }
        Shared::new(Self {
            prefix,
            mask: Bits::ones(prefix.bits),
            children: children.map(Slot::new),
            owner: Slot::new(owner.cloned()),
            position: Atomic::new(0),
        })
    }

    /// The child for addresses that go on with `bit`.
    fn child(&self, bit: bool) -> &Slot<Self> {
        let [zero, one] = &self.children;
        if bit {
            one
        } else {
            zero
        }
    }

    /// The child on the way to `key`, which the node's prefix is a prefix of and which is longer.
    fn child_towards(&self, key: Bits) -> &Slot<Self> {
        self.child(key.bit(self.prefix.bits))
    }
}

/// The prefixes of one owner.
pub(crate) struct PrefixList<V: Owner>(Vector<Shared<Node<V>>>);

impl<V: Owner> PrefixList<V> {
    /// No prefixes.
    pub(crate) const fn new() -> Self {
        Self(Vector::new())
    }

    /// The prefix at `index`; `None` beyond the last. Prefixes are in the order in which they came,
    /// apart from those that took the place of a removed one.
    pub(crate) fn get(&self, index: usize) -> Option<Prefix> {
        self.0.get(index).map(|node| node.prefix)
    }

    fn add(&mut self, node: Shared<Node<V>>) -> Result {
        node.position.store(self.0.len(), Relaxed);
        self.0.push(node)
    }

    fn remove(&mut self, node: &Node<V>) {
        let position = node.position.load(Relaxed);
        if let Some(last) = self.0.pop() {
            if let Some(place) = self.0.get_mut(position) {
                last.position.store(position, Relaxed);
                *place = last;
            }
        }
    }
}

/// The right to change the trie: there is one of it, and whoever holds it is alone.
pub(crate) struct Writer(());

impl Writer {
    /// To be made once for each trie.
    pub(crate) const fn new() -> Self {
        Self(())
    }
}

/// Where a prefix is in the trie, or would be.
struct Place<'g, V: Owner> {
    /// The node that leads to `parent`; none if that is the root.
    above: Option<SharedRef<'g, Node<V>>>,
    /// The last node on the way that is a shorter prefix; none if the root is the place.
    parent: Option<SharedRef<'g, Node<V>>>,
    /// What is there.
    found: Option<SharedRef<'g, Node<V>>>,
}

/// The slot below `node`, or the root, on the way to `key`.
fn slot_below<'a, V: Owner>(
    root: &'a Slot<Node<V>>,
    node: Option<&'a Node<V>>,
    key: Bits,
) -> &'a Slot<Node<V>> {
    node.map_or(root, |node| node.child_towards(key))
}

/// The trie.
pub(crate) struct AllowedIps<V: Owner> {
    v4: Slot<Node<V>>,
    v6: Slot<Node<V>>,
}

impl<V: Owner> AllowedIps<V> {
    /// An empty trie.
    pub(crate) const fn new() -> Self {
        Self {
            v4: Slot::empty(),
            v6: Slot::empty(),
        }
    }

    /// The owner of the longest prefix of an IPv4 address. Any context.
    pub(crate) fn lookup_v4<'g>(
        &self,
        guard: &'g Guard,
        addr: [u8; 4],
    ) -> Option<SharedRef<'g, V>> {
        lookup::<V, false>(&self.v4, guard, Bits::v4(addr))
    }

    /// The owner of the longest prefix of an IPv6 address. Any context.
    pub(crate) fn lookup_v6<'g>(
        &self,
        guard: &'g Guard,
        addr: &[u8; 16],
    ) -> Option<SharedRef<'g, V>> {
        lookup::<V, true>(&self.v6, guard, Bits::v6(addr))
    }

    fn root(&self, prefix: &Prefix) -> &Slot<Node<V>> {
        if prefix.v6 {
            &self.v6
        } else {
            &self.v4
        }
    }

    /// Gives a prefix to `owner`, whoever had it before. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; nothing has changed then.
    pub(crate) fn insert(&self, _writer: &mut Writer, prefix: Prefix, owner: &Shared<V>) -> Result {
        let root = self.root(&prefix);
        // What is found stays in the trie, since the caller has the writer; counted references, because
        // memory is needed.
        let (parent, found) = {
            let guard = rcu::read_lock();
            let place = Self::find(root, &prefix, &guard);
            let keep = |node: SharedRef<'_, Node<V>>| node.upgrade().ok_or(ENOENT);
            (
                place.parent.map(keep).transpose()?,
                place.found.map(keep).transpose()?,
            )
        };
        if let Some(node) = &found {
            if node.prefix == prefix {
                return Self::give(node, owner);
            }
        }
        // What is there goes below the new node, or beside it below a fork.
        let (node, new) = match found {
            None => {
                let node = Node::new(prefix, Some(owner), [])?;
                (node.clone(), node)
            }
            Some(old) => {
                let common = old.prefix.key.common(prefix.key).min(old.prefix.bits);
                if common >= prefix.bits {
                    let node = Node::new(prefix, Some(owner), [old])?;
                    (node.clone(), node)
                } else {
                    let node = Node::new(prefix, Some(owner), [])?;
                    let between = Prefix {
                        key: prefix.key.prefix(common),
                        bits: common,
                        v6: prefix.v6,
                    };
                    let fork = Node::new(between, None, [old, node.clone()])?;
                    (node, fork)
                }
            }
        };
        owner.with_prefixes(|list| list.add(node))?;
        slot_below(root, parent.as_deref(), prefix.key).set(Some(new));
        Ok(())
    }

    /// Goes down towards `prefix` as far as nodes are shorter prefixes of it. There has to be a
    /// [`Writer`], so that what is found stays in the trie.
    fn find<'g>(root: &Slot<Node<V>>, prefix: &Prefix, guard: &'g Guard) -> Place<'g, V> {
        if prefix.v6 {
            Self::find_in::<true>(root, prefix, guard)
        } else {
            Self::find_in::<false>(root, prefix, guard)
        }
    }

    fn find_in<'g, const V6: bool>(
        root: &Slot<Node<V>>,
        prefix: &Prefix,
        guard: &'g Guard,
    ) -> Place<'g, V> {
        let mut place = Place {
            above: None,
            parent: None,
            found: root.load(guard),
        };
        while let Some(node) = place.found {
            let at = node.get();
            let bits = at.prefix.bits;
            if bits >= prefix.bits || !at.prefix.key.same::<V6>(prefix.key, at.mask) {
                break;
            }
            place.above = place.parent;
            place.parent = Some(node);
            place.found = at.child(prefix.key.bit_of::<V6>(bits)).load(guard);
        }
        place
    }

    /// Gives the prefix of a node that is there to `owner`.
    fn give(node: &Shared<Node<V>>, owner: &Shared<V>) -> Result {
        if let Some(old) = node.owner.get() {
            if Shared::ptr_eq(&old, owner) {
                return Ok(());
            }
            old.with_prefixes(|list| list.remove(node));
            if let Err(e) = owner.with_prefixes(|list| list.add(node.clone())) {
                // There was room for it a moment ago.
                old.with_prefixes(|list| list.add(node.clone()))?;
                return Err(e);
            }
        } else {
            owner.with_prefixes(|list| list.add(node.clone()))?;
        }
        node.owner.set(Some(owner.clone()));
        Ok(())
    }

    /// Takes a prefix away from `owner`; nothing happens if it belongs to somebody else. May sleep.
    pub(crate) fn remove(&self, _writer: &mut Writer, prefix: &Prefix, owner: &Shared<V>) {
        let root = self.root(prefix);
        owner.with_prefixes(|list| {
            let guard = rcu::read_lock();
            let place = Self::find(root, prefix, &guard);
            let Some(node) = place.found.map(SharedRef::get) else {
                return;
            };
            let is_owner = |other: SharedRef<'_, V>| core::ptr::eq(other.get(), &**owner);
            if node.prefix == *prefix && node.owner.load(&guard).is_some_and(is_owner) {
                list.remove(node);
                Self::unlink(root, &place, &guard);
            }
        });
    }

    /// Takes all prefixes away from `owner`. May sleep.
    pub(crate) fn remove_owner(&self, _writer: &mut Writer, owner: &Shared<V>) {
        let list = owner.with_prefixes(|list| core::mem::replace(list, PrefixList::new()));
        for node in list.0.iter() {
            let root = self.root(&node.prefix);
            let guard = rcu::read_lock();
            let place = Self::find(root, &node.prefix, &guard);
            if place
                .found
                .is_some_and(|found| core::ptr::eq(found.get(), &**node))
            {
                Self::unlink(root, &place, &guard);
            } else {
                node.owner.set(None);
            }
        }
    }

    /// Empties the trie, but not the lists of the owners, for which [`AllowedIps::forget`] is to be
    /// called.
    pub(crate) fn clear(&self, _writer: &mut Writer) {
        self.v4.set(None);
        self.v6.set(None);
    }

    /// Empties the list of an owner after [`AllowedIps::clear`]. May sleep.
    pub(crate) fn forget(owner: &Shared<V>) {
        let list = owner.with_prefixes(|list| core::mem::replace(list, PrefixList::new()));
        for node in list.0.iter() {
            node.owner.set(None);
        }
    }

    /// Takes the owner from the node that was found, and out of the trie what serves no purpose any more.
    fn unlink(root: &Slot<Node<V>>, place: &Place<'_, V>, guard: &Guard) {
        let Some(node) = place.found.map(SharedRef::get) else {
            return;
        };
        let key = node.prefix.key;
        node.owner.set(None);
        let parent = place.parent.map(SharedRef::get);
        let slot = slot_below(root, parent, key);
        match (node.child(false).load(guard), node.child(true).load(guard)) {
            // Still a fork.
            (Some(_), Some(_)) => {}
            (Some(child), None) | (None, Some(child)) => slot.set(child.upgrade()),
            (None, None) => {
                slot.set(None);
                // The node above may be a fork that has only one child now.
                if let Some(parent) = parent.filter(|parent| !parent.owner.is_some()) {
                    let other = parent.child(!key.bit(parent.prefix.bits)).load(guard);
                    let above = place.above.map(SharedRef::get);
                    slot_below(root, above, key).set(other.and_then(SharedRef::upgrade));
                }
            }
        }
    }
}

/// The owner of the longest prefix of `key`, an address of IPv6 or IPv4.
fn lookup<'g, V: Owner, const V6: bool>(
    root: &Slot<Node<V>>,
    guard: &'g Guard,
    key: Bits,
) -> Option<SharedRef<'g, V>> {
    let length = if V6 { 128 } else { 32 };
    let mut best = None;
    let mut next = root.load(guard);
    while let Some(node) = next {
        let node = node.get();
        if !node.prefix.key.same::<V6>(key, node.mask) {
            break;
        }
        if let Some(owner) = node.owner.load(guard) {
            best = Some(owner);
        }
        let bits = node.prefix.bits;
        if bits >= length {
            break;
        }
        next = node.child(key.bit_of::<V6>(bits)).load(guard);
    }
    best
}
