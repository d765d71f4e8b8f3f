// SPDX-License-Identifier: GPL-2.0

//! Whether a peer refuses us because our clock went back.
//!
//! A responder silently ignores an initiation whose timestamp is not later than that of the last one it accepted
//! (whitepaper §5.1). The initiator cannot know what the peer remembers, but it knows what the peer has seen: an
//! initiation of ours that was answered. If our clock is behind that initiation's timestamp, the peer is going to
//! refuse us, unless it has been restarted since. What the peer accepted before we were started, we do not know.

use super::time::Tai64n;

/// The timestamps of the initiations that we sent to one peer.
pub struct ClockWatch {
    /// Of the last initiation.
    sent: Tai64n,
    /// Of the last one that was answered.
    accepted: Tai64n,
    /// The refusal has been reported already.
    told: bool,
}

impl Default for ClockWatch {
    fn default() -> Self {
        Self::new()
    }
}

impl ClockWatch {
    /// Nothing was sent yet.
    pub const fn new() -> Self {
        Self {
            sent: Tai64n([0; 12]),
            accepted: Tai64n([0; 12]),
            told: false,
        }
    }

    /// An initiation with this timestamp is being sent. Returns whether to report now that the peer is going to refuse
    /// it: once per series of attempts.
    pub fn sending(&mut self, timestamp: Tai64n) -> bool {
        self.sent = timestamp;
        // Equal timestamps are not the clock's fault.
        let refused = timestamp < self.accepted;
        !core::mem::replace(&mut self.told, refused) && refused
    }

    /// The last initiation was answered.
    pub fn answered(&mut self) {
        self.accepted = self.sent;
        self.told = false;
    }

    /// The series of attempts has ended.
    pub fn series_ended(&mut self) {
        self.told = false;
    }
}
