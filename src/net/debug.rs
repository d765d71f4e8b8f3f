// SPDX-License-Identifier: GPL-2.0

//! Dynamic debug messages: call sites that are off until the administrator switches them on, one by one
//! or for a whole module, through `/proc/dynamic_debug/control`.
//!
//! A site is a descriptor in a section of the module that the kernel finds when it loads the module. A
//! site that is off costs one load of a word that changes only when somebody switches it on.
//!
//! C header: [`include/linux/dynamic_debug.h`](srctree/include/linux/dynamic_debug.h)

use core::cell::UnsafeCell;
use core::fmt;

#[cfg(CONFIG_DYNAMIC_DEBUG)]
use kernel::str::CStrExt;

#[cfg(CONFIG_DYNAMIC_DEBUG)]
use super::bindings;

/// One call site.
///
/// # Invariants
///
/// The strings that the descriptor points to are null-terminated and live for ever.
#[cfg(CONFIG_DYNAMIC_DEBUG)]
#[repr(transparent)]
pub(crate) struct Site(UnsafeCell<bindings::_ddebug>);

/// One call site, which a kernel without dynamic debug cannot switch on.
#[cfg(not(CONFIG_DYNAMIC_DEBUG))]
pub(crate) struct Site(UnsafeCell<()>);

// SAFETY: The kernel writes the descriptor; here only its flags are read, in one access.
unsafe impl Sync for Site {}

/// The string's address. Evaluated at compile time, so a string without its null does not compile.
#[cfg(CONFIG_DYNAMIC_DEBUG)]
const fn c_string(string: &'static str) -> *const kernel::ffi::c_char {
    assert!(matches!(string.as_bytes().last(), Some(0)));
    string.as_ptr().cast()
}

#[cfg(CONFIG_DYNAMIC_DEBUG)]
impl Site {
    /// A site that is off. Only for use in the initial value of a static; the strings end with a null.
    pub(crate) const fn new(
        module: &'static str,
        function: &'static str,
        file: &'static str,
        format: &'static str,
        line: u32,
    ) -> Self {
        // The word has 18 bits for the line, 6 for the class (all ones for none) and 8 for the flags.
        const NO_CLASS: u32 = 0x3f;
        // SAFETY: All fields may be zero; the key is then one that is off and has no branches.
        let mut site: bindings::_ddebug = unsafe { core::mem::zeroed() };
        site.modname = c_string(module);
        site.function = c_string(function);
        site.filename = c_string(file);
        site.format = c_string(format);
        site._bitfield_1 = bindings::__BindgenBitfieldUnit::new(
            ((line & 0x3_ffff) | NO_CLASS << 18).to_le_bytes(),
        );
        // INVARIANT: `c_string` has checked the strings.
        Self(UnsafeCell::new(site))
    }

    /// Whether the administrator wants the message.
    pub(crate) fn enabled(&self) -> bool {
        // SAFETY: The word is aligned, and written in one access as well. The flags are its last octet.
        let word = unsafe {
            (&raw const (*self.0.get())._bitfield_1)
                .cast::<u32>()
                .read_volatile()
        };
        (word >> 24) & bindings::_DPRINTK_FLAGS_PRINT != 0
    }

    /// Writes one line to the kernel's log. Any context. The values of `line` are formatted with interrupts off, so
    /// formatting them must not take a lock that others take with bottom halves off.
    pub(crate) fn print(&self, line: fmt::Arguments<'_>) {
        // SAFETY: The descriptor is the kernel's to read; `%pA` takes a pointer to such arguments.
        unsafe {
            bindings::__dynamic_pr_debug(
                self.0.get(),
                c"%pA\n".as_char_ptr(),
                (&raw const line).cast::<core::ffi::c_void>(),
            );
        }
    }
}

#[cfg(not(CONFIG_DYNAMIC_DEBUG))]
impl Site {
    /// A site that stays off.
    pub(crate) const fn new(
        _module: &'static str,
        _function: &'static str,
        _file: &'static str,
        _format: &'static str,
        _line: u32,
    ) -> Self {
        Self(UnsafeCell::new(()))
    }

    /// Always `false`.
    pub(crate) fn enabled(&self) -> bool {
        false
    }

    /// Does nothing.
    pub(crate) fn print(&self, _line: fmt::Arguments<'_>) {}
}

/// Whether the rate limit that all networking messages share lets one more through.
pub(crate) fn within_limit() -> bool {
    // SAFETY: Callable in any context.
    unsafe { super::bindings::net_ratelimit() != 0 }
}

/// Declares messages as functions. A body begins with the text; its arguments are evaluated only when the
/// message is wanted. `$name` has to make a `Display` of the interface's name out of the first parameter.
/// `limited` messages share the network's rate limit; they are for what a stranger can cause.
macro_rules! debug_messages {
    (module: $module:literal; name: $name:path; $(
        $(#[$doc:meta])*
        $kind:ident fn $function:ident($device:ident: $device_type:ty $(, $arg:ident: $type:ty)* $(,)?) {
            $text:literal $(, $value:expr)* $(,)?
        }
    )*) => { $(
        $(#[$doc])*
        pub(crate) fn $function($device: $device_type $(, $arg: $type)*) {
            #[cfg_attr(CONFIG_DYNAMIC_DEBUG, link_section = "__dyndbg")]
            #[used(compiler)]
            // `link_section` counts as unsafe code; such descriptors are what this section is for.
            #[allow(unsafe_code)]
            static SITE: $crate::net::debug::Site = $crate::net::debug::Site::new(
                concat!($module, "\0"),
                concat!(stringify!($function), "\0"),
                concat!(file!(), "\0"),
                concat!($module, ": {}: ", $text, "\n\0"),
                line!(),
            );
            if SITE.enabled() && $crate::net::debug::debug_messages!(@$kind) {
                SITE.print(format_args!(concat!($module, ": {}: ", $text), $name($device) $(, $value)*));
            }
        }
    )* };
    (@limited) => { $crate::net::debug::within_limit() };
    (@unlimited) => { true };
}
pub(crate) use debug_messages;
