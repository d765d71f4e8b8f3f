// SPDX-License-Identifier: GPL-2.0

//! A command that the kernel's driver does not have: it replaces the whole list of a peer's allowed IPs without a
//! packet falling through (`Documentation/netlink/wireguard-options.yaml`).

#![forbid(unsafe_code)]

use kernel::prelude::*;

use super::{
    find,
    AllowedIpRequest, //
};
use crate::net::attr::Policy;
use crate::net::genl::{
    Action,
    Command,
    Request, //
};
use crate::net::rtnl::Rtnl;

/// The number follows those of the options.
const REPLACE_ALLOWEDIPS: u8 = 98;

/// Attributes. The first two are those of a device.
mod replace_attr {
    pub(super) const PUBLIC_KEY: u16 = 3;
    /// A nest has room for some 1,600 entries, so there may be several.
    pub(super) const ALLOWEDIPS: u16 = 4;
}

/// As the kernel has it, but without flags: what is not in the list is removed, and nothing in it is.
static ENTRY_POLICY: [Policy; 4] = [
    Policy::unspec(),
    Policy::u16(),
    Policy::min_len(4),
    Policy::u8(),
];

static POLICY: [Policy; 5] = [
    Policy::unspec(),
    Policy::u32(),
    Policy::nul_string(15),
    Policy::exact_len(32),
    Policy::nested_array(&ENTRY_POLICY),
];

pub(super) const REPLACE: Action = Action::new(Command::new(REPLACE_ALLOWEDIPS, &POLICY), replace);

fn replace(request: &Request<'_>) -> Result {
    let extack = request.extack();
    let rtnl = Rtnl::lock();
    let device = &find(request, &rtnl)?;
    let mut guard = device.config.lock();
    let config = &mut *guard;

    let key = request.attr(replace_attr::PUBLIC_KEY);
    let Some(key) = key.as_ref().and_then(|attr| attr.array::<32>()) else {
        extack.set(c"the peer's public key is needed");
        return Err(EINVAL);
    };
    let Some(peer) = device.find_peer(key) else {
        extack.set(c"there is no such peer");
        return Err(ENOENT);
    };
    let entries = || {
        request
            .each(replace_attr::ALLOWEDIPS)
            .flat_map(|list| list.children())
    };
    for entry in entries() {
        AllowedIpRequest::check(&entry, &extack)?;
    }

    config.generation = config.generation.wrapping_add(1).max(1);
    let prefixes = entries()
        .filter_map(|entry| AllowedIpRequest::parse(&entry, &extack).ok())
        .map(|entry| entry.prefix);
    device
        .allowed_ips
        .replace(&mut config.writer, &peer, prefixes)
        .inspect_err(|_| extack.set(c"there is no memory for it"))
}
