// SPDX-License-Identifier: GPL-2.0

//! The protocol's primitives, served by the kernel's crypto library.

#![forbid(unsafe_code)]

use crate::net::{
    aead,
    libcrypto, //
};
use crate::protocol;

const _: () = assert!(aead::LEAD == protocol::crypto::LEAD);

/// [`protocol::crypto::Crypto`] over `lib/crypto`.
///
/// None of the functions sleeps; all but the Curve25519 ones are fit for softirq context.
pub(crate) struct KernelCrypto;

impl protocol::crypto::Crypto for KernelCrypto {
    fn blake2s_256(out: &mut [u8; 32], key: &[u8], parts: &[&[u8]]) {
        libcrypto::blake2s_256(out, key, parts)
    }

    fn blake2s_128(out: &mut [u8; 16], key: &[u8], parts: &[&[u8]]) {
        libcrypto::blake2s_128(out, key, parts)
    }

    fn x25519(out: &mut [u8; 32], secret: &[u8; 32], public: &[u8; 32]) -> bool {
        libcrypto::x25519(out, secret, public)
    }

    fn x25519_public(out: &mut [u8; 32], secret: &[u8; 32]) -> bool {
        libcrypto::x25519_public(out, secret)
    }

    fn seal(dst: &mut [u8], src: &[u8], ad: &[u8], counter: u64, key: &[u8; 32]) -> bool {
        libcrypto::seal(dst, src, ad, counter, key)
    }

    fn open(dst: &mut [u8], src: &[u8], ad: &[u8], counter: u64, key: &[u8; 32]) -> bool {
        match ad {
            [] => aead::open(dst, src, counter, key),
            _ => libcrypto::open(dst, src, ad, counter, key),
        }
    }

    fn seal_in_place(buf: &mut [u8], ad: &[u8], counter: u64, key: &[u8; 32]) -> bool {
        libcrypto::seal_in_place(buf, ad, counter, key)
    }

    fn open_in_place(buf: &mut [u8], ad: &[u8], counter: u64, key: &[u8; 32]) -> bool {
        match ad {
            [] => aead::open_in_place(buf, counter, key),
            _ => libcrypto::open_in_place(buf, ad, counter, key),
        }
    }

    fn seal_behind(dst: &mut [u8], src: &[u8], counter: u64, key: &[u8; 32]) -> bool {
        aead::seal_behind(dst, src, counter, key)
    }

    fn seal_behind_in_place(buf: &mut [u8], counter: u64, key: &[u8; 32]) -> bool {
        aead::seal_behind_in_place(buf, counter, key)
    }

    fn open_behind(dst: &mut [u8], src: &[u8], counter: u64, key: &[u8; 32]) -> bool {
        aead::open_behind(dst, src, counter, key)
    }

    fn xseal(dst: &mut [u8], src: &[u8], ad: &[u8], nonce: &[u8; 24], key: &[u8; 32]) -> bool {
        libcrypto::xseal(dst, src, ad, nonce, key)
    }

    fn xopen(dst: &mut [u8], src: &[u8], ad: &[u8], nonce: &[u8; 24], key: &[u8; 32]) -> bool {
        libcrypto::xopen(dst, src, ad, nonce, key)
    }

    fn equal(a: &[u8], b: &[u8]) -> bool {
        libcrypto::equal(a, b)
    }

    fn wipe(buf: &mut [u8]) {
        libcrypto::wipe(buf)
    }
}

/// The device's static keys.
pub(crate) type Identity = protocol::noise::Identity<KernelCrypto>;
/// A peer's static public key and preshared key.
pub(crate) type Remote = protocol::noise::Remote<KernelCrypto>;
/// A peer's handshake state.
pub(crate) type Handshake = protocol::noise::Handshake<KernelCrypto>;
/// An initiation on its way to the peer it names.
pub(crate) type Received = protocol::noise::Received<KernelCrypto>;
/// The transport keys of one session.
pub(crate) type Session = protocol::session::Session<KernelCrypto>;
/// Keys of mac1 and of the cookie, derived from a public key.
pub(crate) type CookieKeys = protocol::cookie::CookieKeys<KernelCrypto>;
/// The rotating secret behind the cookies we hand out.
pub(crate) type CookieSecret = protocol::cookie::CookieSecret<KernelCrypto>;
/// What we remember of a peer's cookie.
pub(crate) type CookieMaker = protocol::cookie::CookieMaker<KernelCrypto>;
