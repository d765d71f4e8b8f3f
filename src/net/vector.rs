// SPDX-License-Identifier: GPL-2.0

//! A growable array.
//!
//! Like the kernel's own `KVVec`, but without arithmetic that could panic: the driver links no panic
//! path.

use core::mem::size_of;
use core::ptr::{
    self,
    NonNull, //
};

use kernel::prelude::*;

use super::bindings;

/// Elements that the first allocation has room for.
const FIRST: usize = 4;

/// A growable array in memory that may be only virtually contiguous.
///
/// # Invariants
///
/// `data` is dangling and `capacity` zero, or `data` is memory for `capacity` elements. The first `len`
/// are initialised.
pub(crate) struct Vector<T> {
    data: NonNull<T>,
    len: usize,
    capacity: usize,
}

// SAFETY: The elements are owned.
unsafe impl<T: Send> Send for Vector<T> {}
// SAFETY: As above.
unsafe impl<T: Sync> Sync for Vector<T> {}

impl<T> Vector<T> {
    /// An empty array.
    pub(crate) const fn new() -> Self {
        // INVARIANT: Nothing is allocated.
        Self {
            data: NonNull::dangling(),
            len: 0,
            capacity: 0,
        }
    }

    /// Makes room for one more element. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; nothing has changed then.
    pub(crate) fn reserve_one(&mut self) -> Result {
        if self.len < self.capacity {
            return Ok(());
        }
        // What the allocator guarantees.
        const { assert!(align_of::<T>() <= align_of::<u64>()) };
        let capacity = self.capacity.saturating_mul(2).max(FIRST);
        // SAFETY: The function checks the product for overflow.
        let data = unsafe { bindings::kvmalloc_array(capacity, size_of::<T>().max(1)) };
        let data = NonNull::new(data.cast::<T>()).ok_or(ENOMEM)?;
        // SAFETY: Both are good for `len` elements, and the new memory is ours alone. The old memory
        // is not used after its elements have moved.
        unsafe {
            ptr::copy_nonoverlapping(self.data.as_ptr(), data.as_ptr(), self.len);
            self.free_memory();
        }
        // INVARIANT: As allocated; the elements have moved.
        self.data = data;
        self.capacity = capacity;
        Ok(())
    }

    /// # Safety
    ///
    /// The memory is not used after this.
    unsafe fn free_memory(&mut self) {
        if self.capacity != 0 {
            // SAFETY: By the type invariant it was allocated.
            unsafe { bindings::kvfree(self.data.as_ptr().cast()) };
        }
    }

    /// Appends an element. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; the element is dropped.
    pub(crate) fn push(&mut self, value: T) -> Result {
        self.reserve_one()?;
        // SAFETY: There is room for one more.
        unsafe { self.data.as_ptr().add(self.len).write(value) };
        // INVARIANT: It is initialised now.
        self.len = self.len.wrapping_add(1);
        Ok(())
    }

    /// Takes the last element.
    pub(crate) fn pop(&mut self) -> Option<T> {
        self.len = self.len.checked_sub(1)?;
        // SAFETY: It was the last initialised one, and does not count any more.
        Some(unsafe { self.data.as_ptr().add(self.len).read() })
    }

    /// Drops the elements for which `keep` is false; the others stay in order.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        let len = core::mem::replace(&mut self.len, 0);
        for index in 0..len {
            // SAFETY: Elements from `index` on are still where they were, and initialised; those that
            // stay move towards the front, to places that were vacated.
            unsafe {
                let value = self.data.as_ptr().add(index).read();
                if keep(&value) {
                    self.data.as_ptr().add(self.len).write(value);
                    self.len = self.len.wrapping_add(1);
                }
            }
        }
    }

    /// The elements.
    pub(crate) fn as_slice(&self) -> &[T] {
        // SAFETY: By the type invariant.
        unsafe { core::slice::from_raw_parts(self.data.as_ptr(), self.len) }
    }

    /// The element at `index`.
    pub(crate) fn get(&self, index: usize) -> Option<&T> {
        self.as_slice().get(index)
    }

    /// The element at `index`, to be written.
    pub(crate) fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        // SAFETY: By the type invariant.
        unsafe { core::slice::from_raw_parts_mut(self.data.as_ptr(), self.len) }.get_mut(index)
    }

    /// The elements, one after the other.
    pub(crate) fn iter(&self) -> core::slice::Iter<'_, T> {
        self.as_slice().iter()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

impl<T> Drop for Vector<T> {
    fn drop(&mut self) {
        while self.pop().is_some() {}
        // SAFETY: No element is left.
        unsafe { self.free_memory() };
    }
}
