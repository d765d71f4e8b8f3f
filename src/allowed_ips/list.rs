// SPDX-License-Identifier: GPL-2.0

//! The prefixes of one owner, in the order in which they were given to it: what a dump shows.
//!
//! A node knows its place in the list. What is taken out leaves a gap, so that the others keep their order and their
//! places; once there are more gaps than prefixes they are closed.

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
use crate::net::vector::Vector;

/// A node in its owner's list.
pub(crate) enum Listed<V: Owner> {
    /// Of IPv4.
    V4(Shared<Node<V, u32>>),
    /// Of IPv6.
    V6(Shared<Node<V, Bits>>),
}

impl<V: Owner> Listed<V> {
    fn position(&self) -> &Atomic<u32> {
        match self {
            Self::V4(node) => &node.position,
            Self::V6(node) => &node.position,
        }
    }

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
pub(crate) struct PrefixList<V: Owner> {
    /// By position; gaps are `None`.
    places: Vector<Option<Listed<V>>>,
    /// How many of them are gaps.
    gaps: usize,
}

impl<V: Owner> PrefixList<V> {
    /// No prefixes.
    pub(crate) const fn new() -> Self {
        Self {
            places: Vector::new(),
            gaps: 0,
        }
    }

    /// The first prefix at `place` or behind it, and its place goes there; `None` if there is none. Prefixes are in the
    /// order in which they were given to the owner.
    pub(crate) fn next(&self, place: &mut usize) -> Option<Prefix> {
        loop {
            match self.places.get(*place)? {
                Some(Listed::V4(node)) => return Some(Prefix::V4(node.net)),
                Some(Listed::V6(node)) => return Some(Prefix::V6(node.net)),
                None => *place = place.saturating_add(1),
            }
        }
    }

    /// The nodes, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Listed<V>> {
        self.places.iter().flatten()
    }

    /// Adds a node, which knows its new place then, at the end. It succeeds without memory if there is a gap.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; nothing has changed then.
    pub(super) fn add(&mut self, node: Listed<V>) -> Result {
        if let Err(e) = self.places.reserve_one() {
            if self.gaps == 0 {
                return Err(e);
            }
            self.close_gaps();
        }
        let place = u32::try_from(self.places.len()).map_err(|_| ENOMEM)?;
        node.position().store(place, Relaxed);
        // There is room.
        self.places.push(Some(node))
    }

    /// Takes out what is at `place`.
    pub(super) fn remove(&mut self, place: u32) {
        self.vacate(place);
        self.limit_gaps();
    }

    /// Moves what is at `place` to the end.
    pub(super) fn renew(&mut self, place: u32) {
        if let Some(node) = self.vacate(place) {
            let again = node.again();
            if self.add(node).is_err() {
                self.put_back(place, again);
            }
            self.limit_gaps();
        }
    }

    /// Takes a node out if it is in this list, rather than in another one of its owner's. Returns where it was; others
    /// keep their places.
    pub(super) fn take(&mut self, node: &Listed<V>) -> Option<u32> {
        let place = node.position().load(Relaxed);
        let here = matches!(self.places.get(place as usize), Some(Some(other)) if other.is(node));
        here.then(|| {
            self.vacate(place);
            place
        })
    }

    /// Undoes [`PrefixList::take`], if only such calls have been made since.
    pub(super) fn put_back(&mut self, place: u32, node: Listed<V>) {
        if let Some(gap @ None) = self.places.get_mut(place as usize) {
            node.position().store(place, Relaxed);
            *gap = Some(node);
            self.gaps = self.gaps.saturating_sub(1);
        }
    }

    fn vacate(&mut self, place: u32) -> Option<Listed<V>> {
        let node = self.places.get_mut(place as usize)?.take()?;
        self.gaps = self.gaps.saturating_add(1);
        Some(node)
    }

    fn limit_gaps(&mut self) {
        if self.gaps > self.places.len() / 2 {
            self.close_gaps();
        }
    }

    fn close_gaps(&mut self) {
        let mut next = 0u32;
        self.places.retain(|node| match node {
            Some(node) => {
                node.position().store(next, Relaxed);
                next = next.wrapping_add(1);
                true
            }
            None => false,
        });
        self.gaps = 0;
    }
}
