// SPDX-License-Identifier: GPL-2.0

//! The protocol core as a host crate: the very files of the kernel module, with the primitives from
//! the RustCrypto crates. The tests are in `tests/`.

#[path = "../../../src/protocol/mod.rs"]
pub mod protocol;

pub mod rng;
pub mod rust_crypto;
