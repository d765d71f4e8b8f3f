// SPDX-License-Identifier: GPL-2.0

//! What an administrator may ask of an interface beyond what every WireGuard does
//! (`Documentation/netlink/wireguard-options.yaml`). All of it is off until he does.

#![forbid(unsafe_code)]

use kernel::sync::atomic::{
    Atomic,
    Relaxed, //
};

/// The options of a device that the data path asks for, in one word: it is read once for each packet or train.
pub(crate) struct Options(Atomic<u32>);

/// The options at one moment.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chosen(u32);

/// An option that is on or off.
#[derive(Clone, Copy)]
#[repr(u32)]
pub(crate) enum Switch {
    /// The DSCP of packets is copied to the outer header. The bits are those of the DS field that are copied, so
    /// that nobody has to ask whether the option is on.
    CopyDscp = 0xfc,
    /// What the path to a peer takes is learned, and told inside.
    PathMtu = 1 << 8,
    /// The interface gets an IPv6 address on its link when it goes up.
    LinkLocal = 1 << 9,
}

impl Options {
    /// Nothing is asked for.
    pub(crate) const fn new() -> Self {
        Self(Atomic::new(0))
    }

    /// What is asked for now.
    pub(crate) fn chosen(&self) -> Chosen {
        Chosen(self.0.load(Relaxed))
    }

    /// Asks for `chosen` from now on.
    pub(crate) fn choose(&self, chosen: Chosen) {
        self.0.store(chosen.0, Relaxed);
    }
}

impl Chosen {
    /// Whether an option is on.
    pub(crate) fn has(self, switch: Switch) -> bool {
        self.0 & switch as u32 != 0
    }

    /// The same with one option on or off.
    pub(crate) fn with(self, switch: Switch, on: bool) -> Self {
        let others = self.0 & !(switch as u32);
        Self(if on { others | switch as u32 } else { others })
    }

    /// What of an inner DS field goes into the outer header.
    pub(crate) fn copied_dscp(self, inner: u8) -> u8 {
        inner & self.0 as u8
    }
}
