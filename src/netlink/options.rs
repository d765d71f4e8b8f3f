// SPDX-License-Identifier: GPL-2.0

//! Commands that the kernel's driver does not have: showing and setting the options that go beyond what every
//! WireGuard does (`Documentation/netlink/wireguard-options.yaml`).

#![forbid(unsafe_code)]

use kernel::prelude::*;

use super::{
    device_attr,
    find, //
};
use crate::device::Device;
use crate::net::attr::Policy;
use crate::net::genl::{
    Action,
    Command,
    Request, //
};
use crate::net::netdev::Net;
use crate::net::rtnl::Rtnl;
use crate::options::Switch;

/// The numbers are far from the kernel's own, and follow those of the events.
const GET_OPTIONS: u8 = 96;
const SET_OPTIONS: u8 = 97;

/// Attributes of both. The first two are those of a device.
mod option_attr {
    pub(super) const BIND_IFINDEX: u16 = 3;
    pub(super) const BIND_IFNAME: u16 = 4;
    pub(super) const COPY_DSCP: u16 = 5;
    pub(super) const PATH_MTU: u16 = 6;
    pub(super) const LINK_LOCAL: u16 = 7;
}

/// The options that are on or off, with their attributes.
const SWITCHES: [(u16, Switch); 3] = [
    (option_attr::COPY_DSCP, Switch::CopyDscp),
    (option_attr::PATH_MTU, Switch::PathMtu),
    (option_attr::LINK_LOCAL, Switch::LinkLocal),
];

static GET_POLICY: [Policy; 3] = [Policy::unspec(), Policy::u32(), Policy::nul_string(15)];

static SET_POLICY: [Policy; 8] = [
    Policy::unspec(),
    Policy::u32(),
    Policy::nul_string(15),
    Policy::u32(),
    Policy::nul_string(15),
    Policy::up_to8(1),
    Policy::up_to8(1),
    Policy::up_to8(1),
];

pub(super) const GET: Action = Action::new(Command::new(GET_OPTIONS, &GET_POLICY), get);
pub(super) const SET: Action = Action::new(Command::new(SET_OPTIONS, &SET_POLICY), set);

fn get(request: &Request<'_>) -> Result {
    let rtnl = Rtnl::lock();
    let device = find(request, &rtnl)?;
    let dev = device.dev.get_locked(&rtnl).ok_or(ENODEV)?;
    let config = device.config.lock();
    let chosen = device.chosen();
    request.reply(|m| {
        m.put_u32(device_attr::IFINDEX, dev.ifindex())?;
        m.put_str(device_attr::IFNAME, &dev.name(&rtnl))?;
        m.put_u32(option_attr::BIND_IFINDEX, config.bound)?;
        // The name says that the device is still there.
        let home = device.home_net(&rtnl);
        if let Some(to) = home.and_then(|net| net.device(config.bound, &rtnl)) {
            m.put_str(option_attr::BIND_IFNAME, &to.name(&rtnl))?;
        }
        for (attr, switch) in SWITCHES {
            m.put_bytes(attr, &[chosen.has(switch).into()])?;
        }
        Ok(())
    })
}

fn set(request: &Request<'_>) -> Result {
    let extack = request.extack();
    let rtnl = Rtnl::lock();
    let device = &find(request, &rtnl)?;
    let mut config = device.config.lock();

    let before = device.chosen();
    let mut chosen = before;
    for (attr, switch) in SWITCHES {
        if let Some(on) = request.attr(attr).and_then(|attr| attr.u8()) {
            chosen = chosen.with(switch, on != 0);
        }
    }
    let index = request.attr(option_attr::BIND_IFINDEX);
    let name = request.attr(option_attr::BIND_IFNAME);

    // Nothing is changed before all of it is known to be possible.
    let home = device.home_net(&rtnl);
    if index.is_some() || name.is_some() || chosen != before {
        // What is sent goes through the namespace of the sockets, which may not be the requester's.
        if !home.is_some_and(Net::may_administer) {
            extack.set(c"options need CAP_NET_ADMIN in the namespace of the sockets");
            return Err(EPERM);
        }
    }
    let to = match (&index, &name) {
        (None, None) => None,
        (Some(index), None) => match index.u32().ok_or(EINVAL)? {
            0 => Some(None),
            index => home.and_then(|net| net.device(index, &rtnl)).map(Some),
        },
        (None, Some(name)) => {
            let name = name.nul_string().ok_or(EINVAL)?;
            home.and_then(|net| net.device_named(&name, &rtnl))
                .map(Some)
        }
        _ => {
            extack.set(c"what to bind to is named by index or by name, not by both");
            return Err(EINVAL);
        }
    };
    if to.is_none() && (index.is_some() || name.is_some()) {
        extack.set(c"there is no such interface in the namespace of the sockets");
        return Err(ENODEV);
    }
    let own = device.dev.get_locked(&rtnl).ok_or(ENODEV)?;
    if to.flatten().is_some_and(|to| core::ptr::eq(to, own)) {
        extack.set(c"a tunnel cannot be bound to itself");
        return Err(EINVAL);
    }
    let bound = to.map(|to| to.map_or(0, |to| to.ifindex()));
    if let Some(index) = bound {
        Device::bind_sockets(device, &mut config, &rtnl, index).inspect_err(|e| {
            extack.set(match *e {
                e if e == EPERM => {
                    c"sockets that are bound are bound to something else with CAP_NET_RAW only"
                }
                _ => c"the sockets could not be bound",
            });
        })?;
    }
    device.choose(chosen, &rtnl);
    Ok(())
}
