// SPDX-License-Identifier: GPL-2.0

//! The timers of one peer as a state machine (§6).
//!
//! Its user tells it what happened and when ([`Timers::handle`]), asks when to look again
//! ([`Timers::next`]), and then asks what is due ([`Timers::poll`]). One kernel timer serves all deadlines.

use super::session::{
    KEEPALIVE_TIMEOUT,
    REJECT_AFTER_TIME,
    REKEY_TIMEOUT, //
};
use super::time::{
    Duration,
    Instant, //
};

/// A handshake is given up about this long after its first initiation (§6.1); counted in attempts, see [`MAX_RETRIES`].
pub const REKEY_ATTEMPT_TIME: Duration = Duration::from_secs(90);
/// A deadline for an initiation is put off by a random time up to this, lest both sides of a lost
/// session keep sending at the same moment (§6.1).
pub const JITTER_MAX: Duration = Duration::from_nanos(Duration::from_secs(1).as_nanos() / 3);
/// So many times the time-out of an initiation fits into [`REKEY_ATTEMPT_TIME`]. The repetition after that is the last:
/// as with the in-tree driver there are 20 initiations in all, and the end comes after 100 seconds or a little more.
pub const MAX_RETRIES: u32 = (REKEY_ATTEMPT_TIME.as_nanos() / REKEY_TIMEOUT.as_nanos()) as u32;
/// So many initiations that nobody answers are worth telling: all those of a handshake that is given up.
pub const ATTEMPTS: u32 = MAX_RETRIES + 2;
/// All keys are wiped this long after the last session began (§6.3).
pub const KEYS_LIFETIME: Duration = REJECT_AFTER_TIME.times(3);
/// When data went out and nothing came back for this long, the session is considered lost (§6.5).
pub const REPLY_TIMEOUT: Duration = KEEPALIVE_TIMEOUT.plus(REKEY_TIMEOUT);

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A packet, not a keepalive, was sent.
    DataSent,
    /// A packet, not a keepalive, was received.
    DataReceived,
    /// A message that the peer can authenticate, of any kind, was sent.
    AuthenticatedSent,
    /// A message of any kind was received and authenticated.
    AuthenticatedReceived,
    /// An authenticated message of any kind went either way.
    Traversal,
    /// Persistent keepalives begin. Sending the first one may fail, and nothing else might ever be sent.
    KeepalivesBegin,
    /// An initiation is about to be sent.
    InitiationSent,
    /// As above, but nobody knows where to. It is an attempt, but nobody has been asked.
    InitiationUnaddressed,
    /// There is no memory for the initiation that was to be sent.
    InitiationFailed,
    /// A response was sent.
    ResponseSent,
    /// As the initiator, we received the response; as the responder, the first message of the session.
    HandshakeComplete,
    /// New session keys exist.
    SessionDerived,
}

/// What is to be done now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Actions {
    /// Send an empty message.
    pub send_keepalive: bool,
    /// Send an initiation.
    pub initiate: bool,
    /// How often the initiation has been repeated with this one; zero if it is not a repetition.
    pub retries: u32,
    /// The initiation is sent because nothing came back for [`REPLY_TIMEOUT`].
    pub silence: bool,
    /// Forget which of our addresses the peer is reached from: it may be the cause of the trouble.
    pub clear_source: bool,
    /// No response came for too long: drop the packets that wait for a session.
    pub give_up: bool,
    /// So many initiations have been sent and not been answered since this was last told, which is worth telling: they
    /// are [`ATTEMPTS`], or the attempts have ended. Otherwise zero. While there are packets to send, which begin the
    /// attempts anew, this comes without `give_up`.
    pub unanswered: u32,
    /// Wipe all keys of the peer.
    pub zero_keys: bool,
}

/// The timers of one peer.
#[derive(Clone, Debug, Default)]
pub struct Timers {
    retry: Option<Instant>,
    keepalive: Option<Instant>,
    no_reply: Option<Instant>,
    zero_keys: Option<Instant>,
    persistent: Option<Instant>,
    /// When an initiation is to be sent that was asked for too early.
    wanted: Option<Instant>,
    /// When an initiation or a response was last sent.
    handshake_sent: Option<Instant>,
    retries: u16,
    /// Initiations that were sent since the last completed handshake, or since it was told how many.
    unanswered: u16,
    /// Seconds; zero for off.
    persistent_interval: u16,
    /// Data came in while a keepalive was already pending.
    keepalive_again: bool,
    /// A new session was asked for because the current one is about to end.
    last_minute: bool,
}

impl Timers {
    /// Nothing is due.
    pub fn new() -> Self {
        Self::default()
    }

    /// The persistent keepalive interval in seconds; zero for off.
    pub fn persistent_keepalive(&self) -> u16 {
        self.persistent_interval
    }

    /// Sets the persistent keepalive interval in seconds; zero for off.
    pub fn set_persistent_keepalive(&mut self, seconds: u16) {
        self.persistent_interval = seconds;
        if seconds == 0 {
            self.persistent = None;
        }
    }

    /// Takes note of an event. `random` is a fresh random number, which determines the jitter.
    pub fn handle(&mut self, event: Event, now: Instant, random: u32) {
        let jitter = JITTER_MAX.fraction(random);
        match event {
            Event::DataSent => {
                self.no_reply
                    .get_or_insert(now.after(REPLY_TIMEOUT).after(jitter));
            }
            Event::DataReceived => {
                if self.keepalive.is_some() {
                    self.keepalive_again = true;
                } else {
                    self.keepalive = Some(now.after(KEEPALIVE_TIMEOUT));
                }
            }
            Event::AuthenticatedSent => self.keepalive = None,
            Event::AuthenticatedReceived => self.no_reply = None,
            Event::Traversal | Event::KeepalivesBegin => self.postpone_persistent(now),
            Event::InitiationSent => {
                self.handshake_sent = Some(now);
                self.unanswered = self.unanswered.saturating_add(1);
                self.attempted(now, jitter);
            }
            Event::InitiationUnaddressed => {
                self.handshake_sent = Some(now);
                self.attempted(now, jitter);
            }
            Event::InitiationFailed => self.attempted(now, jitter),
            Event::ResponseSent => {
                self.handshake_sent = Some(now);
                // An initiation of ours that crossed the one we respond to would come up for
                // repetition before it may be sent, and then never again: if the same happens on
                // the other side, both wait for each other.
                if self.retry.is_some() {
                    self.retry = Some(now.after(REKEY_TIMEOUT).after(jitter));
                }
            }
            Event::HandshakeComplete => {
                self.retry = None;
                self.wanted = None;
                self.retries = 0;
                self.unanswered = 0;
                self.last_minute = false;
            }
            Event::SessionDerived => self.zero_keys = Some(now.after(KEYS_LIFETIME)),
        }
    }

    fn attempted(&mut self, now: Instant, jitter: Duration) {
        self.retry = Some(now.after(REKEY_TIMEOUT).after(jitter));
        self.wanted = None;
    }

    fn postpone_persistent(&mut self, now: Instant) {
        if self.persistent_interval != 0 {
            let interval = Duration::from_secs(u64::from(self.persistent_interval));
            self.persistent = Some(now.after(interval));
        }
    }

    /// When to call [`Timers::poll`]; `None` if nothing will be due by itself.
    pub fn next(&self) -> Option<Instant> {
        [
            self.retry,
            self.wanted,
            self.keepalive,
            self.no_reply,
            self.zero_keys,
            self.persistent,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// What is due at `now`.
    #[must_use]
    pub fn poll(&mut self, now: Instant) -> Actions {
        let due = |deadline: &mut Option<Instant>| deadline.take_if(|at| *at <= now).is_some();
        let mut actions = Actions::default();
        // The last one has had its time when another may be sent.
        if u32::from(self.unanswered) >= ATTEMPTS && self.may_initiate(now) {
            actions.unanswered = core::mem::take(&mut self.unanswered).into();
        }
        if due(&mut self.retry) {
            if u32::from(self.retries) > MAX_RETRIES {
                // If packets have begun the attempts anew, some are still to be told of.
                if self.unanswered != 0 {
                    actions.unanswered = core::mem::take(&mut self.unanswered).into();
                }
                actions.give_up = true;
                self.keepalive = None;
                // What the attempts have left behind has to be wiped in time, too.
                self.zero_keys.get_or_insert(now.after(KEYS_LIFETIME));
            } else {
                self.retries = self.retries.saturating_add(1);
                actions.retries = self.retries.into();
                actions.clear_source = true;
                actions.initiate = true;
            }
        }
        if due(&mut self.wanted) {
            actions.initiate = true;
        }
        if due(&mut self.no_reply) {
            self.retries = 0;
            actions.silence = true;
            actions.clear_source = true;
            actions.initiate = true;
        }
        if due(&mut self.keepalive) {
            actions.send_keepalive = true;
            if core::mem::take(&mut self.keepalive_again) {
                self.keepalive = Some(now.after(KEEPALIVE_TIMEOUT));
            }
        }
        if due(&mut self.persistent) {
            actions.send_keepalive = true;
            // Sending it may fail, and nothing else might ever be sent to set the deadline again.
            self.postpone_persistent(now);
        }
        if due(&mut self.zero_keys) {
            actions.zero_keys = true;
        }
        actions
    }

    /// Whether an initiation may be sent: not within `REKEY_TIMEOUT` of the last one (§6.1).
    pub fn may_initiate(&self, now: Instant) -> bool {
        self.handshake_sent
            .is_none_or(|at| now.since(at) >= REKEY_TIMEOUT)
    }

    /// An initiation is asked for. Whether it may be sent now; otherwise it is due as soon as it may, unless one is on
    /// its way, or a session comes into use meanwhile. `random` determines the jitter, as the response that was sent
    /// last may have been lost, and the other side may want the same.
    pub fn want_initiation(&mut self, now: Instant, random: u32) -> bool {
        let may = self.may_initiate(now);
        if let (false, None, Some(sent)) = (may, self.retry, self.handshake_sent) {
            let jitter = JITTER_MAX.fraction(random);
            self.wanted
                .get_or_insert(sent.after(REKEY_TIMEOUT).after(jitter));
        }
        may
    }

    /// As [`Timers::want_initiation`], and claims the right to send it, since [`Event::InitiationSent`] comes only once
    /// it has been computed.
    pub fn claim_initiation(&mut self, now: Instant, random: u32) -> bool {
        let may = self.want_initiation(now, random);
        if may {
            self.handshake_sent = Some(now);
        }
        may
    }

    /// Lets the next initiation be sent at once, as the first one.
    pub fn forget_initiations(&mut self) {
        self.handshake_sent = None;
        self.unanswered = 0;
    }

    /// All keys have been wiped.
    pub fn keys_wiped(&mut self) {
        self.zero_keys = None;
    }

    /// Whether there may be keys that are still to be wiped.
    pub fn has_keys(&self) -> bool {
        self.zero_keys.is_some()
    }

    /// There is something new to send: the attempts are counted afresh.
    pub fn reset_retries(&mut self) {
        self.retries = 0;
    }

    /// `true` the first time since the last completed handshake.
    pub fn claim_last_minute(&mut self) -> bool {
        !core::mem::replace(&mut self.last_minute, true)
    }

    /// Forgets all deadlines, because the interface is going down.
    pub fn stop(&mut self) {
        self.retry = None;
        self.wanted = None;
        self.keepalive = None;
        self.no_reply = None;
        self.zero_keys = None;
        self.persistent = None;
        self.keepalive_again = false;
    }
}

/// The kernel's timer that serves all deadlines.
///
/// It counts ticks and stands still while the machine sleeps, whereas deadlines do not. A timer that fires too early
/// does no harm, since nothing is due then; that is cheaper than postponing it with each packet.
#[derive(Clone, Debug, Default)]
pub struct Alarm {
    /// The tick by which it will have fired, if it is set.
    latest: Option<usize>,
}

impl Alarm {
    /// Something is due `delay` ticks after the tick `now`. Returns whether the caller has to set the timer for that.
    #[must_use]
    pub fn set(&mut self, now: usize, delay: usize) -> bool {
        // The kernel's timers may fire late by an eighth of their delay, plus a tick.
        let slack = (delay / 8).wrapping_add(1);
        let latest = now.wrapping_add(delay).wrapping_add(slack);
        // The count of ticks wraps; half of its range is the past.
        let late = self
            .latest
            .is_none_or(|at| latest.wrapping_sub(at) > usize::MAX / 2);
        if late {
            self.latest = Some(latest);
        }
        late
    }

    /// It has fired, or was cancelled.
    pub fn clear(&mut self) {
        self.latest = None;
    }
}
