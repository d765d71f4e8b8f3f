// SPDX-License-Identifier: GPL-2.0

//! No source is served more often than its rate and its burst allow, nor a slow one refused.

use crate::prelude::*;

pub fn run(data: &[u8]) {
    const BURST: u64 = 5;
    const COST: u64 = 1_000_000_000 / 20;
    let Some((start, rest)) = data.split_first_chunk() else {
        return;
    };
    let start = u64::from_le_bytes(*start);
    let mut bucket = TokenBucket::<20, BURST>::new(Instant::from_nanos(start));
    let (mut now, mut latest, mut served, mut refused_at) = (start, start, 0u64, None);
    for step in steps::<i32>(rest) {
        // Clocks of several CPUs may differ a little, so time may go back.
        now = now.saturating_add_signed(i64::from(step).max(-1000));
        latest = latest.max(now);
        let allowed = bucket.allow(Instant::from_nanos(now));
        served += u64::from(allowed);
        let most = BURST + (latest - start) / COST;
        assert!(served <= most, "{served} served");
        if allowed {
            refused_at = None;
        } else {
            let first = *refused_at.get_or_insert(latest);
            assert!(latest - first < COST, "refused for too long");
        }
    }
}
