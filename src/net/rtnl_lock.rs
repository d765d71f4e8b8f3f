// SPDX-License-Identifier: GPL-2.0

//! The routing netlink lock, RTNL, and lists that are guarded by it.
//!
//! C header: [`include/linux/rtnetlink.h`](srctree/include/linux/rtnetlink.h)

use core::cell::UnsafeCell;
use core::ops::Deref;
use core::ptr;

use kernel::types::NotThreadSafe;

use super::bindings;

/// Evidence that the routing netlink lock is held.
pub(crate) struct Rtnl(NotThreadSafe);

/// The routing netlink lock, held.
pub(crate) struct RtnlGuard(Rtnl);

impl Rtnl {
    /// Takes the lock. Sleeps.
    pub(crate) fn lock() -> RtnlGuard {
        // SAFETY: Process context; the guard's drop is the counterpart.
        unsafe { bindings::rtnl_lock() };
        // SAFETY: Just taken, and held until the guard is dropped.
        RtnlGuard(unsafe { Self::assume_held() })
    }

    /// For callbacks that run with the lock held.
    ///
    /// # Safety
    ///
    /// The lock is held by this thread as long as the value lives.
    pub(super) unsafe fn assume_held() -> Self {
        Self(NotThreadSafe)
    }
}

impl Deref for RtnlGuard {
    type Target = Rtnl;

    fn deref(&self) -> &Rtnl {
        &self.0
    }
}

impl Drop for RtnlGuard {
    fn drop(&mut self) {
        // SAFETY: Taken in `Rtnl::lock`.
        unsafe { bindings::rtnl_unlock() };
    }
}

/// An entry's place on an [`RtnlList`].
///
/// # Invariants
///
/// `from` is null while the entry is on no list; otherwise it is the place that points to the entry: the
/// list's head or the `next` of the entry before.
pub(super) struct Links<E> {
    next: *mut E,
    from: *mut *mut E,
}

impl<E> Links<E> {
    /// The links of an entry that is on no list.
    pub(super) const fn new() -> Self {
        // INVARIANT: On no list.
        Self {
            next: ptr::null_mut(),
            from: ptr::null_mut(),
        }
    }
}

/// What can be put on an [`RtnlList`].
///
/// # Safety
///
/// `links` gives a pointer into the entry, always the same one, and nobody but the list uses it.
pub(super) unsafe trait Entry: Sized {
    /// The entry's links.
    ///
    /// # Safety
    ///
    /// `this` points to an entry.
    unsafe fn links(this: *mut Self) -> *mut Links<Self>;
}

/// A list that is guarded by RTNL.
///
/// # Invariants
///
/// All that is on the list lives until it is taken off.
pub(super) struct RtnlList<E>(UnsafeCell<*mut E>);

// SAFETY: The list and the links of what is on it are used with RTNL held only.
unsafe impl<E> Sync for RtnlList<E> {}

impl<E: Entry> RtnlList<E> {
    /// An empty list.
    pub(super) const fn new() -> Self {
        Self(UnsafeCell::new(ptr::null_mut()))
    }

    /// Puts an entry on the list.
    ///
    /// # Safety
    ///
    /// `entry` is on no list, and lives where it is until it is taken off.
    pub(super) unsafe fn add(&self, entry: *mut E, _rtnl: &Rtnl) {
        let head = self.0.get();
        // SAFETY: RTNL is held; the first entry lives by the type invariant, the new one by the caller's
        // promise.
        unsafe {
            let links = E::links(entry);
            let next = *head;
            if !next.is_null() {
                (*E::links(next)).from = &raw mut (*links).next;
            }
            // INVARIANT: The head points to the entry from now on, and the entry to what was first.
            (*links).next = next;
            (*links).from = head;
            *head = entry;
        }
    }

    /// Takes an entry off the list, if it is on it.
    ///
    /// # Safety
    ///
    /// `entry` is on this list or on none.
    pub(super) unsafe fn remove(&self, entry: *mut E, _rtnl: &Rtnl) {
        // SAFETY: RTNL is held; by the invariant of `Links`, `from` is the list's head or lies in an entry
        // that is on the list, and all those live.
        unsafe {
            let links = E::links(entry);
            let from = (*links).from;
            if from.is_null() {
                return;
            }
            let next = (*links).next;
            *from = next;
            if !next.is_null() {
                (*E::links(next)).from = from;
            }
            // INVARIANT: On no list.
            *links = Links::new();
        }
    }

    /// Calls `f` with each entry. `f` may take the entry that it is given off the list, but no other.
    pub(super) fn for_each(&self, _rtnl: &Rtnl, mut f: impl FnMut(*mut E)) {
        // SAFETY: RTNL is held, and what is on the list lives.
        unsafe {
            let mut entry = *self.0.get();
            while !entry.is_null() {
                let next = (*E::links(entry)).next;
                f(entry);
                entry = next;
            }
        }
    }
}
