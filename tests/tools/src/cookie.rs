// SPDX-License-Identifier: GPL-2.0

//! Answers initiations with cookie replies that are good but come from another address.

use std::io;
use std::time::{
    Duration,
    Instant, //
};

use crate::wire::{
    Listener,
    Sender,
    Udp, //
};
use crate::Options;
use wireguard_host::protocol::cookie::{
    CookieKeys,
    CookieSecret, //
};
use wireguard_host::protocol::messages::Message;
use wireguard_host::protocol::time::Instant as ProtocolInstant;
use wireguard_host::rust_crypto::RustCrypto;

pub fn run(options: &Options) -> io::Result<()> {
    let from = options.address("from").expect("from=");
    let keys = CookieKeys::<RustCrypto>::new(&options.key());
    let secret = CookieSecret::<RustCrypto>::new([1; 32], ProtocolInstant::from_nanos(1));
    let mut listener = Listener::new(200)?;
    let mut sender = Sender::new()?;
    println!("# listening");
    let begun = Instant::now();
    let mut answered = 0;
    while begun.elapsed() < Duration::from_secs(options.number("seconds", 30)) {
        let Some(seen) = listener.next() else {
            std::thread::sleep(Duration::from_millis(5));
            continue;
        };
        let Some(seen) = seen else { continue };
        if let Some(Message::Initiation(initiation)) = Message::parse(seen.payload) {
            if seen.payload[132..] != [0; 16] {
                println!("# a message with the cookie came after {answered} replies");
                return Ok(());
            }
            let (index, to) = (initiation.sender(), seen.from);
            let reply = secret.reply(&keys, seen.payload, index, b"somewhere", [2; 24]);
            sender.send(from, to, Udp::Good, &reply.expect("a reply"));
            answered += 1;
        }
    }
    println!("# no message with a cookie came after {answered} replies");
    std::process::exit(1);
}
