// SPDX-License-Identifier: GPL-2.0

//! WireGuard network driver.

#![deny(unsafe_code)]

use kernel::prelude::*;

mod net;

module! {
    type: WireGuard,
    name: "wireguard",
    authors: ["The wireguard-rust authors"],
    description: "WireGuard secure network tunnel",
    license: "GPL",
    alias: ["rtnl-link-wireguard", "net-pf-16-proto-16-family-wireguard"],
}

struct WireGuard;

impl kernel::Module for WireGuard {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        pr_info!("loaded\n");
        Ok(Self)
    }
}
