// SPDX-License-Identifier: GPL-2.0

//! Keypairs: the sessions that a peer holds at one time.
//!
//! Whitepaper §5.4.6 and §6.3. A peer has up to three keypairs. `current` seals what we send. `next` is
//! a session that we derived as the responder and that the initiator has not yet used; it becomes
//! `current` with the first message it opens. `previous` still opens messages that were on the way
//! when `current` changed.
//!
//! Readers take a keypair from its slot under RCU. Writers hold the lock of [`Keypairs`].

#![forbid(unsafe_code)]

use kernel::prelude::*;
use kernel::sync::atomic::{
    Atomic,
    Relaxed, //
};

use crate::crypto::Session;
use crate::debug;
use crate::events;
use crate::indices::IndexTable;
use crate::net::bh::BhLock;
use crate::net::clock;
#[cfg(kernel_7_2)]
use crate::net::errno::*;
use crate::net::rcu::{
    self,
    Object,
    Shared,
    Slot, //
};
use crate::net::skb::LinearList;
use crate::new_bh_lock;
use crate::peer::Peer;
use crate::protocol::replay::ReplayWindow;
use crate::protocol::session::REJECT_AFTER_MESSAGES;
use crate::protocol::time::Instant;

/// The time by the clock that all protocol limits are measured with: it goes on during suspend.
pub(crate) fn now() -> Instant {
    Instant::from_nanos(clock::boottime_coarse_ns())
}

/// How often the machine has been copied.
static COPIES: Atomic<u64> = Atomic::new(0);

/// There is a copy of the machine, or there will be one of what is in memory now: nothing is sealed from here on with any
/// of the present keypairs, since the copy has them, too. Any context; waits for nobody.
pub(crate) fn copied() {
    COPIES.fetch_add(1, Relaxed);
}

/// How often that was. Any context.
pub(crate) fn copies() -> u64 {
    COPIES.load(Relaxed)
}

/// The number of the keypair that was made last.
static LAST_ID: Atomic<u64> = Atomic::new(0);

/// One session with its counters.
#[pin_data]
pub(crate) struct Keypair {
    /// The keypair's number in debug messages.
    id: u64,
    /// Keys and indices; immutable.
    pub(crate) session: Session,
    /// The counter of the next message to be sent. Grows by whole batches.
    next_counter: Atomic<u64>,
    /// The counters of all messages that were given to the socket are below this.
    sent: Atomic<u64>,
    /// Cleared when the session may no longer seal.
    sending: Atomic<bool>,
    /// What [`copies`] said before the first secret of its handshake was made; it may not seal when that has changed.
    copies: u64,
    /// Counters of the messages that were received; locked once per batch, bottom halves off.
    #[pin]
    window: BhLock<ReplayWindow>,
}

impl Object for Keypair {}

impl Keypair {
    fn new(session: Session, copies: u64) -> Result<Shared<Self>> {
        Shared::pin_init(try_pin_init!(Self {
            id: LAST_ID.fetch_add(1, Relaxed).wrapping_add(1),
            session,
            next_counter: Atomic::new(0),
            sent: Atomic::new(0),
            sending: Atomic::new(true),
            copies,
            window <- new_bh_lock!(ReplayWindow::new(), "keypair.window"),
        }? Error))
    }

    /// The keypair's number in debug messages.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// Whether the keypair is still in use for sending.
    pub(crate) fn is_sending(&self) -> bool {
        self.sending.load(Relaxed) && self.copies == copies()
    }

    /// Whether new messages may be sealed with this keypair.
    pub(crate) fn may_send(&self, now: Instant) -> bool {
        self.is_sending()
            && self
                .session
                .usable_for_sending(self.next_counter.load(Relaxed), now)
    }

    /// Whether the keypair is still in use for sending, and has come to the age or count at which the sender asks for a
    /// new one.
    pub(crate) fn rekey_due_after_sending(&self, now: Instant) -> bool {
        self.is_sending()
            && self
                .session
                .rekey_due_after_sending(self.next_counter.load(Relaxed), now)
    }

    /// Whether the initiator must ask for a new keypair lest it lose this one (§6.2).
    pub(crate) fn rekey_due_after_receiving(&self, now: Instant) -> bool {
        self.is_sending() && self.session.rekey_due_after_receiving(now)
    }

    /// Stops sealing with this keypair; it still opens messages.
    pub(crate) fn stop_sending(&self) {
        self.sending.store(false, Relaxed);
    }

    /// Notes that messages with counters below `end` are given to the socket.
    pub(crate) fn sent_below(&self, end: u64) {
        // Two CPUs that come here at once may leave the lower value, until the next message.
        if self.sent.load(Relaxed) < end {
            self.sent.store(end, Relaxed);
        }
    }

    /// How far messages with counters from `first` on have been overtaken.
    pub(crate) fn lag(&self, first: u64) -> u64 {
        self.sent.load(Relaxed).saturating_sub(first)
    }

    /// Takes `count` consecutive counters and returns the first.
    ///
    /// `None` when the session has used up its counters, which closes it for sending, or was closed since the packets
    /// were queued: if the machine was forked, its twin has the same counters, and none may be used by both.
    pub(crate) fn reserve(&self, count: u64) -> Option<u64> {
        if !self.is_sending() {
            return None;
        }
        let first = self.next_counter.fetch_add(count, Relaxed);
        match first.checked_add(count) {
            Some(end) if end <= REJECT_AFTER_MESSAGES => Some(first),
            _ => {
                self.stop_sending();
                None
            }
        }
    }

    /// Whether messages may still be opened.
    pub(crate) fn may_receive(&self, now: Instant) -> bool {
        self.session.usable_for_receiving(now)
    }

    /// Takes note of received counters, which are the packets' tags. Returns the packets that are
    /// accepted, and those that are replays or whose counter is out of range.
    pub(crate) fn accept_counters(&self, packets: LinearList) -> (LinearList, LinearList) {
        let mut accepted = LinearList::new();
        let mut refused = LinearList::new();
        let mut window = self.window.lock();
        for packet in packets {
            if window.accept(packet.tag()) {
                accepted.push_back(packet);
            } else {
                refused.push_back(packet);
            }
        }
        (accepted, refused)
    }

    /// The newest counter that was received; zero if none was.
    pub(crate) fn newest_counter(&self) -> u64 {
        self.window.lock().newest()
    }
}

/// The keypairs of one peer.
#[pin_data]
pub(crate) struct Keypairs {
    current: Slot<Keypair>,
    previous: Slot<Keypair>,
    next: Slot<Keypair>,
    /// Serialises the writers of the three slots; `true` once the peer is gone and may have no keypair.
    /// Taken in process context and in softirq.
    #[pin]
    closed: BhLock<bool>,
}

impl Keypairs {
    /// No keypair at all.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            current: Slot::empty(),
            previous: Slot::empty(),
            next: Slot::empty(),
            closed <- new_bh_lock!(false, "keypairs"),
        })
    }

    /// The slot whose keypair seals what we send.
    pub(crate) fn current(&self) -> &Slot<Keypair> {
        &self.current
    }

    /// Adds the keypair of a completed handshake and publishes its index; `copies` is what [`copies`] said before it
    /// began. May sleep.
    ///
    /// As the initiator we may use it at once. As the responder we wait for the first message that
    /// it opens: until then the initiator may not have our response (§5.4.6).
    ///
    /// # Errors
    ///
    /// `ENOMEM`, or `ESHUTDOWN` when the peer has been removed. The index is given back in both cases.
    pub(crate) fn install(&self, peer: &Peer, session: Session, copies: u64) -> Result {
        let indices = &peer.device.indices;
        let index = session.local_index();
        let initiator = session.initiator();
        let keypair = Keypair::new(session, copies).inspect_err(|_| indices.remove(index))?;
        let id = keypair.id;

        let closed = self.closed.lock();
        if *closed || !indices.publish(index, &keypair) {
            indices.remove(index);
            return Err(ESHUTDOWN);
        }
        let retired = if initiator {
            // A `next` that was not confirmed may still open messages of the other side, which takes it
            // to be valid.
            match self.next.take() {
                Some(next) => {
                    let current = self.current.swap(Some(keypair));
                    [self.previous.swap(Some(next)), current]
                }
                None => {
                    let current = self.current.swap(Some(keypair));
                    [self.previous.swap(current), None]
                }
            }
        } else {
            [self.next.swap(Some(keypair)), self.previous.take()]
        };
        stop_sending(&retired);
        drop(closed);
        events::keypair_created(peer, id);
        retire(indices, retired);
        Ok(())
    }

    /// Notes that `keypair` has opened a message. `true` if it was waiting for just that and is now
    /// the current one.
    pub(crate) fn confirm(&self, indices: &IndexTable, keypair: &Shared<Keypair>) -> bool {
        let is_next = || {
            let guard = rcu::read_lock();
            self.next
                .load(&guard)
                .is_some_and(|next| core::ptr::eq(&*next, &**keypair))
        };
        // Without the lock first: this runs once per received batch.
        if !is_next() {
            return false;
        }
        let closed = self.closed.lock();
        if *closed || !is_next() {
            return false;
        }
        let next = self.next.take();
        let retired = [self.previous.swap(self.current.swap(next))];
        stop_sending(&retired);
        drop(closed);
        retire(indices, retired);
        true
    }

    /// Stops sending with the present keypairs; messages on the way to us are still opened.
    pub(crate) fn expire(&self) {
        let _closed = self.closed.lock();
        // The previous one as well: packets that are on their way to be sealed may be for it.
        stop_sending(&[self.next.get(), self.current.get(), self.previous.get()]);
    }

    /// Drops all keypairs; with `close` no new one is ever accepted.
    pub(crate) fn clear(&self, indices: &IndexTable, close: bool) {
        let mut closed = self.closed.lock();
        *closed |= close;
        let retired = [self.next.take(), self.previous.take(), self.current.take()];
        stop_sending(&retired);
        drop(closed);
        retire(indices, retired);
    }
}

/// Stops sending with keypairs. To be called for those that leave their slots, while the lock of these is held, since
/// [`Keypairs::expire`] does not find them any more.
fn stop_sending(keypairs: &[Option<Shared<Keypair>>]) {
    for keypair in keypairs.iter().flatten() {
        keypair.stop_sending();
    }
}

/// Removes from the table the indices of keypairs that are no longer in a slot.
fn retire<const N: usize>(indices: &IndexTable, keypairs: [Option<Shared<Keypair>>; N]) {
    for keypair in keypairs.into_iter().flatten() {
        let index = keypair.session.local_index();
        let guard = rcu::read_lock();
        if let Some(entry) = indices.get(&guard, index) {
            debug::keypair_destroyed(&entry.peer.device, keypair.id, &entry.peer);
            events::keypair_destroyed(&entry.peer, keypair.id);
            // Now, not when the entry's memory is freed: before the machine sleeps, keys have one grace period to be
            // wiped.
            entry.keypair.set(None);
        }
        drop(guard);
        indices.remove(index);
    }
}
