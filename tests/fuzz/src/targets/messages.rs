// SPDX-License-Identifier: GPL-2.0

//! What is recognised as a message, and what is read out of it.

use crate::prelude::*;

fn word(data: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(data[at..at + 4].try_into().unwrap())
}

pub fn run(data: &[u8]) {
    let wanted = data.first_chunk().map(|head| u32::from_le_bytes(*head));
    let parsed = Message::parse(data);
    let known = match (wanted, data.len()) {
        (Some(1), 148) | (Some(2), 92) | (Some(3), 64) => true,
        (Some(4), len) => len >= 32,
        _ => false,
    };
    assert_eq!(parsed.is_some(), known);
    match parsed {
        Some(Message::Initiation(m)) => assert_eq!(m.sender(), word(data, 4)),
        Some(Message::Response(m)) => {
            assert_eq!((m.sender(), m.receiver()), (word(data, 4), word(data, 8)));
        }
        Some(Message::CookieReply(m)) => assert_eq!(m.receiver(), word(data, 4)),
        Some(Message::Data { header, body }) => {
            assert_eq!(header.to_bytes(), data[..16]);
            assert_eq!(DataHeader::read(&header.to_bytes()), header);
            assert_eq!(body, &data[16..]);
            let (len, mtu) = (header.receiver as usize, header.counter as usize);
            let padded = padded_len(len, mtu);
            assert!(padded >= len && padded - len < 16);
            assert!(mtu == 0 || len > mtu || padded <= mtu);
        }
        None => {}
    }
}
