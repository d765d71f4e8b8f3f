// SPDX-License-Identifier: GPL-2.0

//! The module's tracepoints, which `src/helpers/trace.h` declares.
//!
//! A tracepoint that is switched off costs one `nop`: what is to be traced is put together by a closure that
//! runs only when the tracepoint is switched on.
//!
//! C header: [`include/linux/tracepoint.h`](srctree/include/linux/tracepoint.h)

// Without tracepoints in the kernel, nothing reads the records.
#![cfg_attr(not(CONFIG_TRACEPOINTS), allow(dead_code, unused_imports))]

use super::bindings;

/// What happens to a peer.
pub(crate) struct PeerRecord<'a> {
    /// Name of the interface.
    pub(crate) dev: [u8; 16],
    /// Number of the peer, as in debug messages.
    pub(crate) peer: u64,
    /// The peer's name.
    pub(crate) key: &'a [u8; 32],
    /// The peer's address as a `struct sockaddr`; zeros for none.
    pub(crate) endpoint: [u8; 28],
    /// What the event is about.
    pub(crate) value: u64,
}

/// A handshake message from or to an address, whoever that is.
pub(crate) struct MessageRecord {
    /// Name of the interface.
    pub(crate) dev: [u8; 16],
    /// The address as a `struct sockaddr`.
    pub(crate) endpoint: [u8; 28],
    /// The message's type.
    pub(crate) value: u64,
}

/// Packets that are dropped.
pub(crate) struct PacketsRecord {
    /// Name of the interface.
    pub(crate) dev: [u8; 16],
    /// Why; padded with null octets, at least one.
    pub(crate) reason: [u8; 32],
    /// How many.
    pub(crate) packets: u64,
}

/// Declares tracepoints as functions.
macro_rules! tracepoints {
    ($($(#[$doc:meta])* fn $name:ident$(<$life:lifetime>)?($record:ty);)*) => { $(
        $(#[$doc])*
        #[inline(always)]
        pub(crate) fn $name$(<$life>)?(record: impl FnOnce() -> $record) {
            #[cfg(CONFIG_TRACEPOINTS)]
            kernel::macros::paste! {
                // It is used through its key only.
                #[allow(improper_ctypes)]
                extern "C" {
                    static [<__tracepoint_wg_ $name>]: kernel::bindings::tracepoint;
                }
                // SAFETY: The key is that of a tracepoint, which C defines.
                let wanted = unsafe {
                    kernel::jump_label::static_branch_unlikely!(
                        [<__tracepoint_wg_ $name>],
                        kernel::bindings::tracepoint,
                        key
                    )
                };
                if wanted {
                    <$record>::trace(record(), bindings::[<rust_do_trace_wg_ $name>]);
                }
            }
            #[cfg(not(CONFIG_TRACEPOINTS))]
            let _ = record;
        }
    )* };
}

tracepoints! {
    /// A handshake message was sent; the value is its type.
    fn handshake_sent<'a>(PeerRecord<'a>);
    /// A handshake message was received and accepted; the value is its type.
    fn handshake_accepted<'a>(PeerRecord<'a>);
    /// A session is established on both sides.
    fn handshake_completed<'a>(PeerRecord<'a>);
    /// An initiation is repeated; the value is the number of the attempt.
    fn handshake_retried<'a>(PeerRecord<'a>);
    /// Nobody answered; the value is the number of initiations.
    fn handshake_gave_up<'a>(PeerRecord<'a>);
    /// A session has ended, and none followed.
    fn session_expired<'a>(PeerRecord<'a>);
    /// There is a new keypair; the value is its number.
    fn keypair_created<'a>(PeerRecord<'a>);
    /// A keypair is gone; the value is its number.
    fn keypair_destroyed<'a>(PeerRecord<'a>);
    /// The peer is at another address than before.
    fn endpoint_changed<'a>(PeerRecord<'a>);
    /// A handshake message came in, from whomever; the value is its type.
    fn handshake_received(MessageRecord);
    /// Somebody was given a cookie; the value is the type of a cookie reply.
    fn cookie_sent(MessageRecord);
    /// A handshake message is not accepted.
    fn handshake_refused(PacketsRecord);
    /// Packets are dropped.
    fn drop(PacketsRecord);
}

/// Whoever prints an event relies on the terminating null.
#[cfg(CONFIG_TRACEPOINTS)]
fn end_with_null(text: &mut [u8]) {
    if let Some(last) = text.last_mut() {
        *last = 0;
    }
}

#[cfg(CONFIG_TRACEPOINTS)]
impl PeerRecord<'_> {
    #[cold]
    fn trace(mut self, point: unsafe extern "C" fn(*const u8, u64, *const u8, *const u8, u64)) {
        end_with_null(&mut self.dev);
        // SAFETY: The tracepoint reads 16, 32 and 28 octets.
        unsafe {
            point(
                self.dev.as_ptr(),
                self.peer,
                self.key.as_ptr(),
                self.endpoint.as_ptr(),
                self.value,
            );
        }
    }
}

#[cfg(CONFIG_TRACEPOINTS)]
impl MessageRecord {
    #[cold]
    fn trace(mut self, point: unsafe extern "C" fn(*const u8, u64, *const u8)) {
        end_with_null(&mut self.dev);
        // SAFETY: The tracepoint reads 16 and 28 octets.
        unsafe { point(self.dev.as_ptr(), self.value, self.endpoint.as_ptr()) };
    }
}

#[cfg(CONFIG_TRACEPOINTS)]
impl PacketsRecord {
    #[cold]
    fn trace(mut self, point: unsafe extern "C" fn(*const u8, *const u8, u64)) {
        end_with_null(&mut self.dev);
        end_with_null(&mut self.reason);
        // SAFETY: The tracepoint reads 16 and 32 octets.
        unsafe { point(self.dev.as_ptr(), self.reason.as_ptr(), self.packets) };
    }
}
