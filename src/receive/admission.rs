// SPDX-License-Identifier: GPL-2.0

//! Which of the packets that a peer sends may go up the stack: cryptokey routing on receipt (whitepaper §2).

#![forbid(unsafe_code)]

use super::Incoming;
use crate::net::netdev::NetDevice;
use crate::net::rcu::{
    self,
    Shared, //
};
use crate::net::skb::{
    IpVersion,
    LinearSkb, //
};
use crate::peer::Peer;

/// Why a packet that was opened does not go up the stack.
pub(super) enum Dishonest {
    /// Neither IPv4 nor IPv6.
    Type,
    /// Shorter than its own header says.
    Size,
    /// A source that is not among the peer's allowed IPs.
    Source,
}

/// Which packets inside may go up the stack. Remembers the last answer: packets of one train mostly have
/// one source.
pub(super) struct Admission<'a> {
    incoming: &'a Incoming,
    peer: &'a Shared<Peer>,
    dev: &'a NetDevice,
    guard: &'a rcu::Guard,
    last: Option<(IpAddress, bool)>,
}

/// A source address.
#[derive(Clone, Copy, PartialEq, Eq)]
enum IpAddress {
    V4([u8; 4]),
    V6([u8; 16]),
}

impl<'a> Admission<'a> {
    pub(super) fn new(
        incoming: &'a Incoming,
        peer: &'a Shared<Peer>,
        dev: &'a NetDevice,
        guard: &'a rcu::Guard,
    ) -> Self {
        Self {
            incoming,
            peer,
            dev,
            guard,
            last: None,
        }
    }

    /// Checks the packet's shape and source, takes the padding off, and makes it one of the device's.
    pub(super) fn check(&mut self, skb: &mut LinearSkb) -> Result<(), Dishonest> {
        let (version, len) = ip_version_and_length(skb.data()).ok_or(Dishonest::Type)?;
        let shortest = match version {
            IpVersion::V4 => 20,
            IpVersion::V6 => 40,
        };
        if len < shortest || len > skb.data().len() {
            return Err(Dishonest::Size);
        }
        skb.prepare_inner(self.dev, version);
        // CE and ECT(1), which both have this bit, are what the inner header may have to take over.
        if self.incoming.outer_ds & 1 != 0 {
            skb.ecn_decapsulate(self.incoming.outer_ds);
        }
        skb.trim(len);
        let source = match version {
            IpVersion::V4 => skb.ipv4_source().map(IpAddress::V4),
            IpVersion::V6 => skb.ipv6_source().map(IpAddress::V6),
        };
        match source {
            Some(source) if self.is_allowed(source) => Ok(()),
            _ => Err(Dishonest::Source),
        }
    }

    fn is_allowed(&mut self, source: IpAddress) -> bool {
        if let Some((last, allowed)) = self.last {
            if last == source {
                return allowed;
            }
        }
        let peer = self.peer;
        let table = &peer.device.allowed_ips;
        let owner = match source {
            IpAddress::V4(from) => table.lookup_v4(self.guard, from),
            IpAddress::V6(from) => table.lookup_v6(self.guard, &from),
        };
        let allowed = owner.is_some_and(|owner| core::ptr::eq(&*owner, &**peer));
        self.last = Some((source, allowed));
        allowed
    }
}

/// Version of the IP packet and the length that its header claims, header included.
fn ip_version_and_length(packet: &[u8]) -> Option<(IpVersion, usize)> {
    match packet.first()? >> 4 {
        4 => {
            let header: &[u8; 20] = packet.first_chunk()?;
            let [_, _, high, low, ..] = *header;
            Some((IpVersion::V4, usize::from(u16::from_be_bytes([high, low]))))
        }
        6 => {
            let header: &[u8; 40] = packet.first_chunk()?;
            let [_, _, _, _, high, low, ..] = *header;
            let payload = usize::from(u16::from_be_bytes([high, low]));
            Some((IpVersion::V6, payload.wrapping_add(40)))
        }
        _ => None,
    }
}
