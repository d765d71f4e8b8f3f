// SPDX-License-Identifier: GPL-2.0

//! WireGuard network driver.
//!
//! Three rooms. [`protocol`] is WireGuard itself: bytes in, bytes and decisions out, with no kernel
//! around it. [`net`] makes the kernel's networking interfaces safe to use and holds all of the
//! driver's `unsafe`. The other modules join the two: a packet goes in, cryptokey routing finds the
//! peer, the peer's session seals it, the socket sends it. `Documentation/architecture.md` is the map.

#![deny(unsafe_code)]

use kernel::prelude::*;
use kernel::sync::Arc;

mod allowed_ips;
mod counters;
mod crypto;
mod debug;
mod device;
mod events;
mod flood;
mod handshake;
mod indices;
mod keypair;
mod net;
mod netlink;
mod options;
mod peer;
mod places;
mod protocol;
mod receive;
mod transmit;

module! {
    type: WireGuard,
    name: "wireguard",
    authors: ["The wireguard-rust authors"],
    description: "WireGuard secure network tunnel",
    license: "GPL",
    alias: ["rtnl-link-wireguard", "net-pf-16-proto-16-family-wireguard"],
}

/// What the module registers. The fields are dropped in order: first the netlink family, so that
/// nothing can be configured any more, then the link type and with it all devices, and last the
/// workers, when no object is left that could queue work.
struct WireGuard {
    _family: net::genl::GenlRegistration<netlink::WireGuardFamily>,
    _links: net::rtnl::Registration<device::Device>,
    _rest: Quiesced,
    _workers: Arc<device::Workers>,
}

/// Dropping this waits until none of the driver's objects is alive, and so, as each has an owner, until all jobs are
/// completed, even those that one pipeline passes on to another that has been stopped before.
struct Quiesced(Arc<device::Workers>);

impl Drop for Quiesced {
    fn drop(&mut self) {
        self.0.seal.stop();
        self.0.collect.stop();
        self.0.open.stop();
        net::rcu::drain();
    }
}

impl kernel::Module for WireGuard {
    fn init(module: &'static ThisModule) -> Result<Self> {
        let workers = device::Workers::new()?;
        // Before the link type: if a later step fails, there may be devices already.
        let rest = Quiesced(workers.clone());
        let links = net::rtnl::Registration::new(workers.clone())?;
        let family = net::genl::GenlRegistration::new(module)?;
        pr_info!("loaded, the driver in Rust\n");
        Ok(Self {
            _family: family,
            _links: links,
            _rest: rest,
            _workers: workers,
        })
    }
}
