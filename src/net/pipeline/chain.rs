// SPDX-License-Identifier: GPL-2.0

//! Chains of jobs, as they wait for a CPU.

use core::ptr::{
    self,
    NonNull, //
};

use super::{
    Job,
    Node, //
};

/// Nodes in the order in which they came. Dropping a chain does nothing to them.
///
/// # Invariants
///
/// `head` to `tail` are linked by `next_on_cpu`, which only the holder of the chain uses; the nodes are not done, and
/// are on no other chain.
pub(super) struct Chain<J: Job> {
    head: *mut Node<J>,
    tail: *mut Node<J>,
}

// SAFETY: Jobs and owners may be sent, and the nodes are the chain's.
unsafe impl<J: Job> Send for Chain<J> {}

impl<J: Job> Chain<J> {
    /// An empty chain.
    pub(super) const fn new() -> Self {
        // INVARIANT: There is no node.
        Self {
            head: ptr::null_mut(),
            tail: ptr::null_mut(),
        }
    }

    /// The node that came first.
    pub(super) fn first(&self) -> Option<NonNull<Node<J>>> {
        NonNull::new(self.head)
    }

    /// Takes the node that came first.
    pub(super) fn pop(&mut self) -> Option<NonNull<Node<J>>> {
        let node = self.first()?;
        // SAFETY: By the type invariant it is not done, so it lives, and its link is the chain's.
        self.head = unsafe { (*node.as_ptr()).next_on_cpu };
        if self.head.is_null() {
            self.tail = ptr::null_mut();
        }
        Some(node)
    }

    /// Adds a node at the end.
    ///
    /// # Safety
    ///
    /// The node is not done, and the caller, which took it from a chain or made it, gives it to this one.
    pub(super) unsafe fn push(&mut self, node: NonNull<Node<J>>) {
        let node = node.as_ptr();
        // SAFETY: By the caller's promise the node lives, and its link is the chain's from now on.
        unsafe { (*node).next_on_cpu = ptr::null_mut() };
        self.append(Self {
            head: node,
            tail: node,
        });
    }

    /// Adds the nodes of `other` at the end.
    pub(super) fn append(&mut self, other: Self) {
        if self.tail.is_null() {
            *self = other;
        } else if !other.head.is_null() {
            // SAFETY: By the type invariant the node lives, and its link is the chain's.
            unsafe { (*self.tail).next_on_cpu = other.head };
            self.tail = other.tail;
        }
    }
}
