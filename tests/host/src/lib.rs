// SPDX-License-Identifier: GPL-2.0

//! The protocol core as a host crate: the very files of the kernel module, with the primitives from
//! the RustCrypto crates. The tests are in `tests/`. `driver` is a link to the driver's source: rust-analyzer looks for
//! modules in the directory of the crate only.

#[path = "../driver/protocol/mod.rs"]
pub mod protocol;

pub mod rng;
pub mod rust_crypto;
