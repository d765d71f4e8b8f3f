// SPDX-License-Identifier: GPL-2.0

//! Sending: the route, the outer headers, and what determines them.

use core::ptr;

use kernel::prelude::*;
use kernel::sync::atomic::Relaxed;

use super::{
    bh,
    bindings,
    Receiver,
    Sockets,
    HEADER_LEN, //
};
use crate::net::endpoint::{
    Address,
    Aimed,
    DstCache,
    Endpoint,
    Source, //
};
#[cfg(kernel_7_2)]
use crate::net::errno::*;
use crate::net::netdev::NetDevice;
use crate::net::path_mtu::PathMtu;
use crate::net::skb::{
    DropReason,
    LinearSkb,
    Skb,
    TUNNEL_HEADROOM, //
};

/// What the outer header is to be like, and which way it goes.
#[derive(Clone, Copy)]
pub(crate) struct Outer<'a> {
    /// For routing and netfilter.
    pub(crate) mark: u32,
    /// The DS field.
    pub(crate) ds: u8,
    /// Where to note what the path takes, according to the route. If given, routers are asked to report that, not to
    /// fragment; what is longer than they have reported is fragmented here.
    pub(crate) path_mtu: Option<&'a PathMtu>,
    /// In whose statistics the core counts the datagram as sent or as dropped; a train counts like a single one.
    pub(crate) dev: Option<&'a NetDevice>,
}

impl Outer<'_> {
    /// Makes a packet, which is a payload only, ready to be counted: only octets from the inner header on count.
    /// Returns the device.
    fn prepare(&self, skb: &Skb) -> *mut bindings::net_device {
        let dev = self.dev.map_or(ptr::null_mut(), NetDevice::as_ptr);
        let raw = skb.as_ptr();
        // SAFETY: The packet is ours. The device lives until the packet has gone on to the device of its route.
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

impl<R: Receiver> Sockets<R> {
    /// Sends a payload. `to.source` is cleared when it cannot be used any more. Any context.
    ///
    /// `cache` remembers the route. Returns `false` if a device was given and the host dropped the datagram at once,
    /// by netfilter or in a queue.
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
        // If the tunnel leads through itself and another message has left meanwhile, so has this one.
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
            let mut flow = bindings::flowi4 {
                saddr: source,
                daddr: u32::from_ne_bytes(addr),
                ..Default::default()
            };
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
                // The address may no longer be ours, or belong to the way that we went before.
                if flow.saddr != 0
                    && (came_elsewhere(net, ifindex, bound)
                        || bindings::inet_confirm_addr(
                            net,
                            ptr::null_mut(),
                            0,
                            flow.saddr,
                            bindings::rt_scope_t_RT_SCOPE_HOST as i32,
                        ) == 0)
                {
                    forget(&mut flow, to);
                }
                let mut found = lookup4(net, &mut flow, sk);
                // Or the way to the other side may go by another device now; but that cannot be told of packets that
                // came in through a VRF, since they have its number.
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
                        skb.drop_for(no_route(e));
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
                // What the path does not take is fragmented here.
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
                // The address is on a link that is neither the one that we are bound to nor part of that VRF.
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
                        skb.drop_for(no_route(e));
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
    link == whole
        // SAFETY: The caller's promise.
        || unsafe { bindings::l3mdev_master_ifindex_by_index(net, link as i32) as u32 } == whole
}

/// Whether a packet that came in by the device with the number `link` did not come in where sockets that are bound to
/// the device with the number `bound` take packets: it was on its way when they were bound. If its destination remained
/// our source, the other side would answer by the old way. Zero stands for no device; a packet from a VRF has the VRF's
/// number.
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

/// Whether a failure to send is for lack of memory. When the core has none for a route it says `ENOBUFS`.
pub(crate) fn is_no_memory(e: Error) -> bool {
    e == ENOMEM || e == ENOBUFS
}

/// Why a packet is dropped that there is no route for.
fn no_route(e: Error) -> DropReason {
    if is_no_memory(e) {
        DropReason::NO_MEMORY
    } else {
        DropReason::NO_ROUTE
    }
}
