// SPDX-License-Identifier: GPL-2.0

//! Safe abstractions over the kernel's C networking interfaces.
//!
//! All `unsafe` of the driver is in this room, and nothing in it knows WireGuard. The rules: a type
//! states what always holds of the C object behind it (`# Invariants`), each `unsafe` block argues from
//! that, and evidence that a lock is held or bottom halves are off is a value that is passed along.

#![allow(unsafe_code)]

pub(crate) mod aead;
pub(crate) mod attr;
pub(crate) mod bh;
mod bindings;
pub(crate) mod clock;
pub(crate) mod debug;
pub(crate) mod endpoint;
#[cfg(kernel_7_2)]
pub(crate) mod errno;
pub(crate) mod genl;
pub(crate) mod gro;
pub(crate) mod gso;
pub(crate) mod hashtable;
pub(crate) mod icmp;
pub(crate) mod libcrypto;
pub(crate) mod netdev;
pub(crate) mod path_mtu;
pub(crate) mod pipeline;
pub(crate) mod pool;
pub(crate) mod rcu;
pub(crate) mod rtnl;
mod rtnl_lock;
pub(crate) mod skb;
pub(crate) mod trace;
pub(crate) mod train;
pub(crate) mod udp;
pub(crate) mod vector;
pub(crate) mod workqueue;

/// What `modinfo` and `/sys/module/wireguard/version` say: the version of the in-tree driver, whose place
/// this one takes, and by which of the two is meant. DKMS installs no module in the place of one with a
/// version unless it has one as well.
#[cfg(MODULE)]
#[link_section = ".modinfo"]
#[used(compiler)]
static VERSION: [u8; 19] = *b"version=1.0.0-rust\0";
