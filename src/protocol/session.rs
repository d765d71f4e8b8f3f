// SPDX-License-Identifier: GPL-2.0

//! A session: the keys of transport data and how long they last (§5.4.5, §5.4.6, §6.1, §6.2).

use super::crypto::{
    Crypto,
    Secret, //
};
use super::messages::DataHeader;
use super::time::{
    Duration,
    Instant, //
};

pub use super::crypto::LEAD;

/// After this many messages the sender asks for a new session.
pub const REKEY_AFTER_MESSAGES: u64 = 1 << 60;
/// At this counter a session ends, which leaves room for the replay window below 2^64.
pub const REJECT_AFTER_MESSAGES: u64 = u64::MAX - super::replay::WINDOW_BITS as u64;
/// From this age on, the initiator of a session asks for a new one when it sends.
pub const REKEY_AFTER_TIME: Duration = Duration::from_secs(120);
/// At this age a session ends.
pub const REJECT_AFTER_TIME: Duration = Duration::from_secs(180);
/// An initiation that is not answered is repeated after this time; none is sent earlier.
pub const REKEY_TIMEOUT: Duration = Duration::from_secs(5);
/// An empty message is sent this long after data came in, if nothing else was sent meanwhile.
pub const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// The keys of one session. Immutable; counters and the replay window are kept by its user.
pub struct Session<C: Crypto> {
    sending: Secret<C>,
    receiving: Secret<C>,
    created: Instant,
    local_index: u32,
    remote_index: u32,
    initiator: bool,
}

impl<C: Crypto> Session<C> {
    pub(super) fn new(
        sending: Secret<C>,
        receiving: Secret<C>,
        created: Instant,
        local_index: u32,
        remote_index: u32,
        initiator: bool,
    ) -> Self {
        Self {
            sending,
            receiving,
            created,
            local_index,
            remote_index,
            initiator,
        }
    }

    /// The index that the other side puts into messages for us.
    pub fn local_index(&self) -> u32 {
        self.local_index
    }

    /// The index that we put into messages for the other side.
    pub fn remote_index(&self) -> u32 {
        self.remote_index
    }

    /// Whether we began the handshake. Only the initiator renews a session because of its age (§6.2).
    pub fn initiator(&self) -> bool {
        self.initiator
    }

    /// The head of the message with this counter.
    pub fn header(&self, counter: u64) -> [u8; super::messages::DATA_HEADER_LEN] {
        DataHeader {
            receiver: self.remote_index,
            counter,
        }
        .to_bytes()
    }

    /// Seals a padded packet in place; the last 16 octets of `buf` take the tag.
    #[must_use]
    pub fn seal_in_place(&self, counter: u64, buf: &mut [u8]) -> bool {
        C::seal_in_place(buf, &[], counter, self.sending.bytes())
    }

    /// Seals the padded packet that follows [`LEAD`] octets in `plain` into the same place in `sealed`, which is
    /// 16 octets longer; see [`Crypto::seal_behind`].
    #[must_use]
    pub fn seal_behind(&self, counter: u64, sealed: &mut [u8], plain: &[u8]) -> bool {
        C::seal_behind(sealed, plain, counter, self.sending.bytes())
    }

    /// Seals the padded packet that follows [`LEAD`] octets in `buf` in place; the last 16 octets take the tag.
    #[must_use]
    pub fn seal_behind_in_place(&self, counter: u64, buf: &mut [u8]) -> bool {
        C::seal_behind_in_place(buf, counter, self.sending.bytes())
    }

    /// Reseals what follows the head of a message, in place, with the counter `new` instead of `old`. The caller never
    /// sends the message with the counter `old`. `false` when it was not sealed with `old`; its contents are lost then.
    #[must_use]
    pub fn reseal_in_place(&self, old: u64, new: u64, buf: &mut [u8]) -> bool {
        C::open_in_place(buf, &[], old, self.sending.bytes())
            && C::seal_in_place(buf, &[], new, self.sending.bytes())
    }

    /// Opens what follows the head of a message, in place. `false` when it is not authentic.
    #[must_use]
    pub fn open_in_place(&self, counter: u64, buf: &mut [u8]) -> bool {
        C::open_in_place(buf, &[], counter, self.receiving.bytes())
    }

    /// Opens `sealed`, what follows the head of a message, into `plain`, which is 16 octets shorter.
    /// `false` when it is not authentic.
    #[must_use]
    pub fn open(&self, counter: u64, plain: &mut [u8], sealed: &[u8]) -> bool {
        C::open(plain, sealed, &[], counter, self.receiving.bytes())
    }

    /// Opens what follows [`LEAD`] octets in `sealed` into the same place in `plain`, which is 16 octets shorter.
    /// `false` when it is not authentic.
    #[must_use]
    pub fn open_behind(&self, counter: u64, plain: &mut [u8], sealed: &[u8]) -> bool {
        C::open_behind(plain, sealed, counter, self.receiving.bytes())
    }

    fn age(&self, now: Instant) -> Duration {
        now.since(self.created)
    }

    /// Whether a message with `counter` may be sent.
    pub fn usable_for_sending(&self, counter: u64, now: Instant) -> bool {
        counter < REJECT_AFTER_MESSAGES && self.age(now) < REJECT_AFTER_TIME
    }

    /// Whether messages may be received. The replay window checks their counters.
    pub fn usable_for_receiving(&self, now: Instant) -> bool {
        self.age(now) < REJECT_AFTER_TIME
    }

    /// Whether a new session is due now that `counter` messages have been sent.
    pub fn rekey_due_after_sending(&self, counter: u64, now: Instant) -> bool {
        counter > REKEY_AFTER_MESSAGES || (self.initiator && self.age(now) >= REKEY_AFTER_TIME)
    }

    /// Whether a new session is due because this one will soon be useless for receiving: it would end
    /// before there is time for an answer and one repetition of the initiation (§6.2).
    pub fn rekey_due_after_receiving(&self, now: Instant) -> bool {
        const LAST_MINUTE: Duration = Duration::from_nanos(
            REJECT_AFTER_TIME
                .as_nanos()
                .saturating_sub(KEEPALIVE_TIMEOUT.as_nanos())
                .saturating_sub(REKEY_TIMEOUT.as_nanos()),
        );
        self.initiator && self.age(now) >= LAST_MINUTE
    }
}
