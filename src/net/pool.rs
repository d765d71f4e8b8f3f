// SPDX-License-Identifier: GPL-2.0

//! Recycled memory for the contents of packets.
//!
//! Fresh pages are zeroed on most kernels, and splitting and joining them in the page allocator costs even
//! more than that. A page pool keeps the pages that come back from packets that were freed. Each CPU has
//! its own, so taking memory needs no lock.
//!
//! C header: [`include/net/page_pool/helpers.h`](srctree/include/net/page_pool/helpers.h)

use core::ptr::NonNull;

use kernel::prelude::*;

use super::bh::BhGuard;
use super::bindings;
use super::vector::Vector;

/// Order of a pool's pages: 16 KiB, which holds eleven messages for an Ethernet path, or one base page if that is more.
/// A packet that nobody reads keeps all of its page, so they are no larger than they have to be.
const ORDER: u32 = (16384_usize.div_ceil(kernel::page::PAGE_SIZE)).ilog2();
/// Octets of a pool's page.
pub(crate) const PAGE_LEN: usize = kernel::page::PAGE_SIZE << ORDER;
/// Alignment of the pieces of a page: a packet's `skb_shared_info` lies behind what the piece holds.
const ALIGNMENT: usize = 64;
/// The most pages brought back by other CPUs that each pool keeps: 1 MiB.
const KEPT: u32 = ((1 << 20) / PAGE_LEN) as u32;

/// A page pool.
///
/// # Invariants
///
/// `ptr` is a live page pool that this value owns, for pages of `PAGE_LEN` octets.
struct Pool {
    ptr: NonNull<bindings::page_pool>,
}

impl Pool {
    fn new() -> Result<Self> {
        let mut params = bindings::page_pool_params::default();
        // SAFETY: The union has the same fields twice, once with a name for all of them.
        let fast = unsafe { &mut params.__bindgen_anon_1.fast };
        fast.order = ORDER;
        fast.pool_size = KEPT;
        fast.nid = bindings::NUMA_NO_NODE;
        // SAFETY: The parameters are good during the call.
        let ptr = kernel::error::from_err_ptr(unsafe { bindings::page_pool_create(&params) })?;
        // INVARIANT: Just made, and nobody else knows it.
        Ok(Self {
            ptr: NonNull::new(ptr).ok_or(ENOMEM)?,
        })
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // SAFETY: By the type invariant. Pages that are still in packets come back later; the kernel
        // waits for them without us.
        unsafe { bindings::page_pool_destroy(self.ptr.as_ptr()) };
    }
}

/// The pools of all CPUs.
pub(crate) struct Buffers {
    /// One for each possible CPU number.
    pools: Vector<Pool>,
}

// SAFETY: A pool is used by its CPU only, with bottom halves off; page pools may be destroyed by anyone.
unsafe impl Send for Buffers {}
// SAFETY: As above.
unsafe impl Sync for Buffers {}

impl Buffers {
    /// Empty pools. May sleep.
    pub(crate) fn new() -> Result<Self> {
        let mut pools = Vector::new();
        // SAFETY: No requirements.
        for _ in 0..unsafe { bindings::nr_cpu_ids() } {
            pools.push(Pool::new()?)?;
        }
        Ok(Self { pools })
    }

    /// Memory for `len` octets.
    ///
    /// # Errors
    ///
    /// `EMSGSIZE` when that is more than a page of the pool, `ENOMEM`.
    pub(super) fn alloc(&self, len: usize, _bh: &BhGuard) -> Result<Buffer<'_>> {
        if len > PAGE_LEN {
            return Err(EMSGSIZE);
        }
        // SAFETY: No requirements.
        let cpu = unsafe { bindings::raw_smp_processor_id() } as usize;
        let pool = self.pools.get(cpu).ok_or(ENOMEM)?;
        // Linux 7.2 takes the next piece from right behind this one, so the length has to keep it aligned.
        let mut size =
            len.saturating_add(ALIGNMENT.wrapping_sub(1)) as u32 & !(ALIGNMENT as u32 - 1);
        // SAFETY: By the type invariant; bottom halves are off, so nobody else on this CPU takes from the
        // pool, and nobody on another one does.
        let data = unsafe { bindings::page_pool_dev_alloc_va(pool.ptr.as_ptr(), &mut size) };
        // INVARIANT: Just taken; the function gives at least what it was asked for.
        Ok(Buffer {
            data: NonNull::new(data.cast()).ok_or(ENOMEM)?,
            size: size as usize,
            pool,
        })
    }
}

/// Memory from a pool.
///
/// # Invariants
///
/// `data` is good for `size` octets, which nobody else uses; it was taken from `pool` and has not been
/// given back.
pub(super) struct Buffer<'a> {
    data: NonNull<u8>,
    size: usize,
    pool: &'a Pool,
}

impl Buffer<'_> {
    /// How many octets there are; possibly more than was asked for.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    pub(super) fn as_ptr(&self) -> *mut u8 {
        self.data.as_ptr()
    }

    /// The octets, whatever they are at present.
    pub(super) fn octets(&mut self) -> &mut [u8] {
        // SAFETY: By the type invariant. What the memory holds comes from outside of Rust's view.
        unsafe { core::slice::from_raw_parts_mut(self.data.as_ptr(), self.size) }
    }

    /// Gives the memory to whoever frees it through an `sk_buff` that is marked for recycling.
    pub(super) fn into_raw(self) -> *mut u8 {
        let data = self.data.as_ptr();
        core::mem::forget(self);
        data
    }
}

impl Drop for Buffer<'_> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe {
            bindings::page_pool_free_va(self.pool.ptr.as_ptr(), self.data.as_ptr().cast(), false)
        };
    }
}
