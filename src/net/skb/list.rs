// SPDX-License-Identifier: GPL-2.0

//! Chains of packets.

use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use core::ops::Deref;
use core::ptr::{
    self,
    NonNull, //
};

use super::{
    DropReason,
    LinearSkb,
    Skb, //
};
use crate::net::bindings;

/// A chain of packets.
///
/// # Invariants
///
/// `head` to `tail` are owned and linked by `next`; there are `len` of them.
pub(crate) struct SkbList {
    head: *mut bindings::sk_buff,
    tail: *mut bindings::sk_buff,
    len: usize,
}

// SAFETY: As for the packets in it.
unsafe impl Send for SkbList {}
// SAFETY: As above.
unsafe impl Sync for SkbList {}

impl SkbList {
    /// No packets.
    pub(crate) const fn new() -> Self {
        Self {
            head: ptr::null_mut(),
            tail: ptr::null_mut(),
            len: 0,
        }
    }

    /// # Safety
    ///
    /// `head` begins a chain of packets, linked by `next`, that is handed over.
    pub(in crate::net) unsafe fn from_chain(head: *mut bindings::sk_buff) -> Self {
        let mut list = Self::new();
        let mut next = head;
        while !next.is_null() {
            let skb = next;
            // SAFETY: The caller's promise. The link is read before the packet is taken.
            unsafe {
                next = (*skb).__bindgen_anon_1.__bindgen_anon_1.next;
                list.push_back(Skb::from_raw(skb));
            }
        }
        list
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.head.is_null()
    }

    /// Adds a packet at the end.
    pub(crate) fn push_back(&mut self, skb: Skb) {
        let skb = skb.into_raw();
        if self.tail.is_null() {
            self.head = skb;
        } else {
            // SAFETY: By the type invariant.
            unsafe { (*self.tail).__bindgen_anon_1.__bindgen_anon_1.next = skb };
        }
        self.tail = skb;
        self.len = self.len.saturating_add(1);
    }

    /// One packet.
    pub(crate) fn of(skb: Skb) -> Self {
        let mut list = Self::new();
        list.push_back(skb);
        list
    }

    /// Adds the packets of another list at the end.
    pub(crate) fn append(&mut self, mut other: Self) {
        // INVARIANT: The other list has nothing left.
        let head = core::mem::replace(&mut other.head, ptr::null_mut());
        let tail = core::mem::replace(&mut other.tail, ptr::null_mut());
        let len = core::mem::replace(&mut other.len, 0);
        if head.is_null() {
            return;
        }
        if self.tail.is_null() {
            self.head = head;
        } else {
            // SAFETY: By the type invariant.
            unsafe { (*self.tail).__bindgen_anon_1.__bindgen_anon_1.next = head };
        }
        self.tail = tail;
        self.len = self.len.saturating_add(len);
    }

    /// The packets, to be looked at.
    pub(crate) fn iter(&self) -> Iter<'_> {
        Iter {
            next: self.head,
            _list: PhantomData,
        }
    }

    /// The first packet, to be looked at.
    pub(crate) fn front(&self) -> Option<Borrowed<'_>> {
        self.iter().next()
    }

    /// Octets of memory that the packets account for.
    pub(crate) fn truesize(&self) -> usize {
        self.iter()
            .fold(0, |sum, skb| sum.saturating_add(skb.truesize()))
    }

    /// How many messages the packets are, as trains or alone.
    pub(crate) fn messages(&self) -> usize {
        self.iter()
            .fold(0, |sum, skb| sum.saturating_add(skb.messages()))
    }

    /// Whether the first one stands for itself only.
    pub(crate) fn begins_alone(&self) -> bool {
        self.front().is_some_and(|skb| skb.stride() == 0)
    }

    /// How many packets they stand for, as they came from the stack.
    pub(crate) fn packets(&self) -> usize {
        self.iter()
            .fold(0, |sum, skb| sum.saturating_add(skb.packets()))
    }

    /// Frees the packets as ones that are dropped. Any context.
    pub(crate) fn drop_for(self, reason: DropReason) {
        for skb in self {
            skb.drop_for(reason);
        }
    }

    /// Takes the first packet.
    pub(crate) fn pop_front(&mut self) -> Option<Skb> {
        let skb = NonNull::new(self.head)?.as_ptr();
        // SAFETY: By the type invariant; the packet leaves the chain.
        let skb = unsafe {
            self.head = (*skb).__bindgen_anon_1.__bindgen_anon_1.next;
            Skb::from_raw(skb)
        };
        if self.head.is_null() {
            self.tail = ptr::null_mut();
        }
        self.len = self.len.saturating_sub(1);
        Some(skb)
    }

    /// Makes none of the packets count against a socket any more.
    pub(crate) fn orphan(&mut self) {
        let mut skb = self.head;
        while !skb.is_null() {
            // SAFETY: By the type invariant.
            unsafe {
                bindings::skb_orphan(skb);
                skb = (*skb).__bindgen_anon_1.__bindgen_anon_1.next;
            }
        }
    }
}

impl Iterator for SkbList {
    type Item = Skb;

    fn next(&mut self) -> Option<Skb> {
        self.pop_front()
    }
}

impl Drop for SkbList {
    fn drop(&mut self) {
        while self.pop_front().is_some() {}
    }
}

/// The packets of a list, one after the other.
///
/// # Invariants
///
/// `next` is null or a packet of the list, which is not changed while this exists.
pub(crate) struct Iter<'a> {
    next: *mut bindings::sk_buff,
    _list: PhantomData<&'a SkbList>,
}

impl<'a> Iterator for Iter<'a> {
    type Item = Borrowed<'a>;

    fn next(&mut self) -> Option<Borrowed<'a>> {
        let ptr = NonNull::new(self.next)?;
        // SAFETY: By the type invariant.
        self.next = unsafe { (*ptr.as_ptr()).__bindgen_anon_1.__bindgen_anon_1.next };
        // INVARIANT: The list owns the packet for `'a`.
        Some(Borrowed {
            skb: ManuallyDrop::new(Skb { ptr }),
            _list: PhantomData,
        })
    }
}

/// A packet that a list owns.
///
/// # Invariants
///
/// `skb` is owned by a list that lives, and is not changed, for `'a`.
pub(crate) struct Borrowed<'a> {
    skb: ManuallyDrop<Skb>,
    _list: PhantomData<&'a SkbList>,
}

impl Deref for Borrowed<'_> {
    type Target = Skb;

    fn deref(&self) -> &Skb {
        &self.skb
    }
}

/// A chain of packets that are each in one piece.
///
/// # Invariants
///
/// Each packet in the list was a [`LinearSkb`].
pub(crate) struct LinearList(SkbList);

impl LinearList {
    /// No packets.
    pub(crate) const fn new() -> Self {
        Self(SkbList::new())
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a packet at the end.
    pub(crate) fn push_back(&mut self, skb: LinearSkb) {
        // INVARIANT: This one is.
        self.0.push_back(skb.into());
    }
}

impl Iterator for LinearList {
    type Item = LinearSkb;

    fn next(&mut self) -> Option<LinearSkb> {
        // INVARIANT: By ours, and nobody else has had access to the packet.
        self.0.pop_front().map(LinearSkb)
    }
}
