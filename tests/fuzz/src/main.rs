// SPDX-License-Identifier: GPL-2.0

//! The fuzz targets under libFuzzer: `FUZZ_TARGET=name fuzz CORPUS...`. See `scripts/fuzz`.

#![no_main]

use std::sync::OnceLock;

use wireguard_fuzz::Target;

static TARGET: OnceLock<Target> = OnceLock::new();

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let run = TARGET.get_or_init(|| {
        let name = std::env::var("FUZZ_TARGET").expect("FUZZ_TARGET");
        wireguard_fuzz::target(&name).expect("a known target")
    });
    run(data);
});
