// SPDX-License-Identifier: GPL-2.0

//! The kernel's crypto library behind slices.
//!
//! Functions with several slices check that the lengths match. None sleeps. The Curve25519 ones take
//! long and are for process context.
//!
//! C headers: [`include/crypto/chacha20poly1305.h`](srctree/include/crypto/chacha20poly1305.h),
//! [`include/crypto/curve25519.h`](srctree/include/crypto/curve25519.h),
//! [`include/crypto/blake2s.h`](srctree/include/crypto/blake2s.h),
//! [`include/linux/siphash.h`](srctree/include/linux/siphash.h)

use core::mem::MaybeUninit;

use super::bindings;

/// Length of an authentication tag in octets.
pub(super) const TAG_LEN: usize = 16;

/// Seals `src` into `dst`, which is 16 octets longer.
#[must_use]
pub(crate) fn seal(dst: &mut [u8], src: &[u8], ad: &[u8], counter: u64, key: &[u8; 32]) -> bool {
    if dst.len().checked_sub(TAG_LEN) != Some(src.len()) {
        return false;
    }
    // SAFETY: `dst` has room for the ciphertext and the tag; all pointers are good for the lengths
    // that go with them.
    unsafe {
        bindings::chacha20poly1305_encrypt(
            dst.as_mut_ptr(),
            src.as_ptr(),
            src.len(),
            ad.as_ptr(),
            ad.len(),
            counter,
            key.as_ptr(),
        )
    };
    true
}

/// Opens `src` into `dst`, which is 16 octets shorter.
#[must_use]
pub(crate) fn open(dst: &mut [u8], src: &[u8], ad: &[u8], counter: u64, key: &[u8; 32]) -> bool {
    if src.len().checked_sub(TAG_LEN) != Some(dst.len()) {
        return false;
    }
    // SAFETY: `dst` has room for the plaintext; all pointers are good for the lengths that go with
    // them.
    unsafe {
        bindings::chacha20poly1305_decrypt(
            dst.as_mut_ptr(),
            src.as_ptr(),
            src.len(),
            ad.as_ptr(),
            ad.len(),
            counter,
            key.as_ptr(),
        )
    }
}

/// Seals all but the last 16 octets of `buf`, which take the tag.
#[must_use]
pub(crate) fn seal_in_place(buf: &mut [u8], ad: &[u8], counter: u64, key: &[u8; 32]) -> bool {
    let Some(len) = buf.len().checked_sub(TAG_LEN) else {
        return false;
    };
    let data = buf.as_mut_ptr();
    // SAFETY: The library works in place; `buf` has room for the tag after `len` octets.
    unsafe {
        bindings::chacha20poly1305_encrypt(
            data,
            data,
            len,
            ad.as_ptr(),
            ad.len(),
            counter,
            key.as_ptr(),
        )
    };
    true
}

/// Opens `buf`, whose last 16 octets are the tag.
#[must_use]
pub(crate) fn open_in_place(buf: &mut [u8], ad: &[u8], counter: u64, key: &[u8; 32]) -> bool {
    if buf.len() < TAG_LEN {
        return false;
    }
    let data = buf.as_mut_ptr();
    // SAFETY: The library works in place, and writes less than it reads.
    unsafe {
        bindings::chacha20poly1305_decrypt(
            data,
            data,
            buf.len(),
            ad.as_ptr(),
            ad.len(),
            counter,
            key.as_ptr(),
        )
    }
}

/// [`seal`] with the extended nonce.
#[must_use]
pub(crate) fn xseal(
    dst: &mut [u8],
    src: &[u8],
    ad: &[u8],
    nonce: &[u8; 24],
    key: &[u8; 32],
) -> bool {
    if dst.len().checked_sub(TAG_LEN) != Some(src.len()) {
        return false;
    }
    // SAFETY: As in `seal`.
    unsafe {
        bindings::xchacha20poly1305_encrypt(
            dst.as_mut_ptr(),
            src.as_ptr(),
            src.len(),
            ad.as_ptr(),
            ad.len(),
            nonce.as_ptr(),
            key.as_ptr(),
        )
    };
    true
}

/// [`open`] with the extended nonce.
#[must_use]
pub(crate) fn xopen(
    dst: &mut [u8],
    src: &[u8],
    ad: &[u8],
    nonce: &[u8; 24],
    key: &[u8; 32],
) -> bool {
    if src.len().checked_sub(TAG_LEN) != Some(dst.len()) {
        return false;
    }
    // SAFETY: As in `open`.
    unsafe {
        bindings::xchacha20poly1305_decrypt(
            dst.as_mut_ptr(),
            src.as_ptr(),
            src.len(),
            ad.as_ptr(),
            ad.len(),
            nonce.as_ptr(),
            key.as_ptr(),
        )
    }
}

fn blake2s<const N: usize>(out: &mut [u8; N], key: &[u8], parts: &[&[u8]]) {
    const { assert!(N >= 1 && N <= 32) };
    let mut context = MaybeUninit::uninit();
    let context: *mut bindings::blake2s_ctx = context.as_mut_ptr();
    let key = key.get(..32).unwrap_or(key);
    // SAFETY: The key is at most 32 octets long and the output between 1 and 32; the context is
    // initialised before it is used, and `final` wipes it.
    unsafe {
        bindings::blake2s_init_key(context, N, key.as_ptr().cast(), key.len());
        for part in parts {
            bindings::blake2s_update(context, part.as_ptr(), part.len());
        }
        bindings::blake2s_final(context, out.as_mut_ptr());
    }
}

/// BLAKE2s with 32 octets of output; the key is empty or up to 32 octets long.
pub(crate) fn blake2s_256(out: &mut [u8; 32], key: &[u8], parts: &[&[u8]]) {
    blake2s(out, key, parts);
}

/// BLAKE2s with 16 octets of output; the key is empty or up to 32 octets long.
pub(crate) fn blake2s_128(out: &mut [u8; 16], key: &[u8], parts: &[&[u8]]) {
    blake2s(out, key, parts);
}

/// Curve25519; `false` if the result is zero. Process context.
#[must_use]
pub(crate) fn x25519(out: &mut [u8; 32], secret: &[u8; 32], public: &[u8; 32]) -> bool {
    // SAFETY: Three arrays of 32 octets.
    unsafe { bindings::curve25519(out.as_mut_ptr(), secret.as_ptr(), public.as_ptr()) }
}

/// The public key of a secret key. Process context.
#[must_use]
pub(crate) fn x25519_public(out: &mut [u8; 32], secret: &[u8; 32]) -> bool {
    // SAFETY: Two arrays of 32 octets.
    unsafe { bindings::curve25519_generate_public(out.as_mut_ptr(), secret.as_ptr()) }
}

/// Compares in time that depends only on the lengths.
#[must_use]
pub(crate) fn equal(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len()
        // SAFETY: Both are good for the length, which is the same.
        && unsafe { bindings::crypto_memneq(a.as_ptr().cast(), b.as_ptr().cast(), a.len()) } == 0
}

/// Overwrites with zeros; the compiler may not leave it out.
pub(crate) fn wipe(buf: &mut [u8]) {
    // SAFETY: `buf` is good for its length.
    unsafe { bindings::memzero_explicit(buf.as_mut_ptr().cast(), buf.len()) };
}

/// Runs a computation with keys, then overwrites the stack that it has used.
///
/// Rust moves a value by copying it. Only the last copy is dropped and wiped; the others stay where they
/// were until later calls happen to overwrite them, which on a worker's stack may take a long time. The
/// result must not be secret.
pub(crate) fn with_wiped_stack<R>(f: impl FnOnce() -> R) -> R {
    // Each has a frame of its own, and both begin at the same place.
    #[inline(never)]
    fn call<R>(f: impl FnOnce() -> R) -> R {
        f()
    }
    #[inline(never)]
    fn wipe_below() {
        // The deepest calls with keys use less (`Documentation/security.md`), and the primitives wipe
        // their own stack.
        const DEPTH: usize = 3584;
        let mut below = MaybeUninit::<[u8; DEPTH]>::uninit();
        // SAFETY: The array is good for its length, and all zeros are a valid value of it.
        unsafe { bindings::memzero_explicit(below.as_mut_ptr().cast(), DEPTH) };
    }
    let result = call(f);
    wipe_below();
    result
}

/// Fills `buf` with random octets. Any context.
pub(crate) fn random(buf: &mut [u8]) {
    // SAFETY: `buf` is good for its length.
    unsafe { bindings::get_random_bytes(buf.as_mut_ptr().cast(), buf.len()) };
}

/// A random number. Any context.
pub(crate) fn random_u32() -> u32 {
    // SAFETY: No requirements.
    unsafe { bindings::get_random_u32() }
}

/// Whether the random number generator has been seeded.
pub(crate) fn random_ready() -> bool {
    // SAFETY: No requirements.
    unsafe { bindings::rng_is_initialized() }
}

/// The key of [`siphash`].
pub(crate) struct SipHashKey(bindings::siphash_key_t);

impl SipHashKey {
    /// A random key.
    pub(crate) fn random() -> Self {
        let mut key = [0; 16];
        random(&mut key);
        let (a, b) = (
            u128::from_ne_bytes(key) as u64,
            (u128::from_ne_bytes(key) >> 64) as u64,
        );
        Self(bindings::siphash_key_t { key: [a, b] })
    }
}

/// SipHash-2-4: a hash whose collisions an outsider cannot find.
pub(crate) fn siphash(data: &[u8], key: &SipHashKey) -> u64 {
    // SAFETY: `data` is good for its length.
    unsafe { bindings::siphash(data.as_ptr().cast(), data.len(), &key.0) }
}
