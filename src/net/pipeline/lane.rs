// SPDX-License-Identifier: GPL-2.0

//! The order in which jobs are completed.

use core::cell::UnsafeCell;
use core::ptr::{
    self,
    NonNull, //
};

use kernel::prelude::*;

use super::account::{
    self,
    Account, //
};
use super::{
    Chain,
    CpuQueue,
    Job,
    Limits, //
};
use crate::net::bh::{
    BhGuard,
    BhLock, //
};
use crate::net::clock;
use crate::net::rcu::Shared;
use crate::net::workqueue;
use crate::new_bh_lock;

/// A submitted job.
///
/// # Invariants
///
/// `lane` is the job's lane and part of `owner`, and `home` is the queue of the CPU where it has to be completed; all
/// live as long as the node. `stage` and, while the job waits, `cost` are guarded by the lane's lock. While the job
/// waits, only the holder of that lock uses it; while it is in work, only the worker that took it does; and when it is
/// done, only the one that flushes the lane. `cost` is not zero.
pub(super) struct Node<J: Job> {
    pub(super) job: UnsafeCell<J>,
    pub(super) owner: Shared<J::Owner>,
    pub(super) lane: *const Lane<J>,
    /// Null if any CPU will do.
    pub(super) home: *const CpuQueue<J>,
    /// That of the jobs which this one has absorbed included.
    pub(super) cost: usize,
    pub(super) next_in_lane: *mut Node<J>,
    pub(super) next_on_cpu: *mut Node<J>,
    pub(super) stage: Stage,
}

/// Jobs of about this much [`Job::cost`] are completed in one go. While it lasts, bottom halves are off; there may be
/// as much as the limit for the lane, and more keeps coming. So little on a kernel for debugging that this is tested.
pub(super) const FLUSH_COST: usize = if cfg!(CONFIG_PROVE_LOCKING) {
    4 << 10
} else {
    256 << 10
};

/// How far a submitted job has come.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// On a CPU's queue.
    Waiting,
    /// A worker has it.
    InWork,
    /// To be completed.
    Done,
}

/// Jobs that are completed in order.
#[pin_data]
pub(crate) struct Lane<J: Job> {
    #[pin]
    state: BhLock<LaneState<J>>,
}

/// # Invariants
///
/// `head` to `tail` are linked by `next_in_lane`; the lane owns the nodes.
struct LaneState<J: Job> {
    head: *mut Node<J>,
    tail: *mut Node<J>,
    /// Cost of all jobs from `head` to `tail`.
    pending: usize,
    /// Somebody is completing jobs of this lane and will look at the head again under the lock.
    flushing: bool,
    /// The CPU on which jobs are completed, with [`Job::ON_ONE_CPU`]. It changes only while there are no jobs.
    home: i32,
    /// When the last one was completed, in ticks.
    completed: usize,
}

// SAFETY: The nodes are owned, and jobs and their owners may be sent.
unsafe impl<J: Job> Send for LaneState<J> {}

impl<J: Job> LaneState<J> {
    /// Whether no job is under way.
    fn is_idle(&self) -> bool {
        self.head.is_null() && !self.flushing
    }

    /// Whether jobs of this much additional cost may be under way. There is a limit for the lane because a worker that
    /// does not get its CPU may sit on the first job for long, while others process what comes after it.
    fn takes(&self, cost: usize, account: &Account, limits: Limits) -> bool {
        account::fits(self.pending, cost, limits.lane) && account.takes(cost, limits)
    }

    /// A job of this cost is under way.
    fn add(&mut self, cost: usize, account: &Account) {
        self.pending = self.pending.saturating_add(cost);
        account.add(cost);
    }

    fn head_is_done(&self) -> bool {
        // SAFETY: The lane owns its nodes, and the stage is guarded by its lock.
        !self.head.is_null() && unsafe { (*self.head).stage == Stage::Done }
    }
}

/// Ticks after which a CPU has passed on everything that was completed there.
const SETTLED: usize = 2;

impl<J: Job> LaneState<J> {
    /// Makes `cpu` the lane's home if it may be. Returns whether it is.
    ///
    /// What a CPU has completed may still be in a queue there (the backlog of a software device), where
    /// something completed elsewhere would overtake it.
    fn settle(&mut self, cpu: i32) -> bool {
        if self.home == cpu {
            return true;
        }
        let may = self.is_idle()
            && (clock::ticks().wrapping_sub(self.completed) >= SETTLED
                || !workqueue::is_online(self.home));
        if may {
            self.home = cpu;
        }
        may
    }
}

impl<J: Job> Lane<J> {
    /// An empty lane.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            state <- new_bh_lock!(
                LaneState {
                    head: ptr::null_mut(),
                    tail: ptr::null_mut(),
                    pending: 0,
                    flushing: false,
                    home: -1,
                    completed: 0,
                },
                "pipeline.lane"
            ),
        })
    }

    /// Adds a new node, which will be processed on `cpu`, at the end. Returns `false`, without adding it, if more would
    /// then be under way than `limits` says. `at_home` gives the queue of a lane's home.
    ///
    /// # Safety
    ///
    /// `node` is good, of this lane, and on no list.
    pub(super) unsafe fn push(
        &self,
        node: *mut Node<J>,
        cpu: i32,
        limits: Limits,
        at_home: impl FnOnce(i32) -> Option<*const CpuQueue<J>>,
    ) -> bool {
        let mut state = self.state.lock();
        // SAFETY: The node is the caller's, and on no list yet.
        let (cost, account) = unsafe { ((*node).cost, J::account(&(*node).owner)) };
        if !state.takes(cost, account, limits) {
            return false;
        }
        if J::ON_ONE_CPU {
            state.settle(cpu);
            let Some(home) = at_home(state.home) else {
                return false;
            };
            // SAFETY: The node is the caller's, and on no list yet.
            unsafe { (*node).home = home };
        }
        if state.tail.is_null() {
            state.head = node;
        } else {
            // SAFETY: The lane owns its nodes; the link is guarded by the lane's lock.
            unsafe { (*state.tail).next_in_lane = node };
        }
        state.tail = node;
        state.add(cost, account);
        true
    }

    /// Adds `job` to the last one of the lane, if that is still waiting.
    ///
    /// # Errors
    ///
    /// `job`, if the two do not fit together, or too much waits already.
    pub(super) fn absorb(&self, job: J, limits: Limits) -> Result<(), J> {
        let mut state = self.state.lock();
        let tail = state.tail;
        // SAFETY: The lane owns its nodes. A job that waits is used by the holder of the lock.
        unsafe {
            if tail.is_null() || (*tail).stage != Stage::Waiting {
                return Err(job);
            }
            let (cost, account) = (job.cost(), J::account(&(*tail).owner));
            if !state.takes(cost, account, limits) {
                return Err(job);
            }
            (*(*tail).job.get()).absorb(job)?;
            state.add(cost, account);
            (*tail).cost = (*tail).cost.saturating_add(cost);
        }
        Ok(())
    }

    /// Marks a job as in work: from here on nothing is added to it any more.
    ///
    /// # Safety
    ///
    /// The caller has taken `node`, which is of this lane, from its CPU's queue.
    pub(super) unsafe fn begin(&self, node: *mut Node<J>) {
        let _state = self.state.lock();
        // SAFETY: The node is not done, so it lives; its stage is guarded by the lock.
        unsafe { (*node).stage = Stage::InWork };
    }

    /// Takes the right to complete the lane's jobs on `cpu`, if none is under way. Whoever gets it must call [`flush`].
    pub(super) fn claim(&self, cpu: i32) -> bool {
        let mut state = self.state.lock();
        let free = state.is_idle() && (!J::ON_ONE_CPU || state.settle(cpu));
        state.flushing |= free;
        free
    }

    /// Takes the head out, if it is done. Only whoever flushes the lane may call this.
    fn pop_done(&self) -> Option<KBox<Node<J>>> {
        let mut state = self.state.lock();
        if !state.head_is_done() {
            return None;
        }
        let head = state.head;
        // SAFETY: As in `head_is_done`.
        state.head = unsafe { (*head).next_in_lane };
        if state.head.is_null() {
            state.tail = ptr::null_mut();
        }
        // SAFETY: The node came from `KBox::into_raw`, is done, and is on no list any more.
        let node = unsafe { KBox::from_raw(head) };
        state.pending = state.pending.saturating_sub(node.cost);
        J::account(&node.owner).take(node.cost);
        Some(node)
    }
}

/// Marks a job as processed and, with `may_flush`, completes what its lane has ready, as far as `budget`, which is not
/// zero, goes.
///
/// No job is left behind: it is marked as done under the lane's lock. Either nobody is flushing, and we do;
/// or somebody is, and takes the lock again before stopping, and finds the mark.
///
/// # Safety
///
/// The caller has taken `node` from a CPU queue and has processed it; it is the worker of `cpu`, and of the node's home,
/// if the node has one. Without `may_flush`, it holds another node of the same lane that it will finish with
/// `may_flush`.
pub(super) unsafe fn finish<J: Job>(
    node: *mut Node<J>,
    may_flush: bool,
    cpu: &CpuQueue<J>,
    budget: &mut usize,
    bh: &BhGuard,
) {
    // SAFETY: Until it is done, nobody else uses the node, and the lane lives as long as the node.
    let lane = unsafe { &*(*node).lane };
    let mut state = lane.state.lock();
    // SAFETY: As above.
    unsafe { (*node).stage = Stage::Done };
    if state.flushing || !may_flush {
        return;
    }
    // From here on only we complete jobs of the lane; so our own node, or the one completed last,
    // keeps the lane alive.
    state.flushing = true;
    drop(state);
    flush(lane, cpu, budget, bh);
}

/// Completes what the lane has ready, and gives up the right to do so. When `budget`, which is not zero at first, is used
/// up, the rest is left to the worker of the next job's home, or of `cpu` if it has none. The caller has that right, and
/// something that keeps the lane alive until the first job has been completed here.
pub(super) fn flush<J: Job>(lane: &Lane<J>, cpu: &CpuQueue<J>, budget: &mut usize, bh: &BhGuard) {
    let mut last: Option<KBox<Node<J>>> = None;
    let rest = loop {
        let mut state = lane.state.lock();
        let ready = state.head_is_done();
        if !ready || *budget == 0 {
            state.flushing = false;
            if J::ON_ONE_CPU {
                state.completed = clock::ticks();
            }
            break NonNull::new(state.head).filter(|head| {
                if ready {
                    // SAFETY: The lane owns the node, and its stage is guarded by the lock. As it is not done any
                    // more, it is ours until it is finished once more; what is behind it waits for that.
                    unsafe { (*head.as_ptr()).stage = Stage::InWork };
                }
                ready
            });
        }
        drop(state);
        // The scope ends before anybody else may go on, since its end may be what makes the order visible to others.
        J::with_scope(bh, |mut scope| {
            while *budget > 0 {
                let Some(mut current) = lane.pop_done() else {
                    break;
                };
                *budget = budget.saturating_sub(current.cost);
                let Node { job, owner, .. } = &mut *current;
                job.get_mut().complete(owner, scope.as_mut(), bh);
                last = Some(current);
            }
        });
    };
    drop(last);
    if let Some(head) = rest {
        let mut chain = Chain::new();
        // SAFETY: The node has been processed, is not done, and on no chain. Its home lives as long as it does.
        unsafe {
            let home = (*head.as_ptr()).home;
            chain.push(head);
            home.as_ref().unwrap_or(cpu).hand_over(chain);
        }
    }
}
