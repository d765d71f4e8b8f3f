// SPDX-License-Identifier: GPL-2.0

//! Safe abstractions over the kernel's C networking interfaces.
//!
//! All `unsafe` of the driver is in this module, and nothing in it knows about WireGuard. The rules: a type
//! states what always holds for the C object behind it (`# Invariants`), each `unsafe` block argues from
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

/// What `modinfo` and `/sys/module/wireguard/version` say: the version of the in-tree driver, which this one
/// replaces, and a suffix that tells the two apart. DKMS does not install a module in place of one with a
/// version unless it has one as well.
#[cfg(MODULE)]
#[link_section = ".modinfo"]
#[used(compiler)]
static VERSION: [u8; 19] = *b"version=1.0.0-rust\0";
