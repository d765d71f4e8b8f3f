// SPDX-License-Identifier: GPL-2.0

//! The WireGuard protocol, without a kernel around it.
//!
//! The whitepaper ("WireGuard: Next Generation Kernel Network Tunnel", 2020 revision) is the
//! specification; section numbers refer to it. Nothing here allocates, sleeps, locks, reads a clock or
//! draws random numbers: functions take bytes, `now` and randomness, and return what to do. The
//! primitives come in through the trait [`crypto::Crypto`]. The same files are compiled into the
//! kernel module and into a host crate, where they are tested.
//!
//! Vocabulary: an *initiation* and its *response* make a *session*. A *cookie reply* answers a
//! handshake message under load. *Transport data* carries packets. A *receiver index* names a
//! handshake or a session to the side that chose it; each side is the *sender* of its own messages.

#![forbid(unsafe_code)]
#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]
// The host crate exports, and tests, what the kernel module keeps to itself or does without.
#![allow(unreachable_pub, dead_code)]

pub mod clock;
pub mod cookie;
pub mod crypto;
pub mod messages;
pub mod noise;
pub mod ratelimit;
pub mod replay;
pub mod session;
pub mod time;
pub mod timers;

/// A Curve25519 public key; a peer's name.
pub type PublicKey = [u8; 32];
