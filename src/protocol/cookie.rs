// SPDX-License-Identifier: GPL-2.0

//! Proof of address under load: mac1, mac2 and the cookie reply (§5.3, §5.4.4, §5.4.7).
//!
//! Each handshake message ends with two macs. mac1 shows that the sender knows whom it is talking to. When
//! the receiver is under load, it answers with a cookie, sealed so that only someone who saw the message
//! can read it; mac2 of the next message is keyed with the cookie and shows that the sender can receive
//! at the address that it sends from.

use core::marker::PhantomData;

use super::crypto::{
    Crypto,
    Secret,
    TAG_LEN, //
};
use super::messages::{
    field,
    put,
    COOKIE_REPLY_LEN,
    COOKIE_REPLY_TYPE,
    MAC_LEN, //
};
use super::time::{
    Duration,
    Instant, //
};
use super::PublicKey;

const LABEL_MAC1: &[u8] = b"mac1----";
const LABEL_COOKIE: &[u8] = b"cookie--";

/// How long a cookie and the secret behind it are valid.
pub const COOKIE_SECRET_MAX_AGE: Duration = Duration::from_secs(120);
/// A received cookie is used for this much less, to allow for its time in transit.
pub const COOKIE_SECRET_LATENCY: Duration = Duration::from_secs(5);
const COOKIE_MAX_AGE: Duration = Duration::from_nanos(
    COOKIE_SECRET_MAX_AGE
        .as_nanos()
        .saturating_sub(COOKIE_SECRET_LATENCY.as_nanos()),
);

const NONCE_LEN: usize = 24;
const SEALED_COOKIE_LEN: usize = MAC_LEN + TAG_LEN;

/// Splits a handshake message into what mac1 covers, mac1 and mac2.
fn split_macs(datagram: &[u8]) -> Option<(&[u8], &[u8; MAC_LEN], &[u8; MAC_LEN])> {
    let (rest, mac2) = datagram.split_last_chunk()?;
    let (body, mac1) = rest.split_last_chunk()?;
    Some((body, mac1, mac2))
}

/// The keys derived from the public key of a message's receiver. They are not secret.
pub struct CookieKeys<C: Crypto> {
    mac1: [u8; 32],
    cookie: [u8; 32],
    crypto: PhantomData<C>,
}

impl<C: Crypto> CookieKeys<C> {
    /// The keys of the receiver with this public key.
    pub fn new(receiver: &PublicKey) -> Self {
        let mut keys = Self {
            mac1: [0; 32],
            cookie: [0; 32],
            crypto: PhantomData,
        };
        C::blake2s_256(&mut keys.mac1, &[], &[LABEL_MAC1, receiver]);
        C::blake2s_256(&mut keys.cookie, &[], &[LABEL_COOKIE, receiver]);
        keys
    }

    /// Whether the sender of a handshake message knows the receiver's public key.
    #[must_use]
    pub fn check_mac1(&self, datagram: &[u8]) -> bool {
        let Some((body, mac1, _)) = split_macs(datagram) else {
            return false;
        };
        let mut expected = [0; MAC_LEN];
        C::blake2s_128(&mut expected, &self.mac1, &[body]);
        C::equal(&expected, mac1)
    }
}

/// The secret behind the cookies that we hand out.
pub struct CookieSecret<C: Crypto> {
    secret: Secret<C>,
    born: Instant,
}

impl<C: Crypto> CookieSecret<C> {
    /// A secret from 32 random octets.
    pub fn new(mut random: [u8; 32], now: Instant) -> Self {
        Self {
            secret: Secret::take(&mut random),
            born: now,
        }
    }

    /// Whether the secret is due for replacement.
    pub fn expired(&self, now: Instant) -> bool {
        now.since(self.born) >= COOKIE_SECRET_MAX_AGE
    }

    /// The cookie for a source.
    fn cookie(&self, source: &[u8]) -> Secret<C, MAC_LEN> {
        let mut cookie = Secret::zero();
        C::blake2s_128(cookie.bytes_mut(), self.secret.bytes(), &[source]);
        cookie
    }

    /// Whether the sender of a handshake message has the cookie for `source`, the octets of its address
    /// and port.
    #[must_use]
    pub fn check_mac2(&self, datagram: &[u8], source: &[u8]) -> bool {
        let Some((covered, mac2)) = datagram.split_last_chunk::<MAC_LEN>() else {
            return false;
        };
        let mut expected = [0; MAC_LEN];
        C::blake2s_128(&mut expected, self.cookie(source).bytes(), &[covered]);
        C::equal(&expected, mac2)
    }

    /// The reply to a handshake message from `source`, which called itself `sender`.
    ///
    /// `nonce` is 24 random octets. `None` when the message is too short to have macs.
    pub fn reply(
        &self,
        keys: &CookieKeys<C>,
        datagram: &[u8],
        sender: u32,
        source: &[u8],
        nonce: [u8; NONCE_LEN],
    ) -> Option<[u8; COOKIE_REPLY_LEN]> {
        let (_, mac1, _) = split_macs(datagram)?;
        let mut sealed = [0; SEALED_COOKIE_LEN];
        if !C::xseal(
            &mut sealed,
            self.cookie(source).bytes(),
            mac1,
            &nonce,
            &keys.cookie,
        ) {
            return None;
        }
        let mut message = [0; COOKIE_REPLY_LEN];
        put::<0, 4, COOKIE_REPLY_LEN>(&mut message, &COOKIE_REPLY_TYPE);
        put::<4, 4, COOKIE_REPLY_LEN>(&mut message, &sender.to_le_bytes());
        put::<8, NONCE_LEN, COOKIE_REPLY_LEN>(&mut message, &nonce);
        put::<32, SEALED_COOKIE_LEN, COOKIE_REPLY_LEN>(&mut message, &sealed);
        Some(message)
    }
}

/// What we remember of one peer's cookies in order to put macs on messages to it.
pub struct CookieMaker<C: Crypto> {
    cookie: Option<(Secret<C, MAC_LEN>, Instant)>,
    /// mac1 of the last message, until a cookie reply to it has come.
    unanswered: Option<[u8; MAC_LEN]>,
}

impl<C: Crypto> Default for CookieMaker<C> {
    fn default() -> Self {
        Self::new()
    }
}

impl<C: Crypto> CookieMaker<C> {
    /// No cookie.
    pub const fn new() -> Self {
        Self {
            cookie: None,
            unanswered: None,
        }
    }

    /// Puts the macs on a handshake message for the owner of `keys`; mac2 only if there is a cookie
    /// that is young enough. A message too short to have macs is left alone.
    pub fn add_macs(&mut self, keys: &CookieKeys<C>, datagram: &mut [u8], now: Instant) {
        let Some((rest, mac2)) = datagram.split_last_chunk_mut::<MAC_LEN>() else {
            return;
        };
        let Some((body, mac1)) = rest.split_last_chunk_mut::<MAC_LEN>() else {
            return;
        };
        C::blake2s_128(mac1, &keys.mac1, &[body]);
        self.unanswered = Some(*mac1);
        let old = |(_, born): &(_, Instant)| now.since(*born) >= COOKIE_MAX_AGE;
        if self.cookie.as_ref().is_some_and(old) {
            // Not taken out, which would leave its octets behind: this wipes them in place.
            self.cookie = None;
        }
        match &self.cookie {
            Some((cookie, _)) => C::blake2s_128(mac2, cookie.bytes(), &[rest]),
            None => *mac2 = [0; MAC_LEN],
        }
    }

    /// Takes a cookie reply from the owner of `keys`. `false` when it does not answer our last message;
    /// nothing has changed then.
    pub fn consume_reply(
        &mut self,
        keys: &CookieKeys<C>,
        message: &[u8; COOKIE_REPLY_LEN],
        now: Instant,
    ) -> bool {
        let Some(mac1) = &self.unanswered else {
            return false;
        };
        let nonce = field::<8, NONCE_LEN, COOKIE_REPLY_LEN>(message);
        let sealed = field::<32, SEALED_COOKIE_LEN, COOKIE_REPLY_LEN>(message);
        let mut cookie = Secret::zero();
        if !C::xopen(cookie.bytes_mut(), &sealed, mac1, &nonce, &keys.cookie) {
            return false;
        }
        self.cookie = Some((cookie, now));
        self.unanswered = None;
        true
    }
}
