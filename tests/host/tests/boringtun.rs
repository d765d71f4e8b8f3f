// SPDX-License-Identifier: GPL-2.0

//! Whole tunnels against the crate `boringtun`, another implementation of WireGuard: messages with
//! macs in both roles, transport data, cookies.

use boringtun::noise::rate_limiter::RateLimiter;
use boringtun::noise::{
    Tunn,
    TunnResult, //
};
use boringtun::x25519::{
    PublicKey,
    StaticSecret, //
};
use std::net::{
    IpAddr,
    Ipv4Addr, //
};
use std::sync::Arc;
use wireguard_host::protocol::cookie::{
    CookieKeys,
    CookieMaker,
    CookieSecret, //
};
use wireguard_host::protocol::messages::{
    padded_len,
    DataHeader,
    Message, //
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

const NOW: Instant = Instant::from_nanos(1_000_000_000);
const SOURCE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 9));

/// An IPv4 packet of `len` octets.
fn packet(len: u16) -> Vec<u8> {
    let mut packet: Vec<u8> = (0..len).map(|i| i as u8).collect();
    packet[0] = 0x45;
    packet[2..4].copy_from_slice(&len.to_be_bytes());
    packet
}

/// Our end of a tunnel, and theirs.
struct Ends {
    identity: Identity<RustCrypto>,
    remote: Remote<RustCrypto>,
    handshake: Handshake<RustCrypto>,
    own_keys: CookieKeys<RustCrypto>,
    remote_keys: CookieKeys<RustCrypto>,
    cookie: CookieMaker<RustCrypto>,
    seconds: u64,
    rng: Rng,
    theirs: Tunn,
}

impl Ends {
    fn new(seed: u64, preshared: bool, handshakes_before_load: u64) -> Self {
        let mut rng = Rng::new(seed);
        let identity = Identity::<RustCrypto>::new(rng.bytes()).unwrap();
        let secret = StaticSecret::from(rng.bytes::<32>());
        let public = PublicKey::from(&secret);
        let preshared = preshared.then(|| rng.bytes());
        let limiter = Arc::new(RateLimiter::new(&public, handshakes_before_load));
        let ours = PublicKey::from(*identity.public());
        let theirs = Tunn::new(secret, ours, preshared, None, 77, Some(limiter));
        let mut remote = Remote::new(public.to_bytes());
        remote.set_preshared(preshared);
        Self {
            own_keys: CookieKeys::new(identity.public()),
            remote_keys: CookieKeys::new(remote.public()),
            identity,
            remote,
            handshake: Handshake::new(),
            cookie: CookieMaker::new(),
            seconds: 1_000,
            rng,
            theirs,
        }
    }

    fn initiation(&mut self, index: u32) -> [u8; 148] {
        self.seconds += 1;
        let timestamp = Tai64n::from_unix(self.seconds, 0);
        let ephemeral = self.rng.bytes();
        let mut message = self
            .handshake
            .initiate(
                &self.identity,
                &mut self.remote,
                ephemeral,
                index,
                timestamp,
            )
            .unwrap();
        self.cookie.add_macs(&self.remote_keys, &mut message, NOW);
        message
    }

    fn deliver(&mut self, message: &[u8]) -> Vec<u8> {
        let mut out = [0; 2048];
        match self.theirs.decapsulate(Some(SOURCE), message, &mut out) {
            TunnResult::WriteToNetwork(answer) => answer.to_vec(),
            TunnResult::WriteToTunnelV4(packet, _) => packet.to_vec(),
            TunnResult::Done => Vec::new(),
            other => panic!("not taken: {other:?}"),
        }
    }

    /// Takes a response that came from the other end.
    fn finish(&mut self, response: &[u8]) -> Session<RustCrypto> {
        assert!(self.own_keys.check_mac1(response));
        let response = response.try_into().expect("a response");
        assert!(self
            .handshake
            .accept_response(&self.identity, &self.remote, response));
        self.handshake.begin_session(NOW).unwrap()
    }

    fn send(&mut self, session: &Session<RustCrypto>, counter: u64, packet: &[u8]) -> Vec<u8> {
        let mut message = session.header(counter).to_vec();
        message.extend(packet);
        message.resize(16 + padded_len(packet.len(), 1420) + 16, 0);
        assert!(session.seal_in_place(counter, &mut message[16..]));
        self.deliver(&message)
    }

    fn exchange(&mut self, session: &Session<RustCrypto>) {
        // The first message under a session confirms it.
        assert_eq!(self.send(session, 0, &[]), []);
        for (i, len) in [20, 21, 31, 32, 33, 1419, 1420].into_iter().enumerate() {
            let packet = packet(len);
            assert_eq!(self.send(session, 1 + i as u64, &packet), packet);

            let mut out = [0; 2048];
            let TunnResult::WriteToNetwork(message) = self.theirs.encapsulate(&packet, &mut out)
            else {
                panic!("no message");
            };
            let Some(Message::Data { header, body }) = Message::parse(message) else {
                panic!("no transport data");
            };
            assert_eq!(header.receiver, session.local_index());
            let mut body = body.to_vec();
            assert!(session.open_in_place(header.counter, &mut body));
            assert_eq!(body[..packet.len()], packet);
        }
    }
}

fn we_initiate(preshared: bool) {
    let mut ends = Ends::new(10, preshared, u64::MAX);
    let message = ends.initiation(0xfedc_ba98);
    let response = ends.deliver(&message);
    let session = ends.finish(&response);
    assert!(session.initiator());
    ends.exchange(&session);
}

fn we_respond(preshared: bool) {
    let mut ends = Ends::new(11, preshared, u64::MAX);
    let mut out = [0; 2048];
    let TunnResult::WriteToNetwork(message) = ends.theirs.encapsulate(&packet(20), &mut out) else {
        panic!("no initiation");
    };
    assert!(ends.own_keys.check_mac1(message));
    let Some(Message::Initiation(view)) = Message::parse(message) else {
        panic!("no initiation");
    };
    let received = Received::open(&ends.identity, view.bytes()).unwrap();
    assert_eq!(received.remote_public(), ends.remote.public());
    assert_eq!(
        ends.handshake
            .accept(&ends.identity, &mut ends.remote, received, NOW),
        Ok(())
    );
    let ephemeral = ends.rng.bytes();
    let mut response = ends.handshake.respond(&ends.remote, ephemeral, 6).unwrap();
    ends.cookie.add_macs(&ends.remote_keys, &mut response, NOW);
    let session = ends.handshake.begin_session(NOW).unwrap();
    assert!(!session.initiator());
    assert_eq!(session.remote_index(), view.sender());

    // The initiator confirms the session with a keepalive, then sends what waited.
    let confirmation = ends.deliver(&response);
    let header = DataHeader::read(confirmation[..16].try_into().unwrap());
    assert_eq!(
        header,
        DataHeader {
            receiver: 6,
            counter: 0
        }
    );
    assert!(session.open_in_place(0, &mut confirmation[16..].to_vec()));
    let waited = ends.deliver(&[]);
    let mut body = waited[16..].to_vec();
    assert!(session.open_in_place(1, &mut body));
    assert_eq!(body[..20], packet(20));
    ends.exchange(&session);
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

/// The other end is under load: its reply makes us repeat the initiation with mac2.
#[test]
fn we_answer_a_cookie_reply() {
    let mut ends = Ends::new(12, false, 0);
    let first = ends.initiation(1);
    assert_eq!(first[132..], [0; 16]);
    let reply: [u8; 64] = ends.deliver(&first).try_into().expect("a cookie reply");
    assert_eq!(u32::from_le_bytes(reply[4..8].try_into().unwrap()), 1);
    assert!(ends.cookie.consume_reply(&ends.remote_keys, &reply, NOW));

    let second = ends.initiation(2);
    assert_ne!(second[132..], [0; 16]);
    let response = ends.deliver(&second);
    let session = ends.finish(&response);
    ends.exchange(&session);
}

/// We are under load: the other end understands our cookie reply.
#[test]
fn they_answer_a_cookie_reply() {
    let mut ends = Ends::new(13, false, u64::MAX);
    let secret = CookieSecret::<RustCrypto>::new(ends.rng.bytes(), NOW);
    let source = [192, 0, 2, 9, 0x12, 0x34];
    let mut out = [0; 2048];
    let TunnResult::WriteToNetwork(first) = ends.theirs.format_handshake_initiation(&mut out, true)
    else {
        panic!("no initiation");
    };
    assert!(ends.own_keys.check_mac1(first));
    assert!(!secret.check_mac2(first, &source));
    let sender = u32::from_le_bytes(first[4..8].try_into().unwrap());
    let nonce = ends.rng.bytes();
    let reply = secret
        .reply(&ends.own_keys, first, sender, &source, nonce)
        .unwrap();
    assert_eq!(ends.deliver(&reply), []);

    let mut out = [0; 2048];
    let TunnResult::WriteToNetwork(second) =
        ends.theirs.format_handshake_initiation(&mut out, true)
    else {
        panic!("no initiation");
    };
    assert!(ends.own_keys.check_mac1(second));
    assert!(secret.check_mac2(second, &source));
    assert!(!secret.check_mac2(second, &source[1..]));
}
