// SPDX-License-Identifier: GPL-2.0

//! A driver's own statistics, which `ethtool -S` shows.
//!
//! C header: [`include/linux/ethtool.h`](srctree/include/linux/ethtool.h)

#[cfg(not(kernel_7_2))]
use kernel::error::code::EOPNOTSUPP;
use kernel::prelude::*;

use super::{
    Adapter,
    LinkDriver, //
};
use crate::net::bindings;
#[cfg(kernel_7_2)]
use crate::net::errno::*;
use crate::net::netdev::Net;

/// Octets of a name, including the terminating null.
const NAME_LEN: usize = bindings::ETH_GSTRING_LEN as usize;

/// The operations of `T`'s devices.
pub(super) const fn ops<T: LinkDriver>() -> bindings::ethtool_ops {
    // For none the core would hand out no room, not even an empty one.
    assert!(!T::STATISTICS.is_empty());
    bindings::ethtool_ops {
        get_sset_count: Some(count::<T>),
        get_strings: Some(names::<T>),
        get_ethtool_stats: Some(values::<T>),
        // SAFETY: All callbacks are optional, and no flag is set.
        ..unsafe { core::mem::MaybeUninit::zeroed().assume_init() }
    }
}

/// The core asks for the count before all else, and refuses what this refuses. It lets everybody ask, but what happens
/// to handshakes tells of peers, so here only those may who are told of peers anyway.
///
/// # Safety
///
/// The core calls it, as `get_sset_count`, with RTNL held, for a device of this driver that is registered.
unsafe extern "C" fn count<T: LinkDriver>(
    dev: *mut bindings::net_device,
    set: core::ffi::c_int,
) -> core::ffi::c_int {
    if set != bindings::ethtool_stringset_ETH_SS_STATS as i32 {
        return EOPNOTSUPP.to_errno();
    }
    // SAFETY: The core calls with RTNL held, for devices that are registered: neither the device nor its namespace goes
    // away meanwhile.
    let net = unsafe { Net::from_raw(bindings::dev_net(dev)) };
    if net.may_administer() {
        T::STATISTICS.len() as i32
    } else {
        EPERM.to_errno()
    }
}

/// # Safety
///
/// The core calls it, as `get_strings`, with room for as many names as [`count`] said.
unsafe extern "C" fn names<T: LinkDriver>(_dev: *mut bindings::net_device, set: u32, to: *mut u8) {
    if set != bindings::ethtool_stringset_ETH_SS_STATS {
        return;
    }
    // SAFETY: The core gives room, zeroed, for as many names as `count` said.
    let to = unsafe {
        core::slice::from_raw_parts_mut(to.cast::<[u8; NAME_LEN]>(), T::STATISTICS.len())
    };
    for (to, name) in to.iter_mut().zip(T::STATISTICS) {
        for (to, octet) in to.iter_mut().zip(name.bytes().take(NAME_LEN - 1)) {
            *to = octet;
        }
    }
}

/// # Safety
///
/// The core calls it, as `get_ethtool_stats`, with RTNL held, for a device of this driver that is registered, and with
/// room for as many values as [`count`] said.
unsafe extern "C" fn values<T: LinkDriver>(
    dev: *mut bindings::net_device,
    _stats: *mut bindings::ethtool_stats,
    to: *mut u64,
) {
    // SAFETY: The core calls with RTNL held, for devices that are registered, and gives room, zeroed, for as
    // many values as `count` said.
    let (owner, to) = unsafe {
        (
            Adapter::<T>::owner(dev),
            core::slice::from_raw_parts_mut(to, T::STATISTICS.len()),
        )
    };
    if let Some(owner) = owner {
        T::statistics(owner, to);
    }
}
