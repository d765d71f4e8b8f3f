// SPDX-License-Identifier: GPL-2.0

//! Reference-counted objects that readers find under RCU.
//!
//! [`Shared`] is a counted reference; the object is freed one grace period after the last one is gone.
//! [`Slot`] publishes a [`Shared`] to readers that hold a [`Guard`]. Because the memory outlives every
//! reader that could have seen it, a reader needs no count of its own; to keep the object beyond the
//! read-side section, it asks for one with [`SharedRef::upgrade`].
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

/// What a [`Shared`] can count references to.
pub(crate) trait Object: Send + Sync + 'static {
    /// Whether such an object needs no destructor: it has nothing but slots, which [`Object::release`] names, and plain
    /// numbers. The allocator frees such objects in batches after a grace period, without a callback for each.
    const BARE: Option<Bare<Self>> = None;

    /// Calls [`Slot::release`] for each slot of a bare object whose last reference is gone. What is left out is leaked.
    fn release(&self, _dying: &Dying) {}
}

/// Evidence that a `T` may be freed without running its destructor, as it must not be while it is pinned for good.
pub(crate) struct Bare<T: ?Sized>(PhantomData<fn(&T)>);

impl<T: Unpin> Bare<T> {
    /// Needs no further proof: a `T` that is [`Unpin`] is never pinned for good.
    pub(crate) const YES: Self = Self(PhantomData);
}

/// An object whose last reference is gone, but which readers may still look at.
pub(crate) struct Dying {
    /// Where it is.
    memory: core::ops::Range<usize>,
    /// How many other objects are ending around it.
    depth: u32,
}

/// Bare objects end inside one another down to this depth; deeper ones have to wait for a callback, so that a long
/// chain does not use up the stack.
const MAX_DEPTH: u32 = 1;

/// Objects that exist. Those that wait for their grace period count as well, except for bare ones, if these were not
/// too deep inside others ([`MAX_DEPTH`]).
static LIVE: Atomic<isize> = Atomic::new(0);

// In this order: the start of the memory is found from the head, which must not be far from it.
#[pin_data]
#[repr(C)]
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
pub(crate) struct Shared<T: Object> {
    ptr: NonNull<Inner<T>>,
    _owns: PhantomData<Inner<T>>,
}

// The object is pinned, the reference to it is not.
impl<T: Object> Unpin for Shared<T> {}

// SAFETY: A counted reference gives out only `&T`, and may be the one that drops the `T`.
unsafe impl<T: Object> Send for Shared<T> {}
// SAFETY: As above.
unsafe impl<T: Object> Sync for Shared<T> {}

impl<T: Object> Shared<T> {
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
            // SAFETY: The memory is ours, of the object's size, and aligned to at least eight octets; it may
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

    /// Whether `part` is part of the object.
    pub(super) fn contains<U>(&self, part: &U) -> bool {
        let start = self.ptr.as_ptr() as usize;
        let at = core::ptr::from_ref(part) as usize;
        (start..start.wrapping_add(core::mem::size_of::<Inner<T>>())).contains(&at)
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
    /// `ptr` came from [`Shared::into_raw`] of the same `T`, and its count has not been taken back yet.
    pub(super) unsafe fn from_raw(ptr: *const ()) -> Self {
        Self {
            // SAFETY: The pointer came from a `NonNull`.
            // INVARIANT: The caller hands the count over.
            ptr: unsafe { NonNull::new_unchecked(ptr.cast_mut().cast()) },
            _owns: PhantomData,
        }
    }

    /// Looks at an object by its address.
    ///
    /// # Safety
    ///
    /// `ptr` came from [`Shared::into_raw`] or [`Shared::as_raw`] of the same `T`; the object lives for `'a`.
    pub(super) unsafe fn borrow_raw<'a>(ptr: *const ()) -> SharedRef<'a, T> {
        SharedRef {
            // SAFETY: The caller's promise.
            inner: unsafe { &*ptr.cast::<Inner<T>>() },
        }
    }

    /// Gives up the count, with `depth` other objects ending around this one.
    fn put(&self, depth: u32) {
        if !self.inner().refs.dec_and_test() {
            return;
        }
        if T::BARE.is_none() || depth > MAX_DEPTH {
            // SAFETY: Nobody can take a count any more, so this happens once, and the head is used for nothing else.
            // The callback destroys and frees the object after all present readers are done.
            unsafe { bindings::call_rcu(self.inner().head.get(), Some(free::<T>)) };
            return;
        }
        let start = self.ptr.as_ptr() as usize;
        // Whoever looks into a slot that has just given up its count is a reader, too.
        let _guard = read_lock();
        self.inner().value.release(&Dying {
            memory: start..start.wrapping_add(core::mem::size_of::<Inner<T>>()),
            depth,
        });
        LIVE.fetch_sub(1, Relaxed);
        // SAFETY: As above. The memory is from `kmalloc()`; the allocator frees it after all present readers are done.
        // A bare object needs no destructor.
        unsafe {
            bindings::kvfree_call_rcu(self.inner().head.get().cast(), self.ptr.as_ptr().cast());
        }
    }

    fn inner(&self) -> &Inner<T> {
        // SAFETY: By the type invariant the object lives at least as long as `self`.
        unsafe { self.ptr.as_ref() }
    }
}

impl<T: Object> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.inner().value
    }
}

impl<T: Object> Clone for Shared<T> {
    fn clone(&self) -> Self {
        self.inner().refs.inc();
        // INVARIANT: The count was just taken.
        Self {
            ptr: self.ptr,
            _owns: PhantomData,
        }
    }
}

impl<T: Object> Drop for Shared<T> {
    fn drop(&mut self) {
        self.put(0);
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

impl<'g, T: Object> SharedRef<'g, T> {
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
/// `ptr` is null, or owns one count of an `Inner<T>`, or has been released: then [`RELEASED`] is added to it, it owns
/// nothing, and the object is good for those who were reading when the slot was released, and only they can reach the
/// slot.
pub(crate) struct Slot<T: Object> {
    ptr: Atomic<*mut Inner<T>>,
}

/// Objects are aligned, so this bit of a pointer is free.
const RELEASED: usize = 1;

// SAFETY: A slot is a `Shared` that can be exchanged atomically.
unsafe impl<T: Object> Send for Slot<T> {}
// SAFETY: As above.
unsafe impl<T: Object> Sync for Slot<T> {}

impl<T: Object> Slot<T> {
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

    /// The pointer as it is.
    fn raw(&self) -> *mut Inner<T> {
        // What the pointer leads to is read through it, so no more ordering is needed (`rcu_dereference`).
        // The atomic's own load is a function call, which would cost more than all the rest.
        // SAFETY: The pointer is the atomic's.
        unsafe { self.ptr.as_ptr().read_volatile() }
    }

    /// What is in the slot now.
    pub(crate) fn load<'g>(&self, _guard: &'g Guard) -> Option<SharedRef<'g, T>> {
        let ptr = self.raw().map_addr(|addr| addr & !RELEASED);
        NonNull::new(ptr).map(|ptr| SharedRef {
            // SAFETY: The slot owned a count when the pointer was read under the guard, or was released while the
            // guard was held; the object is freed only after a grace period that began when the last count went, so
            // not before the guard ends.
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
            if self.raw().addr() & RELEASED != 0 {
                break;
            }
        }
        None
    }

    /// The count that belongs to a pointer that has been in a slot.
    ///
    /// # Safety
    ///
    /// The pointer is no longer in the slot.
    unsafe fn owned(ptr: *mut Inner<T>) -> Option<Shared<T>> {
        if ptr.addr() & RELEASED != 0 {
            return None;
        }
        // INVARIANT: The count comes out of the slot.
        NonNull::new(ptr).map(|ptr| Shared {
            ptr,
            _owns: PhantomData,
        })
    }

    /// Puts `new` in and takes out what was there.
    pub(crate) fn swap(&self, new: Option<Shared<T>>) -> Option<Shared<T>> {
        let new = new.map_or(core::ptr::null_mut(), |new| {
            new.into_raw().cast_mut().cast()
        });
        // INVARIANT: The count of `new` goes into the slot.
        let old = self.ptr.xchg(new, Full);
        // SAFETY: It was just exchanged.
        unsafe { Self::owned(old) }
    }

    /// Puts `new` in and drops what was there.
    pub(crate) fn set(&self, new: Option<Shared<T>>) {
        drop(self.swap(new));
    }

    /// Takes out what is there.
    pub(crate) fn take(&self) -> Option<Shared<T>> {
        self.swap(None)
    }

    /// Gives up the count of what is in the slot, which goes on showing it to present readers. Only for
    /// slots inside the dying object; nothing happens to others.
    pub(crate) fn release(&self, dying: &Dying) {
        let ptr = self.raw();
        if ptr.is_null() || !dying.memory.contains(&(core::ptr::from_ref(self) as usize)) {
            return;
        }
        // INVARIANT: Readers can no longer find a way to the dying object, since its last count is gone. Present
        // readers may see the pointer with or without the mark.
        let old = self.ptr.xchg(ptr.map_addr(|addr| addr | RELEASED), Full);
        // SAFETY: It was just exchanged for a pointer that owns nothing.
        if let Some(object) = unsafe { Self::owned(old) } {
            object.put(dying.depth.wrapping_add(1));
            core::mem::forget(object);
        }
    }

    /// Whether anything is in the slot.
    pub(crate) fn is_some(&self) -> bool {
        !self.raw().is_null()
    }
}

impl<T: Object> Drop for Slot<T> {
    fn drop(&mut self) {
        // Nobody else has the slot any more, so this need not be atomic.
        // SAFETY: The slot is not used again.
        drop(unsafe { Self::owned(self.raw()) });
    }
}

/// A pointer to an object that somebody else ends, by storing null here and waiting for a grace period.
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

    pub(super) fn swap(&self, ptr: *mut T) -> *mut T {
        self.0.xchg(ptr, Full)
    }
}

/// Waits until all present readers in the network stack are done. Sleeps; quicker with RTNL held.
pub(crate) fn synchronize() {
    // SAFETY: The callers are in process context.
    unsafe { bindings::synchronize_net() };
}

/// Whether there is any object. Those that wait for their grace period count as well, except for bare ones.
pub(super) fn any_left() -> bool {
    LIVE.load(Acquire) != 0
}

/// Waits until the destructors of all dropped objects have run; to be called when the module is unloaded. The memory of
/// bare ones is the allocator's to free, and may be freed later. Sleeps.
///
/// The destructor of one object may drop another one, so one barrier is not enough. If objects remain,
/// somebody still holds a count of them: that is a bug, and it is reported.
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
