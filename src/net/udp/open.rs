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

/// With port zero the kernel picks one that is free for IPv4; it may be taken for IPv6. It is tried
/// again so often.
const PORT_TRIES: u32 = 100;

/// Octets that may wait in a socket's queue, as the kernel counts memory. They wait only while another
/// CPU takes out what came before them.
const QUEUE_LIMIT: i32 = 16 << 20;

/// A socket that is not published yet.
pub(super) struct NewSocket(*mut bindings::socket);

impl NewSocket {
    pub(super) fn port(&self) -> u16 {
        // SAFETY: The socket is ours.
        unsafe { u16::from_be(bindings::inet_sport((*self.0).sk)) }
    }

    pub(super) fn into_sock(self) -> *mut bindings::sock {
        // SAFETY: The socket is ours.
        let sk = unsafe { (*self.0).sk };
        core::mem::forget(self);
        sk
    }
}

impl Drop for NewSocket {
    fn drop(&mut self) {
        // SAFETY: The socket is ours.
        unsafe { release([(*self.0).sk]) };
    }
}

/// Ends sockets. Sleeps.
///
/// # Safety
///
/// Each is null, or a socket of ours that is not published any more.
pub(super) unsafe fn release<const N: usize>(sockets: [*mut bindings::sock; N]) {
    let mut there = sockets.into_iter().filter(|sk| !sk.is_null()).peekable();
    if there.peek().is_none() {
        return;
    }
    for sk in there.clone() {
        // SAFETY: The caller's promise; below it lives by the reference.
        unsafe {
            bindings::sock_hold(sk);
            bindings::udp_tunnel_sock_release(sk);
        }
    }
    // Until nobody receives by them any more: what comes next changes their accounts without a lock.
    rcu::synchronize();
    for sk in there {
        // SAFETY: The reference is the one from above.
        unsafe {
            bindings::sk_clear_memalloc(sk);
            bindings::sock_put(sk);
        }
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
        let mut socket = ptr::null_mut();
        // All zeros: any address of ours, no peer.
        let mut config = bindings::udp_port_cfg {
            family: family as u8,
            local_udp_port: port.to_be(),
            bind_ifindex: i32::try_from(bound).map_err(|_| EINVAL)?,
            ..Default::default()
        };
        config.set_use_udp_checksums(1);
        config.set_use_udp6_tx_checksums(1);
        config.set_use_udp6_rx_checksums(1);
        config.set_ipv6_v6only(1);
        // SAFETY: The namespace lives, and the configuration is good during the call.
        unsafe {
            kernel::error::to_result(if family == bindings::AF_INET {
                bindings::udp_sock_create4(net.as_ptr(), &mut config, &mut socket)
            } else {
                bindings::udp_sock_create6(net.as_ptr(), &mut config, &mut socket)
            })?;
            let sk = (*socket).sk;
            (*sk).sk_allocation = bindings::GFP_ATOMIC_MASK;
            (*sk).sk_sndbuf = i32::MAX;
            bindings::sk_set_memalloc(sk);
            (*sk).sk_rcvbuf = QUEUE_LIMIT;
            bindings::udp_take_trains(sk);
            // The reference that `owner` holds outlives the sockets.
            bindings::sk_set_user_data(sk, receiver.as_raw().cast_mut().cast());
            (*sk).sk_data_ready = Some(Self::data_ready);
        }
        Ok(NewSocket(socket))
    }
}
