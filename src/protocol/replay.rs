// SPDX-License-Identifier: GPL-2.0

//! The replay window (§5.4.6): which of the latest counters have been received.
//!
//! A ring of words, as in RFC 6479: the word of the newest counter is cleared when it is entered,
//! so that no bit is ever shifted. One word of the ring is therefore always partly stale, and the
//! window is one word shorter than the ring.

use super::session::REJECT_AFTER_MESSAGES;

/// Bits of the ring.
pub const WINDOW_BITS: usize = 8192;
const WORD_SHIFT: u32 = 6;
const WORD_BITS: usize = 1 << WORD_SHIFT;
const WORD_MASK: u64 = (1 << WORD_SHIFT) - 1;
const WORDS: usize = WINDOW_BITS / WORD_BITS;
/// Counters that lie further behind the newest one than this are too old.
pub const WINDOW: u64 = (WINDOW_BITS - WORD_BITS) as u64;

/// The counters of a session that have been received.
pub struct ReplayWindow {
    /// One more than the newest counter; zero before the first.
    end: u64,
    ring: [u64; WORDS],
}

impl Default for ReplayWindow {
    fn default() -> Self {
        Self::new()
    }
}

impl ReplayWindow {
    /// Nothing received.
    pub const fn new() -> Self {
        Self {
            end: 0,
            ring: [0; WORDS],
        }
    }

    fn word(&mut self, number: u64) -> Option<&mut u64> {
        // The ring's length is a power of two.
        self.ring.get_mut(number as usize & (WORDS - 1))
    }

    /// The newest counter; zero before the first.
    pub fn newest(&self) -> u64 {
        self.end.saturating_sub(1)
    }

    /// Records `counter`. `false` if it was recorded before, is too old to tell, or is beyond what a
    /// session may use. To be called for authentic messages only.
    #[must_use]
    pub fn accept(&mut self, counter: u64) -> bool {
        if counter >= REJECT_AFTER_MESSAGES {
            return false;
        }
        // `end` is one more than the newest.
        if self.end.saturating_sub(counter) > WINDOW + 1 {
            return false;
        }
        let number = counter >> WORD_SHIFT;
        if counter >= self.end {
            // The word of `end - 1` is in use; before the first counter, none is.
            let used = match self.end.checked_sub(1) {
                Some(newest) => newest >> WORD_SHIFT,
                None => number,
            };
            let entered = number.saturating_sub(used).min(WORDS as u64);
            for step in 0..entered {
                if let Some(word) = self.word(number.wrapping_sub(step)) {
                    *word = 0;
                }
            }
            // Below `REJECT_AFTER_MESSAGES`.
            self.end = counter.saturating_add(1);
        }
        let bit = 1u64.wrapping_shl((counter & WORD_MASK) as u32);
        match self.word(number) {
            Some(word) if *word & bit == 0 => {
                *word |= bit;
                true
            }
            _ => false,
        }
    }
}
