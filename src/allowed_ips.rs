// SPDX-License-Identifier: GPL-2.0

//! Cryptokey routing: which peer an address belongs to (whitepaper §2).
//!
//! A path-compressed binary trie for each IP version: a node stands for a prefix, its two children for
//! longer prefixes that continue with a zero or a one. A node without an owner is a mere fork and has
//! both children. The data path looks addresses up under RCU; netlink changes the trie while holding
//! the [`Writer`]. A change publishes only finished nodes, so that a reader never misses a prefix that
//! stays, and no step is recursive.
//!
//! Each owner lists the nodes that lead to it, which is what a dump shows.

#![forbid(unsafe_code)]

// Explicit paths, so that the tests on the host find the files, too.
#[path = "allowed_ips/address.rs"]
mod address;
#[path = "allowed_ips/list.rs"]
mod list;
#[path = "allowed_ips/replace.rs"]
mod replace;

pub(crate) use address::Prefix;
pub(crate) use list::PrefixList;

use address::{
    Address,
    Bits,
    Net, //
};
use list::Listed;

use kernel::prelude::*;
use kernel::sync::atomic::{
    Atomic,
    Relaxed, //
};

use crate::net::rcu::{
    self,
    Bare,
    Dying,
    Guard,
    Object,
    Shared,
    SharedRef,
    Slot, //
};

/// What a prefix can belong to.
pub(crate) trait Owner: Object + Sized {
    /// Runs `f` on the owner's list of prefixes, locked. May sleep.
    fn with_prefixes<R>(&self, f: impl FnOnce(&mut PrefixList<Self>) -> R) -> R;
}

/// A node of a trie. An IPv4 one takes 64 octets, including all that [`Shared`] adds.
pub(crate) struct Node<V: Owner, A: Address> {
    children: [Slot<Node<V, A>>; 2],
    /// None for a fork.
    owner: Slot<V>,
    net: Net<A>,
    /// The bits that count.
    mask: A,
    /// Where the node is in its owner's list; guarded by the list's lock.
    position: Atomic<u32>,
}

impl<V: Owner, A: Address> Object for Node<V, A> {
    const BARE: Option<Bare<Self>> = Some(Bare::YES);

    fn release(&self, dying: &Dying) {
        self.children.iter().for_each(|child| child.release(dying));
        self.owner.release(dying);
    }
}

impl<V: Owner, A: Address> Node<V, A> {
    /// A node above `below`, whose prefixes extend this node's and differ from each other in the next bit.
    fn new<const N: usize>(
        net: Net<A>,
        owner: Option<&Shared<V>>,
        below: [Shared<Self>; N],
    ) -> Result<Shared<Self>> {
        let mut children = [const { None }; 2];
        for node in below {
            let place = usize::from(node.net.address.bit(net.bits));
            if let Some(child) = children.get_mut(place) {
                *child = Some(node);
            }
        }
        Shared::new(Self {
            children: children.map(Slot::new),
            owner: Slot::new(owner.cloned()),
            net,
            mask: A::ones(net.bits),
            position: Atomic::new(0),
        })
    }

    /// The child for addresses that continue with `bit`.
    fn child(&self, bit: bool) -> &Slot<Self> {
        let [zero, one] = &self.children;
        if bit {
            one
        } else {
            zero
        }
    }

    /// Whether `address` begins with the node's prefix.
    fn leads_to(&self, address: A) -> bool {
        self.net.address.same(address, self.mask)
    }
}

/// The right to change the tries: there is only one, so whoever holds it is the only writer.
pub(crate) struct Writer(());

impl Writer {
    /// To be called once for each [`AllowedIps`].
    pub(crate) const fn new() -> Self {
        Self(())
    }
}

/// Where a prefix is in a trie, or would be.
struct Place<'g, V: Owner, A: Address> {
    /// The slot that leads to `parent`.
    above: &'g Slot<Node<V, A>>,
    /// The last node on the way that is a shorter prefix; `None` if the root is the place.
    parent: Option<SharedRef<'g, Node<V, A>>>,
    /// The place.
    slot: &'g Slot<Node<V, A>>,
    /// What is there.
    found: Option<SharedRef<'g, Node<V, A>>>,
}

/// The prefixes of one IP version.
struct Trie<V: Owner, A: Address> {
    root: Slot<Node<V, A>>,
}

impl<V: Owner, A: Address> Trie<V, A> {
    const fn new() -> Self {
        Self {
            root: Slot::empty(),
        }
    }

    /// Descends towards `net` as far as the nodes are shorter prefixes of it. The caller must hold the
    /// [`Writer`], so that what is found stays in the trie.
    fn find<'g>(&'g self, net: &Net<A>, guard: &'g Guard) -> Place<'g, V, A> {
        let mut place = Place {
            above: &self.root,
            parent: None,
            slot: &self.root,
            found: self.root.load(guard),
        };
        while let Some(node) = place.found {
            let at = node.get();
            let bits = at.net.bits;
            if bits >= net.bits || !at.leads_to(net.address) {
                break;
            }
            place.above = place.slot;
            place.parent = Some(node);
            place.slot = at.child(net.address.bit(bits));
            place.found = place.slot.load(guard);
        }
        place
    }

    /// As [`AllowedIps::insert`].
    fn insert(&self, net: Net<A>, owner: &Shared<V>) -> Result {
        // What is found stays in the trie, since the caller holds the writer. The references are counted,
        // because the allocations below may sleep and thus need the read-side section to have ended.
        let (parent, found) = {
            let guard = rcu::read_lock();
            let place = self.find(&net, &guard);
            let keep = |node: SharedRef<'_, Node<V, A>>| node.upgrade().ok_or(ENOENT);
            (
                place.parent.map(keep).transpose()?,
                place.found.map(keep).transpose()?,
            )
        };
        if let Some(node) = &found {
            if node.net == net {
                return Self::give(node, owner);
            }
        }
        // What is there goes below the new node, or next to it below a fork.
        let (node, new) = match found {
            None => {
                let node = Node::new(net, Some(owner), [])?;
                (node.clone(), node)
            }
            Some(old) => {
                let common = old.net.address.common(net.address).min(old.net.bits);
                if common >= net.bits {
                    let node = Node::new(net, Some(owner), [old])?;
                    (node.clone(), node)
                } else {
                    let node = Node::new(net, Some(owner), [])?;
                    let between = Net {
                        address: net.address.and(A::ones(common)),
                        bits: common,
                    };
                    let fork = Node::new(between, None, [old, node.clone()])?;
                    (node, fork)
                }
            }
        };
        owner.with_prefixes(|list| list.add(A::listed(node)))?;
        let slot = parent.as_deref().map_or(&self.root, |parent| {
            parent.child(net.address.bit(parent.net.bits))
        });
        slot.set(Some(new));
        Ok(())
    }

    /// Gives the prefix of a node that is there to `owner`.
    fn give(node: &Shared<Node<V, A>>, owner: &Shared<V>) -> Result {
        let listed = || A::listed(node.clone());
        if let Some(old) = node.owner.get() {
            let place = node.position.load(Relaxed);
            if Shared::ptr_eq(&old, owner) {
                owner.with_prefixes(|list| list.renew(place));
                return Ok(());
            }
            owner.with_prefixes(|list| list.add(listed()))?;
            old.with_prefixes(|list| list.remove(place));
        } else {
            owner.with_prefixes(|list| list.add(listed()))?;
        }
        node.owner.set(Some(owner.clone()));
        Ok(())
    }

    /// As [`AllowedIps::remove`].
    fn remove(&self, net: &Net<A>, owner: &Shared<V>) {
        owner.with_prefixes(|list| {
            let guard = rcu::read_lock();
            let place = self.find(net, &guard);
            let Some(node) = place.found.map(SharedRef::get) else {
                return;
            };
            let is_owner = |other: SharedRef<'_, V>| core::ptr::eq(other.get(), &**owner);
            if node.net == *net && node.owner.load(&guard).is_some_and(is_owner) {
                list.remove(node.position.load(Relaxed));
                Self::unlink(&place, &guard);
            }
        });
    }

    /// Takes away a prefix that is no longer on its owner's list.
    fn remove_listed(&self, node: &Shared<Node<V, A>>) {
        let guard = rcu::read_lock();
        let place = self.find(&node.net, &guard);
        if place
            .found
            .is_some_and(|found| core::ptr::eq(found.get(), &**node))
        {
            Self::unlink(&place, &guard);
        } else {
            node.owner.set(None);
        }
    }

    /// Takes the owner from the node that was found, and removes from the trie what serves no purpose any more.
    fn unlink(place: &Place<'_, V, A>, guard: &Guard) {
        let Some(node) = place.found.map(SharedRef::get) else {
            return;
        };
        node.owner.set(None);
        let (slot, rest) = match (node.child(false).load(guard), node.child(true).load(guard)) {
            // Still a fork.
            (Some(_), Some(_)) => return,
            (Some(child), None) | (None, Some(child)) => (place.slot, Some(child)),
            // A fork above the node goes with it: it would have only one child.
            (None, None) => match place.parent.map(SharedRef::get) {
                Some(fork) if !fork.owner.is_some() => {
                    let other = fork.child(!node.net.address.bit(fork.net.bits));
                    (place.above, other.load(guard))
                }
                _ => (place.slot, None),
            },
        };
        slot.set(rest.and_then(SharedRef::upgrade));
    }

    /// The owner of the longest prefix of `address`.
    fn lookup<'g>(&self, guard: &'g Guard, address: A) -> Option<SharedRef<'g, V>> {
        let mut best = None;
        let mut next = self.root.load(guard);
        while let Some(node) = next {
            let node = node.get();
            if !node.leads_to(address) {
                break;
            }
            if let Some(owner) = node.owner.load(guard) {
                best = Some(owner);
            }
            let bits = node.net.bits;
            if bits >= A::LENGTH {
                break;
            }
            next = node.child(address.bit(bits)).load(guard);
        }
        best
    }
}

/// All allowed IPs of a device.
pub(crate) struct AllowedIps<V: Owner> {
    v4: Trie<V, u32>,
    v6: Trie<V, Bits>,
}

impl<V: Owner> AllowedIps<V> {
    /// No prefixes.
    pub(crate) const fn new() -> Self {
        Self {
            v4: Trie::new(),
            v6: Trie::new(),
        }
    }

    /// The owner of the longest prefix of an IPv4 address. Any context.
    pub(crate) fn lookup_v4<'g>(
        &self,
        guard: &'g Guard,
        addr: [u8; 4],
    ) -> Option<SharedRef<'g, V>> {
        self.v4.lookup(guard, u32::from_be_bytes(addr))
    }

    /// The owner of the longest prefix of an IPv6 address. Any context.
    pub(crate) fn lookup_v6<'g>(
        &self,
        guard: &'g Guard,
        addr: &[u8; 16],
    ) -> Option<SharedRef<'g, V>> {
        self.v6.lookup(guard, Bits::from(addr))
    }

    /// Gives a prefix to `owner`, whoever had it before. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, in which case nothing has changed.
    pub(crate) fn insert(&self, _writer: &mut Writer, prefix: Prefix, owner: &Shared<V>) -> Result {
        match prefix {
            Prefix::V4(net) => self.v4.insert(net, owner),
            Prefix::V6(net) => self.v6.insert(net, owner),
        }
    }

    /// Takes a prefix away from `owner`; does nothing if it belongs to somebody else. May sleep.
    pub(crate) fn remove(&self, _writer: &mut Writer, prefix: &Prefix, owner: &Shared<V>) {
        match prefix {
            Prefix::V4(net) => self.v4.remove(net, owner),
            Prefix::V6(net) => self.v6.remove(net, owner),
        }
    }

    /// Takes all prefixes away from `owner`. May sleep.
    pub(crate) fn remove_owner(&self, _writer: &mut Writer, owner: &Shared<V>) {
        let list = owner.with_prefixes(|list| core::mem::replace(list, PrefixList::new()));
        self.remove_listed(&list);
    }

    /// Takes away all prefixes of a list that is no owner's any more.
    fn remove_listed(&self, list: &PrefixList<V>) {
        for node in list.iter() {
            match node {
                Listed::V4(node) => self.v4.remove_listed(node),
                Listed::V6(node) => self.v6.remove_listed(node),
            }
        }
    }

    /// Empties the tries, but not the owners' lists: [`AllowedIps::forget`] has to be called for each
    /// owner.
    pub(crate) fn clear(&self, _writer: &mut Writer) {
        self.v4.root.set(None);
        self.v6.root.set(None);
    }

    /// Empties the list of an owner after [`AllowedIps::clear`]. May sleep.
    pub(crate) fn forget(owner: &Shared<V>) {
        let list = owner.with_prefixes(|list| core::mem::replace(list, PrefixList::new()));
        list.iter().for_each(Listed::disown);
    }
}
