// SPDX-License-Identifier: GPL-2.0

//! The generic netlink interface: family `wireguard`, version 1.
//!
//! `include/uapi/linux/wireguard.h` and `Documentation/netlink/specs/wireguard.yaml` of the kernel
//! are the specification. A request is checked as a whole before any of it is applied, so that a
//! mistake in the last allowed IP of the last peer leaves everything as it was.

#![forbid(unsafe_code)]

pub(crate) mod events;
mod options;
mod replace;
mod show;

use kernel::prelude::*;

use crate::allowed_ips::Prefix;
use crate::crypto::Identity;
use crate::device::{
    Config,
    Device, //
};
use crate::net::attr::{
    Attr,
    Attrs,
    Extack,
    Policy,
    EACH, //
};
use crate::net::endpoint::{
    Address,
    Endpoint,
    Source, //
};
#[cfg(kernel_7_2)]
use crate::net::errno::*;
use crate::net::genl::{
    Action,
    Command,
    Dumper,
    Family,
    Multicast,
    Request, //
};
use crate::net::netdev::Net;
use crate::net::rcu::Shared;
use crate::net::rtnl::{
    self,
    By,
    Rtnl, //
};
use crate::protocol::PublicKey;

/// Commands (`enum wg_cmd`).
mod cmd {
    pub(super) const GET_DEVICE: u8 = 0;
    pub(super) const SET_DEVICE: u8 = 1;
}

/// Attributes of a device (`enum wgdevice_attribute`).
mod device_attr {
    pub(super) const IFINDEX: u16 = 1;
    pub(super) const IFNAME: u16 = 2;
    pub(super) const PRIVATE_KEY: u16 = 3;
    pub(super) const PUBLIC_KEY: u16 = 4;
    pub(super) const FLAGS: u16 = 5;
    pub(super) const LISTEN_PORT: u16 = 6;
    pub(super) const FWMARK: u16 = 7;
    pub(super) const PEERS: u16 = 8;
}

/// Attributes of a peer (`enum wgpeer_attribute`).
mod peer_attr {
    pub(super) const PUBLIC_KEY: u16 = 1;
    pub(super) const PRESHARED_KEY: u16 = 2;
    pub(super) const FLAGS: u16 = 3;
    pub(super) const ENDPOINT: u16 = 4;
    pub(super) const PERSISTENT_KEEPALIVE_INTERVAL: u16 = 5;
    pub(super) const LAST_HANDSHAKE_TIME: u16 = 6;
    pub(super) const RX_BYTES: u16 = 7;
    pub(super) const TX_BYTES: u16 = 8;
    pub(super) const ALLOWEDIPS: u16 = 9;
    pub(super) const PROTOCOL_VERSION: u16 = 10;
}

/// Attributes of an allowed IP (`enum wgallowedip_attribute`).
mod allowedip_attr {
    pub(super) const FAMILY: u16 = 1;
    pub(super) const IPADDR: u16 = 2;
    pub(super) const CIDR_MASK: u16 = 3;
    pub(super) const FLAGS: u16 = 4;
}

/// `WGDEVICE_F_REPLACE_PEERS`.
const DEVICE_REPLACE_PEERS: u32 = 1;
/// `WGPEER_F_REMOVE_ME`.
const PEER_REMOVE: u32 = 1;
/// `WGPEER_F_REPLACE_ALLOWEDIPS`.
const PEER_REPLACE_ALLOWEDIPS: u32 = 2;
/// `WGPEER_F_UPDATE_ONLY`.
const PEER_UPDATE_ONLY: u32 = 4;
/// `WGALLOWEDIP_F_REMOVE_ME`.
const ALLOWEDIP_REMOVE: u32 = 1;

/// The only protocol version there is.
const PROTOCOL_VERSION: u32 = 1;

const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;

static ALLOWEDIP_POLICY: [Policy; 5] = [
    Policy::unspec(),
    Policy::u16(),
    Policy::min_len(4),
    Policy::u8(),
    Policy::mask32(ALLOWEDIP_REMOVE),
];

static PEER_POLICY: [Policy; 11] = [
    Policy::unspec(),
    Policy::exact_len(32),
    Policy::exact_len(32),
    Policy::mask32(PEER_REMOVE | PEER_REPLACE_ALLOWEDIPS | PEER_UPDATE_ONLY),
    Policy::min_len(16),
    Policy::u16(),
    Policy::exact_len(16),
    Policy::u64(),
    Policy::u64(),
    Policy::nested_array(&ALLOWEDIP_POLICY),
    Policy::u32(),
];

static GET_POLICY: [Policy; 3] = [Policy::unspec(), Policy::u32(), Policy::nul_string(15)];

static SET_POLICY: [Policy; 9] = [
    Policy::unspec(),
    Policy::u32(),
    Policy::nul_string(15),
    Policy::exact_len(32),
    Policy::exact_len(32),
    Policy::mask32(DEVICE_REPLACE_PEERS),
    Policy::u16(),
    Policy::u32(),
    Policy::nested_array(&PEER_POLICY),
];

const SET: Action = Action::new(
    Command::new(cmd::SET_DEVICE, &SET_POLICY).with_secrets(&[
        &[device_attr::PRIVATE_KEY],
        &[device_attr::PEERS, EACH, peer_attr::PRESHARED_KEY],
    ]),
    set,
);

/// The netlink family.
pub(crate) struct WireGuardFamily;

/// Where a dump stands between two of its messages.
pub(crate) struct Dump {
    device: Shared<Device>,
    /// The device's own attributes have been sent.
    begun: bool,
    /// Position of the next peer.
    peer: usize,
    /// Position of its next allowed IP; nonzero only when a message ended within the peer.
    allowed_ip: usize,
    /// The configuration's generation when the peer at `peer` was begun.
    generation: u32,
}

impl Family for WireGuardFamily {
    const NAME: &'static CStr = c"wireguard";
    const VERSION: u32 = 1;
    const GET: Command = Command::new(cmd::GET_DEVICE, &GET_POLICY);
    const ACTIONS: &'static [Action] = &[SET, options::GET, options::SET, replace::REPLACE];
    const GROUP: &'static CStr = c"events";
    type Dump = Dump;

    fn listeners() -> &'static Multicast {
        &events::GROUP
    }

    fn start(request: &Request<'_>) -> Result<Dump> {
        Ok(Dump {
            device: find(request, &Rtnl::lock())?,
            begun: false,
            peer: 0,
            allowed_ip: 0,
            generation: 0,
        })
    }

    fn dump(state: &mut Dump, out: &mut Dumper<'_>) -> Result<bool> {
        let rtnl = Rtnl::lock();
        let device = state.device.clone();
        // The device may have been deleted since the last part.
        let Some(dev) = device.dev.get_locked(&rtnl) else {
            out.extack().set(c"the interface was deleted meanwhile");
            return Err(ENODEV);
        };
        let config = device.config.lock();
        out.set_generation(config.generation);
        // The allowed IPs may have moved since the last part, so what is left of the peer is not known.
        if state.generation != config.generation {
            if state.allowed_ip != 0 {
                state.peer = state.peer.saturating_add(1);
                state.allowed_ip = 0;
            }
            state.generation = config.generation;
        }
        let (mut begun, mut peer, mut allowed_ip) = (state.begun, state.peer, state.allowed_ip);
        let done = out.message(|m| {
            if !begun {
                m.put_u16(device_attr::LISTEN_PORT, config.port)?;
                m.put_u32(device_attr::FWMARK, device.mark())?;
                m.put_u32(device_attr::IFINDEX, dev.ifindex())?;
                m.put_str(device_attr::IFNAME, &dev.name(&rtnl))?;
                if let Some(identity) = device.identity() {
                    m.put_bytes(device_attr::PRIVATE_KEY, identity.keys.private())?;
                    m.put_bytes(device_attr::PUBLIC_KEY, identity.keys.public())?;
                }
                begun = true;
            }
            show::put_peers(m, &config, &mut peer, &mut allowed_ip)
        })?;
        state.begun = begun;
        state.peer = peer;
        state.allowed_ip = allowed_ip;
        Ok(!done)
    }
}

/// The device that a request names by index or by name.
fn find(request: &Request<'_>, rtnl: &Rtnl) -> Result<Shared<Device>> {
    let index = request.attr(device_attr::IFINDEX);
    let name = request.attr(device_attr::IFNAME);
    let by = match (&index, &name) {
        (Some(index), None) => By::Index(index.u32().ok_or(EINVAL)?),
        (None, Some(name)) => By::Name(name.nul_string().ok_or(EINVAL)?),
        _ => {
            request
                .extack()
                .set(c"exactly one of interface index and interface name is needed");
            return Err(EBADR);
        }
    };
    rtnl::find(request.net(), by, rtnl).inspect_err(|e| {
        request.extack().set(match *e {
            e if e == EOPNOTSUPP => c"the interface is not a WireGuard interface",
            _ => c"there is no such interface",
        })
    })
}

/// A peer as a request describes it, checked.
struct PeerRequest<'a> {
    public_key: PublicKey,
    preshared: Option<[u8; 32]>,
    flags: u32,
    endpoint: Option<Address>,
    persistent_keepalive: Option<u16>,
    allowed_ips: Option<Attr<'a>>,
}

impl<'a> PeerRequest<'a> {
    fn parse(attr: &Attr<'a>, extack: &Extack<'_>) -> Result<Self> {
        let attrs: Attrs<'a, 11> = attr.nested(extack)?;
        let key = |kind| {
            attrs
                .get(kind)
                .and_then(|a: Attr<'a>| a.array::<32>().copied())
        };
        let Some(public_key) = key(peer_attr::PUBLIC_KEY) else {
            extack.set(c"a peer needs a public key of 32 octets");
            return Err(EINVAL);
        };
        let version = attrs.get(peer_attr::PROTOCOL_VERSION);
        if version.is_some_and(|v| v.u32() != Some(PROTOCOL_VERSION)) {
            extack.set(c"the only protocol version is 1");
            return Err(EPFNOSUPPORT);
        }
        Ok(Self {
            public_key,
            preshared: key(peer_attr::PRESHARED_KEY),
            flags: attrs
                .get(peer_attr::FLAGS)
                .and_then(|a| a.u32())
                .unwrap_or(0),
            endpoint: attrs
                .get(peer_attr::ENDPOINT)
                .and_then(|a| Address::from_sockaddr(a.payload())),
            persistent_keepalive: attrs
                .get(peer_attr::PERSISTENT_KEEPALIVE_INTERVAL)
                .and_then(|a| a.u16()),
            allowed_ips: attrs.get(peer_attr::ALLOWEDIPS),
        })
    }

    /// Checks the allowed IPs.
    fn check_allowed_ips(&self, extack: &Extack<'_>) -> Result {
        for entry in self.allowed_ips.iter().flat_map(|list| list.children()) {
            AllowedIpRequest::check(&entry, extack)?;
        }
        Ok(())
    }

    /// Applies the request. Only lack of memory can end it half-way.
    fn apply(&self, device: &Shared<Device>, config: &mut Config, extack: &Extack<'_>) -> Result {
        let (peer, is_new) = match device.find_peer(&self.public_key) {
            Some(peer) => (peer, false),
            None => {
                if self.flags & (PEER_REMOVE | PEER_UPDATE_ONLY) != 0 {
                    return Ok(());
                }
                // One configuration can be given to all members of a network: each ignores itself.
                if device
                    .identity()
                    .is_some_and(|identity| *identity.keys.public() == self.public_key)
                {
                    return Ok(());
                }
                let peer = Device::add_peer(device, config, &self.public_key, self.preshared)?;
                (peer, true)
            }
        };
        if self.flags & PEER_REMOVE != 0 {
            device.remove_peer(config, &peer);
            return Ok(());
        }
        if !is_new && self.preshared.is_some() {
            peer.handshake.lock().remote.set_preshared(self.preshared);
        }
        if let Some(remote) = self.endpoint {
            peer.set_endpoint(Endpoint {
                remote,
                source: Source::Unset,
            });
        }
        if !is_new && self.flags & PEER_REPLACE_ALLOWEDIPS != 0 {
            device.allowed_ips.remove_owner(&mut config.writer, &peer);
        }
        for entry in self.allowed_ips.iter().flat_map(|list| list.children()) {
            let entry = AllowedIpRequest::parse(&entry, extack)?;
            if entry.remove {
                device
                    .allowed_ips
                    .remove(&mut config.writer, &entry.prefix, &peer);
            } else {
                device
                    .allowed_ips
                    .insert(&mut config.writer, entry.prefix, &peer)?;
            }
        }
        if let Some(seconds) = self.persistent_keepalive {
            if peer.set_persistent_keepalive(seconds) && device.is_up() {
                crate::transmit::begin_keepalives(&peer);
            }
        }
        if device.is_up() {
            crate::transmit::send_staged(&peer);
        }
        Ok(())
    }
}

/// An allowed IP as a request describes it, checked.
struct AllowedIpRequest {
    prefix: Prefix,
    remove: bool,
}

impl AllowedIpRequest {
    /// Address, length and flags of an IPv4 entry in the form that tools use: family, address and length, in
    /// this order, and perhaps flags. There may be very many, and this takes a fraction of the general case's
    /// time.
    #[inline(always)]
    fn usual(attr: &Attr<'_>) -> Option<([u8; 4], u8, u32)> {
        /// The payload of an attribute that takes eight octets, header and padding included.
        #[inline(always)]
        fn next(octets: &mut &[u8], kind: u16, len: u16) -> Option<[u8; 4]> {
            let ([a, b, c, d, payload @ ..], rest) = octets.split_first_chunk::<8>()?;
            *octets = rest;
            let fits = u16::from_ne_bytes([*a, *b]) == len.wrapping_add(4)
                && u16::from_ne_bytes([*c, *d]) == kind;
            fits.then_some(*payload)
        }
        if !attr.is_nested() {
            return None;
        }
        let mut rest = attr.payload();
        let [family @ .., _, _] = next(&mut rest, allowedip_attr::FAMILY, 2)?;
        let address = next(&mut rest, allowedip_attr::IPADDR, 4)?;
        let [bits, ..] = next(&mut rest, allowedip_attr::CIDR_MASK, 1)?;
        let mut flags = 0;
        if !rest.is_empty() {
            flags = u32::from_ne_bytes(next(&mut rest, allowedip_attr::FLAGS, 4)?);
        }
        let fits = u16::from_ne_bytes(family) == AF_INET && bits <= 32 && rest.is_empty();
        fits.then_some((address, bits, flags))
    }

    /// Whether [`AllowedIpRequest::parse`] will succeed.
    #[inline(always)]
    fn check(attr: &Attr<'_>, extack: &Extack<'_>) -> Result {
        if Self::usual(attr).is_some() {
            return Ok(());
        }
        Self::parse_any(attr, extack).map(|_| ())
    }

    #[inline(always)]
    fn parse(attr: &Attr<'_>, extack: &Extack<'_>) -> Result<Self> {
        if let Some((address, bits, flags)) = Self::usual(attr) {
            if let Some(prefix) = Prefix::v4(address, bits) {
                return Ok(Self {
                    prefix,
                    remove: flags & ALLOWEDIP_REMOVE != 0,
                });
            }
        }
        Self::parse_any(attr, extack)
    }

    #[inline(never)]
    fn parse_any(attr: &Attr<'_>, extack: &Extack<'_>) -> Result<Self> {
        let entries = attr.entries(extack)?;
        let (mut family, mut bits, mut address, mut flags) = (None, None, None, 0);
        for (kind, attr) in entries {
            match kind {
                allowedip_attr::FAMILY => family = attr.u16(),
                allowedip_attr::CIDR_MASK => bits = attr.u8(),
                allowedip_attr::IPADDR => address = Some(attr),
                allowedip_attr::FLAGS => flags = attr.u32().unwrap_or(0),
                _ => {}
            }
        }
        let (Some(family), Some(bits), Some(address)) = (family, bits, address) else {
            extack.set(c"an allowed IP needs a family, an address and a prefix length");
            return Err(EINVAL);
        };
        let prefix = match family {
            AF_INET => address.array::<4>().and_then(|a| Prefix::v4(*a, bits)),
            AF_INET6 => address.array::<16>().and_then(|a| Prefix::v6(*a, bits)),
            _ => {
                extack.set(c"an allowed IP is either IPv4 or IPv6");
                return Err(EINVAL);
            }
        };
        let Some(prefix) = prefix else {
            extack
                .set(c"the address or the prefix length of an allowed IP does not fit its family");
            return Err(EINVAL);
        };
        Ok(Self {
            prefix,
            remove: flags & ALLOWEDIP_REMOVE != 0,
        })
    }
}

/// Checks the peers of a request before anything is applied.
fn check_peers(
    device: &Device,
    peers: &Attr<'_>,
    replace: bool,
    private: Option<&[u8; 32]>,
    extack: &Extack<'_>,
) -> Result {
    let mut position = 0usize;
    // To compute it takes long, so that is done once at most.
    let mut own = None;
    for attr in peers.children() {
        let peer = PeerRequest::parse(&attr, extack)?;
        if peer.check_allowed_ips(&Extack::none()).is_err() {
            let own = own.get_or_insert_with(|| own_key(device, private)).as_ref();
            if !is_ignored(device, peers, position, &peer, replace, own) {
                return peer.check_allowed_ips(extack);
            }
        }
        position = position.saturating_add(1);
    }
    Ok(())
}

/// Our own public key when a request with this private key, if any, has been applied.
fn own_key(device: &Device, private: Option<&[u8; 32]>) -> Option<PublicKey> {
    match private {
        Some(private) => Identity::new(*private).map(|keys| *keys.public()),
        None => device.identity().map(|identity| *identity.keys.public()),
    }
}

/// Whether the allowed IPs of a peer in a request do not matter, because the peer is removed, is not
/// added, or is ourselves. One configuration can be given to all members of a network, so that is no error.
fn is_ignored(
    device: &Device,
    peers: &Attr<'_>,
    position: usize,
    peer: &PeerRequest<'_>,
    replace: bool,
    own: Option<&PublicKey>,
) -> bool {
    if peer.flags & PEER_REMOVE != 0 || own == Some(&peer.public_key) {
        return true;
    }
    if peer.flags & PEER_UPDATE_ONLY == 0 {
        return false;
    }
    // Whether the peer exists when its turn comes: the same request may have named it earlier.
    let mut exists = !replace && device.find_peer(&peer.public_key).is_some();
    for attr in peers.children().take(position) {
        let Ok(earlier) = PeerRequest::parse(&attr, &Extack::none()) else {
            continue;
        };
        if earlier.public_key != peer.public_key {
            continue;
        }
        if earlier.flags & PEER_REMOVE != 0 {
            exists = false;
        } else if earlier.flags & PEER_UPDATE_ONLY == 0 {
            exists = true;
        }
    }
    !exists
}

fn set(request: &Request<'_>) -> Result {
    apply(request).inspect_err(|e| {
        request.extack().set_default(match *e {
            e if e == ENOMEM => {
                c"there is no memory for it, or the interface has as many peers as it can have"
            }
            _ => c"the request could not be carried out",
        });
    })
}

fn apply(request: &Request<'_>) -> Result {
    let extack = request.extack();
    let rtnl = Rtnl::lock();
    let device = &find(request, &rtnl)?;
    let mut guard = device.config.lock();
    let config = &mut *guard;

    let port = request.attr(device_attr::LISTEN_PORT).and_then(|a| a.u16());
    let mark = request.attr(device_attr::FWMARK).and_then(|a| a.u32());
    if port.is_some() || mark.is_some() {
        // Both reach into the namespace of the sockets, which may not be the requester's.
        if !device.home_net(&rtnl).is_some_and(Net::may_administer) {
            extack.set(c"the port and the mark need CAP_NET_ADMIN in the namespace of the sockets");
            return Err(EPERM);
        }
    }
    let flags = request
        .attr(device_attr::FLAGS)
        .and_then(|a| a.u32())
        .unwrap_or(0);
    let replace = flags & DEVICE_REPLACE_PEERS != 0;
    let private = request.attr(device_attr::PRIVATE_KEY);
    let private = private.as_ref().and_then(|a| a.array::<32>());
    let peers = request.attr(device_attr::PEERS);
    if let Some(peers) = &peers {
        check_peers(device, peers, replace, private, &extack)?;
    }

    config.generation = config.generation.wrapping_add(1).max(1);
    Device::set_port_and_mark(device, config, &rtnl, port, mark).inspect_err(|_| {
        extack.set(c"the UDP port could not be bound");
    })?;
    if replace {
        device.remove_all_peers(config);
    }
    if let Some(private) = private {
        device.set_private_key(config, private)?;
    }
    for peer in peers.iter().flat_map(|peers| peers.children()) {
        PeerRequest::parse(&peer, &extack)?.apply(device, config, &extack)?;
    }
    Ok(())
}
