// SPDX-License-Identifier: GPL-2.0

//! A QEMU plugin that counts how often each translated block of guest code runs. `scripts/profile`
//! compiles and uses it.
//!
//! Argument: `dir=DIRECTORY`. Counting begins when the guest creates `DIRECTORY/profile.begin`. When
//! it creates `DIRECTORY/profile.end`, the counts since then are written to `DIRECTORY/profile.counts`:
//! address, number of instructions and number of executions of each block.

use std::collections::HashMap;
use std::ffi::{c_char, c_int, c_void, CStr};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

/// As many different blocks as there may be; those beyond are not counted.
const BLOCKS: usize = 1 << 21;
const ADD_U64: c_int = 0;

#[repr(C)]
#[derive(Clone, Copy)]
struct Counter {
    scoreboard: *mut c_void,
    offset: usize,
}

extern "C" {
    fn qemu_plugin_scoreboard_new(size: usize) -> *mut c_void;
    fn qemu_plugin_u64_sum(counter: Counter) -> u64;
    fn qemu_plugin_tb_n_insns(block: *const c_void) -> usize;
    fn qemu_plugin_tb_vaddr(block: *const c_void) -> u64;
    fn qemu_plugin_register_vcpu_tb_trans_cb(id: u64, callback: extern "C" fn(u64, *mut c_void));
    fn qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu(
        block: *mut c_void,
        operation: c_int,
        counter: Counter,
        value: u64,
    );
}

/// The blocks that have been seen, each with its place on the scoreboard.
struct Blocks {
    scoreboard: usize,
    places: Option<HashMap<(u64, usize), usize>>,
}

static BLOCKS_SEEN: Mutex<Blocks> = Mutex::new(Blocks {
    scoreboard: 0,
    places: None,
});

#[no_mangle]
pub static qemu_plugin_version: c_int = 4;

extern "C" fn translated(_id: u64, block: *mut c_void) {
    // SAFETY: QEMU hands out a block that is valid during this callback.
    let key = unsafe { (qemu_plugin_tb_vaddr(block), qemu_plugin_tb_n_insns(block)) };
    let Ok(mut blocks) = BLOCKS_SEEN.lock() else {
        return;
    };
    let scoreboard = blocks.scoreboard as *mut c_void;
    let Some(places) = blocks.places.as_mut() else {
        return;
    };
    let next = places.len();
    let place = *places.entry(key).or_insert(next);
    if place < BLOCKS {
        let counter = Counter {
            scoreboard,
            offset: place * 8,
        };
        // SAFETY: The block is valid during this callback, the scoreboard lives as long as QEMU does
        // and has room for BLOCKS counters.
        unsafe { qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu(block, ADD_U64, counter, 1) };
    }
}

/// All counts at this moment.
fn counts() -> HashMap<(u64, usize), u64> {
    let mut all = HashMap::new();
    if let Ok(blocks) = BLOCKS_SEEN.lock() {
        for (key, &place) in blocks.places.iter().flatten() {
            if place < BLOCKS {
                let counter = Counter {
                    scoreboard: blocks.scoreboard as *mut c_void,
                    offset: place * 8,
                };
                // SAFETY: The scoreboard lives as long as QEMU does and has room for BLOCKS counters.
                // A count that changes meanwhile is read before or after the change.
                all.insert(*key, unsafe { qemu_plugin_u64_sum(counter) });
            }
        }
    }
    all
}

fn wait_for(path: &Path) {
    while !path.exists() {
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn watch(dir: PathBuf) {
    wait_for(&dir.join("profile.begin"));
    let before = counts();
    wait_for(&dir.join("profile.end"));
    let mut text = String::new();
    for ((address, instructions), count) in counts() {
        let count = count - before.get(&(address, instructions)).unwrap_or(&0);
        if count > 0 {
            let _ = writeln!(text, "{address:x} {instructions} {count}");
        }
    }
    if let Err(error) = std::fs::write(dir.join("profile.counts"), text) {
        eprintln!("profile: cannot write the counts: {error}");
    }
}

/// # Safety
///
/// To be called by QEMU: `arguments` are `count` strings.
#[no_mangle]
pub unsafe extern "C" fn qemu_plugin_install(
    id: u64,
    _info: *const c_void,
    count: c_int,
    arguments: *const *const c_char,
) -> c_int {
    let mut dir = None;
    for i in 0..count as usize {
        // SAFETY: QEMU passes that many strings that end in a zero.
        let argument = unsafe { CStr::from_ptr(*arguments.add(i)) };
        if let Some(value) = argument.to_str().ok().and_then(|a| a.strip_prefix("dir=")) {
            dir = Some(PathBuf::from(value));
        }
    }
    let Some(dir) = dir else {
        eprintln!("profile: the argument dir= is missing");
        return 1;
    };
    if let Ok(mut blocks) = BLOCKS_SEEN.lock() {
        // SAFETY: A plugin may make scoreboards when it is installed.
        blocks.scoreboard = unsafe { qemu_plugin_scoreboard_new(BLOCKS * 8) } as usize;
        blocks.places = Some(HashMap::new());
    }
    // SAFETY: The callback is a function of this library, which stays loaded.
    unsafe { qemu_plugin_register_vcpu_tb_trans_cb(id, translated) };
    std::thread::spawn(move || watch(dir));
    0
}
