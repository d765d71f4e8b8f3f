// SPDX-License-Identifier: GPL-2.0

//! Where a tunnel's packets go, and from which of our addresses.
//!
//! C headers: [`include/uapi/linux/in.h`](srctree/include/uapi/linux/in.h),
//! [`include/net/dst_cache.h`](srctree/include/net/dst_cache.h)

use core::cell::UnsafeCell;
use core::fmt;

use kernel::prelude::*;
use kernel::sync::atomic::{
    Acquire,
    Atomic,
    Relaxed,
    Release, //
};

use super::bh::BhLock;
use super::bindings;
use super::skb::{
    IpVersion,
    Skb, //
};
use crate::new_bh_lock;

/// Size of `struct sockaddr_in` in octets.
const SOCKADDR_IN_LEN: usize = 16;
/// Size of `struct sockaddr_in6` in octets.
pub(crate) const SOCKADDR_IN6_LEN: usize = 28;

/// An address and a UDP port.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Address {
    /// IPv4.
    V4 {
        /// The address.
        addr: [u8; 4],
        /// The port.
        port: u16,
    },
    /// IPv6.
    V6 {
        /// The address.
        addr: [u8; 16],
        /// The port.
        port: u16,
        /// The flow label and traffic class as configured; shown, but not sent.
        flowinfo: u32,
        /// The device that a link-local address is on; zero for others.
        scope: u32,
    },
}

impl Address {
    /// Reads a socket address as user space writes it. `None` for a family that is neither IPv4 nor
    /// IPv6, and for a length that does not match the family.
    pub(crate) fn from_sockaddr(bytes: &[u8]) -> Option<Self> {
        let (family, rest) = bytes.split_first_chunk()?;
        let family = u32::from(u16::from_ne_bytes(*family));
        let (port, rest) = rest.split_first_chunk()?;
        let port = u16::from_be_bytes(*port);
        match (family, bytes.len()) {
            (bindings::AF_INET, SOCKADDR_IN_LEN) => Some(Self::V4 {
                addr: *rest.first_chunk()?,
                port,
            }),
            (bindings::AF_INET6, SOCKADDR_IN6_LEN) => {
                let (flowinfo, rest) = rest.split_first_chunk()?;
                let (addr, scope) = rest.split_first_chunk()?;
                Some(Self::V6 {
                    addr: *addr,
                    port,
                    flowinfo: u32::from_be_bytes(*flowinfo),
                    scope: u32::from_ne_bytes(*scope.first_chunk()?),
                })
            }
            _ => None,
        }
    }

    /// The socket address as user space reads it, and its length.
    pub(crate) fn to_sockaddr(self) -> ([u8; SOCKADDR_IN6_LEN], usize) {
        let mut out = [0; SOCKADDR_IN6_LEN];
        let mut put = |at: usize, bytes: &[u8]| {
            for (to, from) in out.iter_mut().skip(at).zip(bytes) {
                *to = *from;
            }
        };
        match self {
            Self::V4 { addr, port } => {
                put(0, &(bindings::AF_INET as u16).to_ne_bytes());
                put(2, &port.to_be_bytes());
                put(4, &addr);
                (out, SOCKADDR_IN_LEN)
            }
            Self::V6 {
                addr,
                port,
                flowinfo,
                scope,
            } => {
                put(0, &(bindings::AF_INET6 as u16).to_ne_bytes());
                put(2, &port.to_be_bytes());
                put(4, &flowinfo.to_be_bytes());
                put(8, &addr);
                put(24, &scope.to_ne_bytes());
                (out, SOCKADDR_IN6_LEN)
            }
        }
    }

    /// Whether messages to both go to the same place. The flow label is not part of it.
    pub(crate) fn is_at(&self, other: &Self) -> bool {
        let place = |mut of: Self| {
            if let Self::V6 { flowinfo, .. } = &mut of {
                *flowinfo = 0;
            }
            of
        };
        place(*self) == place(*other)
    }

    /// Address and port as octets in network order, and how many there are.
    pub(crate) fn octets(&self) -> ([u8; 18], usize) {
        let mut out = [0; 18];
        let (addr, port): (&[u8], u16) = match self {
            Self::V4 { addr, port } => (addr, *port),
            Self::V6 { addr, port, .. } => (addr, *port),
        };
        let octets = Iterator::chain(addr.iter().copied(), port.to_be_bytes());
        for (to, from) in out.iter_mut().zip(octets) {
            *to = from;
        }
        (out, addr.len().saturating_add(2))
    }
}

/// Formats as the kernel's `%pISpfsc` does.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const FLOW_MASK: u32 = 0x0fff_ffff;
        match *self {
            Self::V4 { addr, port } => write!(f, "{}:{}", core::net::Ipv4Addr::from(addr), port),
            Self::V6 {
                addr,
                port,
                flowinfo,
                scope,
            } => write!(
                f,
                "[{}]:{}/{}%{}",
                core::net::Ipv6Addr::from(addr),
                port,
                flowinfo & FLOW_MASK,
                scope
            ),
        }
    }
}

/// Which of our own addresses the other side knows.
#[derive(Clone, Copy)]
pub(crate) enum Source {
    /// None in particular.
    Unset,
    /// An IPv4 address, and the device by which packets to it came in.
    V4 {
        /// The address.
        addr: [u8; 4],
        /// The device's number.
        ifindex: u32,
    },
    /// An IPv6 address, and the device by which a packet to it came in. The device matters only to bound sockets:
    /// sources that differ in nothing else are equal.
    V6 {
        /// The address.
        addr: [u8; 16],
        /// The device's number.
        ifindex: u32,
    },
}

impl PartialEq for Source {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Unset, Self::Unset) => true,
            (
                Self::V4 { addr, ifindex },
                Self::V4 {
                    addr: other,
                    ifindex: its,
                },
            ) => (addr, ifindex) == (other, its),
            (Self::V6 { addr, .. }, Self::V6 { addr: other, .. }) => addr == other,
            _ => false,
        }
    }
}

impl Eq for Source {}

/// Both ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// The other side.
    pub(crate) remote: Address,
    /// Our side.
    pub(crate) source: Source,
}

impl Endpoint {
    /// Where to send the answer to the datagram whose payload is `skb`.
    pub(crate) fn of_received(skb: &Skb) -> Option<Self> {
        let port = skb.outer_source_port()?;
        let ifindex = skb.incoming_ifindex();
        match skb.outer_version()? {
            IpVersion::V4 => {
                let (from, to) = skb.outer_ipv4()?;
                Some(Self {
                    remote: Address::V4 { addr: from, port },
                    source: Source::V4 { addr: to, ifindex },
                })
            }
            IpVersion::V6 => {
                let (from, to) = skb.outer_ipv6()?;
                let addr = bindings::in6_addr {
                    in6_u: bindings::in6_addr__bindgen_ty_1 { u6_addr8: from },
                };
                // SAFETY: The address is good during the call.
                let mut scope = unsafe { bindings::ipv6_iface_scope_id(&addr, ifindex as i32) };
                if scope != 0 {
                    scope = skb.incoming_link6();
                }
                Some(Self {
                    remote: Address::V6 {
                        addr: from,
                        port,
                        flowinfo: 0,
                        scope,
                    },
                    source: Source::V6 { addr: to, ifindex },
                })
            }
        }
    }
}

/// The route to an endpoint, remembered on each CPU. Memory for it is allocated when the first packet
/// is sent.
///
/// Senders work with copies of the endpoint, so one may still be sending to the old endpoint when another
/// already sends to the new one. What is remembered therefore belongs to one combination of endpoint, mark and
/// device that the sockets are bound to; it is forgotten before the cache serves another.
///
/// # Invariants
///
/// Once `ready` is set, `cache` is initialised and stays where it is; it is used through the kernel's
/// functions, which keep CPUs apart.
#[pin_data(PinnedDrop)]
pub(crate) struct DstCache {
    cache: UnsafeCell<bindings::dst_cache>,
    ready: Atomic<bool>,
    /// Where the remembered routes lead. Also held while the cache is being initialised.
    #[pin]
    target: BhLock<Aim>,
}

/// What the routes in a cache lead to.
struct Aim {
    target: Option<Target>,
    /// Routes are no longer remembered.
    closed: bool,
}

/// What a route depends on.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Target {
    endpoint: Endpoint,
    mark: u32,
    bound: u32,
}

// SAFETY: By the type invariant.
unsafe impl Send for DstCache {}
// SAFETY: As above.
unsafe impl Sync for DstCache {}

impl DstCache {
    /// A cache that remembers nothing yet.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            cache: UnsafeCell::new(bindings::dst_cache::default()),
            ready: Atomic::new(false),
            target <- new_bh_lock!(
                Aim {
                    target: None,
                    closed: false,
                },
                "dst_cache"
            ),
        })
    }

    /// The routes to `endpoint`, for packets with `mark` from sockets bound to the device with the number
    /// `bound`. `None` if there is no memory for them.
    pub(super) fn aim(&self, endpoint: &Endpoint, mark: u32, bound: u32) -> Option<Aimed<'_>> {
        let wanted = Target {
            endpoint: *endpoint,
            mark,
            bound,
        };
        let mut aim = self.target.lock();
        if !self.ready.load(Relaxed) {
            // SAFETY: The lock keeps others away, and nobody uses the cache before `ready`.
            if unsafe { bindings::dst_cache_init(self.cache.get(), bindings::GFP_ATOMIC_MASK) } != 0
            {
                return None;
            }
            self.ready.store(true, Release);
        }
        if aim.target != Some(wanted) {
            aim.target = Some(wanted);
            self.reset();
        }
        Some(Aimed {
            cache: self,
            target: wanted,
        })
    }

    /// Forgets the route. A reference to it stays until the next packet is sent. Any context.
    pub(crate) fn reset(&self) {
        if self.ready.load(Acquire) {
            // SAFETY: By the type invariant.
            unsafe { bindings::dst_cache_reset(self.cache.get()) };
        }
    }

    /// Gives the route back at once, as the namespace that it belongs to may not outlive this call by much. With
    /// `close`, routes are no longer remembered. Any context.
    pub(crate) fn release(&self, close: bool) {
        let mut aim = self.target.lock();
        aim.closed |= close;
        if self.ready.load(Acquire) {
            // SAFETY: By the type invariant; all users of the routes hold the lock.
            unsafe { bindings::dst_cache_reset_now(self.cache.get()) };
        }
    }
}

#[pinned_drop]
impl PinnedDrop for DstCache {
    fn drop(self: Pin<&mut Self>) {
        if self.ready.load(Acquire) {
            // SAFETY: By the type invariant; nobody uses the cache any more.
            unsafe { bindings::dst_cache_destroy(self.cache.get()) };
        }
    }
}

/// A route cache aimed at one target, while one packet is sent there.
///
/// # Invariants
///
/// The cache is initialised, and led to `target` when this value was made.
pub(super) struct Aimed<'a> {
    cache: &'a DstCache,
    target: Target,
}

impl Aimed<'_> {
    /// The route, with a reference, and our address on it; null if there is none. Bottom halves off.
    pub(super) fn get4(&self, source: &mut u32) -> *mut bindings::rtable {
        let _aim = self.cache.target.lock();
        // SAFETY: The cache is initialised, and locked.
        unsafe { bindings::dst_cache_get_ip4(self.cache.cache.get(), source) }
    }

    /// As [`Aimed::get4`], for IPv6.
    pub(super) fn get6(&self, source: &mut bindings::in6_addr) -> *mut bindings::dst_entry {
        let _aim = self.cache.target.lock();
        // SAFETY: The cache is initialised, and locked.
        unsafe { bindings::dst_cache_get_ip6(self.cache.cache.get(), source) }
    }

    /// Remembers a route, unless the cache has been aimed elsewhere while it was looked up.
    ///
    /// # Safety
    ///
    /// The caller holds a reference to `route`.
    pub(super) unsafe fn set4(&self, route: *mut bindings::rtable, source: u32) {
        let aim = self.cache.target.lock();
        if self.may_remember(&aim) {
            // SAFETY: The cache is initialised, and locked; it takes a reference of its own.
            unsafe { bindings::dst_cache_set_ip4(self.cache.cache.get(), route.cast(), source) };
        }
    }

    /// As [`Aimed::set4`], for IPv6.
    ///
    /// # Safety
    ///
    /// As for [`Aimed::set4`].
    pub(super) unsafe fn set6(&self, route: *mut bindings::dst_entry, source: &bindings::in6_addr) {
        let aim = self.cache.target.lock();
        if self.may_remember(&aim) {
            // SAFETY: As in `set4`.
            unsafe { bindings::dst_cache_set_ip6(self.cache.cache.get(), route, source) };
        }
    }

    fn may_remember(&self, aim: &Aim) -> bool {
        !aim.closed && aim.target == Some(self.target)
    }

    /// Forgets the route: our address on it is no longer usable. Any context.
    pub(super) fn reset(&self) {
        self.cache.reset();
    }
}
