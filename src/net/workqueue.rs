// SPDX-License-Identifier: GPL-2.0

//! Workqueues, and objects that carry a delayed work item of their own.
//!
//! C header: [`include/linux/workqueue.h`](srctree/include/linux/workqueue.h)

use core::cell::UnsafeCell;
use core::marker::PhantomData;
use core::ptr::NonNull;

use kernel::prelude::*;
use kernel::sync::atomic::{
    Acquire,
    Atomic,
    Release, //
};

use super::bindings;
use super::rcu::{
    self,
    Object,
    Shared, //
};

/// A workqueue.
///
/// # Invariants
///
/// `ptr` is a live workqueue that this value owns.
pub(crate) struct Queue {
    ptr: NonNull<bindings::workqueue_struct>,
}

// SAFETY: Workqueues may be used from any thread.
unsafe impl Send for Queue {}
// SAFETY: As above.
unsafe impl Sync for Queue {}

impl Queue {
    fn new(name: &'static CStr, flags: u32) -> Result<Self> {
        // SAFETY: The format takes one string, which is null-terminated.
        let ptr = unsafe {
            bindings::alloc_workqueue_noprof(c"%s".as_char_ptr(), flags, 0, name.as_char_ptr())
        };
        // INVARIANT: Just made, and nobody else knows it.
        Ok(Self {
            ptr: NonNull::new(ptr).ok_or(ENOMEM)?,
        })
    }

    /// A queue whose items run on whichever CPU is free, and not while the system suspends.
    pub(crate) fn unbound_freezable(name: &'static CStr) -> Result<Self> {
        Self::new(
            name,
            bindings::wq_flags_WQ_UNBOUND | bindings::wq_flags_WQ_FREEZABLE,
        )
    }

    /// A queue whose items run on the CPU that they are queued for, ahead of ordinary threads, and
    /// also when memory is short. They may compute for long: other queues' items there need not wait for them.
    pub(crate) fn percpu_highpri(name: &'static CStr) -> Result<Self> {
        Self::new(
            name,
            bindings::wq_flags_WQ_PERCPU
                | bindings::wq_flags_WQ_HIGHPRI
                | bindings::wq_flags_WQ_CPU_INTENSIVE
                | bindings::wq_flags_WQ_MEM_RECLAIM,
        )
    }

    /// A queue whose items run on the CPU that they are queued for, in turn with ordinary threads, and also
    /// when memory is short. They may compute for long, as above.
    pub(crate) fn percpu(name: &'static CStr) -> Result<Self> {
        Self::new(
            name,
            bindings::wq_flags_WQ_PERCPU
                | bindings::wq_flags_WQ_CPU_INTENSIVE
                | bindings::wq_flags_WQ_MEM_RECLAIM,
        )
    }

    pub(super) fn as_ptr(&self) -> *mut bindings::workqueue_struct {
        self.ptr.as_ptr()
    }

    /// Waits until all items that are queued now have run. Sleeps.
    pub(crate) fn flush(&self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::__flush_workqueue(self.ptr.as_ptr()) };
    }

    /// Makes the object's task run `delay` nanoseconds from now, rounded up to the tick, in place of any time
    /// set before. One reference is kept until then. Any context, but not while another CPU is in `cancel` for the
    /// object, which must have been shut for `schedule` before: the kernel refuses the item then, and the reference
    /// would stay.
    pub(crate) fn schedule<T: Runnable>(&self, object: &Shared<T>, delay: u64) {
        self.add(object, delay, bindings::mod_delayed_work_on, false);
    }

    /// Makes the object's task run `delay` nanoseconds from now, rounded up to the tick, unless it is already
    /// scheduled. One reference is kept until then. Any context.
    pub(crate) fn schedule_once<T: Runnable>(&self, object: &Shared<T>, delay: u64) {
        self.add(object, delay, bindings::queue_delayed_work_on, true);
    }

    /// Has one of the kernel's functions, `add`, queue the object's item; it returns `idle` if the item was not
    /// pending before.
    fn add<T: Runnable>(&self, object: &Shared<T>, delay: u64, add: AddDelayed, idle: bool) {
        let Some(task) = own_task(object) else {
            return;
        };
        let raw = object.clone().into_raw();
        task.owner.store(raw.cast_mut(), Release);
        // SAFETY: The work item was initialised with the task and lives as long as the object, to
        // which the pending item holds a reference.
        let added = unsafe {
            add(
                bindings::wq_misc_consts_WORK_CPU_UNBOUND as i32,
                self.ptr.as_ptr(),
                task.work.get(),
                ticks(delay),
            )
        };
        if added != idle {
            // SAFETY: The item that was pending had a reference already; this one is too many.
            drop(unsafe { Shared::<T>::from_raw(raw) });
        }
    }

    /// Makes the object's task run as soon as possible. Any context.
    pub(crate) fn run_now<T: Runnable>(&self, object: &Shared<T>) {
        self.schedule(object, 0);
    }

    /// Takes the object's task out of its queue and waits for it if it is running. Sleeps; not to be
    /// called by the task itself.
    pub(crate) fn cancel<T: Runnable>(object: &Shared<T>) {
        let Some(task) = own_task(object) else {
            return;
        };
        // SAFETY: The work item was initialised with the task.
        if unsafe { bindings::cancel_delayed_work_sync(task.work.get()) } {
            let raw = task.owner.load(Acquire);
            // SAFETY: The item was pending and will not run, so its reference is ours to drop.
            drop(unsafe { Shared::<T>::from_raw(raw) });
        }
    }
}

/// The object's task, if it is part of the object; the count would go to another object otherwise.
fn own_task<T: Runnable>(object: &Shared<T>) -> Option<&Task<T>> {
    let task = object.task();
    let own = object.contains(task);
    if !own {
        pr_err!("workqueue: a task of another object\n");
    }
    own.then_some(task)
}

/// What `queue_delayed_work_on()` and its like have in common.
type AddDelayed = unsafe extern "C" fn(
    kernel::ffi::c_int,
    *mut bindings::workqueue_struct,
    *mut bindings::delayed_work,
    kernel::ffi::c_ulong,
) -> bool;

/// A delay in ticks: not shorter than `ns` unless that is zero.
pub(crate) fn ticks(ns: u64) -> usize {
    match ns {
        0 => 0,
        // SAFETY: No requirements.
        ns => unsafe { bindings::nsecs_to_jiffies(ns) }.saturating_add(1),
    }
}

/// Number of CPUs that are online now. Any context.
pub(crate) fn online_cpus() -> usize {
    // SAFETY: No requirements.
    unsafe { bindings::num_online_cpus() as usize }
}

/// Whether a CPU is online now; `cpu` may be any number. Any context.
pub(crate) fn is_online(cpu: i32) -> bool {
    // SAFETY: No requirements; it is the next one after the one before.
    cpu >= 0 && unsafe { bindings::next_online_cpu(cpu.wrapping_sub(1)) } as i32 == cpu
}

impl Drop for Queue {
    fn drop(&mut self) {
        // An item that waits for its time keeps its object alive.
        if rcu::any_left() {
            pr_err!("workqueue: objects are left, and maybe tasks\n");
            self.flush();
            return;
        }
        // SAFETY: By the type invariant; no item can be pending.
        unsafe { bindings::destroy_workqueue(self.ptr.as_ptr()) };
    }
}

/// An object with a [`Task`].
pub(crate) trait Runnable: Object + Sized {
    /// The object's own task.
    fn task(&self) -> &Task<Self>;

    /// What the task does. Process context. May be scheduled again while it runs, but never runs twice at
    /// once.
    fn run(this: &Shared<Self>);
}

/// A delayed work item inside the object that it works for. Made with [`new_task!`](super::new_task).
///
/// # Invariants
///
/// While the item is pending, `owner` came from [`Shared::into_raw`] of the object that contains the
/// task, and the item owns one count.
#[pin_data]
#[repr(C)]
pub(crate) struct Task<T> {
    work: UnsafeCell<bindings::delayed_work>,
    owner: Atomic<*mut ()>,
    #[pin]
    _pin: core::marker::PhantomPinned,
    _object: PhantomData<fn(T)>,
}

// SAFETY: Work items may be used from any thread.
unsafe impl<T> Send for Task<T> {}
// SAFETY: As above.
unsafe impl<T> Sync for Task<T> {}

impl<T: Runnable> Task<T> {
    /// A task that is not scheduled.
    pub(crate) fn new() -> impl PinInit<Self> {
        // SAFETY: All fields are initialised, the work item in the place where it stays.
        unsafe {
            pin_init::pin_init_from_closure(|slot: *mut Self| {
                (&raw mut (*slot).owner).write(Atomic::new(core::ptr::null_mut()));
                bindings::init_delayed_work(
                    UnsafeCell::raw_get(&raw const (*slot).work),
                    Some(Self::trampoline),
                );
                Ok(())
            })
        }
    }

    /// # Safety
    ///
    /// `work` is the work item of a `Task<T>` and was pending until now.
    unsafe extern "C" fn trampoline(work: *mut bindings::work_struct) {
        // CAST: The item is the first field of the delayed item, which is the task's first field.
        let task: *mut Self = work.cast();
        // SAFETY: The task lives: the reference that is taken over below keeps its object.
        let raw = unsafe { &*task }.owner.load(Acquire);
        // SAFETY: By the type invariant; the item is not pending any more, so the count is ours.
        let object = unsafe { Shared::<T>::from_raw(raw) };
        T::run(&object);
    }
}
