// SPDX-License-Identifier: GPL-2.0

//! Error codes that `kernel::error::code` names only from Linux 7.3 on.

use kernel::error::Error;

use super::bindings;

const fn error(code: u32) -> Error {
    const {
        assert!(core::mem::size_of::<Error>() == core::mem::size_of::<i32>());
    }
    assert!(code != 0 && code < 4096);
    // SAFETY: An `Error` consists of a `NonZero<i32>` and, having the same size, of nothing else; the
    // number is in the range of error codes.
    unsafe { core::mem::transmute::<i32, Error>((code as i32).wrapping_neg()) }
}

macro_rules! codes {
    ($($code:ident)*) => { $(
        /// As in C.
        pub(crate) const $code: Error = error(bindings::$code);
    )* };
}

codes! {
    EADDRINUSE EBADR EDESTADDRREQ EKEYEXPIRED ENOBUFS ENODATA ENOKEY ENONET EOPNOTSUPP
    EPFNOSUPPORT EPROTONOSUPPORT ESHUTDOWN
}
