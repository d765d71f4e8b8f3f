// SPDX-License-Identifier: GPL-2.0

//! The protocol core as a host crate.

#[path = "../../../src/protocol/mod.rs"]
pub mod protocol;
