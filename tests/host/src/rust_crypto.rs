// SPDX-License-Identifier: GPL-2.0

//! [`Crypto`] over the RustCrypto crates.

use crate::protocol::crypto::{
    Crypto,
    TAG_LEN, //
};
use blake2::digest::consts::{
    U16,
    U32, //
};
use blake2::digest::{
    FixedOutput,
    Mac,
    Update, //
};
use blake2::{
    Blake2s,
    Blake2sMac,
    Digest, //
};
use chacha20poly1305::{
    AeadInPlace,
    ChaCha20Poly1305,
    Key,
    KeyInit,
    Nonce,
    XChaCha20Poly1305,
    XNonce, //
};
use subtle::ConstantTimeEq;

/// The primitives as the tests have them.
#[derive(Debug)]
pub struct RustCrypto;

fn counter_nonce(counter: u64) -> Nonce {
    let mut nonce = Nonce::default();
    nonce[4..].copy_from_slice(&counter.to_le_bytes());
    nonce
}

fn seal_in_place<A: AeadInPlace>(
    aead: &A,
    nonce: &chacha20poly1305::aead::Nonce<A>,
    ad: &[u8],
    buf: &mut [u8],
) -> bool {
    let Some(len) = buf.len().checked_sub(TAG_LEN) else {
        return false;
    };
    let (plain, room) = buf.split_at_mut(len);
    match aead.encrypt_in_place_detached(nonce, ad, plain) {
        Ok(tag) => {
            room.copy_from_slice(&tag);
            true
        }
        Err(_) => false,
    }
}

fn seal<A: AeadInPlace>(
    aead: &A,
    nonce: &chacha20poly1305::aead::Nonce<A>,
    ad: &[u8],
    dst: &mut [u8],
    src: &[u8],
) -> bool {
    if dst.len().checked_sub(TAG_LEN) != Some(src.len()) {
        return false;
    }
    dst[..src.len()].copy_from_slice(src);
    seal_in_place(aead, nonce, ad, dst)
}

type Detached<'a> = (&'a mut [u8], &'a [u8]);

fn open_detached<A: AeadInPlace>(
    aead: &A,
    nonce: &chacha20poly1305::aead::Nonce<A>,
    ad: &[u8],
    (text, tag): Detached<'_>,
) -> bool {
    let tag = chacha20poly1305::aead::Tag::<A>::clone_from_slice(tag);
    aead.decrypt_in_place_detached(nonce, ad, text, &tag)
        .is_ok()
}

fn open<A: AeadInPlace>(
    aead: &A,
    nonce: &chacha20poly1305::aead::Nonce<A>,
    ad: &[u8],
    dst: &mut [u8],
    src: &[u8],
) -> bool {
    if src.len().checked_sub(TAG_LEN) != Some(dst.len()) {
        return false;
    }
    let (text, tag) = src.split_at(dst.len());
    dst.copy_from_slice(text);
    open_detached(aead, nonce, ad, (dst, tag))
}

impl Crypto for RustCrypto {
    fn blake2s_256(out: &mut [u8; 32], key: &[u8], parts: &[&[u8]]) {
        *out = if key.is_empty() {
            let mut hash = <Blake2s<U32> as Digest>::new();
            parts
                .iter()
                .for_each(|part| Update::update(&mut hash, part));
            hash.finalize_fixed().into()
        } else {
            let mut mac = <Blake2sMac<U32> as Mac>::new_from_slice(key).expect("key of 1 to 32");
            parts.iter().for_each(|part| Update::update(&mut mac, part));
            mac.finalize_fixed().into()
        };
    }

    fn blake2s_128(out: &mut [u8; 16], key: &[u8], parts: &[&[u8]]) {
        *out = if key.is_empty() {
            let mut hash = <Blake2s<U16> as Digest>::new();
            parts
                .iter()
                .for_each(|part| Update::update(&mut hash, part));
            hash.finalize_fixed().into()
        } else {
            let mut mac = <Blake2sMac<U16> as Mac>::new_from_slice(key).expect("key of 1 to 32");
            parts.iter().for_each(|part| Update::update(&mut mac, part));
            mac.finalize_fixed().into()
        };
    }

    fn x25519(out: &mut [u8; 32], secret: &[u8; 32], public: &[u8; 32]) -> bool {
        *out = x25519_dalek::x25519(*secret, *public);
        !Self::equal(out, &[0; 32])
    }

    fn x25519_public(out: &mut [u8; 32], secret: &[u8; 32]) -> bool {
        Self::x25519(out, secret, &x25519_dalek::X25519_BASEPOINT_BYTES)
    }

    fn seal(dst: &mut [u8], src: &[u8], ad: &[u8], counter: u64, key: &[u8; 32]) -> bool {
        let aead = ChaCha20Poly1305::new(Key::from_slice(key));
        seal(&aead, &counter_nonce(counter), ad, dst, src)
    }

    fn open(dst: &mut [u8], src: &[u8], ad: &[u8], counter: u64, key: &[u8; 32]) -> bool {
        let aead = ChaCha20Poly1305::new(Key::from_slice(key));
        open(&aead, &counter_nonce(counter), ad, dst, src)
    }

    fn seal_in_place(buf: &mut [u8], ad: &[u8], counter: u64, key: &[u8; 32]) -> bool {
        let aead = ChaCha20Poly1305::new(Key::from_slice(key));
        seal_in_place(&aead, &counter_nonce(counter), ad, buf)
    }

    fn open_in_place(buf: &mut [u8], ad: &[u8], counter: u64, key: &[u8; 32]) -> bool {
        let Some(len) = buf.len().checked_sub(TAG_LEN) else {
            return false;
        };
        let aead = ChaCha20Poly1305::new(Key::from_slice(key));
        let (text, tag) = buf.split_at_mut(len);
        open_detached(&aead, &counter_nonce(counter), ad, (text, tag))
    }

    fn xseal(dst: &mut [u8], src: &[u8], ad: &[u8], nonce: &[u8; 24], key: &[u8; 32]) -> bool {
        let aead = XChaCha20Poly1305::new(Key::from_slice(key));
        seal(&aead, XNonce::from_slice(nonce), ad, dst, src)
    }

    fn xopen(dst: &mut [u8], src: &[u8], ad: &[u8], nonce: &[u8; 24], key: &[u8; 32]) -> bool {
        let aead = XChaCha20Poly1305::new(Key::from_slice(key));
        open(&aead, XNonce::from_slice(nonce), ad, dst, src)
    }

    fn equal(a: &[u8], b: &[u8]) -> bool {
        a.ct_eq(b).into()
    }

    fn wipe(buf: &mut [u8]) {
        // The host has no secrets, and safe Rust no volatile writes.
        core::hint::black_box(&mut *buf).fill(0);
        core::hint::black_box(buf);
    }
}
