// SPDX-License-Identifier: GPL-2.0

//! The primitives that the protocol is built from (§5.4), and how secrets are kept.

use core::marker::PhantomData;

/// Length of an authentication tag, in octets.
pub const TAG_LEN: usize = 16;

/// Octets in front of a message that [`Crypto::seal_behind`] and its relatives may use.
pub const LEAD: usize = 64;

/// The primitives. The kernel module takes them from the kernel's crypto library, the tests from
/// independent implementations.
///
/// Lengths are in octets. A function that is given slices whose lengths do not fit together returns
/// `false` and leaves the output in an unspecified state.
pub trait Crypto: Sized + Send + Sync + 'static {
    /// BLAKE2s of the concatenated `parts` with 32 octets of output. An empty key means unkeyed.
    fn blake2s_256(out: &mut [u8; 32], key: &[u8], parts: &[&[u8]]);
    /// BLAKE2s of the concatenated `parts` with 16 octets of output.
    fn blake2s_128(out: &mut [u8; 16], key: &[u8], parts: &[&[u8]]);
    /// Curve25519; `false` when the result is zero, which means a point of low order.
    #[must_use]
    fn x25519(out: &mut [u8; 32], secret: &[u8; 32], public: &[u8; 32]) -> bool;
    /// The public key of a secret key.
    #[must_use]
    fn x25519_public(out: &mut [u8; 32], secret: &[u8; 32]) -> bool;
    /// ChaCha20-Poly1305 (RFC 8439); the nonce is 32 zero bits followed by the little-endian counter.
    /// `dst` takes the ciphertext and the tag.
    #[must_use]
    fn seal(dst: &mut [u8], src: &[u8], ad: &[u8], counter: u64, key: &[u8; 32]) -> bool;
    /// The inverse of [`Crypto::seal`]; `false` when the tag does not match.
    #[must_use]
    fn open(dst: &mut [u8], src: &[u8], ad: &[u8], counter: u64, key: &[u8; 32]) -> bool;
    /// Seals in place. The last 16 octets of `buf` take the tag, the others are the plaintext.
    #[must_use]
    fn seal_in_place(buf: &mut [u8], ad: &[u8], counter: u64, key: &[u8; 32]) -> bool;
    /// Opens in place. The last 16 octets of `buf` are the tag.
    #[must_use]
    fn open_in_place(buf: &mut [u8], ad: &[u8], counter: u64, key: &[u8; 32]) -> bool;
    /// [`Crypto::seal`] without additional data; both slices begin with [`LEAD`] octets that are not part of it.
    /// Those of `src` may be read; those of `dst` may be written meanwhile, but are the same afterwards.
    ///
    /// This default ignores them; an implementation that uses them can be faster.
    #[must_use]
    fn seal_behind(dst: &mut [u8], src: &[u8], counter: u64, key: &[u8; 32]) -> bool {
        match (dst.get_mut(LEAD..), src.get(LEAD..)) {
            (Some(dst), Some(src)) => Self::seal(dst, src, &[], counter, key),
            _ => false,
        }
    }
    /// Likewise for [`Crypto::seal_in_place`].
    #[must_use]
    fn seal_behind_in_place(buf: &mut [u8], counter: u64, key: &[u8; 32]) -> bool {
        buf.get_mut(LEAD..)
            .is_some_and(|buf| Self::seal_in_place(buf, &[], counter, key))
    }
    /// Likewise for [`Crypto::open`].
    #[must_use]
    fn open_behind(dst: &mut [u8], src: &[u8], counter: u64, key: &[u8; 32]) -> bool {
        match (dst.get_mut(LEAD..), src.get(LEAD..)) {
            (Some(dst), Some(src)) => Self::open(dst, src, &[], counter, key),
            _ => false,
        }
    }
    /// XChaCha20-Poly1305.
    #[must_use]
    fn xseal(dst: &mut [u8], src: &[u8], ad: &[u8], nonce: &[u8; 24], key: &[u8; 32]) -> bool;
    /// The inverse of [`Crypto::xseal`].
    #[must_use]
    fn xopen(dst: &mut [u8], src: &[u8], ad: &[u8], nonce: &[u8; 24], key: &[u8; 32]) -> bool;
    /// Compares in time that depends on the lengths only.
    #[must_use]
    fn equal(a: &[u8], b: &[u8]) -> bool;
    /// Overwrites with zeros in a way that the compiler does not optimise away.
    fn wipe(buf: &mut [u8]);
}

/// Octets that are wiped when they are dropped. There is no way to print, compare or copy them by
/// accident.
pub struct Secret<C: Crypto, const N: usize = 32>([u8; N], PhantomData<C>);

impl<C: Crypto, const N: usize> Secret<C, N> {
    /// Copies `bytes` and wipes the original.
    pub fn take(bytes: &mut [u8; N]) -> Self {
        let secret = Self(*bytes, PhantomData);
        C::wipe(bytes);
        secret
    }

    /// All zeros.
    pub const fn zero() -> Self {
        Self([0; N], PhantomData)
    }

    /// The octets.
    pub fn bytes(&self) -> &[u8; N] {
        &self.0
    }

    /// The octets, to be written.
    pub fn bytes_mut(&mut self) -> &mut [u8; N] {
        &mut self.0
    }

    /// A second copy, on purpose.
    pub fn dup(&self) -> Self {
        Self(self.0, PhantomData)
    }

    /// Overwrites the octets with zeros.
    pub fn wipe(&mut self) {
        C::wipe(&mut self.0);
    }
}

impl<C: Crypto, const N: usize> Drop for Secret<C, N> {
    fn drop(&mut self) {
        self.wipe();
    }
}
