// SPDX-License-Identifier: GPL-2.0

//! The prefixes of one owner, in the order in which they were given to it: what a dump shows.

#![forbid(unsafe_code)]

use kernel::prelude::*;
use kernel::sync::atomic::{
    Atomic,
    Relaxed, //
};

use super::{
    Bits,
    Node,
    Owner,
    Prefix, //
};
use crate::net::rcu::Shared;
use crate::places::{
    Placed,
    Places, //
};

/// A node in its owner's list.
pub(crate) enum Listed<V: Owner> {
    /// Of IPv4.
    V4(Shared<Node<V, u32>>),
    /// Of IPv6.
    V6(Shared<Node<V, Bits>>),
}

impl<V: Owner> Placed for Listed<V> {
    fn place(&self) -> &Atomic<u32> {
        match self {
            Self::V4(node) => &node.position,
            Self::V6(node) => &node.position,
        }
    }
}

impl<V: Owner> Listed<V> {
    /// Takes the prefix away from its owner, whether the node is still in the trie or not.
    pub(super) fn disown(&self) {
        match self {
            Self::V4(node) => node.owner.set(None),
            Self::V6(node) => node.owner.set(None),
        }
    }

    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::V4(one), Self::V4(other)) => Shared::ptr_eq(one, other),
            (Self::V6(one), Self::V6(other)) => Shared::ptr_eq(one, other),
            _ => false,
        }
    }

    /// Another reference to the node.
    pub(super) fn again(&self) -> Self {
        match self {
            Self::V4(node) => Self::V4(node.clone()),
            Self::V6(node) => Self::V6(node.clone()),
        }
    }
}

/// The prefixes of one owner.
pub(crate) struct PrefixList<V: Owner>(Places<Listed<V>>);

impl<V: Owner> PrefixList<V> {
    /// No prefixes.
    pub(crate) const fn new() -> Self {
        Self(Places::new())
    }

    /// The first prefix at `place` or behind it, and its place goes there; `None` if there is none. Prefixes are in the
    /// order in which they were given to the owner.
    pub(crate) fn next(&self, place: &mut usize) -> Option<Prefix> {
        Some(match self.0.next(place)? {
            Listed::V4(node) => Prefix::V4(node.net),
            Listed::V6(node) => Prefix::V6(node.net),
        })
    }

    /// The nodes, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Listed<V>> {
        self.0.iter()
    }

    /// Adds a node, which knows its new place then, at the end. It succeeds without memory if there is a gap.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; nothing has changed then.
    pub(super) fn add(&mut self, node: Listed<V>) -> Result {
        self.0.add(node)
    }

    /// Takes out what is at `place`.
    pub(super) fn remove(&mut self, place: u32) {
        self.0.remove(place);
    }

    /// Moves what is at `place` to the end.
    pub(super) fn renew(&mut self, place: u32) {
        if let Some(node) = self.0.vacate(place) {
            let again = node.again();
            if self.add(node).is_err() {
                self.put_back(place, again);
            }
            self.0.limit_gaps();
        }
    }

    /// Takes a node out if it is in this list, rather than in another one of its owner's. Returns where it was; others
    /// keep their places.
    pub(super) fn take(&mut self, node: &Listed<V>) -> Option<u32> {
        let place = node.place().load(Relaxed);
        let here = self.0.get(place).is_some_and(|other| other.is(node));
        here.then(|| {
            self.0.vacate(place);
            place
        })
    }

    /// Undoes [`PrefixList::take`], if only such calls have been made since.
    pub(super) fn put_back(&mut self, place: u32, node: Listed<V>) {
        self.0.put_back(place, node);
    }
}
