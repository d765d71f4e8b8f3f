// SPDX-License-Identifier: GPL-2.0

//! UDP sockets of a tunnel: one for IPv4 and one for IPv6, on the same port.
//!
//! A tunnel usually hooks in before the socket's queue (`encap_rcv`), but then the stack cuts every train
//! of datagrams first, whether the sender or GRO has made it. These sockets are plain ones that take
//! trains whole; when the stack says that there is something in the queue, it is taken out there and
//! then, in softirq.
//!
//! C header: [`include/net/udp_tunnel.h`](srctree/include/net/udp_tunnel.h)

mod open;

use core::ptr;

use kernel::prelude::*;
use kernel::sync::atomic::{
    Atomic,
    Relaxed, //
};
use kernel::sync::{
    new_mutex,
    Mutex, //
};

use open::{
    release,
    NewSocket, //
};

use super::bh::{
    self,
    BhLock, //
};
use super::bindings;
use super::endpoint::{
    Address,
    Aimed,
    DstCache,
    Endpoint,
    Source, //
};
#[cfg(kernel_7_2)]
use super::errno::*;
use super::netdev::{
    Net,
    NetDevice, //
};
use super::path_mtu::PathMtu;
use super::rcu::{
    self,
    Object,
    RawSlot,
    Shared, //
};
use super::skb::{
    DropReason,
    LinearSkb,
    Skb,
    TUNNEL_HEADROOM, //
};
use crate::new_bh_lock;

/// Octets of a UDP header.
pub(crate) const HEADER_LEN: usize = 8;

/// Who takes the datagrams.
pub(crate) trait Receiver: Object + Sized {
    /// What is left to be done with a datagram; dropping it does it.
    type Work<'a>;

    /// The receiver's own sockets.
    fn sockets(&self) -> &Sockets<Self>;

    /// Takes one datagram, or several as a train. The data is the payload; IP and UDP header are before
    /// it, the checksum was verified. Called in the order of arrival, for one at a time; what takes long,
    /// and what may be done for several at a time, is what is returned. Softirq.
    fn receive(this: &Shared<Self>, skb: Skb) -> Option<Self::Work<'_>>;
}

/// What the outer header is to be, and the way that it goes.
#[derive(Clone, Copy)]
pub(crate) struct Outer<'a> {
    /// For routing and netfilter.
    pub(crate) mark: u32,
    /// The DS field.
    pub(crate) ds: u8,
    /// Where to note what the route says that the path takes. With this routers are asked to say so, not to cut; what
    /// is longer than they have said is cut here.
    pub(crate) path_mtu: Option<&'a PathMtu>,
    /// In whose statistics the core counts the datagram, a train like a single one: as sent, or as dropped.
    pub(crate) dev: Option<&'a NetDevice>,
}

impl Outer<'_> {
    /// Makes a packet, which is a payload only, ready to be counted: what is counted are the octets from the inner header
    /// on. Returns the device.
    fn prepare(&self, skb: &Skb) -> *mut bindings::net_device {
        let dev = self.dev.map_or(ptr::null_mut(), NetDevice::as_ptr);
        let raw = skb.as_ptr();
        // SAFETY: The packet is ours. The device lives until it has gone on to the one of its route.
        unsafe {
            bindings::skb_set_inner_network_header(raw, 0);
            (*raw)
                .__bindgen_anon_1
                .__bindgen_anon_1
                .__bindgen_anon_1
                .dev = dev;
        }
        dev
    }
}

/// Two sockets on one port, or none.
///
/// # Invariants
///
/// The pointers are null or sockets made by [`Sockets::open`], which are released a grace period after
/// they were taken out.
#[pin_data(PinnedDrop)]
pub(crate) struct Sockets<R: Receiver> {
    v4: RawSlot<bindings::sock>,
    v6: RawSlot<bindings::sock>,
    /// The number of the device that the sockets are bound to; zero for none.
    bound: Atomic<u32>,
    /// The mark of the routes that ICMP errors are about.
    errors: Atomic<u32>,
    /// The receiver that the sockets have a reference of; held by who changes the sockets.
    #[pin]
    owner: Mutex<Option<Shared<R>>>,
    /// Held by who takes a datagram out of a queue until its place in the order is fixed.
    #[pin]
    taking: BhLock<()>,
}

// SAFETY: The pointers are to sockets, which any thread may use.
unsafe impl<R: Receiver> Send for Sockets<R> {}
// SAFETY: As above.
unsafe impl<R: Receiver> Sync for Sockets<R> {}

impl<R: Receiver> Sockets<R> {
    /// No sockets.
    pub(crate) fn closed() -> impl PinInit<Self> {
        pin_init!(Self {
            v4: RawSlot::new(ptr::null_mut()),
            v6: RawSlot::new(ptr::null_mut()),
            bound: Atomic::new(0),
            errors: Atomic::new(0),
            owner <- new_mutex!(None, "udp.sockets"),
            taking <- new_bh_lock!((), "udp.taking"),
        })
    }

    /// Opens both sockets on `port`, or on one that is free if it is zero, bound to the device with the number
    /// `bound` unless that is zero, and closes the ones that were there. Returns the port. Sleeps.
    ///
    /// # Errors
    ///
    /// What the socket layer says, `EADDRINUSE` first of all; what was there stays.
    pub(crate) fn open(
        &self,
        net: &Net,
        port: u16,
        bound: u32,
        receiver: &Shared<R>,
    ) -> Result<u16> {
        let mut owner = self.owner.lock();
        let (v4, v6) = Self::create_pair(net, port, bound, receiver)?;
        self.bound.store(bound, Relaxed);
        let port = v4.port();
        let v6 = v6.map_or(ptr::null_mut(), NewSocket::into_sock);
        self.replace(v4.into_sock(), v6);
        self.mark_sockets();
        *owner = Some(receiver.clone());
        // What has come while the sockets were made.
        let _bh = bh::disable();
        let _guard = rcu::read_lock();
        for sk in [self.v4.load(), self.v6.load()] {
            if !sk.is_null() {
                // SAFETY: Who closes the socket holds the lock.
                unsafe { Self::data_ready(sk) };
            }
        }
        Ok(port)
    }

    /// Binds the sockets, if they are open, to the device with the number `index`, zero for none: datagrams leave
    /// and come in there only. Sleeps.
    ///
    /// # Errors
    ///
    /// `EPERM` for who has not `CAP_NET_RAW` when they are bound already; nothing has changed then.
    pub(crate) fn bind(&self, index: u32) -> Result {
        let _owner = self.owner.lock();
        let number = i32::try_from(index).map_err(|_| EINVAL)?;
        for sk in [self.v4.load(), self.v6.load()] {
            if !sk.is_null() {
                // SAFETY: Who closes the socket holds the lock. What is refused for the second is refused for
                // the first one already.
                kernel::error::to_result(unsafe { bindings::sock_bindtoindex(sk, number, true) })?;
            }
        }
        self.bound.store(index, Relaxed);
        // Who sends has bottom halves off; after this all know.
        rcu::synchronize();
        Ok(())
    }

    /// ICMP errors about what the sockets have sent are about the routes for packets with this mark. Sleeps.
    pub(crate) fn take_errors_for(&self, mark: u32) {
        let _owner = self.owner.lock();
        self.errors.store(mark, Relaxed);
        self.mark_sockets();
    }

    /// Marks the sockets, for the kernel's handlers of ICMP errors; what is sent has a mark of its own. To be called
    /// by who holds the lock.
    fn mark_sockets(&self) {
        let mark = self.errors.load(Relaxed);
        for sk in [self.v4.load(), self.v6.load()] {
            if !sk.is_null() {
                // SAFETY: Who closes the socket holds the lock; the kernel reads the mark at once.
                unsafe { (&raw mut (*sk).sk_mark).write_volatile(mark) };
            }
        }
    }

    /// Closes the sockets, and waits until what is on its way to the receiver on other CPUs has reached it. Sleeps.
    pub(crate) fn close(&self) {
        let mut owner = self.owner.lock();
        self.replace(ptr::null_mut(), ptr::null_mut());
        let owner = owner.take();
        drop(owner);
    }

    fn replace(&self, v4: *mut bindings::sock, v6: *mut bindings::sock) {
        let old = [self.v4.take(), self.v6.take()];
        self.v4.store(v4);
        self.v6.store(v6);
        if old.iter().any(|sk| !sk.is_null()) {
            rcu::synchronize();
            // SAFETY: By the type invariant; no sender can have them any more.
            unsafe { release(old) };
        }
    }

    /// The stack has put something into the socket's queue. Bottom halves off, in a read-side section.
    unsafe extern "C" fn data_ready(sk: *mut bindings::sock) {
        // SAFETY: Who calls is within a read-side section; the receiver lives as long as the socket has
        // it as its user data.
        let receiver = unsafe {
            let receiver = bindings::sk_user_data(sk);
            if receiver.is_null() {
                return;
            }
            Shared::<R>::borrow_raw(receiver.cast_const().cast())
        };
        let Some(receiver) = receiver.upgrade() else {
            return;
        };
        loop {
            let taking = receiver.sockets().taking.lock();
            // SAFETY: The socket lives during the call.
            let Some(skb) = (unsafe { take_datagram(sk) }) else {
                break;
            };
            let work = R::receive(&receiver, skb);
            drop(taking);
            drop(work);
        }
    }

    /// Sends a payload. `to.source` is cleared when it cannot be used any more. Any context.
    ///
    /// `cache` remembers the route. `false` if a device was given and the host dropped the datagram at once, by
    /// netfilter or in a queue.
    ///
    /// # Errors
    ///
    /// `ENONET` when there is no socket of the family, or why there is no route. The packet is gone in
    /// any case.
    pub(crate) fn send(
        &self,
        skb: Skb,
        to: &mut Endpoint,
        cache: Option<&DstCache>,
        outer: Outer<'_>,
    ) -> Result<bool> {
        let bh = bh::disable();
        let bound = self.bound.load(Relaxed);
        let cache = cache.and_then(|cache| cache.aim(to, outer.mark, bound));
        // SAFETY: The packet is ours.
        unsafe { bindings::skb_set_mark(skb.as_ptr(), outer.mark) };
        let before = outer.dev.map(|dev| dev.sent_here(&bh));
        match to.remote {
            Address::V4 { addr, port } => self.send4(skb, addr, port, bound, to, cache, outer),
            Address::V6 {
                addr, port, scope, ..
            } => self.send6(skb, addr, port, scope, bound, to, cache, outer),
        }?;
        // If the tunnel leads through itself and another message has left meanwhile, this one has as well.
        Ok(outer.dev.map(|dev| dev.sent_here(&bh)) != before || before.is_none())
    }

    /// Sends `payload` in a packet of its own. Otherwise like [`Sockets::send`].
    pub(crate) fn send_buffer(
        &self,
        payload: &[u8],
        to: &mut Endpoint,
        cache: Option<&DstCache>,
        outer: Outer<'_>,
    ) -> Result<bool> {
        let mut skb = LinearSkb::alloc(TUNNEL_HEADROOM, payload.len())?;
        skb.put(payload)?;
        self.send(skb.into(), to, cache, outer)
    }

    #[allow(clippy::too_many_arguments)]
    fn send4(
        &self,
        skb: Skb,
        addr: [u8; 4],
        port: u16,
        bound: u32,
        to: &mut Endpoint,
        cache: Option<Aimed<'_>>,
        outer: Outer<'_>,
    ) -> Result {
        let sk = self.v4.load();
        if sk.is_null() {
            skb.drop_for(DropReason::DEV_READY);
            return Err(ENONET);
        }
        let (source, ifindex) = match to.source {
            Source::V4 { addr, ifindex } => (u32::from_ne_bytes(addr), ifindex),
            _ => (0, 0),
        };
        // SAFETY: Bottom halves are off, so the socket lives; the flow is initialised before it is
        // used; the route's reference goes to the transmit function, and so does the packet.
        unsafe {
            let mut flow = bindings::flowi4::default();
            flow.saddr = source;
            flow.daddr = u32::from_ne_bytes(addr);
            flow.uli.ports.dport = port.to_be();
            flow.uli.ports.sport = bindings::inet_sport(sk);
            flow.__fl_common.flowic_mark = outer.mark;
            flow.__fl_common.flowic_oif = bound as i32;
            flow.__fl_common.flowic_proto = bindings::IPPROTO_UDP as u8;
            let net = bindings::sock_net(sk);

            let mut route = ptr::null_mut();
            if let Some(cache) = &cache {
                route = cache.get4(&mut flow.saddr);
            }
            if route.is_null() {
                bindings::security_sk_classify_flow(sk, &mut flow.__fl_common);
                let forget = |flow: &mut bindings::flowi4, to: &mut Endpoint| {
                    to.source = Source::Unset;
                    flow.saddr = 0;
                    if let Some(cache) = &cache {
                        cache.reset();
                    }
                };
                // The address may have been taken away from us since, or be on the way that we had before.
                if flow.saddr != 0
                    && (came_elsewhere(net, ifindex, bound)
                        || bindings::inet_confirm_addr(
                            net,
                            ptr::null_mut(),
                            0,
                            flow.saddr,
                            bindings::rt_scope_t_RT_SCOPE_HOST as _,
                        ) == 0)
                {
                    forget(&mut flow, to);
                }
                let mut found = lookup4(net, &mut flow, sk);
                // Or the way to the other side may go by another device now; but packets that came in through a VRF
                // have its number.
                let moved = match found {
                    Ok(route) => bound == 0 && (*route_device(route)).ifindex as u32 != ifindex,
                    Err(e) => e == EINVAL,
                };
                if to.source != Source::Unset && ifindex != 0 && moved {
                    forget(&mut flow, to);
                    if let Ok(route) = found {
                        bindings::ip_rt_put(route);
                    }
                    found = lookup4(net, &mut flow, sk);
                }
                route = match found {
                    Ok(route) => route,
                    Err(e) => {
                        skb.drop_for(DropReason::NO_ROUTE);
                        return Err(e);
                    }
                };
                if let Some(cache) = &cache {
                    cache.set4(route, flow.saddr);
                }
            }
            let mut flags = 0u16;
            if let Some(path_mtu) = outer.path_mtu {
                const HEADERS: u32 = 20 + HEADER_LEN as u32;
                let takes = bindings::dst_mtu(route.cast()).saturating_sub(HEADERS);
                path_mtu.note(takes);
                // What the path does not take all the same is cut here.
                if skb.longest() <= takes {
                    flags = (bindings::IP_DF as u16).to_be();
                }
            }
            outer.prepare(&skb);
            let skb = skb.into_raw();
            bindings::skb_ignore_df(skb);
            bindings::udp_tunnel_xmit_skb(
                route,
                sk,
                skb,
                flow.saddr,
                flow.daddr,
                outer.ds,
                bindings::ip4_dst_hoplimit(route.cast()) as u8,
                flags,
                flow.uli.ports.sport,
                flow.uli.ports.dport,
                false,
                false,
                0,
            );
        }
        Ok(())
    }

    #[allow(clippy::too_many_arguments)]
    fn send6(
        &self,
        skb: Skb,
        addr: [u8; 16],
        port: u16,
        scope: u32,
        bound: u32,
        to: &mut Endpoint,
        cache: Option<Aimed<'_>>,
        outer: Outer<'_>,
    ) -> Result {
        let sk = self.v6.load();
        if sk.is_null() {
            skb.drop_for(DropReason::DEV_READY);
            return Err(ENONET);
        }
        let (source, ifindex) = match to.source {
            Source::V6 { addr, ifindex } => (addr, ifindex),
            _ => ([0; 16], 0),
        };
        // SAFETY: As in `send4`.
        unsafe {
            let mut flow = bindings::flowi6::default();
            flow.saddr.in6_u.u6_addr8 = source;
            flow.daddr.in6_u.u6_addr8 = addr;
            flow.uli.ports.dport = port.to_be();
            flow.uli.ports.sport = bindings::inet_sport(sk);
            flow.__fl_common.flowic_mark = outer.mark;
            flow.__fl_common.flowic_oif = if scope != 0 { scope } else { bound } as i32;
            flow.__fl_common.flowic_proto = bindings::IPPROTO_UDP as u8;
            let net = bindings::sock_net(sk);

            let mut route = ptr::null_mut();
            if let Some(cache) = &cache {
                route = cache.get6(&mut flow.saddr);
            }
            if route.is_null() {
                bindings::security_sk_classify_flow(sk, &mut flow.__fl_common);
                if source != [0; 16]
                    && (came_elsewhere(net, ifindex, bound)
                        || bindings::ipv6_chk_addr(net, &flow.saddr, ptr::null(), 0) == 0)
                {
                    to.source = Source::Unset;
                    flow.saddr.in6_u.u6_addr8 = [0; 16];
                    if let Some(cache) = &cache {
                        cache.reset();
                    }
                }
                // A link that an address is on is another one than we are bound to, and not of its VRF either.
                let elsewhere = scope != 0 && bound != 0 && !is_part(net, scope, bound);
                let found = if elsewhere {
                    Err(EINVAL)
                } else {
                    kernel::error::from_err_ptr(bindings::ip6_dst_lookup_flow(
                        net,
                        sk,
                        &mut flow,
                        ptr::null(),
                    ))
                };
                route = match found {
                    Ok(route) => route,
                    Err(e) => {
                        skb.drop_for(DropReason::NO_ROUTE);
                        return Err(e);
                    }
                };
                if let Some(cache) = &cache {
                    cache.set6(route, &flow.saddr);
                }
            }
            if let Some(path_mtu) = outer.path_mtu {
                const HEADERS: u32 = 40 + HEADER_LEN as u32;
                path_mtu.note(bindings::dst_mtu(route).saturating_sub(HEADERS));
            }
            let dev = outer.prepare(&skb);
            let skb = skb.into_raw();
            bindings::skb_ignore_df(skb);
            bindings::udp_tunnel6_xmit_skb(
                route,
                sk,
                skb,
                dev,
                &flow.saddr,
                &flow.daddr,
                outer.ds,
                bindings::ip6_dst_hoplimit(route) as u8,
                0,
                flow.uli.ports.sport,
                flow.uli.ports.dport,
                false,
                0,
            );
        }
        Ok(())
    }
}

/// Takes the next datagram, or train of datagrams, out of the socket's queue. What has a bad checksum is
/// dropped and counted.
///
/// # Safety
///
/// The socket lives. Softirq.
unsafe fn take_datagram(sk: *mut bindings::sock) -> Option<Skb> {
    // An error that an ICMP message has left at the socket is reported once, in place of a datagram.
    let mut tries = 8u32;
    while tries > 0 {
        let (mut offset, mut error) = (0, 0);
        // SAFETY: The caller's promise.
        let raw = unsafe {
            bindings::__skb_recv_udp(sk, bindings::MSG_DONTWAIT, &mut offset, &mut error)
        };
        if raw.is_null() {
            if error == EAGAIN.to_errno() {
                return None;
            }
            tries = tries.saturating_sub(1);
            continue;
        }
        // SAFETY: The packet was handed over.
        let mut skb = unsafe { Skb::from_raw(raw) };
        // While the packet was in the queue, the socket used the place of the device for its own ends.
        skb.forget_device();
        let datagrams = skb.messages() as u32;
        let count = |what: u32| {
            // SAFETY: The socket lives.
            unsafe { bindings::udp_count(sk, what as i32, datagrams) };
        };
        // SAFETY: The packet is ours.
        if !unsafe { bindings::udp_checksum_is_bad(skb.as_ptr()) } {
            count(bindings::UDP_MIB_INDATAGRAMS);
            return Some(skb);
        }
        count(bindings::UDP_MIB_CSUMERRORS);
        count(bindings::UDP_MIB_INERRORS);
        skb.drop_for(DropReason::UDP_CSUM);
    }
    None
}

/// # Safety
///
/// All three live.
unsafe fn lookup4(
    net: *mut bindings::net,
    flow: &mut bindings::flowi4,
    sk: *mut bindings::sock,
) -> Result<*mut bindings::rtable> {
    // SAFETY: The caller's promise.
    kernel::error::from_err_ptr(unsafe { bindings::ip_route_output_flow(net, flow, sk) })
}

/// Whether the device with the number `link` is the one with the number `whole`, or part of that VRF.
///
/// # Safety
///
/// The namespace lives.
unsafe fn is_part(net: *mut bindings::net, link: u32, whole: u32) -> bool {
    // SAFETY: The caller's promise.
    link == whole
        || unsafe { bindings::l3mdev_master_ifindex_by_index(net, link as i32) as u32 } == whole
}

/// Whether a packet that came in by the device with the number `link` did not come as those do that sockets take which
/// are bound to the one with the number `bound`: it was on its way when they were bound. To the address that it was
/// for the other side would answer by the old way. Zero stands for no device; a packet from a VRF has its number.
///
/// # Safety
///
/// The namespace lives.
unsafe fn came_elsewhere(net: *mut bindings::net, link: u32, bound: u32) -> bool {
    // SAFETY: The caller's promise.
    link != 0 && bound != 0 && unsafe { !is_part(net, link, bound) && !is_part(net, bound, link) }
}

/// # Safety
///
/// `route` lives.
unsafe fn route_device(route: *mut bindings::rtable) -> *mut bindings::net_device {
    // SAFETY: The caller's promise.
    unsafe { bindings::dst_dev(route.cast()) }
}

#[pinned_drop]
impl<R: Receiver> PinnedDrop for Sockets<R> {
    fn drop(self: Pin<&mut Self>) {
        // While a socket is open the receiver has a reference, so whoever contains us is not dropped.
        if !self.v4.load().is_null() {
            pr_err!("udp: sockets dropped while open\n");
        }
    }
}
