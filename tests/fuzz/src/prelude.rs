// SPDX-License-Identifier: GPL-2.0

//! What the targets use.

pub use crate::ends::*;
pub use crate::fake::*;
pub use crate::steps::*;
pub use arbitrary::{
    Arbitrary,
    Unstructured, //
};
pub use std::collections::BTreeSet;
pub use wireguard_host::protocol::cookie::*;
pub use wireguard_host::protocol::messages::*;
pub use wireguard_host::protocol::noise::*;
pub use wireguard_host::protocol::ratelimit::*;
pub use wireguard_host::protocol::replay::*;
pub use wireguard_host::protocol::session::*;
pub use wireguard_host::protocol::time::*;
pub use wireguard_host::protocol::timers::*;
