// SPDX-License-Identifier: GPL-2.0

//! ChaCha20-Poly1305 (RFC 8439) for messages in a row, without additional data.
//!
//! The key of Poly1305 comes from the first block of the ChaCha key stream; the blocks that follow seal the
//! message. The library's own function computes the first block separately, and on so short a piece it uses no
//! vector instructions: that takes a tenth of the time of a full message. Here the cipher starts [`LEAD`]
//! octets before the message, whatever is there, and covers both in one go. That costs next to nothing, since
//! it works on eight blocks at a time. What was there, XORed with what it has become, is the first block.
//!
//! C headers: [`include/crypto/chacha.h`](srctree/include/crypto/chacha.h),
//! [`include/crypto/poly1305.h`](srctree/include/crypto/poly1305.h)

use core::mem::MaybeUninit;

use super::bindings;
use super::libcrypto::{
    equal,
    wipe,
    TAG_LEN, //
};

/// Octets before a message: one ChaCha block.
pub(crate) const LEAD: usize = 64;
/// Length of a Poly1305 block in octets.
const BLOCK: usize = 16;
/// Length of a Poly1305 key in octets.
const KEY: usize = 32;

/// Both halves of 32 octets.
fn halves(octets: &[u8; 32]) -> [u128; 2] {
    let half = |octets: Option<&[u8; 16]>| octets.map_or(0, |octets| u128::from_le_bytes(*octets));
    [half(octets.first_chunk()), half(octets.last_chunk())]
}

/// The octets of both halves.
fn joined([first, second]: [u128; 2]) -> [u8; 32] {
    let mut octets = [0; 32];
    if let Some(to) = octets.first_chunk_mut() {
        *to = first.to_le_bytes();
    }
    if let Some(to) = octets.last_chunk_mut() {
        *to = second.to_le_bytes();
    }
    octets
}

/// Runs the cipher over `len` octets, starting at block number `block` of the key stream.
///
/// It has a frame of its own, which is done with the key when it calls the cipher. As a part of a caller that needs it
/// twice, it would keep a copy of the key on the stack.
///
/// # Safety
///
/// `from` is good for reading `len` octets, `to` for writing them; they are the same or do not overlap.
#[inline(never)]
unsafe fn crypt(
    key: &[u8; 32],
    counter: u64,
    block: u32,
    to: *mut u8,
    from: *const u8,
    len: usize,
) {
    let [a, b] = halves(key);
    let word = |half: u128, number: u32| half.wrapping_shr(number.wrapping_mul(32)) as u32;
    let x = [
        // "expand 32-byte k"
        0x6170_7865,
        0x3320_646e,
        0x7962_2d32,
        0x6b20_6574,
        word(a, 0),
        word(a, 1),
        word(a, 2),
        word(a, 3),
        word(b, 0),
        word(b, 1),
        word(b, 2),
        word(b, 3),
        block,
        0,
        counter as u32,
        (counter >> 32) as u32,
    ];
    let mut state = bindings::chacha_state { x };
    // SAFETY: The caller's promise.
    unsafe { bindings::chacha_crypt(&mut state, to, from, len as u32, 20) };
    for word in &mut state.x {
        // SAFETY: The word is ours.
        unsafe { (&raw mut *word).write_volatile(0) };
    }
}

/// The key of Poly1305 for one message, wiped when it is dropped.
struct TagKey([u8; KEY]);

impl TagKey {
    /// Recovers the key from the octets before a message and what the cipher has made of them.
    fn from_lead(before: &[u8; LEAD], after: &[u8; LEAD]) -> Self {
        let key = |lead: &[u8; LEAD]| lead.first_chunk().map_or([0; 2], halves);
        let ([a, b], [c, d]) = (key(before), key(after));
        Self(joined([a ^ c, b ^ d]))
    }

    /// The key for a message without a lead.
    fn alone(key: &[u8; 32], counter: u64) -> Self {
        // More than one block, so that vector instructions are used.
        let mut stream = [0; 2 * LEAD];
        let data = stream.as_mut_ptr();
        // SAFETY: The cipher works in place.
        unsafe { crypt(key, counter, 0, data, data, stream.len()) };
        let this = Self(*stream.first_chunk().unwrap_or(&[0; KEY]));
        wipe(&mut stream);
        this
    }

    /// The tag of `text`, which is ciphertext.
    fn tag(&self, text: &[u8]) -> [u8; TAG_LEN] {
        // The rest is padded with zeros; the lengths of the additional data (none) and of the text follow.
        let whole = text.len() / BLOCK * BLOCK;
        let (blocks, rest) = text.split_at_checked(whole).unwrap_or((text, &[]));
        let mut end = [0; 2 * BLOCK];
        for (to, from) in end.iter_mut().zip(rest) {
            *to = *from;
        }
        let end_len = if rest.is_empty() { BLOCK } else { 2 * BLOCK };
        if let Some(last) = end.get_mut(..end_len).and_then(|end| end.last_chunk_mut()) {
            *last = lengths(text.len());
        }
        let end = end.get(..end_len).unwrap_or(&[]);
        self.sum(&[blocks, end])
    }

    /// The tag of all but the last 16 octets of `text`, which are clobbered.
    fn tag_over(&self, text: &mut [u8]) -> [u8; TAG_LEN] {
        let Some((sealed, last)) = text.split_last_chunk_mut::<TAG_LEN>() else {
            return [0; TAG_LEN];
        };
        if sealed.len() % BLOCK != 0 {
            return self.tag(sealed);
        }
        // One piece is quicker than two.
        *last = lengths(sealed.len());
        self.sum(&[text])
    }

    fn sum(&self, parts: &[&[u8]]) -> [u8; TAG_LEN] {
        let mut state = MaybeUninit::uninit();
        let state: *mut bindings::poly1305_desc_ctx = state.as_mut_ptr();
        let mut tag = [0; TAG_LEN];
        // SAFETY: The state is initialised before it is used, and `final` wipes it; the slices are good for
        // their lengths.
        unsafe {
            bindings::poly1305_init(state, self.0.as_ptr());
            for part in parts {
                bindings::poly1305_update(state, part.as_ptr(), part.len() as u32);
            }
            bindings::poly1305_final(state, tag.as_mut_ptr());
        }
        tag
    }
}

impl Drop for TagKey {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

/// The last block that goes into a tag: the lengths.
fn lengths(len: usize) -> [u8; BLOCK] {
    ((len as u128) << 64).to_le_bytes()
}

/// Seals what follows the first [`LEAD`] octets of `src` into the same place in `dst`, which is 16 octets
/// longer. The lead of `dst` is preserved.
#[must_use]
pub(crate) fn seal_behind(dst: &mut [u8], src: &[u8], counter: u64, key: &[u8; 32]) -> bool {
    if dst.len().checked_sub(TAG_LEN) != Some(src.len()) {
        return false;
    }
    let Some(before) = src.first_chunk::<LEAD>() else {
        return false;
    };
    let Some(kept) = dst.first_chunk::<LEAD>().copied() else {
        return false;
    };
    // SAFETY: `dst` is longer than `src`.
    unsafe { crypt(key, counter, 0, dst.as_mut_ptr(), src.as_ptr(), src.len()) };
    finish_sealing(dst, before, &kept)
}

/// Seals in place what follows the first [`LEAD`] octets of `buf`, except for the last 16, which take the tag.
/// The lead is preserved.
#[must_use]
pub(crate) fn seal_behind_in_place(buf: &mut [u8], counter: u64, key: &[u8; 32]) -> bool {
    let Some(len) = buf.len().checked_sub(TAG_LEN) else {
        return false;
    };
    let Some(kept) = buf.first_chunk::<LEAD>().copied() else {
        return false;
    };
    let data = buf.as_mut_ptr();
    // SAFETY: The cipher works in place.
    unsafe { crypt(key, counter, 0, data, data, len) };
    finish_sealing(buf, &kept, &kept)
}

/// Restores the lead of a message that was sealed, and writes the tag behind the message.
fn finish_sealing(buf: &mut [u8], before: &[u8; LEAD], kept: &[u8; LEAD]) -> bool {
    let Some((lead, text)) = buf.split_first_chunk_mut::<LEAD>() else {
        return false;
    };
    let tag_key = TagKey::from_lead(before, lead);
    *lead = *kept;
    let tag = tag_key.tag_over(text);
    match text.last_chunk_mut::<TAG_LEN>() {
        Some(last) => {
            *last = tag;
            true
        }
        None => false,
    }
}

/// Opens what follows the first [`LEAD`] octets of `src`, the last 16 of which are the tag, into the same place
/// in `dst`, which is 16 octets shorter. The lead of `dst` is preserved. If the tag is wrong, what is behind
/// the lead must not be used.
#[must_use]
pub(crate) fn open_behind(dst: &mut [u8], src: &[u8], counter: u64, key: &[u8; 32]) -> bool {
    if src.len().checked_sub(TAG_LEN) != Some(dst.len()) {
        return false;
    }
    let (Some((before, sealed)), Some(kept)) = (
        src.split_first_chunk::<LEAD>(),
        dst.first_chunk::<LEAD>().copied(),
    ) else {
        return false;
    };
    let Some((text, tag)) = sealed.split_last_chunk::<TAG_LEN>() else {
        return false;
    };
    // SAFETY: `dst` is not shorter than what is taken from `src`.
    unsafe { crypt(key, counter, 0, dst.as_mut_ptr(), src.as_ptr(), dst.len()) };
    let Some(lead) = dst.first_chunk_mut::<LEAD>() else {
        return false;
    };
    let tag_key = TagKey::from_lead(before, lead);
    *lead = kept;
    equal(&tag_key.tag(text), tag)
}

/// Opens `buf`, whose last 16 octets are the tag, in place.
#[must_use]
pub(crate) fn open_in_place(buf: &mut [u8], counter: u64, key: &[u8; 32]) -> bool {
    let Some(tag) = buf.last_chunk::<TAG_LEN>().copied() else {
        return false;
    };
    let tag_key = TagKey::alone(key, counter);
    if !equal(&tag_key.tag_over(buf), &tag) {
        return false;
    }
    let (data, len) = (buf.as_mut_ptr(), buf.len().saturating_sub(TAG_LEN));
    // SAFETY: The cipher works in place.
    unsafe { crypt(key, counter, 1, data, data, len) };
    true
}

/// Opens `src`, whose last 16 octets are the tag, into `dst`, which is 16 octets shorter.
#[must_use]
pub(crate) fn open(dst: &mut [u8], src: &[u8], counter: u64, key: &[u8; 32]) -> bool {
    let Some((text, tag)) = src.split_last_chunk::<TAG_LEN>() else {
        return false;
    };
    if text.len() != dst.len() || !equal(&TagKey::alone(key, counter).tag(text), tag) {
        return false;
    }
    // SAFETY: Both have the same length.
    unsafe { crypt(key, counter, 1, dst.as_mut_ptr(), text.as_ptr(), text.len()) };
    true
}
