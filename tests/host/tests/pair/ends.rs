// SPDX-License-Identifier: GPL-2.0

//! Two ends of a tunnel, a network between them, and a clock that jumps to the next thing to happen.
//!
//! [`End`] does with the protocol core what the driver does, in the smallest form: no queue but the
//! packets that wait for a session, no batches, one peer.

use std::collections::{
    BTreeMap,
    HashSet, //
};
use wireguard_host::protocol::cookie::{
    CookieKeys,
    CookieMaker,
    CookieSecret, //
};
use wireguard_host::protocol::messages::{
    padded_len,
    Message, //
};
use wireguard_host::protocol::noise::{
    Handshake,
    Identity,
    Received,
    Remote, //
};
use wireguard_host::protocol::replay::ReplayWindow;
use wireguard_host::protocol::session::Session;
use wireguard_host::protocol::time::{
    Instant,
    Tai64n, //
};
use wireguard_host::protocol::timers::{
    Event,
    Timers, //
};
use wireguard_host::rng::Rng;
use wireguard_host::rust_crypto::RustCrypto as C;

pub const MILLI: u64 = 1_000_000;
pub const SEC: u64 = 1_000 * MILLI;
const SOURCE: [&[u8]; 2] = [b"\x0a\0\0\x01\x12\x34", b"\x0a\0\0\x02\x12\x34"];

/// What an end did, for tests to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Did {
    Initiation { mac2: bool },
    Response,
    CookieReply,
    Data,
    Keepalive,
    Session { initiator: bool },
    GaveUp { dropped: usize },
    ZeroedKeys,
    ClearedSource,
    Delivered(u64),
}

struct Keypair {
    session: Session<C>,
    born: u64,
    counter: u64,
    window: ReplayWindow,
}

pub struct End {
    name: usize,
    identity: Identity<C>,
    remote: Remote<C>,
    handshake: Handshake<C>,
    next: Option<Keypair>,
    current: Option<Keypair>,
    previous: Option<Keypair>,
    own_keys: CookieKeys<C>,
    remote_keys: CookieKeys<C>,
    secret: CookieSecret<C>,
    cookie: CookieMaker<C>,
    pub timers: Timers,
    pub under_load: bool,
    staged: Vec<Vec<u8>>,
    rng: Rng,
    index: u32,
    now: u64,
    out: Vec<Vec<u8>>,
    pub log: Vec<(u64, Did)>,
    taken: HashSet<(u32, u64)>,
}

impl End {
    fn new(name: usize, identity: Identity<C>, remote: Remote<C>, rng: Rng) -> Self {
        Self {
            name,
            own_keys: CookieKeys::new(identity.public()),
            remote_keys: CookieKeys::new(remote.public()),
            secret: CookieSecret::new([name as u8; 32], Instant::from_nanos(0)),
            cookie: CookieMaker::new(),
            identity,
            remote,
            handshake: Handshake::new(),
            next: None,
            current: None,
            previous: None,
            timers: Timers::new(),
            under_load: false,
            staged: Vec::new(),
            rng,
            index: name as u32 * 1_000_000,
            now: 0,
            out: Vec::new(),
            log: Vec::new(),
            taken: HashSet::new(),
        }
    }

    fn at(&self) -> Instant {
        Instant::from_nanos(self.now)
    }

    fn did(&mut self, what: Did) {
        self.log.push((self.now, what));
    }

    fn tell(&mut self, events: &[Event]) {
        for event in events {
            self.timers
                .handle(*event, self.at(), self.rng.word() as u32);
        }
    }

    fn new_index(&mut self) -> u32 {
        self.index += 1;
        self.index
    }

    pub fn has_keys(&self) -> bool {
        self.next.is_some() || self.current.is_some() || self.previous.is_some()
    }

    /// A packet for the other end.
    fn send(&mut self, packet: Vec<u8>) {
        self.staged.push(packet);
        self.flush();
    }

    pub fn keepalive(&mut self) {
        if self.staged.is_empty() {
            self.staged.push(Vec::new());
        }
        self.flush();
    }

    fn flush(&mut self) {
        if self.staged.is_empty() {
            return;
        }
        let now = self.at();
        let usable = self
            .current
            .as_ref()
            .is_some_and(|pair| pair.session.usable_for_sending(pair.counter, now));
        if !usable {
            return self.ask();
        }
        for packet in std::mem::take(&mut self.staged) {
            let pair = self.current.as_mut().unwrap();
            assert!(self.now - pair.born < 180 * SEC, "sent with a dead session");
            let mut message = pair.session.header(pair.counter).to_vec();
            message.extend(&packet);
            message.resize(16 + padded_len(packet.len(), 1420) + 16, 0);
            assert!(pair.session.seal_in_place(pair.counter, &mut message[16..]));
            pair.counter += 1;
            self.out.push(message);
            self.tell(&[Event::Traversal, Event::AuthenticatedSent]);
            if packet.is_empty() {
                self.did(Did::Keepalive);
            } else {
                self.did(Did::Data);
                self.tell(&[Event::DataSent]);
            }
        }
        let pair = self.current.as_ref().unwrap();
        if pair.session.rekey_due_after_sending(pair.counter, now) {
            self.ask();
        }
    }

    /// Something but a retry wants a new session.
    fn ask(&mut self) {
        self.timers.reset_retries();
        self.initiate();
    }

    fn initiate(&mut self) {
        let now = self.at();
        let random = self.rng.bytes::<4>();
        if !self
            .timers
            .claim_initiation(now, u32::from_le_bytes(random))
        {
            return;
        }
        let index = self.new_index();
        let timestamp = Tai64n::from_unix(1_000_000 + self.now / SEC, (self.now % SEC) as u32);
        let random = self.rng.bytes();
        let mut message = self
            .handshake
            .initiate(&self.identity, &mut self.remote, random, index, timestamp)
            .unwrap();
        self.cookie.add_macs(&self.remote_keys, &mut message, now);
        self.did(Did::Initiation {
            mac2: message[132..] != [0; 16],
        });
        self.out.push(message.to_vec());
        self.tell(&[
            Event::Traversal,
            Event::AuthenticatedSent,
            Event::InitiationSent,
        ]);
    }

    /// Whether a handshake message may be worked on; else a cookie reply goes out.
    fn admit(&mut self, datagram: &[u8], sender: u32) -> bool {
        let source = SOURCE[1 - self.name];
        if !self.own_keys.check_mac1(datagram) {
            return false;
        }
        if self.secret.expired(self.at()) {
            self.secret = CookieSecret::new(self.rng.bytes(), self.at());
        }
        if !self.under_load || self.secret.check_mac2(datagram, source) {
            return true;
        }
        let nonce = self.rng.bytes();
        let reply = self
            .secret
            .reply(&self.own_keys, datagram, sender, source, nonce)
            .unwrap();
        self.did(Did::CookieReply);
        self.out.push(reply.to_vec());
        false
    }

    fn receive(&mut self, datagram: &[u8]) {
        match Message::parse(datagram).expect("what an end sends is a message") {
            Message::Initiation(view) => {
                if self.admit(datagram, view.sender()) {
                    self.take_initiation(view.bytes());
                }
            }
            Message::Response(view) => {
                if self.admit(datagram, view.sender()) {
                    self.take_response(view.bytes());
                }
            }
            Message::CookieReply(view) => {
                let now = self.at();
                self.cookie
                    .consume_reply(&self.remote_keys, view.bytes(), now);
            }
            Message::Data { header, body } => {
                self.take_data(header.receiver, header.counter, body.to_vec());
            }
        }
    }

    fn keypair(&mut self, initiator: bool) -> Keypair {
        let session = self.handshake.begin_session(self.at()).unwrap();
        assert_eq!(session.initiator(), initiator);
        self.did(Did::Session { initiator });
        Keypair {
            session,
            born: self.now,
            counter: 0,
            window: ReplayWindow::new(),
        }
    }

    fn take_initiation(&mut self, message: &[u8; 148]) {
        let now = self.at();
        let Some(received) = Received::open(&self.identity, message) else {
            return;
        };
        if self
            .handshake
            .accept(&self.identity, &mut self.remote, received, now)
            .is_err()
        {
            return;
        }
        let index = self.new_index();
        let random = self.rng.bytes();
        let mut response = self.handshake.respond(&self.remote, random, index).unwrap();
        self.cookie.add_macs(&self.remote_keys, &mut response, now);
        self.next = Some(self.keypair(false));
        self.previous = None;
        self.tell(&[
            Event::SessionDerived,
            Event::Traversal,
            Event::AuthenticatedSent,
        ]);
        self.tell(&[Event::ResponseSent]);
        self.did(Did::Response);
        self.out.push(response.to_vec());
        self.tell(&[Event::AuthenticatedReceived, Event::Traversal]);
    }

    fn take_response(&mut self, message: &[u8; 92]) {
        if !self
            .handshake
            .accept_response(&self.identity, &self.remote, message)
        {
            return;
        }
        let fresh = self.keypair(true);
        self.previous = self.next.take().or(self.current.take());
        self.current = Some(fresh);
        self.tell(&[Event::SessionDerived, Event::HandshakeComplete]);
        self.keepalive();
        self.tell(&[Event::AuthenticatedReceived, Event::Traversal]);
    }

    fn take_data(&mut self, receiver: u32, counter: u64, mut body: Vec<u8>) {
        let now = self.at();
        let names = |pair: &&mut Keypair| pair.session.local_index() == receiver;
        let Some(pair) = [&mut self.next, &mut self.current, &mut self.previous]
            .into_iter()
            .flatten()
            .find(names)
        else {
            return;
        };
        if !pair.session.usable_for_receiving(now) {
            assert!(self.now - pair.born >= 180 * SEC, "a live session refused");
            return;
        }
        assert!(
            self.now - pair.born < 180 * SEC,
            "received with a dead session"
        );
        assert!(
            pair.session.open_in_place(counter, &mut body),
            "not authentic"
        );
        if !pair.window.accept(counter) {
            return;
        }
        assert!(self.taken.insert((receiver, counter)), "taken twice");
        if self
            .next
            .as_ref()
            .is_some_and(|pair| pair.session.local_index() == receiver)
        {
            self.previous = self.current.take();
            self.current = self.next.take();
            self.tell(&[Event::HandshakeComplete]);
            self.flush();
        }
        let last_minute = self
            .current
            .as_ref()
            .is_some_and(|pair| pair.session.rekey_due_after_receiving(now));
        if last_minute && self.timers.claim_last_minute() {
            self.ask();
        }
        self.tell(&[Event::AuthenticatedReceived, Event::Traversal]);
        body.truncate(body.len() - 16);
        if let Some(id) = body.first_chunk() {
            self.tell(&[Event::DataReceived]);
            self.did(Did::Delivered(u64::from_le_bytes(*id)));
        }
    }

    fn tick(&mut self) {
        let due = self.timers.poll(self.at());
        if due.give_up {
            let dropped = std::mem::take(&mut self.staged).len();
            self.did(Did::GaveUp { dropped });
        }
        if due.zero_keys {
            self.handshake.clear();
            (self.next, self.current, self.previous) = (None, None, None);
            self.did(Did::ZeroedKeys);
        }
        if due.clear_source {
            self.did(Did::ClearedSource);
        }
        if due.initiate {
            self.initiate();
        }
        if due.send_keepalive {
            self.keepalive();
        }
    }

    /// The times at which this end did something.
    pub fn times(&self, what: impl Fn(&Did) -> bool) -> Vec<u64> {
        let hits = self.log.iter().filter(|(_, did)| what(did));
        hits.map(|(at, _)| *at).collect()
    }

    pub fn initiations(&self) -> Vec<u64> {
        self.times(|did| matches!(did, Did::Initiation { .. }))
    }

    pub fn sessions(&self) -> Vec<u64> {
        self.times(|did| matches!(did, Did::Session { .. }))
    }
}

/// Both ends and what is on its way between them.
pub struct Pair {
    pub ends: [End; 2],
    /// What arrives when and where; the second number keeps keys apart.
    under_way: BTreeMap<(u64, u64), (usize, Vec<u8>)>,
    number: u64,
    pub now: u64,
    rng: Rng,
    /// Lost messages in a thousand, in each direction: those that end 0, end 1 sends.
    pub loss: [u64; 2],
    /// Shortest and longest way, in nanoseconds.
    pub delay: (u64, u64),
    pub sent: u64,
}

pub const A: usize = 0;
pub const B: usize = 1;

impl Pair {
    pub fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let [a, b] = [(); 2].map(|()| Identity::<C>::new(rng.bytes()).unwrap());
        let preshared = rng.bytes();
        let [to_a, to_b] = [&a, &b].map(|identity| {
            let mut remote = Remote::new(*identity.public());
            remote.set_preshared(Some(preshared));
            remote
        });
        let [rng_a, rng_b] = [(); 2].map(|()| Rng::new(rng.word()));
        Self {
            ends: [End::new(A, a, to_b, rng_a), End::new(B, b, to_a, rng_b)],
            under_way: BTreeMap::new(),
            number: 0,
            now: 0,
            rng,
            loss: [0, 0],
            delay: (MILLI, MILLI),
            sent: 0,
        }
    }

    /// Lets `end` do something now.
    pub fn act(&mut self, end: usize, what: impl FnOnce(&mut End)) {
        self.ends[end].now = self.now;
        what(&mut self.ends[end]);
        for message in std::mem::take(&mut self.ends[end].out) {
            if self.rng.below(1000) < self.loss[end] {
                continue;
            }
            let (least, most) = self.delay;
            let delay = least + self.rng.below(most - least + 1);
            self.number += 1;
            self.under_way
                .insert((self.now + delay, self.number), (1 - end, message));
        }
    }

    /// Sends a packet of its own number from `end` and returns the number.
    pub fn send(&mut self, end: usize) -> u64 {
        self.sent += 1;
        let id = self.sent;
        let mut packet = id.to_le_bytes().to_vec();
        packet.resize(8 + self.rng.below(300) as usize, 0x55);
        self.act(end, |end| end.send(packet));
        id
    }

    /// Runs until `time`, in nanoseconds.
    pub fn run_until(&mut self, time: u64) {
        loop {
            let arrival = self.under_way.keys().next().map(|(at, _)| *at);
            let due = |end: &End| end.timers.next().map(Instant::as_nanos);
            let [a, b] = [&self.ends[A], &self.ends[B]].map(due);
            let Some(at) = [arrival, a, b].into_iter().flatten().min() else {
                break;
            };
            if at > time {
                break;
            }
            self.now = self.now.max(at);
            if arrival == Some(at) {
                let (_, (to, message)) = self.under_way.pop_first().unwrap();
                self.act(to, |end| end.receive(&message));
            } else {
                self.act(if a == Some(at) { A } else { B }, End::tick);
            }
        }
        self.now = time;
    }

    /// Runs for `span` nanoseconds.
    pub fn run_for(&mut self, span: u64) {
        self.run_until(self.now + span);
    }

    /// One packet there and one back, so that both ends have a confirmed session; end 0 began it.
    pub fn establish(&mut self) {
        self.send(A);
        self.run_for(100 * MILLI);
        self.send(B);
        self.run_for(100 * MILLI);
        for end in &self.ends {
            assert!(end.current.is_some() && end.next.is_none());
            assert_eq!(end.sessions().len(), 1);
        }
    }

    pub fn delivered(&self, end: usize) -> Vec<u64> {
        let ids = self.ends[end].log.iter().filter_map(|(_, did)| match did {
            Did::Delivered(id) => Some(*id),
            _ => None,
        });
        ids.collect()
    }
}

/// Whether all neighbours of `times` lie `least` to `most` nanoseconds apart.
pub fn apart(times: &[u64], least: u64, most: u64) -> bool {
    times
        .windows(2)
        .all(|pair| (least..=most).contains(&(pair[1] - pair[0])))
}
