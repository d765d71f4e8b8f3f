// SPDX-License-Identifier: GPL-2.0

//! Work that is done on the spot, or processed in parallel and completed in order.
//!
//! A [`Job`] belongs to a [`Lane`]. The jobs of one lane are completed one after the other, in the order
//! in which they were given to the [`Pipeline`].
//!
//! [`Pipeline::start`] lets the caller do a job itself when nothing in the job's lane is under way and the
//! caller's CPU has not spent too much time on such jobs lately ([`Load`]): a hop to another thread costs more
//! than most jobs, above all when the machine is busy and the thread has to wait for its turn. Under
//! bulk load, jobs go to workers on all CPUs, which process them in any order; whichever finishes the job at the
//! head of a lane completes it and all finished ones behind it. Where it matters which CPU does that, a lane has
//! a home ([`Job::ON_ONE_CPU`]), and workers elsewhere hand over what they have processed to the worker there.
//!
//! A waiting job is on two lists: the queue of a CPU, until it is processed, and its lane, until it
//! is completed. Lock order: a CPU's queue, then a lane; both with bottom halves off.

use core::cell::UnsafeCell;
use core::ptr::{
    self,
    NonNull, //
};

use kernel::prelude::*;
use kernel::sync::atomic::{
    Atomic,
    Relaxed, //
};

mod account;
mod chain;
mod lane;
mod load;

use chain::Chain;
use lane::{
    finish,
    flush,
    Node,
    Stage,
    FLUSH_COST, //
};
use load::Load;

pub(crate) use account::Account;
pub(crate) use lane::Lane;

use super::bh::{
    self,
    BhGuard,
    BhLock, //
};
use super::bindings;
use super::rcu::{
    Object,
    Shared, //
};
use super::vector::Vector;
use super::workqueue::Queue;
use crate::new_bh_lock;

/// Jobs of at most this much [`Job::cost`] are processed before the first of them is completed: batching
/// lets a [`Job::Scope`] see several completions of a lane together.
const BATCH_COST: usize = 64 << 10;
/// Likewise, at most this many jobs.
const BATCH_JOBS: usize = 64;

/// A piece of work.
pub(crate) trait Job: Send + Sized + 'static {
    /// What contains the job's lane. The pipeline keeps it alive while it has the job.
    type Owner: Object;

    /// State that consecutive completions share.
    type Scope;

    /// Whether a lane's jobs, as long as they follow closely on one another, have to be completed on one CPU, because
    /// what leaves one CPU may be overtaken by what leaves another one later.
    const ON_ONE_CPU: bool;

    /// Makes a scope and runs `f` in it.
    fn with_scope<R>(bh: &BhGuard, f: impl FnOnce(Pin<&mut Self::Scope>) -> R) -> R;

    /// The lane that the job belongs to.
    fn lane<'a>(&self, owner: &'a Self::Owner) -> &'a Lane<Self>;

    /// The account by which the owner's jobs are bounded together with those of others. It is always the same one.
    fn account(owner: &Self::Owner) -> &Account;

    /// Octets, by which accounts and lanes are bounded. Called before the job is processed.
    fn cost(&self) -> usize;

    /// Takes over the work of `other`, a job of the same lane that was given to the pipeline right after this
    /// one. Neither has been processed. Bottom halves off.
    ///
    /// # Errors
    ///
    /// `other`, if it has to remain a job of its own.
    fn absorb(&mut self, other: Self) -> Result<(), Self> {
        Err(other)
    }

    /// Does the work, on any CPU.
    fn process(&mut self, owner: &Shared<Self::Owner>, bh: &BhGuard);

    /// Ends the work, in the lane's order.
    fn complete(&mut self, owner: &Shared<Self::Owner>, scope: Pin<&mut Self::Scope>, bh: &BhGuard);
}

/// A job that its submitter may do at once; dropping this does it. Other jobs of the lane wait for it.
///
/// # Invariants
///
/// `lane` is part of `owner`, and this value holds the right to complete jobs there.
#[must_use = "the job is done when this is dropped"]
pub(crate) struct Ready<'a, J: Job> {
    job: J,
    owner: Shared<J::Owner>,
    lane: NonNull<Lane<J>>,
    cpu: &'a CpuQueue<J>,
    begun: u64,
    bh: BhGuard,
}

impl<J: Job> Ready<'_, J> {
    /// Does the job, and completes what has become ready in its lane meanwhile.
    pub(crate) fn run(self) {}
}

impl<J: Job> Drop for Ready<'_, J> {
    fn drop(&mut self) {
        let Self { job, owner, bh, .. } = self;
        job.process(owner, bh);
        J::with_scope(bh, |scope| job.complete(owner, scope, bh));
        // SAFETY: By the type invariant the lane lives as long as its owner, which is dropped after this.
        let lane = unsafe { self.lane.as_ref() };
        flush(lane, self.cpu, &mut { FLUSH_COST }, &self.bh);
        self.cpu.load.leave(self.begun);
    }
}

/// The jobs that wait for one CPU.
#[pin_data]
#[repr(C)]
struct CpuQueue<J: Job> {
    work: UnsafeCell<bindings::work_struct>,
    /// The workqueue; lives as long as the pipeline.
    workers: *mut bindings::workqueue_struct,
    #[pin]
    state: BhLock<CpuState<J>>,
    /// Whether any job waits; may be read without the lock.
    busy: Atomic<bool>,
    /// Likewise, whether any job was processed before and is to be completed here.
    handed_over: Atomic<bool>,
    load: Load,
    /// Which CPU.
    number: i32,
}

struct CpuState<J: Job> {
    /// Jobs to be processed.
    waiting: Chain<J>,
    /// Jobs that were processed before, on other CPUs, and have to be completed here; and those at which [`flush`]
    /// stopped.
    processed: Chain<J>,
}

// SAFETY: The work item is used through the workqueue's functions only. The rest is locked, atomic, or, as `load`, used
// by its own CPU alone, bottom halves off.
unsafe impl<J: Job> Sync for CpuQueue<J> {}
// SAFETY: As above.
unsafe impl<J: Job> Send for CpuQueue<J> {}

/// Workers on all CPUs for one kind of job.
///
/// # Invariants
///
/// `cpus` has an entry for each possible CPU number, with an initialised work item.
pub(crate) struct Pipeline<J: Job> {
    queue: Queue,
    cpus: Vector<Pin<KBox<CpuQueue<J>>>>,
    /// The CPU that was last given a job because the submitter's own was busy.
    last: Atomic<i32>,
    limits: Limits,
}

/// Octets of cost that may be under way.
#[derive(Clone, Copy)]
struct Limits {
    /// Of each account.
    account: usize,
    /// In each lane.
    lane: usize,
}

/// For this many CPUs there may be jobs under way in a lane, if there are as many.
const CPUS_OF_LANE: usize = 4;
/// The same for an account, which holds twice as much for each, so that no lane takes all of it.
const CPUS_OF_ACCOUNT: usize = 8;

impl<J: Job> Pipeline<J> {
    /// Workers on `queue`, which is a per-CPU one. For each CPU, jobs of up to `limit` octets of cost may be under way in
    /// a lane, of up to four CPUs, and of twice as much in an account, of up to eight. May sleep.
    pub(crate) fn new(queue: Queue, limit: usize) -> Result<Self> {
        // SAFETY: No requirements.
        let count = unsafe { bindings::nr_cpu_ids() } as usize;
        let workers = queue.as_ptr();
        let mut cpus = Vector::new();
        for number in 0..count {
            let cpu = KBox::pin_init(
                pin_init!(CpuQueue {
                    work: UnsafeCell::new(bindings::work_struct::default()),
                    workers,
                    state <- new_bh_lock!(
                        CpuState::<J> {
                            waiting: Chain::new(),
                            processed: Chain::new(),
                        },
                        "pipeline.cpu"
                    ),
                    busy: Atomic::new(false),
                    handed_over: Atomic::new(false),
                    load: Load::new(),
                    number: number as i32,
                }),
                GFP_KERNEL,
            )?;
            // SAFETY: The item is pinned, and nobody uses it yet.
            unsafe { bindings::init_work(cpu.work.get(), Some(run::<J>)) };
            cpus.push(cpu)?;
        }
        Ok(Self {
            queue,
            cpus,
            last: Atomic::new(-1),
            limits: Limits {
                account: limit.saturating_mul(2 * count.min(CPUS_OF_ACCOUNT)),
                lane: limit.saturating_mul(count.min(CPUS_OF_LANE)),
            },
        })
    }

    /// The queue of a CPU.
    fn cpu(&self, number: usize) -> Option<&CpuQueue<J>> {
        self.cpus.get(number).map(|cpu| &**cpu)
    }

    fn this_cpu(&self, _bh: &BhGuard) -> Option<&CpuQueue<J>> {
        // SAFETY: No requirements.
        self.cpu(unsafe { bindings::raw_smp_processor_id() } as usize)
    }

    /// Takes a job of one of the owner's lanes: it is returned if the caller is to do it at once, otherwise it is
    /// queued for the workers. Any context.
    ///
    /// # Errors
    ///
    /// As for [`Pipeline::submit`].
    pub(crate) fn start(&self, owner: Shared<J::Owner>, job: J) -> Result<Option<Ready<'_, J>>, J> {
        let bh = bh::disable();
        if let Some(cpu) = self.this_cpu(&bh) {
            let lane = job.lane(&owner);
            if cpu.load.permits() && lane.claim(cpu.number) {
                // INVARIANT: Just claimed.
                return Ok(Some(Ready {
                    job,
                    lane: NonNull::from(lane),
                    owner,
                    begun: cpu.load.enter(),
                    cpu,
                    bh,
                }));
            }
        }
        self.submit(owner, job).map(|()| None)
    }

    /// The CPU for the next job: this one unless it has work waiting, else the next in turn.
    fn choose(&self) -> usize {
        // SAFETY: No requirements.
        let this = unsafe { bindings::raw_smp_processor_id() } as usize;
        if self.cpu(this).is_some_and(|cpu| !cpu.busy.load(Relaxed)) {
            return this;
        }
        // SAFETY: Any number will do as a start. A CPU that goes offline after this still has its
        // items run, by unbound workers.
        let next = unsafe { bindings::next_online_cpu(self.last.load(Relaxed)) };
        self.last.store(next as i32, Relaxed);
        next as usize
    }

    /// Gives a job to the workers. Any context.
    ///
    /// # Errors
    ///
    /// The job comes back when too much waits already or there is no memory.
    pub(crate) fn submit(&self, owner: Shared<J::Owner>, job: J) -> Result<(), J> {
        let cost = job.cost().max(1);
        let Some(cpu) = self.cpu(self.choose()) else {
            return Err(job);
        };
        // Looked at once more with the lane's lock held; this saves what is refused an allocation.
        if !J::account(&owner).takes(cost, self.limits) {
            return Err(job);
        }
        let space = match KBox::<Node<J>>::new_uninit(GFP_ATOMIC) {
            Ok(space) => space,
            Err(_) => return Err(job),
        };
        let node = space.write(Node {
            lane: job.lane(&owner),
            owner,
            job: UnsafeCell::new(job),
            home: ptr::null(),
            cost,
            next_in_lane: ptr::null_mut(),
            next_on_cpu: ptr::null_mut(),
            stage: Stage::Waiting,
        });
        let node = NonNull::from(KBox::leak(node));

        let mut queue = cpu.state.lock();
        // SAFETY: The node is not shared yet; its lane lives as long as the node.
        let pushed = unsafe {
            let lane = &*node.as_ref().lane;
            lane.push(node.as_ptr(), cpu.number, self.limits, |home| {
                self.cpu(home as usize).map(ptr::from_ref)
            })
        };
        if !pushed {
            drop(queue);
            // SAFETY: The node is on no list, so it is still ours alone.
            let node = unsafe { KBox::from_raw(node.as_ptr()) };
            return Err(KBox::into_inner(node).job.into_inner());
        }
        // SAFETY: It was just made, and nobody completes it before it has been on this chain.
        unsafe { queue.waiting.push(node) };
        cpu.busy.store(true, Relaxed);
        drop(queue);
        cpu.kick();
        Ok(())
    }

    /// Takes a job that need not be done at once: it becomes part of the last one in its lane if that is still
    /// waiting, and is queued otherwise. Any context.
    ///
    /// # Errors
    ///
    /// As for [`Pipeline::submit`].
    pub(crate) fn collect(&self, owner: Shared<J::Owner>, job: J) -> Result<(), J> {
        let lane = job.lane(&owner);
        match lane.absorb(job, self.limits) {
            Ok(()) => Ok(()),
            Err(job) => self.submit(owner, job),
        }
    }

    /// Waits until all jobs that were submitted so far are completed, except for those behind a job of the same
    /// lane that another pipeline has, or that its submitter is doing at the moment. Sleeps.
    pub(crate) fn stop(&self) {
        self.queue.flush();
        if J::ON_ONE_CPU {
            // For what was handed over during the first flush.
            self.queue.flush();
        }
    }
}

impl<J: Job> Drop for Pipeline<J> {
    fn drop(&mut self) {
        self.stop();
    }
}

impl<J: Job> CpuQueue<J> {
    /// Has the worker look at the queue.
    fn kick(&self) {
        // SAFETY: The item is initialised and lives as long as the pipeline, which flushes the queue
        // before it is gone.
        unsafe {
            bindings::queue_work_on(self.number, self.workers, self.work.get());
        }
    }

    /// Takes the job that has waited longest.
    fn pop(&self) -> Option<NonNull<Node<J>>> {
        let mut state = self.state.lock();
        let node = state.waiting.pop()?;
        self.busy.store(state.waiting.first().is_some(), Relaxed);
        Some(node)
    }

    /// Takes some jobs from the queue and processes them.
    fn process_batch(&self, bh: &BhGuard) -> Chain<J> {
        let mut batch = Chain::new();
        let mut cost = 0usize;
        for _ in 0..BATCH_JOBS {
            let Some(node) = self.pop() else {
                break;
            };
            // SAFETY: The node was taken from the queue and is not done; once it is in work, it is ours alone.
            unsafe {
                let raw = node.as_ptr();
                (*(*raw).lane).begin(raw);
                cost = cost.saturating_add((*raw).cost);
                (*(*raw).job.get()).process(&(*raw).owner, bh);
                batch.push(node);
            }
            if cost >= BATCH_COST {
                break;
            }
        }
        batch
    }

    /// Takes some of the jobs that were processed before and are to be completed here.
    fn take_processed(&self) -> Chain<J> {
        let mut batch = Chain::new();
        // Whoever adds some has the worker look here again.
        if !self.handed_over.load(Relaxed) {
            return batch;
        }
        let mut state = self.state.lock();
        for _ in 0..BATCH_JOBS {
            let Some(node) = state.processed.pop() else {
                break;
            };
            // SAFETY: The node has been processed and is not done: it is ours alone.
            unsafe { batch.push(node) };
        }
        self.handed_over
            .store(state.processed.first().is_some(), Relaxed);
        batch
    }

    /// Takes over jobs that have been processed and are to be completed here.
    fn hand_over(&self, jobs: Chain<J>) {
        {
            let mut state = self.state.lock();
            state.processed.append(jobs);
            self.handed_over.store(true, Relaxed);
        }
        self.kick();
    }

    /// Completes processed jobs, or hands them over. What `budget` is too small for is put back.
    ///
    /// # Safety
    ///
    /// All jobs on the chain have been processed.
    unsafe fn finish_chain(&self, mut chain: Chain<J>, budget: &mut usize, bh: &BhGuard) {
        while *budget > 0 {
            let Some(node) = chain.pop() else {
                return;
            };
            // SAFETY: Until `finish` has it, or it is on another chain, the node is ours; so are those behind it.
            unsafe {
                let home = (*node.as_ptr()).home;
                if home.is_null() || ptr::eq(home, self) {
                    // Jobs of one lane that were processed together are completed together.
                    let more = chain
                        .first()
                        .is_some_and(|next| ptr::eq((*node.as_ptr()).lane, (*next.as_ptr()).lane));
                    finish(node.as_ptr(), !more, self, budget, bh);
                    continue;
                }
                let mut away = Chain::new();
                away.push(node);
                while let Some(next) = chain.first() {
                    if !ptr::eq((*next.as_ptr()).home, home) {
                        break;
                    }
                    chain.pop();
                    away.push(next);
                }
                (*home).hand_over(away);
            }
        }
        self.put_back(chain);
    }

    /// Puts jobs that were processed and could not be completed yet before those that wait for it.
    fn put_back(&self, mut jobs: Chain<J>) {
        if jobs.first().is_some() {
            let mut state = self.state.lock();
            jobs.append(core::mem::replace(&mut state.processed, Chain::new()));
            state.processed = jobs;
            self.handed_over.store(true, Relaxed);
        }
    }

    /// Processes and completes some jobs; `false` when none is left.
    fn run_batch(&self) -> bool {
        let bh = bh::disable();
        let mut budget = FLUSH_COST;
        let processed = self.take_processed();
        let mut any = processed.first().is_some();
        // SAFETY: All were taken from queues and have been processed.
        unsafe { self.finish_chain(processed, &mut budget, &bh) };
        if budget > 0 {
            let batch = self.process_batch(&bh);
            any |= batch.first().is_some();
            // SAFETY: As above.
            unsafe { self.finish_chain(batch, &mut budget, &bh) };
        }
        any
    }
}

/// # Safety
///
/// `work` is the work item of a `CpuQueue<J>`.
unsafe extern "C" fn run<J: Job>(work: *mut bindings::work_struct) {
    // CAST: The work item is the first field.
    let cpu = work.cast::<CpuQueue<J>>();
    // SAFETY: The pipeline flushes its queue before its parts are freed.
    let cpu = unsafe { &*cpu };
    while cpu.run_batch() {
        // SAFETY: Process context, and no lock is held.
        unsafe { bindings::cond_resched() };
    }
}
