// SPDX-License-Identifier: GPL-2.0

//! Reference-counted objects that readers find under RCU.
//!
//! [`Shared`] is a counted reference; the object is freed one grace period after the last one is gone.
//! [`Slot`] publishes a [`Shared`] to readers who hold a [`Guard`]. Because the memory outlives every
//! reader that could have seen it, a reader needs no count of its own; to keep the object beyond the
//! read-side section it asks for one with [`SharedRef::upgrade`].
//!
//! C header: [`include/linux/rcupdate.h`](srctree/include/linux/rcupdate.h)

use core::cell::UnsafeCell;
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::ops::Deref;
use core::ptr::NonNull;

use kernel::prelude::*;
use kernel::sync::atomic::{
    Acquire,
    Atomic,
    Full,
    Relaxed,
    Release, //
};
use kernel::sync::Refcount;

pub(crate) use kernel::sync::rcu::{
    read_lock,
    Guard, //
};

use super::bindings;

/// Objects that exist, those that wait for their grace period included.
static LIVE: Atomic<isize> = Atomic::new(0);

#[pin_data]
struct Inner<T> {
    refs: Refcount,
    head: UnsafeCell<bindings::callback_head>,
    #[pin]
    value: T,
}

/// A counted reference to a `T` that is freed after a grace period.
///
/// The `T` is dropped in an RCU callback, so its destructor must not sleep.
///
/// # Invariants
///
/// `ptr` points to an `Inner<T>` made by [`Shared::pin_init`], and this value owns one count of it.
pub(crate) struct Shared<T: Send + Sync + 'static> {
    ptr: NonNull<Inner<T>>,
    _owns: PhantomData<Inner<T>>,
}

// The object is pinned, the reference to it is not.
impl<T: Send + Sync + 'static> Unpin for Shared<T> {}

// SAFETY: A counted reference gives out only `&T`, and may be the one that drops the `T`.
unsafe impl<T: Send + Sync + 'static> Send for Shared<T> {}
// SAFETY: As above.
unsafe impl<T: Send + Sync + 'static> Sync for Shared<T> {}

impl<T: Send + Sync + 'static> Shared<T> {
    /// Allocates an object. May sleep.
    pub(crate) fn new(value: T) -> Result<Self> {
        // SAFETY: Writing `value` into the slot initialises it.
        let init = unsafe {
            pin_init::pin_init_from_closure(move |slot: *mut T| {
                slot.write(value);
                Ok::<(), Error>(())
            })
        };
        Self::pin_init(init)
    }

    /// Allocates an object and initialises it in place. May sleep.
    pub(crate) fn pin_init(init: impl PinInit<T, Error>) -> Result<Self> {
        let init = try_pin_init!(Inner {
            refs: Refcount::new(1),
            head: UnsafeCell::new(bindings::callback_head::default()),
            value <- init,
        }? Error);
        let inner = if core::mem::align_of::<Inner<T>>() > 8 {
            KBox::pin_init(init, GFP_KERNEL)?
        } else {
            // The box would take the longer way through `krealloc`.
            // SAFETY: No requirements.
            let space = unsafe { bindings::kmalloc_kernel(core::mem::size_of::<Inner<T>>()) };
            let space = NonNull::new(space.cast::<MaybeUninit<Inner<T>>>()).ok_or(ENOMEM)?;
            // SAFETY: The memory is ours, as long as the object, and aligned to eight octets at least; it may
            // be given back by `kfree`, as the box does.
            let space = unsafe { KBox::from_raw(space.as_ptr()) };
            space.write_pin_init(init)?
        };
        LIVE.fetch_add(1, Relaxed);
        // SAFETY: The object stays where it is until it is dropped there.
        let ptr = KBox::into_raw(unsafe { Pin::into_inner_unchecked(inner) });
        Ok(Self {
            // SAFETY: A box is never null.
            // INVARIANT: The count is one, and it is this value's.
            ptr: unsafe { NonNull::new_unchecked(ptr) },
            _owns: PhantomData,
        })
    }

    /// Whether both are references to the same object.
    pub(crate) fn ptr_eq(a: &Self, b: &Self) -> bool {
        a.ptr == b.ptr
    }

    /// The pointer that [`Shared::into_raw`] would give.
    pub(super) fn as_raw(&self) -> *const () {
        self.ptr.as_ptr().cast()
    }

    /// Gives up the reference but not its count.
    pub(super) fn into_raw(self) -> *const () {
        let ptr = self.ptr.as_ptr();
        core::mem::forget(self);
        ptr.cast()
    }

    /// Takes a count back.
    ///
    /// # Safety
    ///
    /// `ptr` came from [`Shared::into_raw`] of the same `T`, and its count was not taken back yet.
    pub(super) unsafe fn from_raw(ptr: *const ()) -> Self {
        Self {
            // SAFETY: The pointer came from a `NonNull`.
            // INVARIANT: The caller hands the count over.
            ptr: unsafe { NonNull::new_unchecked(ptr.cast_mut().cast()) },
            _owns: PhantomData,
        }
    }

    /// Looks at the object that a count was given up for.
    ///
    /// # Safety
    ///
    /// `ptr` came from [`Shared::into_raw`] of the same `T`; the object lives for `'a`.
    pub(super) unsafe fn borrow_raw<'a>(ptr: *const ()) -> SharedRef<'a, T> {
        SharedRef {
            // SAFETY: The caller's promise.
            inner: unsafe { &*ptr.cast::<Inner<T>>() },
        }
    }

    fn inner(&self) -> &Inner<T> {
        // SAFETY: By the type invariant the object lives at least as long as `self`.
        unsafe { self.ptr.as_ref() }
    }
}

impl<T: Send + Sync + 'static> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.inner().value
    }
}

impl<T: Send + Sync + 'static> Clone for Shared<T> {
    fn clone(&self) -> Self {
        self.inner().refs.inc();
        // INVARIANT: The count was just taken.
        Self {
            ptr: self.ptr,
            _owns: PhantomData,
        }
    }
}

impl<T: Send + Sync + 'static> Drop for Shared<T> {
    fn drop(&mut self) {
        if self.inner().refs.dec_and_test() {
            let head = self.inner().head.get();
            // SAFETY: Nobody can take a count any more, so this happens once, and the head is used for
            // nothing else. The callback frees the object after all present readers are done.
            unsafe { bindings::call_rcu(head, Some(free::<T>)) };
        }
    }
}

/// # Safety
///
/// `head` is in an `Inner<T>` whose last count is gone, and a grace period has passed since.
unsafe extern "C" fn free<T>(head: *mut bindings::callback_head) {
    let head: *mut UnsafeCell<bindings::callback_head> = head.cast();
    // SAFETY: By the function's contract.
    let inner = unsafe { kernel::container_of!(head, Inner<T>, head) };
    // SAFETY: `inner` came from `KBox::into_raw`; neither count nor reader is left.
    drop(unsafe { KBox::from_raw(inner) });
    LIVE.fetch_sub(1, Relaxed);
}

/// A reference that is good while an RCU read-side section lasts.
pub(crate) struct SharedRef<'g, T> {
    inner: &'g Inner<T>,
}

impl<T> Clone for SharedRef<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for SharedRef<'_, T> {}

impl<T> Deref for SharedRef<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.inner.value
    }
}

impl<'g, T: Send + Sync + 'static> SharedRef<'g, T> {
    /// A counted reference, unless the last one is gone already.
    pub(crate) fn upgrade(self) -> Option<Shared<T>> {
        let refs = self.inner.refs.as_atomic();
        // SAFETY: The pointer is the atomic's.
        let mut count = unsafe { refs.as_ptr().read_volatile() };
        while count > 0 {
            // Overflow would need 2^31 references; a saturated count is negative and refused above.
            match refs.cmpxchg(count, count.wrapping_add(1), Relaxed) {
                // INVARIANT: The count was just taken from a positive one.
                Ok(_) => {
                    return Some(Shared {
                        ptr: NonNull::from(self.inner),
                        _owns: PhantomData,
                    })
                }
                Err(now) => count = now,
            }
        }
        None
    }

    /// The object, for as long as the read-side section lasts.
    pub(crate) fn get(self) -> &'g T {
        &self.inner.value
    }
}

/// A place where readers find an object, or none.
///
/// # Invariants
///
/// `ptr` is null or owns one count of an `Inner<T>`.
pub(crate) struct Slot<T: Send + Sync + 'static> {
    ptr: Atomic<*mut Inner<T>>,
}

// SAFETY: A slot is a `Shared` that can be exchanged atomically.
unsafe impl<T: Send + Sync + 'static> Send for Slot<T> {}
// SAFETY: As above.
unsafe impl<T: Send + Sync + 'static> Sync for Slot<T> {}

impl<T: Send + Sync + 'static> Slot<T> {
    /// A slot with nothing in it.
    pub(crate) const fn empty() -> Self {
        Self {
            ptr: Atomic::new(core::ptr::null_mut()),
        }
    }

    /// A slot with `value` in it.
    pub(crate) fn new(value: Option<Shared<T>>) -> Self {
        let ptr = value.map_or(core::ptr::null_mut(), |value| {
            value.into_raw().cast_mut().cast()
        });
        // INVARIANT: The count of `value` went into the slot.
        Self {
            ptr: Atomic::new(ptr),
        }
    }

    /// What is in the slot now.
    pub(crate) fn load<'g>(&self, _guard: &'g Guard) -> Option<SharedRef<'g, T>> {
        // What the pointer leads to is read through it, so no more ordering is needed (`rcu_dereference`).
        // A function call, which a load by the atomic's own method is, would cost more than all the rest.
        // SAFETY: The pointer is the atomic's.
        let ptr = NonNull::new(unsafe { self.ptr.as_ptr().read_volatile() })?;
        // SAFETY: The slot owned a count when the pointer was read under the guard; the object is freed
        // only after a grace period that began when the last count went, so not before the guard ends.
        Some(SharedRef {
            inner: unsafe { ptr.as_ref() },
        })
    }

    /// A counted reference to what is in the slot.
    pub(crate) fn get(&self) -> Option<Shared<T>> {
        let guard = read_lock();
        // An object whose last count is gone has been taken out of the slot: look again.
        while let Some(object) = self.load(&guard) {
            if let Some(object) = object.upgrade() {
                return Some(object);
            }
        }
        None
    }

    /// Puts `new` in and takes out what was there.
    pub(crate) fn swap(&self, new: Option<Shared<T>>) -> Option<Shared<T>> {
        let new = new.map_or(core::ptr::null_mut(), |new| {
            new.into_raw().cast_mut().cast()
        });
        let old = self.ptr.xchg(new, Full);
        // INVARIANT: The count of `new` went into the slot, that of `old` comes out of it.
        NonNull::new(old).map(|ptr| Shared {
            ptr,
            _owns: PhantomData,
        })
    }

    /// Puts `new` in and drops what was there.
    pub(crate) fn set(&self, new: Option<Shared<T>>) {
        drop(self.swap(new));
    }

    /// Takes out what is there.
    pub(crate) fn take(&self) -> Option<Shared<T>> {
        self.swap(None)
    }

    /// Whether anything is in the slot.
    pub(crate) fn is_some(&self) -> bool {
        // SAFETY: As in `load`.
        !unsafe { self.ptr.as_ptr().read_volatile() }.is_null()
    }
}

impl<T: Send + Sync + 'static> Drop for Slot<T> {
    fn drop(&mut self) {
        // SAFETY: Nobody else has the slot any more, so this need not be atomic.
        let ptr = unsafe { self.ptr.as_ptr().read() };
        // INVARIANT: The count comes out of the slot, which is not used again.
        drop(NonNull::new(ptr).map(|ptr| Shared {
            ptr,
            _owns: PhantomData,
        }));
    }
}

/// A pointer to an object that somebody else ends: the end is a store of null and a grace period.
pub(super) struct RawSlot<T>(Atomic<*mut T>);

impl<T> RawSlot<T> {
    pub(super) const fn new(ptr: *mut T) -> Self {
        Self(Atomic::new(ptr))
    }

    pub(super) fn load(&self) -> *mut T {
        // SAFETY: As in `Slot::load`.
        unsafe { self.0.as_ptr().read_volatile() }
    }

    pub(super) fn store(&self, ptr: *mut T) {
        self.0.store(ptr, Release);
    }

    pub(super) fn take(&self) -> *mut T {
        self.0.xchg(core::ptr::null_mut(), Full)
    }
}

/// Waits until all present readers in the network stack are done. Sleeps; quicker with RTNL held.
pub(crate) fn synchronize() {
    // SAFETY: The callers are in process context.
    unsafe { bindings::synchronize_net() };
}

/// Waits until the memory of all dropped objects has been freed; to be called when the module goes.
/// Sleeps.
///
/// The destructor of one object may drop another one, so one barrier is not enough. If objects remain,
/// somebody still counts on them: that is a bug, and it is reported.
pub(crate) fn drain() {
    for _ in 0..1000 {
        if LIVE.load(Acquire) == 0 {
            break;
        }
        // SAFETY: The caller is in process context.
        unsafe {
            bindings::synchronize_rcu();
            bindings::rcu_barrier();
        }
    }
    // The callback that brought the count to zero may still be on its way out.
    // SAFETY: As above.
    unsafe { bindings::rcu_barrier() };
    match LIVE.load(Acquire) {
        0 => pr_info!("unloaded, no object left\n"),
        left => pr_err!("leak: {} objects are still referenced\n", left),
    }
}
