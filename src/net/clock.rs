// SPDX-License-Identifier: GPL-2.0

//! Clocks.
//!
//! C header: [`include/linux/timekeeping.h`](srctree/include/linux/timekeeping.h)

use super::bindings;

/// Nanoseconds since boot, suspend included; as of the last tick. Any context.
pub(crate) fn boottime_coarse_ns() -> u64 {
    // SAFETY: No requirements.
    unsafe { bindings::ktime_get_coarse_boottime_ns() }
}

/// Nanoseconds since boot, suspend not included; exact. Any context.
pub(crate) fn monotonic_ns() -> u64 {
    // SAFETY: No requirements.
    // CAST: The kernel keeps this clock positive.
    unsafe { bindings::ktime_get() as u64 }
}

/// A count of timer ticks, which wraps. Any context.
pub(crate) fn ticks() -> usize {
    // SAFETY: The variable is there for the whole life of the kernel; it is read in one access.
    unsafe { (&raw const bindings::jiffies).read_volatile() }
}

/// Wall clock time: seconds since the Unix epoch and nanoseconds. Any context.
pub(crate) fn realtime() -> (u64, u32) {
    let mut ts = bindings::timespec64::default();
    // SAFETY: `ts` is ours to be written.
    unsafe { bindings::ktime_get_real_ts64(&mut ts) };
    // CAST: The kernel keeps the wall clock positive and the nanoseconds below 10^9.
    (ts.tv_sec as u64, ts.tv_nsec as u32)
}

/// Nanoseconds of a cheap clock that is good only for comparing times on one CPU. Any context.
pub(crate) fn cpu_ns() -> u64 {
    // Where the scheduler's clock is good on every CPU, as on arm64, `local_clock()` is an inline function.
    #[cfg(not(CONFIG_HAVE_UNSTABLE_SCHED_CLOCK))]
    use bindings::sched_clock as local_clock;

    #[cfg(CONFIG_HAVE_UNSTABLE_SCHED_CLOCK)]
    use bindings::local_clock;
    // SAFETY: No requirements.
    unsafe { local_clock() }
}

/// Nanoseconds since [`cpu_ns`] said `begun`; zero if the task has moved to a CPU whose clock is behind. Any context.
pub(crate) fn cpu_ns_since(begun: u64) -> u64 {
    cpu_ns().saturating_sub(begun)
}
