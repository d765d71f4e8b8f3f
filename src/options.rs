// SPDX-License-Identifier: GPL-2.0

//! What an administrator may ask of an interface beyond what every WireGuard does
//! (`Documentation/netlink/wireguard-options.yaml`). All of it is off by default.

#![forbid(unsafe_code)]

use kernel::sync::atomic::{
    Atomic,
    Relaxed, //
};

/// The options of a device that the data path consults, in one word, which is read once for each packet or train.
pub(crate) struct Options(Atomic<u32>);

/// The options at one moment.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chosen(u32);

/// An option that is on or off.
#[derive(Clone, Copy)]
#[repr(u32)]
pub(crate) enum Switch {
    /// The DSCP of packets is copied to the outer header. The bits are those of the DS field that are copied, so
    /// that they serve as the mask and nobody has to ask whether the option is on.
    CopyDscp = 0xfc,
    /// The MTU of the path to a peer is learned, and reported inside the tunnel.
    PathMtu = 1 << 8,
    /// The interface gets an IPv6 link-local address when it goes up.
    LinkLocal = 1 << 9,
}

impl Options {
    /// All options are off.
    pub(crate) const fn new() -> Self {
        Self(Atomic::new(0))
    }

    /// The options as they are now.
    pub(crate) fn chosen(&self) -> Chosen {
        Chosen(self.0.load(Relaxed))
    }

    /// Sets the options to `chosen`.
    pub(crate) fn choose(&self, chosen: Chosen) {
        self.0.store(chosen.0, Relaxed);
    }
}

impl Chosen {
    /// Whether an option is on.
    pub(crate) fn has(self, switch: Switch) -> bool {
        self.0 & switch as u32 != 0
    }

    /// The same, but with one option on or off.
    pub(crate) fn with(self, switch: Switch, on: bool) -> Self {
        let others = self.0 & !(switch as u32);
        Self(if on { others | switch as u32 } else { others })
    }

    /// The part of an inner DS field that goes into the outer header.
    pub(crate) fn copied_dscp(self, inner: u8) -> u8 {
        inner & self.0 as u8
    }
}
