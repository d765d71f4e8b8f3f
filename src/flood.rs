// SPDX-License-Identifier: GPL-2.0

//! What keeps handshake messages from costing more than they may (whitepaper §5.3, §5.4.7).
//!
//! A handshake message costs several Curve25519 computations, so it waits in a queue of bounded
//! length for a worker in process context. The device is under load when the queue grows long, or when
//! too much time goes to messages which turn out, after the computations, not to be from a peer: even if a
//! CPU keeps up with a flood, that time is missing elsewhere. Then a sender must have proven its address
//! with a cookie, each address is served only so often, and workers pause after so much time for nothing.
//! Peers that all come back at once waste nothing, so while the queue is short none of them has to ask twice,
//! and when it is long there is no pause on their account.

#![forbid(unsafe_code)]

use kernel::prelude::*;
use kernel::sync::atomic::{
    Atomic,
    Relaxed, //
};

use crate::counters::Dropped;
use crate::device::Device;
use crate::keypair::now;
use crate::net::bh::BhLock;
use crate::net::clock;
use crate::net::endpoint::Address;
use crate::net::hashtable::HashMap;
use crate::net::rcu::{
    self,
    Object,
    Shared,
    Slot, //
};
use crate::net::skb::{
    Skb,
    SkbList, //
};
use crate::net::workqueue::{
    self,
    Queue,
    Runnable,
    Task, //
};
use crate::new_bh_lock;
use crate::protocol::ratelimit::{
    Bucket,
    WasteBudget, //
};
use crate::protocol::time::{
    Duration,
    Instant, //
};

/// Handshake messages of one device that may wait for a worker.
const MAX_QUEUED: usize = 4096;
/// With this many messages waiting or more, the device is under load.
const LOADED: usize = MAX_QUEUED / 8;
/// A message that has waited for longer is dropped unread. Whoever hears nothing for five seconds begins anew
/// (`REKEY_TIMEOUT`, §6.4), and an answer to what was sent before is then of no use: where CPUs are slow, a full queue
/// takes longer than that, and each message in it would be answered too late. The rest is left to the path. Answers to
/// what we sent wait in the same queue, and we begin anew likewise, so they are no exception.
const STALE: Duration = Duration::from_secs(3);
/// The device counts as under load for this long after its queue was last found long, or its time wasted.
const LOAD_LINGERS: Duration = Duration::from_secs(1);
/// Sources that the rate limiter remembers; others are refused until some are forgotten.
const MAX_SOURCES: usize = 1 << 14;
/// Buckets of the rate limiter's table, as a power of two.
const SOURCE_BITS: u32 = 10;
/// Idle sources are forgotten this often.
const SWEEP_NS: u64 = 1_000_000_000;
/// Messages that a worker answers before it lets others have the CPU and looks for idle sources; under load only those
/// that it accepts count.
const BATCH: usize = 64;
/// Workers that may answer handshakes of one device at the same time; see [`workers_in_use`].
const WORKERS: usize = 16;
/// Under load a worker spends this much time on messages that are refused, then pauses: when many senders prove nothing,
/// the rest of its CPU is left to those who have a session, and one wake-up serves many messages.
const SLICE_NS: u64 = 750_000;
/// See [`SLICE_NS`]; at most one tick longer.
const PAUSE_NS: u64 = 4_000_000;

/// The messages that wait, and whether there is anybody to answer them.
struct Waiting {
    messages: SkbList,
    /// The interface is up. Otherwise nothing is added, and no worker is scheduled.
    open: bool,
}

/// The waiting handshake messages of a device and the workers that answer them.
#[pin_data]
pub(crate) struct HandshakeQueue {
    /// Filled in softirq, emptied by the workers.
    #[pin]
    waiting: BhLock<Waiting>,
    /// Number of messages in `waiting`, to be read without the lock.
    len: Atomic<usize>,
    /// Nanoseconds of [`now`] when the device was last found under load; zero for never.
    loaded_at: Atomic<u64>,
    /// Pays for messages that turn out not to be from a peer. Locked by the workers.
    #[pin]
    waste: BhLock<WasteBudget>,
    /// Present while the interface is up.
    workers: [Slot<Worker>; WORKERS],
    /// Chooses the worker for the next message.
    turn: Atomic<usize>,
}

impl HandshakeQueue {
    /// An empty queue without workers.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            waiting <- new_bh_lock!(
                Waiting {
                    messages: SkbList::new(),
                    open: false,
                },
                "handshakes"
            ),
            len: Atomic::new(0),
            loaded_at: Atomic::new(0),
            waste <- new_bh_lock!(WasteBudget::new(Instant::from_nanos(0)), "handshakes.waste"),
            workers: [const { Slot::empty() }; WORKERS],
            turn: Atomic::new(0),
        })
    }

    /// Starts the workers. May sleep.
    pub(crate) fn open(&self, device: &Shared<Device>) -> Result {
        for slot in &self.workers {
            if !slot.is_some() {
                slot.set(Some(Worker::new(device)?));
            }
        }
        self.waiting.lock().open = true;
        Ok(())
    }

    /// Drops what waits and stops the workers. May sleep.
    pub(crate) fn close(&self, device: &Device) {
        // First, so that the workers end after the message they are working on and not after thousands.
        let rest = {
            let mut waiting = self.waiting.lock();
            waiting.open = false;
            self.len.store(0, Relaxed);
            core::mem::replace(&mut waiting.messages, SkbList::new())
        };
        for skb in rest {
            device.drop_packet(skb, Dropped::HandshakeNotReady);
        }
        for slot in &self.workers {
            if let Some(worker) = slot.take() {
                Queue::cancel(&worker);
            }
        }
    }

    /// Queues a message. Softirq.
    ///
    /// # Errors
    ///
    /// The message comes back if the queue is full, or if there is nobody to answer it.
    pub(crate) fn push(&self, device: &Device, mut skb: Skb) -> Result<(), (Skb, Dropped)> {
        let len = self.len.load(Relaxed);
        if len >= MAX_QUEUED {
            return Err((skb, Dropped::HandshakeQueueFull));
        }
        // Half full means a flood: do not let the receiving CPUs queue up for the lock as well.
        let waiting = if len > MAX_QUEUED / 2 {
            self.waiting.try_lock()
        } else {
            Some(self.waiting.lock())
        };
        let Some(mut waiting) = waiting else {
            return Err((skb, Dropped::HandshakeQueueFull));
        };
        if !waiting.open {
            return Err((skb, Dropped::HandshakeNotReady));
        }
        let now = now();
        skb.set_time(now.as_nanos());
        waiting.messages.push_back(skb);
        self.len.store(waiting.messages.len(), Relaxed);

        // Under the lock: `close` takes it before it cancels the workers, so that none is scheduled after that.
        let turn = self
            .turn
            .fetch_add(1, Relaxed)
            .checked_rem(workers_in_use());
        let guard = rcu::read_lock();
        let worker = self
            .workers
            .get(turn.unwrap_or(0))
            .and_then(|slot| slot.load(&guard));
        if let Some(worker) = worker.and_then(|worker| worker.upgrade()) {
            let queue = &device.workers.handshakes;
            let only_sweeps = worker.only_sweeps.load(Relaxed);
            worker.only_sweeps.store(false, Relaxed);
            if !self.under_load(now) {
                queue.run_now(&worker);
            } else if only_sweeps {
                // The time of the sweep would be too late.
                queue.schedule(&worker, PAUSE_NS);
            } else {
                queue.schedule_once(&worker, PAUSE_NS);
            }
        }
        Ok(())
    }

    fn pop(&self) -> Option<Skb> {
        let mut waiting = self.waiting.lock();
        let skb = waiting.messages.pop_front();
        self.len.store(waiting.messages.len(), Relaxed);
        skb
    }

    /// Reschedules a worker that is about to end: at once or, under load and unless it has answered a whole batch, after
    /// a pause if messages wait, otherwise for the next sweep if there are sources to be forgotten.
    fn run_again(&self, worker: &Shared<Worker>, batch: bool, sources: bool) {
        // Under the lock: `close` cancels the workers only after it has taken it, and whoever adds a
        // message after us schedules a worker for it, which we must not put off.
        let waiting = self.waiting.lock();
        let delay = match waiting.messages.len() {
            0 if !sources => return,
            0 => SWEEP_NS,
            _ if !batch && self.under_load(now()) => PAUSE_NS,
            _ => 0,
        };
        if waiting.open {
            worker.only_sweeps.store(delay == SWEEP_NS, Relaxed);
            worker.device.workers.handshakes.schedule(worker, delay);
        }
    }

    /// Computations were spent on a message that is not from a peer, or is an old one of a peer's; `begun` is what
    /// [`clock::cpu_ns`] said before.
    pub(crate) fn wasted(&self, begun: u64) {
        let now = now();
        let spent = Duration::from_nanos(clock::cpu_ns_since(begun));
        // CAST: A number of CPUs.
        let cpus = workqueue::online_cpus() as u64;
        if !self.waste.lock().spend(now, spent, cpus) {
            self.loaded_at.store(now.as_nanos(), Relaxed);
        }
    }

    /// Whether senders have to prove their address. This stays true for a second after the device was last
    /// under load, lest the answer flap.
    pub(crate) fn under_load(&self, now: Instant) -> bool {
        if self.len.load(Relaxed) >= LOADED {
            self.loaded_at.store(now.as_nanos(), Relaxed);
            return true;
        }
        let at = self.loaded_at.load(Relaxed);
        at != 0 && now.since(Instant::from_nanos(at)) < LOAD_LINGERS
    }
}

/// How many workers of a device are used: a quarter of the CPUs, and four if there are that many.
fn workers_in_use() -> usize {
    let cpus = workqueue::online_cpus();
    (cpus / 4).clamp(4, WORKERS).min(cpus)
}

/// One of the workers of a device.
#[pin_data]
struct Worker {
    device: Shared<Device>,
    /// It is scheduled for the next sweep only, not for a message. Guarded by the lock of the waiting messages.
    only_sweeps: Atomic<bool>,
    #[pin]
    task: Task<Worker>,
}

impl Worker {
    fn new(device: &Shared<Device>) -> Result<Shared<Self>> {
        Shared::pin_init(try_pin_init!(Self {
            device: device.clone(),
            only_sweeps: Atomic::new(false),
            task <- Task::new(),
        }? Error))
    }
}

impl Object for Worker {}

impl Runnable for Worker {
    fn task(&self) -> &Task<Self> {
        &self.task
    }

    fn run(this: &Shared<Self>) {
        let device = &this.device;
        let (mut accepted, mut refused, mut refused_ns) = (0usize, 0usize, 0u64);
        let batch = loop {
            let Some(skb) = device.handshakes.pop() else {
                break false;
            };
            if now().since(Instant::from_nanos(skb.time())) > STALE {
                crate::receive::refuse_handshake(device, skb, Dropped::HandshakeTooLate);
                continue;
            }
            let begun = clock::cpu_ns();
            if crate::handshake::receive(device, skb) {
                accepted = accepted.wrapping_add(1);
            } else {
                refused = refused.wrapping_add(1);
                refused_ns = refused_ns.saturating_add(clock::cpu_ns_since(begun));
            }
            let loaded = device.handshakes.under_load(now());
            // Under load what is refused is limited by its time, not by its number: messages without a good mac1 cost
            // next to nothing each, and a flood of them must not fill the queue for the others.
            let counted = if loaded {
                accepted
            } else {
                accepted.wrapping_add(refused)
            };
            if counted >= BATCH {
                break true;
            }
            if loaded && refused_ns > SLICE_NS {
                break false;
            }
        };
        let sources = device.limiter.sweep();
        device.handshakes.run_again(this, batch, sources);
    }
}

/// How often each source may start a handshake while we are under load: a token bucket for each IPv4
/// address and each IPv6 /64.
#[pin_data]
pub(crate) struct RateLimiter {
    #[pin]
    sources: HashMap<[u8; 9], Source>,
    /// Nanoseconds of [`now`] when idle sources were last looked for.
    swept_at: Atomic<u64>,
}

#[pin_data]
struct SourceState {
    #[pin]
    bucket: BhLock<Bucket>,
}

impl Object for SourceState {}

/// The bucket of one source.
type Source = Shared<SourceState>;

impl RateLimiter {
    /// No source known.
    pub(crate) fn new() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            sources <- HashMap::new(SOURCE_BITS),
            swept_at: Atomic::new(0),
        }? Error)
    }

    /// Whether a message from `source` may be served now. May sleep.
    pub(crate) fn allow(&self, source: &Address) -> bool {
        let key = match source {
            Address::V4 { addr, .. } => {
                let [a, b, c, d] = *addr;
                [4, a, b, c, d, 0, 0, 0, 0]
            }
            Address::V6 { addr, .. } => {
                let [a, b, c, d, e, f, g, h, ..] = *addr;
                [6, a, b, c, d, e, f, g, h]
            }
        };
        let now = now();
        {
            let guard = rcu::read_lock();
            if let Some(known) = self.sources.get(&guard, &key) {
                return known.bucket.lock().allow(now);
            }
        }
        if self.sources.len() >= MAX_SOURCES {
            return false;
        }
        let state = Shared::pin_init(try_pin_init!(SourceState {
            bucket <- new_bh_lock!(Bucket::new(now), "limiter.bucket"),
        }? Error));
        let Ok(state) = state else { return false };
        let allowed = state.bucket.lock().allow(now);
        // If another worker was first, its bucket stays; one message more does no harm.
        match self.sources.insert(key, state) {
            Ok(()) => allowed,
            Err(e) => e == EEXIST && allowed,
        }
    }

    /// Forgets sources that have been idle, at most twice a second. `true` while any is known. May
    /// sleep.
    fn sweep(&self) -> bool {
        if self.sources.len() == 0 {
            return false;
        }
        let now = now();
        let last = Instant::from_nanos(self.swept_at.load(Relaxed));
        if now.since(last).as_nanos() >= SWEEP_NS / 2 {
            self.swept_at.store(now.as_nanos(), Relaxed);
            self.sources
                .retain(|_, source| !source.bucket.lock().idle(now));
        }
        true
    }

    /// Forgets all sources. May sleep.
    pub(crate) fn clear(&self) {
        self.sources.retain(|_, _| false);
    }
}
