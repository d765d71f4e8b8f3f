// SPDX-License-Identifier: GPL-2.0

//! The handshake: `Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s` (§5.4.2 to §5.4.5).
//!
//! ```text
//! IKpsk2:
//!   <- s
//!   ...
//!   -> e, es, s, ss, {t}
//!   <- e, ee, se, psk, {}
//! ```
//!
//! A [`Handshake`] is the state of one peer; its user keeps it under a lock that is held for a whole
//! step, so that no two messages of a peer are processed at once. An initiation has to be opened
//! before we know which peer it is from: that part is [`Received`].

use super::crypto::{
    Crypto,
    Secret,
    TAG_LEN, //
};
use super::messages::{
    field,
    put,
    INITIATION_LEN,
    INITIATION_TYPE,
    RESPONSE_LEN,
    RESPONSE_TYPE, //
};
use super::session::Session;
use super::time::{
    Duration,
    Instant,
    Tai64n, //
};
use super::PublicKey;

const CONSTRUCTION: &[u8] = b"Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s";
const IDENTIFIER: &[u8] = b"WireGuard v1 zx2c4 Jason@zx2c4.com";
const BLOCK_LEN: usize = 64;

/// A peer may begin a handshake at most this often.
pub const INITIATIONS_PER_SECOND: u64 = 50;
const INITIATION_INTERVAL: Duration =
    Duration::from_nanos(Duration::from_secs(1).as_nanos() / INITIATIONS_PER_SECOND);

/// Octets of a sealed static key and of a sealed timestamp.
const SEALED_STATIC_LEN: usize = 32 + TAG_LEN;
const SEALED_TIMESTAMP_LEN: usize = 12 + TAG_LEN;

/// HMAC-BLAKE2s of the concatenated `parts`.
fn hmac<C: Crypto>(out: &mut [u8; 32], key: &[u8; 32], parts: [&[u8]; 2]) {
    let mut pad = Secret::<C, BLOCK_LEN>::zero();
    let mut inner = Secret::<C>::zero();
    let [first, second] = parts;
    fill(&mut pad, key, 0x36);
    C::blake2s_256(inner.bytes_mut(), &[], &[pad.bytes(), first, second]);
    fill(&mut pad, key, 0x5c);
    C::blake2s_256(out, &[], &[pad.bytes(), inner.bytes()]);
}

/// The key, zero-padded to a block, with each octet XORed with `mask`.
fn fill<C: Crypto>(pad: &mut Secret<C, BLOCK_LEN>, key: &[u8; 32], mask: u8) {
    // Sixteen octets at a time: there are forty of these in a handshake, on each side.
    let mask = u128::from_ne_bytes([mask; 16]);
    let key = [key.first_chunk::<16>(), key.last_chunk(), None, None];
    for (to, from) in pad.bytes_mut().chunks_exact_mut(16).zip(key) {
        let from = from.map_or(0, |octets| u128::from_ne_bytes(*octets));
        if let Some(to) = to.first_chunk_mut() {
            *to = (from ^ mask).to_ne_bytes();
        }
    }
}

/// `KDF_N` (§5.4): `N` keys from a key and some input.
fn kdf<C: Crypto, const N: usize>(key: &[u8; 32], input: &[u8]) -> [Secret<C>; N] {
    let mut seed = Secret::<C>::zero();
    hmac::<C>(seed.bytes_mut(), key, [input, &[]]);
    let mut previous = Secret::<C>::zero();
    let mut number = 0u8;
    core::array::from_fn(|_| {
        let mut next = Secret::zero();
        let chained: &[u8] = if number == 0 { &[] } else { previous.bytes() };
        number = number.wrapping_add(1);
        hmac::<C>(next.bytes_mut(), seed.bytes(), [chained, &[number]]);
        previous = next.dup();
        next
    })
}

/// The chaining key and the hash that all handshake messages go into.
struct Transcript<C: Crypto> {
    chaining: Secret<C>,
    hash: [u8; 32],
}

impl<C: Crypto> Transcript<C> {
    /// The beginning of a handshake with the owner of `responder`.
    fn new(responder: &PublicKey) -> Self {
        let mut chaining = Secret::zero();
        C::blake2s_256(chaining.bytes_mut(), &[], &[CONSTRUCTION]);
        let mut hash = [0; 32];
        C::blake2s_256(&mut hash, &[], &[chaining.bytes(), IDENTIFIER]);
        let mut transcript = Self { chaining, hash };
        transcript.mix_hash(responder);
        transcript
    }

    fn dup(&self) -> Self {
        Self {
            chaining: self.chaining.dup(),
            hash: self.hash,
        }
    }

    fn mix_hash(&mut self, data: &[u8]) {
        let before = self.hash;
        C::blake2s_256(&mut self.hash, &[], &[&before, data]);
    }

    /// `e`: an ephemeral key goes into the hash and the chaining key.
    fn mix_ephemeral(&mut self, public: &PublicKey) {
        self.mix_hash(public);
        let [chaining] = kdf(self.chaining.bytes(), public);
        self.chaining = chaining;
    }

    /// `ee`, `se`: the result of a DH goes into the chaining key.
    fn mix_key(&mut self, shared: &[u8; 32]) {
        let [chaining] = kdf(self.chaining.bytes(), shared);
        self.chaining = chaining;
    }

    /// `es`, `ss`: likewise, and a key to seal with comes out.
    fn mix_key_to_seal(&mut self, shared: &[u8; 32]) -> Secret<C> {
        let [chaining, key] = kdf(self.chaining.bytes(), shared);
        self.chaining = chaining;
        key
    }

    /// `psk`: the preshared key goes into both, and a key to seal with comes out.
    fn mix_preshared(&mut self, preshared: &[u8; 32]) -> Secret<C> {
        let [chaining, temporary, key] = kdf(self.chaining.bytes(), preshared);
        self.chaining = chaining;
        self.mix_hash(temporary.bytes());
        key
    }

    fn seal(&mut self, dst: &mut [u8], src: &[u8], key: &Secret<C>) -> Option<()> {
        if !C::seal(dst, src, &self.hash, 0, key.bytes()) {
            return None;
        }
        self.mix_hash(dst);
        Some(())
    }

    fn open(&mut self, dst: &mut [u8], src: &[u8], key: &Secret<C>) -> Option<()> {
        if !C::open(dst, src, &self.hash, 0, key.bytes()) {
            return None;
        }
        self.mix_hash(src);
        Some(())
    }
}

/// Curve25519 as a DH; `None` when the other side's point is of low order.
fn dh<C: Crypto>(secret: &[u8; 32], public: &PublicKey) -> Option<Secret<C>> {
    let mut shared = Secret::zero();
    C::x25519(shared.bytes_mut(), secret, public).then_some(shared)
}

/// Sets and clears the bits of a secret key as Curve25519 requires.
fn clamp(secret: &mut [u8; 32]) {
    let [first, .., last] = secret;
    *first &= 0b1111_1000;
    *last = (*last & 0b0111_1111) | 0b0100_0000;
}

/// A fresh ephemeral key pair from 32 random octets.
fn ephemeral<C: Crypto>(mut random: [u8; 32]) -> Option<(Secret<C>, PublicKey)> {
    clamp(&mut random);
    let secret = Secret::take(&mut random);
    let mut public = [0; 32];
    C::x25519_public(&mut public, secret.bytes()).then_some((secret, public))
}

/// Our own static keys.
pub struct Identity<C: Crypto> {
    private: Secret<C>,
    public: PublicKey,
    /// The beginning of every handshake that a peer initiates.
    beginning: Transcript<C>,
}

impl<C: Crypto> Identity<C> {
    /// The identity of a private key; `None` for the all-zero key, which stands for no key.
    pub fn new(mut private: [u8; 32]) -> Option<Self> {
        if C::equal(&private, &[0; 32]) {
            return None;
        }
        let (private, public) = {
            let pair = ephemeral::<C>(private);
            C::wipe(&mut private);
            pair?
        };
        let beginning = Transcript::new(&public);
        Some(Self {
            private,
            public,
            beginning,
        })
    }

    /// The public key.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The private key.
    pub fn private(&self) -> &[u8; 32] {
        self.private.bytes()
    }
}

/// A peer's static keys.
pub struct Remote<C: Crypto> {
    public: PublicKey,
    preshared: Secret<C>,
    /// The DH of both static keys: costly, the same in all handshakes, and useless for a peer that
    /// never has one; hence it is computed when first needed. Kept with our public key that it belongs to.
    static_static: Option<(PublicKey, Secret<C>)>,
}

impl<C: Crypto> Remote<C> {
    /// A peer without a preshared key.
    pub fn new(public: PublicKey) -> Self {
        Self {
            public,
            preshared: Secret::zero(),
            static_static: None,
        }
    }

    /// The public key.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The preshared key; all zeros for none.
    pub fn preshared(&self) -> &[u8; 32] {
        self.preshared.bytes()
    }

    /// Sets the preshared key for the handshakes to come; `None` for none.
    pub fn set_preshared(&mut self, key: Option<[u8; 32]>) {
        let mut key = key.unwrap_or([0; 32]);
        self.preshared = Secret::take(&mut key);
    }

    /// To be called when our own static key changes, so that nothing of the old one remains.
    pub fn forget_static_static(&mut self) {
        self.static_static = None;
    }

    fn static_static(&mut self, local: &Identity<C>) -> Option<&Secret<C>> {
        let kept = self.static_static.as_ref();
        if !kept.is_some_and(|(public, _)| C::equal(public, &local.public)) {
            let shared = dh(local.private.bytes(), &self.public)?;
            self.static_static = Some((local.public, shared));
        }
        self.static_static.as_ref().map(|(_, shared)| shared)
    }
}

/// An initiation that was sealed for us. The peer that it names has not yet proved that it sent it.
pub struct Received<C: Crypto> {
    transcript: Transcript<C>,
    remote_static: PublicKey,
    remote_ephemeral: PublicKey,
    remote_index: u32,
    sealed_timestamp: [u8; SEALED_TIMESTAMP_LEN],
}

impl<C: Crypto> Received<C> {
    /// Opens the static key in an initiation: `e, es, s`.
    pub fn open(local: &Identity<C>, message: &[u8; INITIATION_LEN]) -> Option<Self> {
        let mut transcript = local.beginning.dup();
        let remote_ephemeral = field::<8, 32, INITIATION_LEN>(message);
        transcript.mix_ephemeral(&remote_ephemeral);
        let shared = dh::<C>(local.private.bytes(), &remote_ephemeral)?;
        let key = transcript.mix_key_to_seal(shared.bytes());
        let mut remote_static = [0; 32];
        let sealed = field::<40, SEALED_STATIC_LEN, INITIATION_LEN>(message);
        transcript.open(&mut remote_static, &sealed, &key)?;
        Some(Self {
            transcript,
            remote_static,
            remote_ephemeral,
            remote_index: u32::from_le_bytes(field::<4, 4, INITIATION_LEN>(message)),
            sealed_timestamp: field::<88, SEALED_TIMESTAMP_LEN, INITIATION_LEN>(message),
        })
    }

    /// The peer that the initiation claims to be from.
    pub fn remote_public(&self) -> &PublicKey {
        &self.remote_static
    }
}

/// Why an initiation was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It was not made by the peer.
    Forged,
    /// Its timestamp is not newer than the newest one seen (§5.1).
    Replayed,
    /// The last one was accepted a moment ago.
    TooSoon,
}

/// What the peer's handshake is waiting for, with what is known at that point.
enum Phase<C: Crypto> {
    /// Nothing is going on.
    Idle,
    /// We sent an initiation and are waiting for the response.
    InitiationSent {
        transcript: Transcript<C>,
        ephemeral: Secret<C>,
        local_index: u32,
    },
    /// We accepted an initiation and owe a response.
    InitiationAccepted {
        transcript: Transcript<C>,
        remote_ephemeral: PublicKey,
        remote_index: u32,
    },
    /// Both sides have the same chaining key: a session can begin.
    Agreed {
        chaining: Secret<C>,
        local_index: u32,
        remote_index: u32,
        initiator: bool,
    },
}

/// The handshake state of one peer.
pub struct Handshake<C: Crypto> {
    phase: Phase<C>,
    /// The newest timestamp that the peer authenticated; survives [`Handshake::clear`].
    newest: Tai64n,
    /// When the last initiation was accepted.
    accepted_at: Option<Instant>,
}

impl<C: Crypto> Default for Handshake<C> {
    fn default() -> Self {
        Self::new()
    }
}

impl<C: Crypto> Handshake<C> {
    /// No handshake yet.
    pub const fn new() -> Self {
        Self {
            phase: Phase::Idle,
            newest: Tai64n([0; 12]),
            accepted_at: None,
        }
    }

    /// Drops the handshake in progress and wipes its keys. Old initiations remain refused.
    pub fn clear(&mut self) {
        self.phase = Phase::Idle;
    }

    /// The index that we chose for the handshake, if it awaits its response.
    pub fn awaited_index(&self) -> Option<u32> {
        match self.phase {
            Phase::InitiationSent { local_index, .. } => Some(local_index),
            _ => None,
        }
    }

    /// Makes an initiation: `e, es, s, ss, {t}` (§5.4.2). The macs are still to be added.
    ///
    /// `random` makes the ephemeral key. A handshake in progress is dropped. `None` when the peer's
    /// public key is of low order; no handshake is in progress then.
    pub fn initiate(
        &mut self,
        local: &Identity<C>,
        remote: &mut Remote<C>,
        random: [u8; 32],
        local_index: u32,
        timestamp: Tai64n,
    ) -> Option<[u8; INITIATION_LEN]> {
        self.clear();
        let (secret, public) = ephemeral::<C>(random)?;
        let mut message = [0; INITIATION_LEN];
        put::<0, 4, INITIATION_LEN>(&mut message, &INITIATION_TYPE);
        put::<4, 4, INITIATION_LEN>(&mut message, &local_index.to_le_bytes());

        let mut transcript = Transcript::new(&remote.public);
        put::<8, 32, INITIATION_LEN>(&mut message, &public);
        transcript.mix_ephemeral(&public);

        let shared = dh::<C>(secret.bytes(), &remote.public)?;
        let key = transcript.mix_key_to_seal(shared.bytes());
        let mut sealed = [0; SEALED_STATIC_LEN];
        transcript.seal(&mut sealed, &local.public, &key)?;
        put::<40, SEALED_STATIC_LEN, INITIATION_LEN>(&mut message, &sealed);

        let shared = remote.static_static(local)?;
        let key = transcript.mix_key_to_seal(shared.bytes());
        let mut sealed = [0; SEALED_TIMESTAMP_LEN];
        transcript.seal(&mut sealed, &timestamp.0, &key)?;
        put::<88, SEALED_TIMESTAMP_LEN, INITIATION_LEN>(&mut message, &sealed);

        self.phase = Phase::InitiationSent {
            transcript,
            ephemeral: secret,
            local_index,
        };
        Some(message)
    }

    /// Accepts an initiation from this peer: `ss, {t}`.
    ///
    /// # Errors
    ///
    /// See [`Refused`]; nothing has changed then.
    pub fn accept(
        &mut self,
        local: &Identity<C>,
        remote: &mut Remote<C>,
        received: Received<C>,
        now: Instant,
    ) -> Result<(), Refused> {
        let Received {
            mut transcript,
            remote_static,
            remote_ephemeral,
            remote_index,
            sealed_timestamp,
        } = received;
        if remote_static != remote.public {
            return Err(Refused::Forged);
        }
        let shared = remote.static_static(local).ok_or(Refused::Forged)?;
        let key = transcript.mix_key_to_seal(shared.bytes());
        let mut timestamp = Tai64n::default();
        transcript
            .open(&mut timestamp.0, &sealed_timestamp, &key)
            .ok_or(Refused::Forged)?;
        if timestamp <= self.newest {
            return Err(Refused::Replayed);
        }
        if self
            .accepted_at
            .is_some_and(|at| now.since(at) < INITIATION_INTERVAL)
        {
            return Err(Refused::TooSoon);
        }
        self.newest = timestamp;
        self.accepted_at = Some(now);
        self.phase = Phase::InitiationAccepted {
            transcript,
            remote_ephemeral,
            remote_index,
        };
        Ok(())
    }

    /// Makes the response to the initiation that was accepted: `e, ee, se, psk, {}` (§5.4.3). The
    /// macs are still to be added.
    ///
    /// `random` makes the ephemeral key. `None` when no initiation was accepted, or a key in it is
    /// of low order; an initiation that was accepted is given up then.
    pub fn respond(
        &mut self,
        remote: &Remote<C>,
        random: [u8; 32],
        local_index: u32,
    ) -> Option<[u8; RESPONSE_LEN]> {
        let Phase::InitiationAccepted {
            transcript,
            remote_ephemeral,
            remote_index,
        } = &self.phase
        else {
            return None;
        };
        // Not moved out, which would leave its octets behind: `clear` wipes them in place.
        let mut transcript = transcript.dup();
        let (remote_ephemeral, remote_index) = (*remote_ephemeral, *remote_index);
        self.clear();
        let (secret, public) = ephemeral::<C>(random)?;
        let mut message = [0; RESPONSE_LEN];
        put::<0, 4, RESPONSE_LEN>(&mut message, &RESPONSE_TYPE);
        put::<4, 4, RESPONSE_LEN>(&mut message, &local_index.to_le_bytes());
        put::<8, 4, RESPONSE_LEN>(&mut message, &remote_index.to_le_bytes());

        put::<12, 32, RESPONSE_LEN>(&mut message, &public);
        transcript.mix_ephemeral(&public);
        transcript.mix_key(dh::<C>(secret.bytes(), &remote_ephemeral)?.bytes());
        transcript.mix_key(dh::<C>(secret.bytes(), &remote.public)?.bytes());
        let key = transcript.mix_preshared(remote.preshared.bytes());
        let mut sealed = [0; TAG_LEN];
        transcript.seal(&mut sealed, &[], &key)?;
        put::<44, TAG_LEN, RESPONSE_LEN>(&mut message, &sealed);

        self.phase = Phase::Agreed {
            chaining: transcript.chaining,
            local_index,
            remote_index,
            initiator: false,
        };
        Some(message)
    }

    /// Takes the response to our initiation. `false` when it does not answer ours or is not authentic;
    /// nothing has changed then, and the genuine response can still come.
    #[must_use]
    pub fn accept_response(
        &mut self,
        local: &Identity<C>,
        remote: &Remote<C>,
        message: &[u8; RESPONSE_LEN],
    ) -> bool {
        match self.try_response(local, remote, message) {
            Some(agreed) => {
                self.phase = agreed;
                true
            }
            None => false,
        }
    }

    fn try_response(
        &self,
        local: &Identity<C>,
        remote: &Remote<C>,
        message: &[u8; RESPONSE_LEN],
    ) -> Option<Phase<C>> {
        let Phase::InitiationSent {
            transcript,
            ephemeral,
            local_index,
        } = &self.phase
        else {
            return None;
        };
        if u32::from_le_bytes(field::<8, 4, RESPONSE_LEN>(message)) != *local_index {
            return None;
        }
        let mut transcript = transcript.dup();
        let remote_ephemeral = field::<12, 32, RESPONSE_LEN>(message);
        transcript.mix_ephemeral(&remote_ephemeral);
        transcript.mix_key(dh::<C>(ephemeral.bytes(), &remote_ephemeral)?.bytes());
        transcript.mix_key(dh::<C>(local.private.bytes(), &remote_ephemeral)?.bytes());
        let key = transcript.mix_preshared(remote.preshared.bytes());
        let sealed = field::<44, TAG_LEN, RESPONSE_LEN>(message);
        transcript.open(&mut [], &sealed, &key)?;
        Some(Phase::Agreed {
            chaining: transcript.chaining,
            local_index: *local_index,
            remote_index: u32::from_le_bytes(field::<4, 4, RESPONSE_LEN>(message)),
            initiator: true,
        })
    }

    /// Begins the session that both sides have agreed on (§5.4.5) and forgets the handshake. `None`
    /// when there is no agreement.
    pub fn begin_session(&mut self, now: Instant) -> Option<Session<C>> {
        let Phase::Agreed {
            chaining,
            local_index,
            remote_index,
            initiator,
        } = &self.phase
        else {
            return None;
        };
        let [first, second] = kdf(chaining.bytes(), &[]);
        let (sending, receiving) = if *initiator {
            (first, second)
        } else {
            (second, first)
        };
        let session = Session::new(
            sending,
            receiving,
            now,
            *local_index,
            *remote_index,
            *initiator,
        );
        // As in `respond`, the chaining key is wiped in place.
        self.clear();
        Some(session)
    }
}
