// SPDX-License-Identifier: GPL-2.0

//! The operations that octets are made into.

use arbitrary::{
    Arbitrary,
    Result,
    Unstructured, //
};

/// The operations that are in `data`. A last one for which it does not suffice is filled up with zeros.
pub fn steps<'a, T: Arbitrary<'a> + 'a>(data: &'a [u8]) -> impl Iterator<Item = T> + 'a {
    let mut input = Unstructured::new(data);
    std::iter::from_fn(move || {
        let step: Option<Result<T>> = (!input.is_empty()).then(|| input.arbitrary());
        step?.ok()
    })
}

/// A counter, relative to the newest one or not.
#[derive(Arbitrary)]
pub enum Counter {
    Ahead(u16),
    Behind(u16),
    Any(u64),
    NearTheEnd(u8),
    /// About where the window ends.
    Edge(i8),
}

/// What may happen to timers.
#[derive(Arbitrary)]
pub enum TimerStep {
    Tell(u8, u32),
    Wait(u32),
    WaitForNext,
    Interval(u16),
    Claim,
    Anew,
    Stop,
}

/// What may happen to who puts macs on messages.
#[derive(Arbitrary)]
pub enum CookieStep<'a> {
    Message(&'a [u8]),
    TrueReply,
    Reply(Box<[u8; 64]>),
    Wait(u32),
}
