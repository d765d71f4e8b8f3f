// SPDX-License-Identifier: GPL-2.0

//! Replacing all prefixes of an owner, so that no packet falls through.
//!
//! The owner is first given what is new; once every reader has seen that, what is old is taken away. Whoever looks an
//! address up meanwhile finds either its owner from before or its owner from afterwards: while prefixes are added, the
//! owner has at least what it had; while they are taken away, at least what it will have.

#![forbid(unsafe_code)]

use kernel::prelude::*;

use super::{
    Address,
    AllowedIps,
    Listed,
    Net,
    Node,
    Owner,
    Prefix,
    PrefixList,
    Trie,
    Writer, //
};
use crate::net::rcu::{
    self,
    Shared, //
};
use crate::net::vector::Vector;

/// How the owner came to a prefix, so that it can be undone.
enum Step<V: Owner> {
    /// The owner had it before, at this place.
    Kept(Listed<V>, u32),
    /// It is new to the owner, and was somebody else's or nobody's.
    Claimed(Prefix, Option<Shared<V>>),
}

/// A replacement in progress.
struct Change<V: Owner> {
    /// What the owner had and has not been given again.
    old: PrefixList<V>,
    /// What has been done.
    steps: Vector<Step<V>>,
}

impl<V: Owner, A: Address> Trie<V, A> {
    /// The node with exactly this prefix. The caller must hold the [`Writer`].
    fn node(&self, net: &Net<A>) -> Option<Shared<Node<V, A>>> {
        let guard = rcu::read_lock();
        let found = self.find(net, &guard).found?;
        if found.get().net != *net {
            return None;
        }
        found.upgrade()
    }

    /// Gives a prefix to `owner`, which may have it already, and notes how to undo that.
    fn claim(
        &self,
        net: Net<A>,
        prefix: Prefix,
        owner: &Shared<V>,
        change: &mut Change<V>,
    ) -> Result {
        change.steps.reserve_one()?;
        let node = self.node(&net);
        let from = node.as_ref().and_then(|node| node.owner.get());
        let step = match (node, from) {
            (Some(node), Some(from)) if Shared::ptr_eq(&from, owner) => {
                let node = A::listed(node);
                let Some(place) = change.old.take(&node) else {
                    // The prefix is a duplicate: it was given to the owner in an earlier step.
                    return Ok(());
                };
                if let Err(e) = owner.with_prefixes(|list| list.add(node.again())) {
                    change.old.put_back(place, node);
                    return Err(e);
                }
                Step::Kept(node, place)
            }
            (_, from) => {
                self.insert(net, owner)?;
                Step::Claimed(prefix, from)
            }
        };
        change.steps.push(step)
    }
}

impl<V: Owner> AllowedIps<V> {
    /// Gives `owner` all of `prefixes`, whoever had them before, and nothing else. At any time, a reader finds for
    /// each address either the owner from before or the one from afterwards. May sleep, for a grace period at least.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, in which case everything is as it was before, apart from the order of other owners' lists.
    pub(crate) fn replace(
        &self,
        writer: &mut Writer,
        owner: &Shared<V>,
        prefixes: impl Iterator<Item = Prefix>,
    ) -> Result {
        let mut change = Change {
            old: owner.with_prefixes(|list| core::mem::replace(list, PrefixList::new())),
            steps: Vector::new(),
        };
        for prefix in prefixes {
            let claimed = match prefix {
                Prefix::V4(net) => self.v4.claim(net, prefix, owner, &mut change),
                Prefix::V6(net) => self.v6.claim(net, prefix, owner, &mut change),
            };
            if let Err(e) = claimed {
                self.undo(writer, owner, change);
                return Err(e);
            }
        }
        // A reader may be past the place where something new has come in, and still has to find what is old.
        rcu::synchronize();
        self.remove_listed(&change.old);
        Ok(())
    }

    /// Undoes all steps, the last one first. This needs no memory: the nodes exist, and the lists have had room.
    fn undo(&self, writer: &mut Writer, owner: &Shared<V>, mut change: Change<V>) {
        while let Some(step) = change.steps.pop() {
            match step {
                Step::Kept(node, place) => {
                    owner.with_prefixes(|list| list.take(&node));
                    change.old.put_back(place, node);
                }
                Step::Claimed(prefix, None) => self.remove(writer, &prefix, owner),
                Step::Claimed(prefix, Some(from)) => {
                    let _ = self.insert(writer, prefix, &from);
                }
            }
        }
        owner.with_prefixes(|list| *list = change.old);
    }
}
