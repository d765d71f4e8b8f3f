// SPDX-License-Identifier: GPL-2.0

//! A flood of handshake messages from many sources.

use std::io;
use std::net::{
    IpAddr,
    SocketAddr,
    UdpSocket, //
};
use std::time::Duration;

use crate::attack::Attack;
use crate::wire::{
    put_mac1,
    Udp, //
};
use crate::Options;
use wireguard_host::protocol::cookie::{
    CookieKeys,
    CookieMaker, //
};
use wireguard_host::protocol::messages::COOKIE_REPLY_LEN;
use wireguard_host::protocol::time::Instant as ProtocolInstant;
use wireguard_host::rng::Rng;
use wireguard_host::rust_crypto::RustCrypto;

const NOW: ProtocolInstant = ProtocolInstant::from_nanos(1);

/// A handshake message with nothing true in it; mac1 is missing.
fn made_up(rng: &mut Rng) -> Vec<u8> {
    let response = rng.below(4) == 0;
    let mut message: Vec<u8> = rng.bytes::<148>().into();
    message.truncate(if response { 92 } else { 148 });
    message[..4].copy_from_slice(&(1 + u32::from(response)).to_le_bytes());
    message
}

/// A source that can receive: it takes the cookies that it is given.
struct Real {
    socket: UdpSocket,
    maker: CookieMaker<RustCrypto>,
    has_cookie: bool,
}

impl Real {
    fn new(number: u64) -> io::Result<Self> {
        let address = [10, 1, (number >> 8) as u8, number as u8];
        let socket = UdpSocket::bind(SocketAddr::new(IpAddr::from(address), 9000))?;
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket,
            maker: CookieMaker::new(),
            has_cookie: false,
        })
    }

    /// Sends a message and looks for an answer to the last one. The numbers of messages sent, of
    /// cookies received, and of responses.
    fn turn(&mut self, to: SocketAddr, keys: &CookieKeys<RustCrypto>, rng: &mut Rng) -> [u64; 2] {
        let mut cookies = 0;
        let mut buffer = [0; 256];
        while let Ok(len) = self.socket.recv(&mut buffer) {
            if let Ok(reply) = <&[u8; COOKIE_REPLY_LEN]>::try_from(&buffer[..len]) {
                if self.maker.consume_reply(keys, reply, NOW) {
                    self.has_cookie = true;
                    cookies += 1;
                }
            }
        }
        let mut message = made_up(rng);
        // While there is no cookie the first message must stay the one that is answered.
        if self.has_cookie || rng.below(8) == 0 {
            self.maker.add_macs(keys, &mut message, NOW);
            return [
                u64::from(self.socket.send_to(&message, to).is_ok()),
                cookies,
            ];
        }
        [0, cookies]
    }
}

pub fn run(options: &Options) -> io::Result<()> {
    let seconds = options.number("seconds", 10);
    let keys = CookieKeys::new(&options.key());
    let mut attack = Attack::new(options, 200)?;
    let to = attack.to;
    let messages: Vec<Vec<u8>> = (0..4096)
        .map(|_| {
            let mut message = made_up(&mut attack.rng);
            if options.get("bad").is_none() {
                put_mac1(&attack.mac1, &mut message);
            }
            message
        })
        .collect();
    let reals = 0..options.number("real", 0);
    let mut reals: Vec<Real> = reals.map(Real::new).collect::<io::Result<_>>()?;

    println!("# flooding");
    attack.begin();
    let (mut proven, mut cookies, mut replies) = (0, 0, 0u64);
    let mut turn = 0usize;
    loop {
        if attack.elapsed() >= Duration::from_secs(seconds) {
            break;
        }
        if attack.ahead() {
            continue;
        }
        for _ in 0..16 {
            let word = attack.rng.word();
            let [a, b, c, p, q, ..] = word.to_le_bytes();
            let from = SocketAddr::new(
                IpAddr::from([10, 64 + a % 64, b, c]),
                u16::from_le_bytes([p, q]),
            );
            attack.sender.send(
                from,
                to,
                Udp::Good,
                &messages[word as usize % messages.len()],
            );
        }
        if !reals.is_empty() {
            turn = (turn + 1) % reals.len();
            let [sent, got] = reals[turn].turn(to, &keys, &mut attack.rng);
            proven += sent;
            cookies += got;
        }
        // A few at a time: they may come as fast as they are looked at.
        for _ in 0..64 {
            let Some(seen) = attack.listener.next() else {
                break;
            };
            let reply = |payload: &[u8]| payload.len() == COOKIE_REPLY_LEN && payload[0] == 3;
            replies += u64::from(seen.is_some_and(|seen| seen.from == to && reply(seen.payload)));
        }
    }
    let took = attack.elapsed().as_secs_f64();
    println!(
        "# {} sent, {:.0} a second, {} refused by the sender's kernel",
        attack.sender.sent,
        attack.sender.sent as f64 / took,
        attack.sender.failed
    );
    println!("# {replies} cookie replies seen");
    println!("# {proven} from real sources, which took {cookies} cookies");
    Ok(())
}
