// SPDX-License-Identifier: GPL-2.0

//! Packets as they are: raw sockets to send and to listen, IP and UDP headers, macs.

use std::io;
use std::io::Read;
use std::net::{
    IpAddr,
    Ipv4Addr,
    Ipv6Addr,
    SocketAddr, //
};

use socket2::{
    Domain,
    Protocol,
    SockAddr,
    SockFilter,
    Socket,
    Type, //
};
use wireguard_host::protocol::crypto::Crypto;
use wireguard_host::rust_crypto::RustCrypto;

/// All that we send has this TTL, so that the listener can leave it out.
pub const OUR_TTL: u8 = 77;

/// How the UDP header lies.
#[derive(Clone, Copy, PartialEq)]
pub enum Udp {
    Good,
    Length(u16),
    Checksum(u16),
}

/// Sends packets with headers of our making.
pub struct Sender {
    v4: Socket,
    v6: Socket,
    packet: Vec<u8>,
    pub sent: u64,
    pub failed: u64,
}

impl Sender {
    pub fn new() -> io::Result<Self> {
        // IPPROTO_RAW: the header is ours.
        let raw = Some(Protocol::from(255));
        let v4 = Socket::new(Domain::IPV4, Type::RAW, raw)?;
        let v6 = Socket::new(Domain::IPV6, Type::RAW, raw)?;
        for socket in [&v4, &v6] {
            socket.set_send_buffer_size(8 << 20)?;
        }
        Ok(Self {
            v4,
            v6,
            packet: Vec::with_capacity(2048),
            sent: 0,
            failed: 0,
        })
    }

    /// Sends one datagram. What the kernel refuses is counted.
    pub fn send(&mut self, from: SocketAddr, to: SocketAddr, udp: Udp, payload: &[u8]) {
        let payload = &payload[..payload.len().min(1400)];
        let length = 8 + payload.len() as u16;
        let packet = &mut self.packet;
        packet.clear();
        let pseudo = match (from.ip(), to.ip()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                packet.extend([0x45, 0]);
                packet.extend((20 + length).to_be_bytes());
                packet.extend([0, 0, 0, 0, OUR_TTL, 17, 0, 0]);
                packet.extend(from.octets());
                packet.extend(to.octets());
                20 - 8
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                packet.extend([0x60, 0, 0, 0]);
                packet.extend(length.to_be_bytes());
                packet.extend([17, OUR_TTL]);
                packet.extend(from.octets());
                packet.extend(to.octets());
                40 - 32
            }
            _ => panic!("mixed address families"),
        };
        let start = packet.len();
        packet.extend(from.port().to_be_bytes());
        packet.extend(to.port().to_be_bytes());
        packet.extend(length.to_be_bytes());
        packet.extend([0, 0]);
        packet.extend(payload);
        let sum = checksum(&packet[pseudo..], u32::from(length) + 17);
        let (length, sum) = match udp {
            Udp::Good => (length, sum),
            Udp::Length(lie) => (lie, sum),
            Udp::Checksum(lie) => (length, lie),
        };
        packet[start + 4..start + 6].copy_from_slice(&length.to_be_bytes());
        packet[start + 6..start + 8].copy_from_slice(&sum.to_be_bytes());
        let (socket, to) = match to.ip() {
            // The port has no meaning for a raw socket, and IPv6 refuses all but zero.
            IpAddr::V4(ip) => (&self.v4, SocketAddr::new(ip.into(), 0)),
            IpAddr::V6(ip) => (&self.v6, SocketAddr::new(ip.into(), 0)),
        };
        match socket.send_to(packet, &SockAddr::from(to)) {
            Ok(_) => self.sent += 1,
            Err(_) => self.failed += 1,
        }
    }
}

fn checksum(bytes: &[u8], start: u32) -> u16 {
    let mut sum = start;
    for pair in bytes.chunks(2) {
        let low = pair.get(1).copied().unwrap_or(0);
        sum += u32::from(u16::from_be_bytes([pair[0], low]));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    match !(sum as u16) {
        0 => 0xffff,
        sum => sum,
    }
}

/// A UDP datagram that was seen.
pub struct Seen<'a> {
    pub from: SocketAddr,
    pub to: SocketAddr,
    pub payload: &'a [u8],
}

/// Sees the UDP datagrams of the namespace but those that [`Sender`] sent.
pub struct Listener {
    socket: Socket,
    buffer: Vec<u8>,
}

impl Listener {
    /// Packets of more than `longest` octets are left out.
    pub fn new(longest: u32) -> io::Result<Self> {
        const ETH_P_ALL: i32 = 0x0003;
        let protocol = Protocol::from(ETH_P_ALL.to_be() >> 16);
        let socket = Socket::new(Domain::PACKET, Type::DGRAM, Some(protocol))?;
        let op = SockFilter::new;
        // Length; version, and with it where the protocol and the TTL are.
        socket.attach_filter(&[
            op(0x80, 0, 0, 0),
            op(0x25, 11, 0, longest),
            op(0x30, 0, 0, 0),
            op(0x54, 0, 0, 0xf0),
            op(0x15, 4, 0, 0x40),
            op(0x30, 0, 0, 6),
            op(0x15, 0, 6, 17),
            op(0x30, 0, 0, 7),
            op(0x15, 4, 3, u32::from(OUR_TTL)),
            op(0x30, 0, 0, 9),
            op(0x15, 0, 2, 17),
            op(0x30, 0, 0, 8),
            op(0x15, 0, 1, u32::from(OUR_TTL)),
            op(0x06, 0, 0, 0),
            op(0x06, 0, 0, 0x40000),
        ])?;
        socket.set_recv_buffer_size(8 << 20)?;
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket,
            buffer: vec![0; 1 << 16],
        })
    }

    /// The next datagram, if one waits. `None` inside: a packet of another kind.
    pub fn next(&mut self) -> Option<Option<Seen<'_>>> {
        let len = self.socket.read(&mut self.buffer).ok()?;
        Some(Self::parse(&self.buffer[..len]))
    }

    fn parse(packet: &[u8]) -> Option<Seen<'_>> {
        let (from, to, protocol, rest): (IpAddr, IpAddr, _, _) = match packet.first()? >> 4 {
            4 => {
                let (head, rest) = packet.split_first_chunk::<20>()?;
                let part = |at: usize| <[u8; 4]>::try_from(&head[at..at + 4]).unwrap();
                let from = Ipv4Addr::from(part(12)).into();
                (from, Ipv4Addr::from(part(16)).into(), head[9], rest)
            }
            6 => {
                let (head, rest) = packet.split_first_chunk::<40>()?;
                let part = |at: usize| <[u8; 16]>::try_from(&head[at..at + 16]).unwrap();
                let from = Ipv6Addr::from(part(8)).into();
                (from, Ipv6Addr::from(part(24)).into(), head[6], rest)
            }
            _ => return None,
        };
        let (udp, rest) = rest.split_first_chunk::<8>()?;
        let word = |at: usize| u16::from_be_bytes([udp[at], udp[at + 1]]);
        let payload = rest.get(..usize::from(word(4)).checked_sub(8)?)?;
        (protocol == 17).then_some(Seen {
            from: SocketAddr::new(from, word(0)),
            to: SocketAddr::new(to, word(2)),
            payload,
        })
    }
}

/// The key of mac1 for the owner of a public key.
pub fn mac1_key(public: &[u8; 32]) -> [u8; 32] {
    let mut key = [0; 32];
    RustCrypto::blake2s_256(&mut key, &[], &[b"mac1----", public]);
    key
}

/// Puts a good mac1 on a handshake message.
pub fn put_mac1(key: &[u8; 32], message: &mut [u8]) {
    let at = message.len() - 32;
    let (body, macs) = message.split_at_mut(at);
    let mut mac = [0; 16];
    RustCrypto::blake2s_128(&mut mac, key, &[body]);
    macs[..16].copy_from_slice(&mac);
}
