// SPDX-License-Identifier: GPL-2.0

//! Message layouts (§5.4.2 to §5.4.7).
//!
//! All messages begin with a type octet and three zero octets, read as one little-endian word. The
//! lengths of handshake messages are fixed, so a message is recognised once, by type and length
//! together; the views that result need no further checks.

/// Octets of an initiation.
pub const INITIATION_LEN: usize = 148;
/// Octets of a response.
pub const RESPONSE_LEN: usize = 92;
/// Octets of a cookie reply.
pub const COOKIE_REPLY_LEN: usize = 64;
/// Octets in front of the ciphertext of transport data.
pub const DATA_HEADER_LEN: usize = 16;
/// Octets of an authentication tag.
pub const TAG_LEN: usize = super::crypto::TAG_LEN;
/// Octets that transport data adds to a packet; also the length of a keepalive.
pub const DATA_OVERHEAD: usize = DATA_HEADER_LEN + TAG_LEN;
/// Octets of mac1 and of mac2, which end an initiation and a response.
pub const MAC_LEN: usize = 16;
/// Packets are padded with zeros to a multiple of this many octets (§5.4.6).
pub const PADDING_MULTIPLE: usize = 16;

/// What a datagram is, by its type word and length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Handshake initiation.
    Initiation,
    /// Handshake response.
    Response,
    /// Cookie reply.
    CookieReply,
    /// Transport data.
    Data,
}

impl Kind {
    /// The type word of an initiation.
    pub const INITIATION: u32 = 1;
    /// That of a response.
    pub const RESPONSE: u32 = 2;
    /// That of a cookie reply.
    pub const COOKIE_REPLY: u32 = 3;
    const DATA: u32 = 4;

    /// Recognises a datagram of `len` octets that begins with `head`. `None` if it is no WireGuard message.
    pub fn of(head: &[u8], len: usize) -> Option<Self> {
        let word = u32::from_le_bytes(*head.first_chunk()?);
        match (word, len) {
            (Self::INITIATION, INITIATION_LEN) => Some(Self::Initiation),
            (Self::RESPONSE, RESPONSE_LEN) => Some(Self::Response),
            (Self::COOKIE_REPLY, COOKIE_REPLY_LEN) => Some(Self::CookieReply),
            (Self::DATA, len) if len >= DATA_OVERHEAD => Some(Self::Data),
            _ => None,
        }
    }
}

/// `N` octets from position `OFFSET` of a message of `LEN` octets; checked at compile time.
pub(super) fn field<const OFFSET: usize, const N: usize, const LEN: usize>(
    message: &[u8; LEN],
) -> [u8; N] {
    const { assert!(OFFSET <= LEN && N <= LEN - OFFSET) };
    let mut out = [0; N];
    for (to, from) in out.iter_mut().zip(message.iter().skip(OFFSET)) {
        *to = *from;
    }
    out
}

/// Writes `bytes` at position `OFFSET` of a message of `LEN` octets; checked at compile time.
pub(super) fn put<const OFFSET: usize, const N: usize, const LEN: usize>(
    message: &mut [u8; LEN],
    bytes: &[u8; N],
) {
    const { assert!(OFFSET <= LEN && N <= LEN - OFFSET) };
    for (to, from) in message.iter_mut().skip(OFFSET).zip(bytes) {
        *to = *from;
    }
}

/// An initiation: type, sender index, ephemeral key, sealed static key, sealed timestamp, macs.
#[derive(Clone, Copy)]
pub struct Initiation<'a>(&'a [u8; INITIATION_LEN]);

impl<'a> Initiation<'a> {
    /// The index that the initiator chose for itself.
    pub fn sender(&self) -> u32 {
        u32::from_le_bytes(field::<4, 4, INITIATION_LEN>(self.0))
    }

    /// The whole message.
    pub fn bytes(&self) -> &'a [u8; INITIATION_LEN] {
        self.0
    }
}

/// A response: type, sender and receiver index, ephemeral key, sealed empty payload, macs.
#[derive(Clone, Copy)]
pub struct Response<'a>(&'a [u8; RESPONSE_LEN]);

impl<'a> Response<'a> {
    /// The index that the responder chose for itself.
    pub fn sender(&self) -> u32 {
        u32::from_le_bytes(field::<4, 4, RESPONSE_LEN>(self.0))
    }

    /// The index of the initiation that it answers.
    pub fn receiver(&self) -> u32 {
        u32::from_le_bytes(field::<8, 4, RESPONSE_LEN>(self.0))
    }

    /// The whole message.
    pub fn bytes(&self) -> &'a [u8; RESPONSE_LEN] {
        self.0
    }
}

/// A cookie reply: type, receiver index, nonce, sealed cookie.
#[derive(Clone, Copy)]
pub struct CookieReply<'a>(&'a [u8; COOKIE_REPLY_LEN]);

impl<'a> CookieReply<'a> {
    /// The index of the message that it answers.
    pub fn receiver(&self) -> u32 {
        u32::from_le_bytes(field::<4, 4, COOKIE_REPLY_LEN>(self.0))
    }

    /// The whole message.
    pub fn bytes(&self) -> &'a [u8; COOKIE_REPLY_LEN] {
        self.0
    }
}

/// A datagram that has the shape of a WireGuard message. Nothing in it is authenticated yet.
pub enum Message<'a> {
    /// Handshake initiation.
    Initiation(Initiation<'a>),
    /// Handshake response.
    Response(Response<'a>),
    /// Cookie reply.
    CookieReply(CookieReply<'a>),
    /// Transport data.
    Data {
        /// Which session, and which message of it.
        header: DataHeader,
        /// Ciphertext and tag, at least 16 octets.
        body: &'a [u8],
    },
}

impl<'a> Message<'a> {
    /// Recognises a datagram by type and length.
    pub fn parse(datagram: &'a [u8]) -> Option<Self> {
        Some(match Kind::of(datagram, datagram.len())? {
            Kind::Initiation => Self::Initiation(Initiation(datagram.try_into().ok()?)),
            Kind::Response => Self::Response(Response(datagram.try_into().ok()?)),
            Kind::CookieReply => Self::CookieReply(CookieReply(datagram.try_into().ok()?)),
            Kind::Data => {
                let (header, body) = datagram.split_first_chunk()?;
                Self::Data {
                    header: DataHeader::read(header),
                    body,
                }
            }
        })
    }
}

/// The head of transport data: type, receiver index, counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataHeader {
    /// The index that the receiver chose for the session.
    pub receiver: u32,
    /// The message's number within the session.
    pub counter: u64,
}

impl DataHeader {
    /// Reads the head of a message that is known to be transport data.
    pub fn read(head: &[u8; DATA_HEADER_LEN]) -> Self {
        Self {
            receiver: u32::from_le_bytes(field::<4, 4, DATA_HEADER_LEN>(head)),
            counter: u64::from_le_bytes(field::<8, 8, DATA_HEADER_LEN>(head)),
        }
    }

    /// The head as it goes on the wire.
    pub fn to_bytes(self) -> [u8; DATA_HEADER_LEN] {
        let mut head = [0; DATA_HEADER_LEN];
        put::<0, 4, DATA_HEADER_LEN>(&mut head, &Kind::DATA.to_le_bytes());
        put::<4, 4, DATA_HEADER_LEN>(&mut head, &self.receiver.to_le_bytes());
        put::<8, 8, DATA_HEADER_LEN>(&mut head, &self.counter.to_le_bytes());
        head
    }
}

/// The type word of an initiation as it goes on the wire.
pub(super) const INITIATION_TYPE: [u8; 4] = Kind::INITIATION.to_le_bytes();
/// The type word of a response.
pub(super) const RESPONSE_TYPE: [u8; 4] = Kind::RESPONSE.to_le_bytes();
/// The type word of a cookie reply.
pub(super) const COOKIE_REPLY_TYPE: [u8; 4] = Kind::COOKIE_REPLY.to_le_bytes();

/// The length to which a packet of `len` octets is padded on a path with an MTU of `mtu` octets (§5.4.6):
/// the next multiple of 16, but not beyond the MTU, lest the padding make the packet too long. An `mtu` of
/// zero means unknown. A packet longer than the MTU is padded as its last part would be, were it cut there.
pub fn padded_len(len: usize, mtu: usize) -> usize {
    let round_up = |n: usize| n.checked_next_multiple_of(PADDING_MULTIPLE).unwrap_or(n);
    match len.checked_rem(mtu) {
        None => round_up(len),
        Some(_) if len <= mtu => round_up(len).min(mtu),
        Some(last) => {
            let padding = round_up(last).min(mtu).saturating_sub(last);
            len.saturating_add(padding)
        }
    }
}
