// SPDX-License-Identifier: GPL-2.0

//! A peer: who it is, where it is, and what is on the way to it.
//!
//! A [`Peer`] is reached in three ways: by public key (configuration and initiations), by allowed IP
//! (packets to send) and by receiver index (messages received). Each of these tables holds a
//! reference, and so does everything in flight. [`Peer::remove`] takes it out of all of them; the
//! memory is freed one grace period after the last reference is gone.
//!
//! Lock order, outermost first: RTNL, the device's `config`, `prefixes`, [`Peer::handshake`], then the spinlocks
//! (`staged`, `keypairs`, `timers`, `endpoint`).

#![forbid(unsafe_code)]

use kernel::prelude::*;
use kernel::sync::atomic::{
    Atomic,
    Relaxed, //
};
use kernel::sync::{
    new_mutex,
    Mutex, //
};

use crate::allowed_ips::{
    Owner,
    PrefixList, //
};
use crate::counters::Dropped;
use crate::crypto::{
    CookieKeys,
    CookieMaker,
    Handshake,
    Remote, //
};
use crate::debug;
use crate::device::Device;
use crate::events::{
    self,
    MOVES_APART,
    MOVE_DELAY, //
};
use crate::keypair::{
    now,
    Keypairs, //
};
use crate::net::bh::BhLock;
use crate::net::clock;
use crate::net::endpoint::{
    DstCache,
    Endpoint,
    Source, //
};
use crate::net::libcrypto;
use crate::net::path_mtu::PathMtu;
use crate::net::pipeline::Lane;
use crate::net::rcu::{
    Object,
    Shared, //
};
use crate::net::workqueue::{
    self,
    Queue,
    Runnable,
    Task, //
};
use crate::new_bh_lock;
use crate::places::Placed;
use crate::protocol::clock::ClockWatch;
use crate::protocol::session::{
    REJECT_AFTER_TIME,
    REKEY_TIMEOUT, //
};
use crate::protocol::time::{
    Duration,
    Instant, //
};
use crate::protocol::timers::{
    Alarm,
    Event,
    Timers,
    KEYS_LIFETIME,
    REPLY_TIMEOUT, //
};
use crate::protocol::PublicKey;
use crate::receive::{
    Incoming,
    Singles, //
};
use crate::transmit::{
    FlowLanes,
    OneWay,
    Staged, //
};

/// What the handshake needs; guarded by [`Peer::handshake`].
pub(crate) struct HandshakeSide {
    /// The Noise state machine.
    pub(crate) noise: Handshake,
    /// The peer's static keys as we know them.
    pub(crate) remote: Remote,
    /// The cookie that the peer gave us, if any.
    pub(crate) cookies: CookieMaker,
    /// The index that stands for the handshake in the device's table. It passes to the keypair.
    pub(crate) index: Option<u32>,
    /// What [`copies`](crate::keypair::copies) said before our ephemeral key was made.
    pub(crate) copies: u64,
    /// What the peer thinks of our clock.
    pub(crate) clock: ClockWatch,
    /// The peer has been removed: no index may be reserved any more.
    pub(crate) closed: bool,
}

/// The timer state machine and when the kernel is to look at it next.
pub(crate) struct TimerSide {
    machine: Timers,
    /// When the task is to run.
    alarm: Alarm,
    /// When an initiation is wanted.
    initiate: Option<Instant>,
    /// When the keys of the session that was derived last came into being.
    derived: Option<Instant>,
    /// When the established session ends, unless another one follows.
    session_ends: Option<Instant>,
    /// When listeners are to be told where the peer is now.
    announce: Option<Instant>,
    /// When they may next be told.
    may_announce: Instant,
    /// Wall clock time of the last completed handshake (seconds, nanoseconds); zero for never.
    last_handshake: (u64, u32),
    /// The peer has been removed: nothing may be armed any more.
    closed: bool,
}

/// The number of the peer that was made last.
static LAST_ID: Atomic<u64> = Atomic::new(0);

/// A peer of a device.
#[pin_data]
pub(crate) struct Peer {
    /// The device that the peer belongs to.
    pub(crate) device: Shared<Device>,
    /// The peer's number in debug messages.
    pub(crate) id: u64,
    /// Where it is in the device's list.
    place: Atomic<u32>,
    /// The peer's static public key, which is its name.
    pub(crate) public_key: PublicKey,
    /// Keys of mac1 and cookies in messages to the peer.
    pub(crate) cookie_keys: CookieKeys,
    /// Handshake state. Process context; held over the DH computations, so that no other handshake
    /// message of the same peer can come in between.
    #[pin]
    pub(crate) handshake: Mutex<HandshakeSide>,
    /// The transport sessions.
    #[pin]
    pub(crate) keypairs: Keypairs,
    /// The peer's address. Process context and softirq.
    #[pin]
    endpoint: BhLock<Option<Endpoint>>,
    /// Whether an address is known; once one is, it is never forgotten.
    reachable: Atomic<bool>,
    /// What the path to the endpoint takes; noted only if that is asked for.
    pub(crate) path_mtu: PathMtu,
    /// The route to the endpoint.
    #[pin]
    pub(crate) route: DstCache,
    /// Timers. Process context and softirq.
    #[pin]
    timers: BhLock<TimerSide>,
    /// Packets that wait for a keypair. Process context and softirq.
    #[pin]
    pub(crate) staged: BhLock<Staged>,
    /// The allowed IPs that lead to the peer. Process context.
    #[pin]
    prefixes: Mutex<PrefixList<Peer>>,
    /// Order of what is being sealed, flow by flow.
    #[pin]
    pub(crate) outgoing: FlowLanes,
    /// Order of what is being opened.
    #[pin]
    pub(crate) incoming: Lane<Incoming>,
    /// How closely single messages follow one another.
    pub(crate) singles: Singles,
    /// How much is sent without being answered.
    pub(crate) one_way: OneWay,
    /// Octets of WireGuard messages received and authenticated.
    pub(crate) rx_bytes: Atomic<u64>,
    /// Octets of WireGuard messages sent.
    pub(crate) tx_bytes: Atomic<u64>,
    /// Runs the timers and sends initiations.
    #[pin]
    task: Task<Peer>,
}

impl Object for Peer {}

impl Placed for Shared<Peer> {
    fn place(&self) -> &Atomic<u32> {
        &self.place
    }
}

impl Owner for Peer {
    fn with_prefixes<R>(&self, f: impl FnOnce(&mut PrefixList<Self>) -> R) -> R {
        f(&mut self.prefixes.lock())
    }
}

/// What the netlink interface shows of a peer's state.
pub(crate) struct Status {
    /// Wall clock time of the last handshake, seconds and nanoseconds; zero for never.
    pub(crate) last_handshake: (u64, u32),
    /// Seconds; zero for off.
    pub(crate) persistent_keepalive: u16,
}

impl Peer {
    /// Makes a peer that no table knows yet. May sleep.
    pub(crate) fn new(
        device: &Shared<Device>,
        public_key: &PublicKey,
        preshared: Option<[u8; 32]>,
    ) -> Result<Shared<Self>> {
        let mut remote = Remote::new(*public_key);
        remote.set_preshared(preshared);
        Shared::pin_init(try_pin_init!(Self {
            device: device.clone(),
            id: LAST_ID.fetch_add(1, Relaxed).wrapping_add(1),
            place: Atomic::new(0),
            public_key: *public_key,
            cookie_keys: CookieKeys::new(public_key),
            handshake <- new_mutex!(
                HandshakeSide {
                    noise: Handshake::new(),
                    remote,
                    cookies: CookieMaker::new(),
                    index: None,
                    copies: 0,
                    clock: ClockWatch::new(),
                    closed: false,
                },
                "peer.handshake"
            ),
            keypairs <- Keypairs::new(),
            endpoint <- new_bh_lock!(None, "peer.endpoint"),
            reachable: Atomic::new(false),
            path_mtu: PathMtu::unknown(),
            route <- DstCache::new(),
            timers <- new_bh_lock!(
                TimerSide {
                    machine: Timers::new(),
                    alarm: Alarm::default(),
                    initiate: None,
                    derived: None,
                    session_ends: None,
                    announce: None,
                    may_announce: Instant::from_nanos(0),
                    last_handshake: (0, 0),
                    closed: false,
                },
                "peer.timers"
            ),
            staged <- new_bh_lock!(Staged::new(), "peer.staged"),
            prefixes <- new_mutex!(PrefixList::new(), "peer.prefixes"),
            outgoing <- FlowLanes::new(),
            incoming <- Lane::new(),
            singles: Singles::new(),
            one_way: OneWay::new(),
            rx_bytes: Atomic::new(0),
            tx_bytes: Atomic::new(0),
            task <- Task::new(),
        }? Error))
    }

    /// The peer's address, if it is known.
    pub(crate) fn endpoint(&self) -> Option<Endpoint> {
        *self.endpoint.lock()
    }

    /// Whether an address is known.
    pub(crate) fn has_endpoint(&self) -> bool {
        self.reachable.load(Relaxed)
    }

    /// Sets the address. `true` if the peer's is another one than before, whether or not our own is.
    pub(crate) fn set_endpoint(&self, new: Endpoint) -> bool {
        let mut endpoint = self.endpoint.lock();
        if *endpoint == Some(new) {
            return false;
        }
        let moved = endpoint.is_none_or(|old| !old.remote.is_at(&new.remote));
        *endpoint = Some(new);
        self.reachable.store(true, Relaxed);
        drop(endpoint);
        self.route.reset();
        if moved {
            self.path_mtu.forget();
        }
        moved
    }

    /// Sets the address because an authenticated message came from there (whitepaper §2.1, roaming).
    pub(crate) fn heard_from(this: &Shared<Self>, from: Endpoint) {
        if !this.set_endpoint(from) {
            return;
        }
        events::endpoint_changed(this);
        this.if_active(|side, now| {
            // Not at once: what is due by now may not be any more when the timers have been told of this message.
            let at = side.may_announce.max(now.after(MOVE_DELAY));
            side.announce.get_or_insert(at);
            Self::wake(this, side, now, at);
        });
    }

    /// Forgets which of our own addresses the peer is reached from.
    pub(crate) fn clear_source(&self) {
        if let Some(endpoint) = self.endpoint.lock().as_mut() {
            endpoint.source = Source::Unset;
        }
        self.route.release(false);
        self.path_mtu.forget();
    }

    /// Our own address did not serve for sending to `used`: it is replaced by `source`, unless the endpoint is another
    /// one by now.
    pub(crate) fn source_failed(&self, used: &Endpoint, source: Source) {
        if let Some(endpoint) = self.endpoint.lock().as_mut() {
            if endpoint == used {
                endpoint.source = source;
            }
        }
    }

    /// Forgets what a sender to `used` has learned of its path, if the endpoint is another one by now.
    pub(crate) fn check_path(&self, used: &Endpoint) {
        // If it becomes another one after this look, what was learned is forgotten then.
        let moved = self.endpoint.lock().is_none_or(|present| present != *used);
        if moved {
            self.path_mtu.forget();
        }
    }

    /// Counts a received and authenticated message of `len` octets.
    pub(crate) fn count_rx(&self, len: usize) {
        self.rx_bytes.add(len as u64, Relaxed);
    }

    /// Tells the timers what happened (whitepaper §6) and arms the task accordingly. Any context.
    pub(crate) fn events(this: &Shared<Self>, events: &[Event]) {
        this.if_active(|side, now| {
            for event in events {
                match event {
                    Event::SessionDerived => side.derived = Some(now),
                    Event::HandshakeComplete => {
                        side.session_ends = side.derived.map(|at| at.after(REJECT_AFTER_TIME));
                    }
                    _ => {}
                }
                side.machine.handle(*event, now, libcrypto::random_u32());
            }
            Self::arm(this, side, now);
        });
    }

    /// Asks for an initiation. The count of attempts starts anew. Any context.
    pub(crate) fn initiate(this: &Shared<Self>) {
        this.if_active(|side, now| {
            side.machine.reset_retries();
            if side.machine.want_initiation(now, libcrypto::random_u32()) {
                side.initiate = Some(now);
            }
            Self::arm(this, side, now);
        });
    }

    /// Asks for an initiation in a second. Any context.
    pub(crate) fn initiate_later(this: &Shared<Self>) {
        this.if_active(|side, now| {
            side.initiate = Some(now.after(Duration::from_secs(1)));
            Self::arm(this, side, now);
        });
    }

    /// Asks for an initiation if none was asked for since the last handshake: the keypair is about
    /// to expire on the receiving side (§6.2).
    pub(crate) fn last_minute(this: &Shared<Self>) {
        let first = this.timers.lock().machine.claim_last_minute();
        if first {
            Self::initiate(this);
        }
    }

    /// Whether anything may be set. To be asked with the lock held: whoever takes the device down takes it later, and
    /// takes back what was set before.
    fn is_active(&self, side: &TimerSide) -> bool {
        !side.closed && self.device.is_up()
    }

    /// Does what concerns the timers, unless nothing may be set any more.
    fn if_active(&self, f: impl FnOnce(&mut TimerSide, Instant)) {
        let now = now();
        let mut side = self.timers.lock();
        if self.is_active(&side) {
            f(&mut side, now);
        }
    }

    /// Arms the task for the next thing to do, unless it is already armed early enough. The peer is active.
    fn arm(this: &Shared<Self>, side: &mut TimerSide, now: Instant) {
        let wanted = [
            side.initiate,
            side.machine.next(),
            side.session_ends,
            side.announce,
        ];
        if let Some(wanted) = wanted.into_iter().flatten().min() {
            Self::wake(this, side, now, wanted);
        }
    }

    /// Lets the task run at `at`, unless it runs before.
    fn wake(this: &Shared<Self>, side: &mut TimerSide, now: Instant, at: Instant) {
        let delay = at.since(now).as_nanos();
        if side.alarm.set(clock::ticks(), workqueue::ticks(delay)) {
            this.device.workers.control.schedule(this, delay);
        }
    }

    /// Whether an initiation may be sent now; if so, notes that one is (§6.1: one per `REKEY_TIMEOUT`).
    pub(crate) fn claim_initiation(&self, now: Instant) -> bool {
        let mut side = self.timers.lock();
        self.is_active(&side) && side.machine.claim_initiation(now, libcrypto::random_u32())
    }

    /// Notes the time of a completed handshake.
    pub(crate) fn handshake_completed(&self) {
        self.timers.lock().last_handshake = clock::realtime();
        events::handshake_completed(self);
    }

    /// Sets the persistent keepalive interval. `true` if it was off and is now on.
    pub(crate) fn set_persistent_keepalive(&self, seconds: u16) -> bool {
        let mut side = self.timers.lock();
        let was_off = side.machine.persistent_keepalive() == 0;
        side.machine.set_persistent_keepalive(seconds);
        was_off && seconds != 0
    }

    /// Seconds; zero for off.
    pub(crate) fn persistent_keepalive(&self) -> u16 {
        self.timers.lock().machine.persistent_keepalive()
    }

    /// State for the netlink interface.
    pub(crate) fn status(&self) -> Status {
        let side = self.timers.lock();
        Status {
            last_handshake: side.last_handshake,
            persistent_keepalive: side.machine.persistent_keepalive(),
        }
    }

    /// Drops the packets that wait for a keypair and counts them.
    pub(crate) fn purge_staged(&self, why: Dropped) {
        let dropped = self.staged.lock().take();
        self.device.count_tx_dropped(why, dropped.packets());
        dropped.drop_for(why.reason());
    }

    /// Drops the handshake in progress and its index, and allows no further one. May sleep.
    fn close_handshake(&self) {
        let mut side = self.handshake.lock();
        side.closed = true;
        self.drop_handshake(&mut side);
    }

    fn drop_handshake(&self, side: &mut HandshakeSide) {
        side.noise.clear();
        if let Some(index) = side.index.take() {
            self.device.indices.remove(index);
        }
    }

    /// Drops all keys: those of the handshake and those of the sessions. May sleep.
    pub(crate) fn clear_keys(&self) {
        self.drop_keys(&mut self.handshake.lock());
    }

    fn drop_keys(&self, side: &mut HandshakeSide) {
        self.timers.lock().machine.keys_wiped();
        self.drop_handshake(side);
        self.keypairs.clear(&self.device.indices, false);
    }

    /// The time of all keys is over: drops them, unless a session was begun after that was found. May sleep.
    fn clear_old_keys(&self) {
        // A session is made, and the time of its keys is set, with this lock held.
        let mut side = self.handshake.lock();
        if self.timers.lock().machine.has_keys() {
            return;
        }
        debug::zeroing_keys(&self.device, self, KEYS_LIFETIME.as_secs());
        self.drop_keys(&mut side);
    }

    /// Stops sending with the peer's present sessions, so that the next packet leads to a handshake.
    /// May sleep.
    pub(crate) fn expire_sessions(&self) {
        self.keypairs.expire();
        let mut side = self.handshake.lock();
        self.drop_handshake(&mut side);
        // With the lock held, so that no initiation is claimed and not computed yet.
        self.timers.lock().machine.forget_initiations();
        // A handshake that was under way may have led to another one meanwhile.
        self.keypairs.expire();
    }

    /// The device goes down: nothing is sent, nothing is armed, no key is kept. May sleep.
    pub(crate) fn stop(this: &Shared<Self>) {
        this.purge_staged(Dropped::Closed);
        this.stop_timers(false);
        Queue::cancel(this);
        // Not before: its task may have been sending one. The next start has not to wait for its answer.
        this.timers.lock().machine.forget_initiations();
        let mut side = this.handshake.lock();
        side.clock.series_ended();
        this.drop_keys(&mut side);
    }

    fn stop_timers(&self, close: bool) {
        let mut side = self.timers.lock();
        side.machine.stop();
        side.initiate = None;
        side.session_ends = None;
        side.announce = None;
        side.alarm.clear();
        side.closed |= close;
    }

    /// Ends the peer's life. It is already out of the tables by public key and by allowed IP; this
    /// removes its keys, indices, timers and staged packets, and lets no new ones appear. May sleep.
    pub(crate) fn remove(this: &Shared<Self>) {
        this.staged.lock().close();
        this.purge_staged(Dropped::Closed);
        this.stop_timers(true);
        this.close_handshake();
        this.keypairs.clear(&this.device.indices, true);
        Queue::cancel(this);
        // The memory stays for a while, and would keep a route of a namespace that may be about to end.
        this.route.release(true);
        debug::peer_destroyed(&this.device, this);
    }
}

impl Runnable for Peer {
    fn task(&self) -> &Task<Self> {
        &self.task
    }

    /// Does what is due. Process context.
    fn run(this: &Shared<Self>) {
        let mut side = this.timers.lock();
        side.alarm.clear();
        if !this.is_active(&side) {
            return;
        }
        let now = now();
        let asked = side.initiate.take_if(|at| *at <= now).is_some();
        let due = side.machine.poll(now);
        let expired = side.session_ends.take_if(|at| *at <= now).is_some();
        let announce = side.announce.take_if(|at| *at <= now).is_some();
        if announce {
            side.may_announce = now.after(MOVES_APART);
        }
        drop(side);

        if announce {
            events::announce_endpoint(this);
        }
        if expired {
            events::session_expired(this);
        }

        if due.give_up {
            debug::handshake_given_up(&this.device, this);
            this.purge_staged(Dropped::GaveUp);
            this.handshake.lock().clock.series_ended();
        }
        if due.unanswered != 0 {
            events::handshake_gave_up(this, due.unanswered);
        }
        if due.retries != 0 {
            let (seconds, attempt) = (REKEY_TIMEOUT.as_secs(), due.retries.saturating_add(1));
            if this.has_endpoint() {
                events::handshake_retried(this, attempt);
            }
            debug::handshake_retried(&this.device, this, seconds, attempt);
        }
        if due.silence {
            debug::stopped_hearing(&this.device, this, REPLY_TIMEOUT.as_secs());
        }
        if due.zero_keys {
            this.clear_old_keys();
        }
        if due.clear_source {
            this.clear_source();
        }
        if asked || due.initiate {
            crate::handshake::send_initiation(this);
        }
        if due.send_keepalive {
            crate::transmit::send_keepalive(this);
        }

        this.if_active(|side, now| Self::arm(this, side, now));
    }
}
