// SPDX-License-Identifier: GPL-2.0

//! The packets that a GSO packet stands for, written where they are wanted.
//!
//! The kernel's `skb_gso_segment` makes an `sk_buff` for each of them and copies the contents there. A caller
//! that copies them anyway has no use for that: [`Segments`] writes the header and contents of one packet
//! after the other into the caller's memory, and computes their checksums on the way.
//!
//! C header: [`include/net/tso.h`](srctree/include/net/tso.h)

use kernel::prelude::*;

use super::bindings;
use super::skb::{
    IpVersion,
    Skb, //
};
use super::train::pieces;

const IPV4_HEADER_LEN: usize = 20;
const IPV6_HEADER_LEN: usize = 40;
const TCP_HEADER_LEN: usize = 20;

const TCPV4: u32 = bindings::SKB_GSO_TCPV4 as u32;
const TCPV6: u32 = bindings::SKB_GSO_TCPV6 as u32;
const TCP_ECN: u32 = bindings::SKB_GSO_TCP_ECN as u32;
const TCP_FIXEDID: u32 = bindings::SKB_GSO_TCP_FIXEDID as u32;
const TCP_ACCECN: u32 = bindings::SKB_GSO_TCP_ACCECN as u32;
const UDP_L4: u32 = bindings::SKB_GSO_UDP_L4 as u32;
const UNTRUSTED: u32 = bindings::SKB_GSO_DODGY as u32;

const IPPROTO_TCP: u8 = bindings::IPPROTO_TCP as u8;
const IPPROTO_UDP: u8 = bindings::IPPROTO_UDP as u8;

/// What is above IP.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Transport {
    Tcp {
        /// Congestion Window Reduced stays set in all segments (accurate ECN).
        keep_cwr: bool,
    },
    Udp,
}

/// A GSO packet that is being taken apart.
///
/// # Invariants
///
/// `skb` is a GSO packet of TCP or UDP over IP, whose headers (`header` octets) are linear and at the start of
/// its data; `tso` is the kernel's state for it, past all but the last `left` octets of the contents.
pub(crate) struct Segments {
    skb: Skb,
    tso: bindings::tso_t,
    version: IpVersion,
    transport: Transport,
    fixed_id: bool,
    header: usize,
    ip_header: usize,
    size: usize,
    left: usize,
    first: bool,
}

impl Segments {
    /// Starts on `skb`, or gives it back if it is not of the plain kind that this can handle: if it has a tunnel
    /// inside, extension headers, headers that a guest made up, or contents in a chain of packets; or if TCP wants to
    /// know when the packet with its last octet leaves, which would be lost where a train is cut without the help of
    /// hardware.
    pub(crate) fn of(skb: Skb) -> Result<Self, Skb> {
        match Self::plan(&skb) {
            Some((version, transport, header, ip_header)) => {
                let raw = skb.as_ptr();
                let mut tso = bindings::tso_t::default();
                // SAFETY: `plan` has checked that the headers are there. The packet is only read.
                let (size, gso_type) = unsafe {
                    bindings::tso_start(raw, &mut tso);
                    (bindings::skb_gso_size(raw), bindings::skb_gso_type(raw))
                };
                Ok(Self {
                    left: skb.len().saturating_sub(header),
                    skb,
                    tso,
                    version,
                    transport,
                    fixed_id: gso_type & TCP_FIXEDID != 0,
                    header,
                    ip_header,
                    size: size as usize,
                    first: true,
                })
            }
            None => Err(skb),
        }
    }

    fn plan(skb: &Skb) -> Option<(IpVersion, Transport, usize, usize)> {
        let raw = skb.as_ptr();
        // SAFETY: The packet is ours.
        let (gso_type, gso_size, network, transport, linear) = unsafe {
            if !bindings::skb_is_plain_gso(raw) {
                return None;
            }
            (
                bindings::skb_gso_type(raw),
                bindings::skb_gso_size(raw),
                bindings::skb_network_offset(raw),
                usize::try_from(bindings::skb_transport_offset(raw)).ok()?,
                skb.len().checked_sub((*raw).data_len as usize)?,
            )
        };
        const EXTRA: u32 = TCP_ECN | TCP_FIXEDID | TCP_ACCECN;
        let version = skb.inner_protocol()?;
        // Nothing about a virtual machine's packets is believed that is not checked below.
        let gso_type = gso_type & !UNTRUSTED;
        let tcp = match (version, gso_type & !EXTRA) {
            (IpVersion::V4, TCPV4) | (IpVersion::V6, TCPV6) => true,
            (_, UDP_L4) if gso_type & EXTRA == 0 => false,
            _ => return None,
        };
        if tcp && skb.wants_timestamp() {
            return None;
        }
        let (ip_header, [protocol]) = match version {
            IpVersion::V4 => {
                let [first] = skb.bytes_at(0)?;
                (usize::from(first & 15).checked_mul(4)?, skb.bytes_at(9)?)
            }
            IpVersion::V6 => (IPV6_HEADER_LEN, skb.bytes_at(6)?),
        };
        let transport_header = if tcp {
            let [offset] = skb.bytes_at(transport.checked_add(12)?)?;
            usize::from(offset >> 4).checked_mul(4)?
        } else {
            super::udp::HEADER_LEN
        };
        let header = transport.checked_add(transport_header)?;
        let sane = network == 0
            && gso_size != 0
            && ip_header >= IPV4_HEADER_LEN
            && transport == ip_header
            && protocol == if tcp { IPPROTO_TCP } else { IPPROTO_UDP }
            && (!tcp || transport_header >= TCP_HEADER_LEN)
            && header <= linear
            && header < skb.len();
        let keep_cwr = gso_type & TCP_ACCECN != 0;
        let transport = if tcp {
            Transport::Tcp { keep_cwr }
        } else {
            Transport::Udp
        };
        sane.then_some((version, transport, header, ip_header))
    }

    /// How many packets are left.
    pub(crate) fn count(&self) -> usize {
        pieces(self.left, self.size)
    }

    /// Length of the next packet in octets; `None` if there is none. All have the same length, except that the
    /// last may be shorter.
    pub(crate) fn next_len(&self) -> Option<usize> {
        (self.left != 0).then(|| self.left.min(self.size).saturating_add(self.header))
    }

    /// The packet that is being taken apart.
    pub(crate) fn packet(&self) -> &Skb {
        &self.skb
    }

    /// Gives the packet back.
    pub(crate) fn into_packet(self) -> Skb {
        self.skb
    }

    /// Writes the next packet to the beginning of `to`. `false` if it does not fit, or none is left.
    #[must_use]
    pub(crate) fn write_next(&mut self, to: &mut [u8]) -> bool {
        let Some(len) = self.next_len() else {
            return false;
        };
        let size = len.saturating_sub(self.header);
        let Some((header, contents)) = to
            .get_mut(..len)
            .and_then(|to| to.split_at_mut_checked(self.header))
        else {
            return false;
        };
        let last = self.left == size;
        let id = self.tso.ip_id;
        // SAFETY: By the type invariant; `header` has room for all headers.
        unsafe {
            bindings::tso_build_hdr(
                self.skb.as_ptr(),
                header.as_mut_ptr().cast(),
                &mut self.tso,
                size as i32,
                last,
            );
        }
        if self.fixed_id {
            self.tso.ip_id = id;
        }
        let Some(sum) = self.copy(contents) else {
            return false;
        };
        // INVARIANT: The contents were taken from `tso`.
        self.left = self.left.saturating_sub(size);
        self.finish_header(header, len, sum).is_some()
    }

    /// Copies the next octets of the contents, and returns their checksum.
    fn copy(&mut self, to: &mut [u8]) -> Option<u32> {
        let mut sum = 0u32;
        let mut done = 0usize;
        while done < to.len() {
            let rest = to.get_mut(done..)?;
            let chunk = usize::try_from(self.tso.size).ok()?.min(rest.len());
            if chunk == 0 {
                return None;
            }
            // SAFETY: The state's data is good for `size` octets; the packet is ours, so it stays so.
            unsafe {
                let part = bindings::csum_partial_copy_nocheck(
                    self.tso.data,
                    rest.as_mut_ptr().cast(),
                    chunk as i32,
                );
                sum = bindings::csum_block_add(sum, part, done as i32);
                bindings::tso_build_data(self.skb.as_ptr(), &mut self.tso, chunk as i32);
            }
            done = done.saturating_add(chunk);
        }
        Some(sum)
    }

    /// Does what the kernel leaves to the hardware: checksums, and flags that only one segment may have.
    fn finish_header(&mut self, header: &mut [u8], len: usize, sum: u32) -> Option<()> {
        const CWR: u8 = 0x80;
        let first = core::mem::replace(&mut self.first, false);
        let (ip, transport) = header.split_at_mut_checked(self.ip_header)?;
        let length = len.checked_sub(self.ip_header)?;
        let protocol = match self.transport {
            Transport::Tcp { keep_cwr } => {
                let flags = transport.get_mut(13)?;
                if !first && !keep_cwr {
                    *flags &= !CWR;
                }
                bindings::IPPROTO_TCP
            }
            Transport::Udp => bindings::IPPROTO_UDP,
        };
        let position = match self.transport {
            Transport::Tcp { .. } => 16,
            Transport::Udp => 6,
        };
        write(transport, position, [0, 0])?;
        // SAFETY: The slices are good for what is read: the transport header as a whole, and the
        // addresses, whose places were checked with `get`.
        let check = unsafe {
            let sum =
                bindings::csum_partial(transport.as_ptr().cast(), transport.len() as i32, sum);
            match self.version {
                IpVersion::V4 => bindings::csum_tcpudp_magic(
                    u32::from_ne_bytes(*ip.get(12..)?.first_chunk()?),
                    u32::from_ne_bytes(*ip.get(16..)?.first_chunk()?),
                    length as u32,
                    protocol as u8,
                    sum,
                ),
                IpVersion::V6 => bindings::csum_ipv6_magic(
                    ip.get(8..24)?.as_ptr().cast(),
                    ip.get(24..40)?.as_ptr().cast(),
                    length as u32,
                    protocol as u8,
                    sum,
                ),
            }
        };
        // Zero would mean that a UDP packet has no checksum.
        let check = match (self.transport, check) {
            (Transport::Udp, 0) => 0xffff,
            (_, check) => check,
        };
        write(transport, position, check.to_ne_bytes())?;
        if self.version == IpVersion::V4 {
            // SAFETY: The header is as long as it says, which was checked.
            unsafe { bindings::ip_send_check(ip.as_mut_ptr().cast()) };
        }
        Some(())
    }
}

fn write(to: &mut [u8], at: usize, value: [u8; 2]) -> Option<()> {
    *to.get_mut(at..)?.first_chunk_mut()? = value;
    Some(())
}
