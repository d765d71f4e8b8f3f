// SPDX-License-Identifier: GPL-2.0

//! Making and ending sockets.

use core::ptr;

use kernel::prelude::*;

#[cfg(kernel_7_2)]
use super::super::errno::*;
use super::{
    bindings,
    rcu,
    Net,
    Receiver,
    Shared,
    Sockets, //
};

/// For port zero the kernel picks one that is free for IPv4, but may be taken for IPv6. Then another one
/// is tried, this many times.
const PORT_TRIES: u32 = 100;

/// Octets that may wait in a socket's queue, as the kernel counts memory. They wait only while another
/// CPU takes out what came before them.
const QUEUE_LIMIT: i32 = 16 << 20;

/// A socket that is not published yet.
pub(super) struct NewSocket(*mut bindings::socket);

/// What a worker is to make.
struct Wanted {
    net: *mut bindings::net,
    family: i32,
    socket: *mut bindings::socket,
}

impl NewSocket {
    /// A socket that has no port yet, and takes trains of datagrams. Sleeps.
    ///
    /// It is made by a worker: a socket belongs to the control group of whoever makes it, and the rules for what that
    /// group may receive (`IPAddressDeny=` of systemd, for one) are not meant for the tunnel's datagrams.
    fn new(net: &Net, family: u32) -> Result<Self> {
        let mut wanted = Wanted {
            net: net.as_ptr(),
            family: family as i32,
            socket: ptr::null_mut(),
        };
        // SAFETY: The namespace lives; the worker is waited for, and nobody else uses what it gets.
        let made = unsafe { bindings::in_worker(Some(make), (&raw mut wanted).cast()) };
        kernel::error::to_result(made as i32)?;
        // SAFETY: The socket is ours.
        unsafe {
            let sk = (*wanted.socket).sk;
            // What waits is bounded here. Apart from that, a tunnel's datagrams are not accounted for, just as where
            // they never get into the queue: whoever fills all the memory that UDP may have must not cut the tunnel
            // off. To be set before the first datagram comes.
            bindings::sk_bypass_prot_mem(sk);
            (*sk).sk_rcvbuf = QUEUE_LIMIT;
            (*sk).sk_allocation = bindings::GFP_ATOMIC_MASK;
            (*sk).sk_sndbuf = i32::MAX;
            bindings::sk_take_reserves(sk);
            bindings::udp_take_trains(sk);
        }
        Ok(Self(wanted.socket))
    }

    fn sk(&self) -> *mut bindings::sock {
        // SAFETY: The socket is ours.
        unsafe { (*self.0).sk }
    }

    /// Binds the socket to `port`, or to a free one if it is zero, for all addresses. Sleeps.
    fn bind(&self, family: u32, port: u16) -> Result {
        let (v4, v6);
        // All zeros: any address of ours.
        let (address, len) = if family == bindings::AF_INET {
            v4 = bindings::sockaddr_in {
                sin_family: family as u16,
                sin_port: port.to_be(),
                ..Default::default()
            };
            raw_address(&v4)
        } else {
            // SAFETY: The socket is ours.
            kernel::error::to_result(unsafe { bindings::ip6_sock_set_v6only(self.sk()) })?;
            v6 = bindings::sockaddr_in6 {
                sin6_family: family as u16,
                sin6_port: port.to_be(),
                ..Default::default()
            };
            raw_address(&v6)
        };
        // SAFETY: The socket is ours, and the address is good for its length; it is only read.
        kernel::error::to_result(unsafe { bindings::kernel_bind(self.0, address, len) })
    }

    pub(super) fn port(&self) -> u16 {
        // SAFETY: The socket is ours.
        unsafe { u16::from_be(bindings::inet_sport(self.sk())) }
    }

    pub(super) fn into_sock(self) -> *mut bindings::sock {
        let sk = self.sk();
        core::mem::forget(self);
        sk
    }
}

/// An address of any family as the core's functions take it: where it is, and its length.
fn raw_address<T>(address: &T) -> (*mut bindings::sockaddr_unsized, i32) {
    (
        (&raw const *address).cast_mut().cast(),
        size_of::<T>() as i32,
    )
}

impl Drop for NewSocket {
    fn drop(&mut self) {
        // SAFETY: The socket is ours.
        unsafe { release([self.sk()]) };
    }
}

/// # Safety
///
/// `data` is a `Wanted` that is used by nobody else. Process context.
unsafe extern "C" fn make(data: *mut core::ffi::c_void) -> kernel::ffi::c_long {
    // SAFETY: By the function's contract.
    let wanted = unsafe { &mut *data.cast::<Wanted>() };
    // SAFETY: Whoever waits for us keeps the namespace.
    let made = unsafe {
        bindings::sock_create_kern(
            wanted.net,
            wanted.family,
            bindings::sock_type_SOCK_DGRAM as i32,
            0,
            &mut wanted.socket,
        )
    };
    made as kernel::ffi::c_long
}

/// Ends sockets. Sleeps.
///
/// # Safety
///
/// Each is null, or a socket of ours that is not published any more.
pub(super) unsafe fn release<const N: usize>(sockets: [*mut bindings::sock; N]) {
    let mut any = false;
    for sk in sockets.into_iter().filter(|sk| !sk.is_null()) {
        // SAFETY: The caller's promise.
        unsafe { bindings::udp_tunnel_sock_release(sk) };
        any = true;
    }
    if any {
        // Wait until nobody receives by them any more.
        rcu::synchronize();
    }
}

impl<R: Receiver> Sockets<R> {
    pub(super) fn create_pair(
        net: &Net,
        port: u16,
        bound: u32,
        receiver: &Shared<R>,
    ) -> Result<(NewSocket, Option<NewSocket>)> {
        let mut tries = PORT_TRIES;
        loop {
            let v4 = Self::create(net, bindings::AF_INET, port, bound, receiver)?;
            // SAFETY: No requirements.
            if !unsafe { bindings::ipv6_mod_enabled() } {
                return Ok((v4, None));
            }
            match Self::create(net, bindings::AF_INET6, v4.port(), bound, receiver) {
                Ok(v6) => return Ok((v4, Some(v6))),
                Err(e) if e == EADDRINUSE && port == 0 && tries > 0 => {
                    tries = tries.saturating_sub(1)
                }
                Err(e) => return Err(e),
            }
        }
    }

    fn create(
        net: &Net,
        family: u32,
        port: u16,
        bound: u32,
        receiver: &Shared<R>,
    ) -> Result<NewSocket> {
        let socket = NewSocket::new(net, family)?;
        let sk = socket.sk();
        // SAFETY: The socket is ours.
        unsafe {
            // The reference that `Sockets::receiver` holds outlives the socket.
            bindings::sk_set_user_data(sk, receiver.as_raw().cast_mut().cast());
            (*sk).sk_data_ready = Some(Self::data_ready);
            if bound != 0 {
                let bound = i32::try_from(bound).map_err(|_| EINVAL)?;
                kernel::error::to_result(bindings::sock_bindtoindex(sk, bound, true))?;
            }
        }
        socket.bind(family, port)?;
        Ok(socket)
    }
}
