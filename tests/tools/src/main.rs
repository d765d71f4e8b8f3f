// SPDX-License-Identifier: GPL-2.0

//! Sends hostile packets to a WireGuard port, fast. For the guest tests; runs as root.
//!
//! ```text
//! hostile mix   to=10.0.0.2:2000 like=10.0.0.1:1000 key=BASE64 count=100000 seed=1 [rate=N] [to6=.. like6=..]
//! hostile flood to=10.0.0.2:2000 key=BASE64 seconds=10 seed=1 [rate=N] [real=N] [bad]
//! hostile cookie from=10.0.0.9:9 key=BASE64 [seconds=30]
//! hostile peer  to=10.0.0.2:2000 key=BASE64 [private=BASE64] [count=N] [every=MS] [bad] [packet=HEX]
//! ```
//!
//! `mix` listens for the true messages between `like` and `to`, and sends `count` packets that are
//! made of them or made up. `flood` sends handshake messages with a good mac1 (with `bad`, a wrong one)
//! from random sources, `rate` a second or as fast as it can; `real` sources at 10.1.x.y take part
//! that do answer with the cookies they are given. `cookie` answers initiations to the owner of `key`
//! with cookie replies from the address `from`, until one comes that has the cookie. `peer` sends `count`
//! initiations, `every` so many milliseconds, from the peer with this private key or each from another
//! stranger (with `bad`, with a wrong mac1), and then, as the first message of the session, what `packet`
//! says, whatever it is. `key` is the public key of the receiver.

mod attack;
mod cookie;
mod flood;
mod mix;
mod peer;
mod wire;

use std::collections::HashMap;
use std::net::SocketAddr;

/// The command line: words of the form `name=value`.
pub struct Options(HashMap<String, String>);

impl Options {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    fn number(&self, name: &str, default: u64) -> u64 {
        self.get(name)
            .map_or(default, |text| text.parse().expect(name))
    }

    fn address(&self, name: &str) -> Option<SocketAddr> {
        self.get(name).map(|text| text.parse().expect(name))
    }

    fn key(&self) -> [u8; 32] {
        base64(self.get("key").expect("key="))
    }
}

/// A key as `wg` writes it.
fn base64(text: &str) -> [u8; 32] {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = text.bytes().filter(|c| *c != b'=');
    let bits = digits.flat_map(|c| {
        let value = DIGITS.iter().position(|d| *d == c).expect("base64");
        (0..6).rev().map(move |bit| (value >> bit) & 1)
    });
    let mut key = [0; 32];
    for (i, bit) in bits.take(256).enumerate() {
        key[i / 8] |= (bit as u8) << (7 - i % 8);
    }
    key
}

fn main() -> std::io::Result<()> {
    let mut words = std::env::args().skip(1);
    let command = words.next().unwrap_or_default();
    let options = Options(
        words
            .map(|word| {
                let (name, value) = word.split_once('=').unwrap_or((&word, ""));
                (name.to_owned(), value.to_owned())
            })
            .collect(),
    );
    match command.as_str() {
        "mix" => mix::run(&options),
        "cookie" => cookie::run(&options),
        "flood" => flood::run(&options),
        "peer" => peer::run(&options),
        _ => panic!("unknown command '{command}'; see the head of main.rs"),
    }
}
