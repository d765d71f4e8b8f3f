// SPDX-License-Identifier: GPL-2.0

//! The handshake and transport data against the crate `snow`, which implements the Noise framework
//! and knows nothing of WireGuard: what WireGuard adds is put around it here, from the whitepaper.

use snow::params::NoiseParams;
use snow::{
    Builder,
    StatelessTransportState, //
};
use wireguard_host::protocol::noise::{
    Handshake,
    Identity,
    Received,
    Remote, //
};
use wireguard_host::protocol::session::Session;
use wireguard_host::protocol::time::{
    Instant,
    Tai64n, //
};
use wireguard_host::rng::Rng;
use wireguard_host::rust_crypto::RustCrypto;

const NOISE: &str = "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s";
const PROLOGUE: &[u8] = b"WireGuard v1 zx2c4 Jason@zx2c4.com";
const NOW: Instant = Instant::from_nanos(7);

struct Keys {
    ours: Identity<RustCrypto>,
    theirs: Identity<RustCrypto>,
    preshared: [u8; 32],
    rng: Rng,
}

impl Keys {
    fn new(seed: u64, with_preshared: bool) -> Self {
        let mut rng = Rng::new(seed);
        Self {
            ours: Identity::new(rng.bytes()).unwrap(),
            theirs: Identity::new(rng.bytes()).unwrap(),
            preshared: if with_preshared { rng.bytes() } else { [0; 32] },
            rng,
        }
    }

    fn snow(&self) -> Builder<'_> {
        let params: NoiseParams = NOISE.parse().unwrap();
        Builder::new(params)
            .prologue(PROLOGUE)
            .unwrap()
            .psk(2, &self.preshared)
            .unwrap()
            .local_private_key(self.theirs.private())
            .unwrap()
    }

    fn remote(&self) -> Remote<RustCrypto> {
        let mut remote = Remote::new(*self.theirs.public());
        if self.preshared != [0; 32] {
            remote.set_preshared(Some(self.preshared));
        }
        remote
    }
}

fn word(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(bytes.try_into().unwrap())
}

/// Both directions, counters near both ends of what a session may use, lengths around a block.
fn exchange(ours: &Session<RustCrypto>, theirs: &StatelessTransportState) {
    for counter in [0, 1, 2, 1 << 32, (1 << 60) + 5, u64::MAX - 8194] {
        for len in [0, 1, 15, 16, 17, 1420] {
            let plain: Vec<u8> = (0..len).map(|i| i as u8).collect();

            let mut buf = plain.clone();
            buf.extend([0; 16]);
            assert!(ours.seal_in_place(counter, &mut buf));
            let mut out = vec![0; len];
            assert_eq!(theirs.read_message(counter, &buf, &mut out), Ok(len));
            assert_eq!(out, plain);

            let mut buf = vec![0; len + 16];
            assert_eq!(
                theirs.write_message(counter, &plain, &mut buf),
                Ok(len + 16)
            );
            assert!(!ours.open_in_place(counter + 1, &mut buf.clone()));
            assert!(ours.open_in_place(counter, &mut buf));
            assert_eq!(buf[..len], plain);
        }
    }
}

fn we_initiate(with_preshared: bool) {
    let mut keys = Keys::new(1, with_preshared);
    let timestamp = Tai64n::from_unix(1_700_000_000, 123_456_789);
    let ephemeral = keys.rng.bytes();
    let mut handshake = Handshake::new();
    let mut remote = keys.remote();
    let message = handshake
        .initiate(&keys.ours, &mut remote, ephemeral, 0x0102_0304, timestamp)
        .unwrap();
    assert_eq!(word(&message[0..4]), 1);
    assert_eq!(word(&message[4..8]), 0x0102_0304);

    let mut snow = keys.snow().build_responder().unwrap();
    let mut payload = [0; 12];
    assert_eq!(snow.read_message(&message[8..116], &mut payload), Ok(12));
    assert_eq!(payload, timestamp.0);
    assert_eq!(snow.get_remote_static(), Some(&keys.ours.public()[..]));

    let mut response = [0; 92];
    response[0] = 2;
    response[4..8].copy_from_slice(&0xaabb_ccddu32.to_le_bytes());
    response[8..12].copy_from_slice(&message[4..8]);
    assert_eq!(snow.write_message(&[], &mut response[12..60]), Ok(48));
    assert!(handshake.accept_response(&keys.ours, &remote, &response));

    let session = handshake.begin_session(NOW).unwrap();
    assert!(session.initiator());
    assert_eq!(session.local_index(), 0x0102_0304);
    assert_eq!(session.remote_index(), 0xaabb_ccdd);
    exchange(&session, &snow.into_stateless_transport_mode().unwrap());
}

fn we_respond(with_preshared: bool) {
    let mut keys = Keys::new(2, with_preshared);
    let timestamp = Tai64n::from_unix(1_700_000_000, 0);
    let mut snow = keys
        .snow()
        .remote_public_key(keys.ours.public())
        .unwrap()
        .build_initiator()
        .unwrap();
    let mut message = [0; 148];
    message[0] = 1;
    message[4..8].copy_from_slice(&0x1122_3344u32.to_le_bytes());
    let sealed = snow.write_message(&timestamp.0, &mut message[8..116]);
    assert_eq!(sealed, Ok(108));

    let received = Received::open(&keys.ours, &message).unwrap();
    assert_eq!(received.remote_public(), keys.theirs.public());
    let mut handshake = Handshake::new();
    let mut remote = keys.remote();
    assert_eq!(
        handshake.accept(&keys.ours, &mut remote, received, NOW),
        Ok(())
    );
    let response = handshake.respond(&remote, keys.rng.bytes(), 0x99).unwrap();
    assert_eq!(word(&response[0..4]), 2);
    assert_eq!(word(&response[4..8]), 0x99);
    assert_eq!(word(&response[8..12]), 0x1122_3344);
    assert_eq!(snow.read_message(&response[12..60], &mut []), Ok(0));

    let session = handshake.begin_session(NOW).unwrap();
    assert!(!session.initiator());
    assert_eq!(session.local_index(), 0x99);
    assert_eq!(session.remote_index(), 0x1122_3344);
    exchange(&session, &snow.into_stateless_transport_mode().unwrap());
}

#[test]
fn initiator() {
    we_initiate(false);
}

#[test]
fn initiator_with_preshared_key() {
    we_initiate(true);
}

#[test]
fn responder() {
    we_respond(false);
}

#[test]
fn responder_with_preshared_key() {
    we_respond(true);
}

/// Without the same preshared key there is no session.
#[test]
fn preshared_keys_differ() {
    let mut keys = Keys::new(3, true);
    let mut handshake = Handshake::new();
    let mut remote = keys.remote();
    let timestamp = Tai64n::from_unix(1, 0);
    let message = handshake
        .initiate(&keys.ours, &mut remote, keys.rng.bytes(), 5, timestamp)
        .unwrap();
    keys.preshared[31] ^= 1;
    let mut snow = keys.snow().build_responder().unwrap();
    snow.read_message(&message[8..116], &mut [0; 12]).unwrap();
    let mut response = [0; 92];
    response[0] = 2;
    response[8..12].copy_from_slice(&message[4..8]);
    snow.write_message(&[], &mut response[12..60]).unwrap();
    assert!(!handshake.accept_response(&keys.ours, &remote, &response));
    assert!(handshake.begin_session(NOW).is_none());
}
