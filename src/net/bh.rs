// SPDX-License-Identifier: GPL-2.0

//! Sections with bottom halves off, and spinlocks that are shared with softirq.
//!
//! C header: [`include/linux/bottom_half.h`](srctree/include/linux/bottom_half.h)

use core::ops::{
    Deref,
    DerefMut, //
};

use kernel::prelude::*;
use kernel::sync::lock::spinlock::SpinLockBackend;
use kernel::sync::lock::Guard;
use kernel::sync::{
    LockClassKey,
    SpinLock, //
};
use kernel::types::NotThreadSafe;

use super::bindings;

/// Evidence that bottom halves are off on this CPU.
///
/// # Invariants
///
/// Bottom halves are off while the value exists.
pub(crate) struct BhGuard(NotThreadSafe);

/// Turns bottom halves off. May be nested.
pub(crate) fn disable() -> BhGuard {
    // SAFETY: May be called in process and in softirq context; the guard's drop is the counterpart.
    unsafe { bindings::local_bh_disable() };
    // INVARIANT: Just turned off.
    BhGuard(NotThreadSafe)
}

impl Drop for BhGuard {
    fn drop(&mut self) {
        // SAFETY: By the invariant bottom halves are off on our account.
        unsafe { bindings::local_bh_enable() };
    }
}

/// A spinlock that is always taken with bottom halves off, so that process context and softirq can
/// share it. Made with [`new_bh_lock!`](super::new_bh_lock).
#[pin_data]
pub(crate) struct BhLock<T> {
    #[pin]
    lock: SpinLock<T>,
}

/// Makes a [`BhLock`] with a lock class of its own.
#[macro_export]
macro_rules! new_bh_lock {
    ($value:expr, $name:literal) => {
        $crate::net::bh::BhLock::new(
            $value,
            ::kernel::c_str!($name),
            ::kernel::static_lock_class!(),
        )
    };
}

impl<T> BhLock<T> {
    /// See [`new_bh_lock!`](super::new_bh_lock).
    pub(crate) fn new(
        value: T,
        name: &'static CStr,
        class: Pin<&'static LockClassKey>,
    ) -> impl PinInit<Self> {
        pin_init!(Self {
            lock <- SpinLock::new(value, name, class),
        })
    }

    /// Takes the lock. Spins; process context or softirq.
    pub(crate) fn lock(&self) -> BhLockGuard<'_, T> {
        let bh = disable();
        BhLockGuard {
            guard: self.lock.lock(),
            _bh: bh,
        }
    }

    /// Takes the lock if it is free.
    pub(crate) fn try_lock(&self) -> Option<BhLockGuard<'_, T>> {
        let bh = disable();
        Some(BhLockGuard {
            guard: self.lock.try_lock()?,
            _bh: bh,
        })
    }
}

/// Evidence that a [`BhLock`] is held. The fields are dropped in order: the lock is released before
/// bottom halves can run.
pub(crate) struct BhLockGuard<'a, T> {
    guard: Guard<'a, T, SpinLockBackend>,
    _bh: BhGuard,
}

impl<T> Deref for BhLockGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T: Unpin> DerefMut for BhLockGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}
