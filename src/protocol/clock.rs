// SPDX-License-Identifier: GPL-2.0

//! Whether a peer refuses us because our clock went back.
//!
//! A responder takes no initiation whose timestamp is not later than that of the last one it took (whitepaper
//! §5.1), and says nothing. Who is refused cannot know what the peer remembers, but can know what it has seen: an
//! initiation of ours that was answered. If our clock is behind that one's timestamp, the peer is going to refuse,
//! unless it has been restarted since. What the peer took before we were started, we do not know.

use super::time::Tai64n;

/// The timestamps of what we sent to one peer.
pub struct ClockWatch {
    /// Of the last initiation.
    sent: Tai64n,
    /// Of the last one that was answered.
    accepted: Tai64n,
    /// It has been said already.
    told: bool,
}

impl Default for ClockWatch {
    fn default() -> Self {
        Self::new()
    }
}

impl ClockWatch {
    /// Nothing was sent.
    pub const fn new() -> Self {
        Self {
            sent: Tai64n([0; 12]),
            accepted: Tai64n([0; 12]),
            told: false,
        }
    }

    /// An initiation with this timestamp is sent. Whether it has to be said now that the peer is going to refuse it:
    /// once in a row of attempts.
    pub fn sending(&mut self, timestamp: Tai64n) -> bool {
        self.sent = timestamp;
        // Two of the same moment are none of the clock's fault.
        let refused = timestamp < self.accepted;
        !core::mem::replace(&mut self.told, refused) && refused
    }

    /// The last initiation was answered.
    pub fn answered(&mut self) {
        self.accepted = self.sent;
        self.told = false;
    }

    /// The row of attempts has come to its end.
    pub fn given_up(&mut self) {
        self.told = false;
    }
}
