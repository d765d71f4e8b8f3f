// SPDX-License-Identifier: GPL-2.0

//! Fuzz targets for the protocol core. Each takes octets, makes operations of them, and panics when
//! something does not hold. `src/main.rs` runs them under libFuzzer; `tests/corpus.rs` replays the
//! stored corpus without it.

pub mod ends;
pub mod fake;
mod prelude;
pub mod steps;

/// A target takes the octets that the engine came up with.
pub type Target = fn(&[u8]);

macro_rules! targets {
    ($($name:ident),* $(,)?) => {
        mod targets {
            $(pub mod $name;)*
        }
        /// The names of all targets.
        pub const NAMES: &[&str] = &[$(stringify!($name)),*];
        /// The target of this name.
        pub fn target(name: &str) -> Option<Target> {
            $(if name == stringify!($name) {
                return Some(targets::$name::run);
            })*
            None
        }
    };
}

targets!(cookie, handshake, initiation, messages, ratelimit, replay, response, session, timers);
