// SPDX-License-Identifier: GPL-2.0

//! Malformed and replayed packets of all kinds between the true ones.

use std::io;
use std::net::{
    IpAddr,
    SocketAddr,
    UdpSocket, //
};
use std::time::{
    Duration,
    Instant, //
};

use crate::attack::Attack;
use crate::wire::{
    put_mac1,
    Listener,
    Udp,
    OUR_TTL, //
};
use crate::Options;
use wireguard_host::rng::Rng;

/// True messages, by their type: initiations, responses, cookie replies, data.
#[derive(Default)]
struct Records {
    kinds: [Vec<Vec<u8>>; 4],
    seen: u64,
}

impl Records {
    const ROOM: usize = 256;

    fn add(&mut self, message: &[u8], rng: &mut Rng) {
        // No true message is shorter.
        let kind = message.first().filter(|_| message.len() >= 32);
        let kind = kind.map_or(0, |first| usize::from(*first));
        let Some(kind) = kind
            .checked_sub(1)
            .and_then(|kind| self.kinds.get_mut(kind))
        else {
            return;
        };
        self.seen += 1;
        if kind.len() < Self::ROOM {
            kind.push(message.to_vec());
        } else if rng.below(4) == 0 {
            // Old ones stay for a while, so that replays from all ages are sent.
            kind[rng.below(Self::ROOM as u64) as usize] = message.to_vec();
        }
    }

    fn pick(&self, rng: &mut Rng) -> Vec<u8> {
        // Handshake messages are rare on the wire and not here.
        let kind = [0, 1, 2, 3, 3, 3, 3][rng.below(7) as usize];
        let kind = Some(&self.kinds[kind]).filter(|kind| !kind.is_empty());
        let kind = kind.unwrap_or(&self.kinds[3]);
        kind[rng.below(kind.len() as u64) as usize].clone()
    }
}

/// What is done to a message.
const DEEDS: [&str; 11] = [
    "replayed",
    "bits flipped",
    "cut",
    "prolonged",
    "other index",
    "other counter",
    "other type",
    "reserved octets",
    "made up",
    "good mac1",
    "UDP header",
];

/// Lengths about which something changes.
const LENGTHS: [u64; 22] = [
    0, 1, 3, 4, 7, 8, 15, 16, 17, 31, 32, 33, 48, 63, 64, 65, 91, 92, 93, 147, 148, 149,
];

fn random_octets(rng: &mut Rng, len: usize) -> Vec<u8> {
    let mut octets: Vec<u8> = Vec::with_capacity(len + 8);
    while octets.len() < len {
        octets.extend(rng.word().to_le_bytes());
    }
    octets.truncate(len);
    octets
}

fn overwrite(message: &mut [u8], at: usize, with: &[u8]) {
    for (to, from) in message.iter_mut().skip(at).zip(with) {
        *to = *from;
    }
}

/// One hostile datagram.
fn make(deed: usize, records: &Records, mac1: &[u8; 32], rng: &mut Rng) -> (Vec<u8>, Udp) {
    let mut message = records.pick(rng);
    let len = message.len() as u64;
    let mut udp = Udp::Good;
    match DEEDS[deed] {
        "bits flipped" => {
            for _ in 0..=rng.below(8) {
                let bit = rng.below(len * 8) as usize;
                message[bit / 8] ^= 1 << (bit % 8);
            }
        }
        "cut" => message.truncate(rng.below(len) as usize),
        "prolonged" => {
            let more = 1 + rng.below(64) as usize;
            message.extend(random_octets(rng, more));
        }
        "other index" => {
            let at = if message[0] == 2 { 8 } else { 4 };
            overwrite(&mut message, at, &(rng.word() as u32).to_le_bytes());
        }
        "other counter" => {
            let counter = match rng.below(4) {
                0 => rng.word(),
                1 => u64::MAX - rng.below(1 << 16),
                2 => rng.below(1 << 20),
                _ => 1 << rng.below(64),
            };
            overwrite(&mut message, 8, &counter.to_le_bytes());
        }
        "other type" => message[0] = rng.below(6) as u8,
        "reserved octets" => message[1 + rng.below(3) as usize] = 1 << rng.below(8),
        "made up" => {
            let len = match rng.below(3) {
                0 => rng.below(1401),
                _ => LENGTHS[rng.below(LENGTHS.len() as u64) as usize],
            };
            message = random_octets(rng, len as usize);
            overwrite(&mut message, 0, &(1 + rng.below(4) as u32).to_le_bytes());
        }
        "good mac1" => {
            let response = rng.below(4) == 0;
            message = random_octets(rng, if response { 92 } else { 148 });
            overwrite(&mut message, 0, &(1 + u32::from(response)).to_le_bytes());
            put_mac1(mac1, &mut message);
        }
        "UDP header" => {
            udp = match rng.below(2) {
                0 => Udp::Length(rng.below(1 << 16) as u16),
                _ => Udp::Checksum(rng.below(1 << 16) as u16),
            }
        }
        _ => {}
    }
    (message, udp)
}

/// Where a datagram pretends to come from.
fn source(like: SocketAddr, rng: &mut Rng) -> SocketAddr {
    let ip = match (like.ip(), rng.below(5)) {
        (_, 0..=2) => like.ip(),
        (IpAddr::V4(_), _) => IpAddr::from([10, 64 + rng.below(64) as u8, rng.word() as u8, 9]),
        (IpAddr::V6(_), _) => {
            let mut octets = rng.bytes::<16>();
            octets[0] = 0xfd;
            IpAddr::from(octets)
        }
    };
    let port = match rng.below(3) {
        0 => rng.below(1 << 16) as u16,
        _ => like.port(),
    };
    SocketAddr::new(ip, port)
}

/// Takes what the listener has heard between these ports.
fn listen(listener: &mut Listener, ports: [u16; 2], records: &mut Records, rng: &mut Rng) {
    for _ in 0..512 {
        match listener.next() {
            Some(Some(seen)) if ports.contains(&seen.to.port()) => records.add(seen.payload, rng),
            Some(_) => {}
            None => break,
        }
    }
}

pub fn run(options: &Options) -> io::Result<()> {
    let like = options.address("like").expect("like=");
    let second = options.address("to6").zip(options.address("like6"));
    let count = options.number("count", 100_000);
    let mut attack = Attack::new(options, 2000)?;
    let to = attack.to;
    let giant = UdpSocket::bind("0.0.0.0:0")?;
    giant.set_ttl(OUR_TTL.into())?;
    let mut records = Records::default();
    let ports = [to.port(), like.port()];
    let hear = |attack: &mut Attack, records: &mut Records| {
        listen(&mut attack.listener, ports, records, &mut attack.rng)
    };

    println!("# listening");
    let patience = Instant::now() + Duration::from_secs(60);
    while records.kinds[0].is_empty() || records.kinds[1].is_empty() || records.kinds[3].len() < 20
    {
        assert!(
            Instant::now() < patience,
            "there is no traffic to listen to"
        );
        std::thread::sleep(Duration::from_millis(20));
        hear(&mut attack, &mut records);
    }

    attack.begin();
    let mut done = [0u64; DEEDS.len()];
    let mut giants = 0u64;
    loop {
        let tried = attack.sender.sent + attack.sender.failed;
        if tried + giants >= count {
            break;
        }
        if attack.ahead() {
            continue;
        }
        if tried % 64 == 0 {
            hear(&mut attack, &mut records);
        }
        let rng = &mut attack.rng;
        if rng.below(2000) == 0 {
            let len = [65507, 1500, 1453, 9000][rng.below(4) as usize];
            let _ = giant.send_to(&random_octets(rng, len), to);
            giants += 1;
            continue;
        }
        // A good mac1 makes the receiver compute: rare, or nothing else would be tested.
        let deed = match rng.below(100) {
            0 => 9,
            _ => [0, 1, 2, 3, 4, 5, 6, 7, 8, 10][rng.below(10) as usize],
        };
        let (message, udp) = make(deed, &records, &attack.mac1, rng);
        let (to, like) = match second {
            Some(second) if rng.below(5) == 0 => second,
            _ => (to, like),
        };
        attack.sender.send(source(like, rng), to, udp, &message);
        done[deed] += 1;
    }
    let took = attack.elapsed().as_secs_f64();
    for (name, n) in DEEDS.iter().zip(done) {
        println!("# {n:8} {name}");
    }
    println!("# {giants:8} giants");
    println!("# of {} true messages", records.seen);
    println!(
        "# {} sent, {} refused by the sender's kernel",
        attack.sender.sent + giants,
        attack.sender.failed
    );
    println!("# {:.1} s, {:.0} a second", took, count as f64 / took);
    Ok(())
}
