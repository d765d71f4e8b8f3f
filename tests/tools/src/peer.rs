// SPDX-License-Identifier: GPL-2.0

//! Begins handshakes as a peer does, but when and as often as it is told to, and seals what no peer would.

use std::io;
use std::net::UdpSocket;
use std::time::{
    Duration,
    SystemTime,
    UNIX_EPOCH, //
};

use crate::wire::{
    mac1_key,
    put_mac1, //
};
use crate::Options;
use wireguard_host::protocol::noise::{
    Handshake,
    Identity,
    Remote, //
};
use wireguard_host::protocol::time::{
    Instant,
    Tai64n, //
};
use wireguard_host::rng::Rng;
use wireguard_host::rust_crypto::RustCrypto;

const NOW: Instant = Instant::from_nanos(1);

/// Octets from hexadecimal digits.
fn octets(text: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).expect("packet=");
    (0..text.len()).step_by(2).map(digit).collect()
}

pub fn run(options: &Options) -> io::Result<()> {
    let receiver = options.key();
    let mac1 = mac1_key(&receiver);
    let pause = Duration::from_millis(options.number("every", 0));
    let since_1970 = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a clock");
    // Strangers are others each time.
    let mut rng = Rng::new(since_1970.as_nanos() as u64);
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.connect(options.address("to").expect("to="))?;
    socket.set_read_timeout(Some(Duration::from_secs(10)))?;

    // All are computed first, so that nothing but the pause is between them.
    let mut handshakes: Vec<_> = (0..options.number("count", 1))
        .map(|number| {
            let private = options
                .get("private")
                .map_or_else(|| rng.bytes(), crate::base64);
            let identity = Identity::<RustCrypto>::new(private).expect("private=");
            let mut remote = Remote::new(receiver);
            let mut handshake = Handshake::new();
            // Timestamps are in steps of 17 ms.
            let time = since_1970 + Duration::from_millis(20 * number);
            let time = Tai64n::from_unix(time.as_secs(), time.subsec_nanos());
            let mut message = handshake
                .initiate(&identity, &mut remote, rng.bytes(), rng.word() as u32, time)
                .expect("an initiation");
            put_mac1(&mac1, &mut message);
            if options.get("bad").is_some() {
                message[131] ^= 1;
            }
            (identity, remote, handshake, message)
        })
        .collect();
    for (.., message) in &handshakes {
        socket.send(message)?;
        std::thread::sleep(pause);
    }
    println!("# {} initiations sent", handshakes.len());

    let Some(packet) = options.get("packet").map(octets) else {
        return Ok(());
    };
    let (identity, remote, handshake, _) = handshakes.last_mut().expect("count=");
    let mut response = [0; 92];
    socket.recv(&mut response)?;
    assert!(
        handshake.accept_response(identity, remote, &response),
        "no response"
    );
    let session = handshake.begin_session(NOW).expect("a session");
    let mut message = session.header(0).to_vec();
    message.extend(packet);
    message.extend([0; 16]);
    assert!(session.seal_in_place(0, &mut message[16..]));
    socket.send(&message)?;
    println!("# a packet sent");
    Ok(())
}
