// SPDX-License-Identifier: GPL-2.0

//! Two ends that do what they like, and a network that loses, repeats, reorders and changes messages.

use crate::prelude::*;

pub fn run(data: &[u8]) {
    let mut ends = [End::new(1, 2), End::new(2, 1)];
    let mut network: Vec<Vec<u8>> = Vec::new();
    for [what, who, pick, value] in steps::<[u8; 4]>(data) {
        let end = &mut ends[usize::from(who) % 2];
        let message = network.get(usize::from(pick)).cloned();
        match (what % 8, message) {
            (0, _) => network.extend(end.initiate()),
            (1, Some(message)) => match Message::parse(&message) {
                Some(Message::Initiation(m)) => network.extend(end.respond(m.bytes())),
                Some(Message::Response(m)) => end.complete(m.bytes()),
                _ => {}
            },
            (2, Some(mut message)) => {
                let at = usize::from(value) % message.len();
                message[at] ^= who | 2;
                network.push(message);
            }
            (3, _) => end.handshake.clear(),
            (4, _) => end.now += u64::from(value) << 22,
            (5, _) => end.preshared(value),
            _ => {}
        }
        let [a, b] = &ends;
        a.check_against(b);
        b.check_against(a);
    }
}
