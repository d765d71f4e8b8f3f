// SPDX-License-Identifier: GPL-2.0

//! UDP sockets of a tunnel: one for IPv4 and one for IPv6, on the same port.
//!
//! A tunnel usually hooks in before the socket's queue (`encap_rcv`), but then the stack cuts every train
//! of datagrams first, whether the sender or GRO has made it. These sockets are plain ones that take
//! trains whole; when the stack says that there is something in the queue, it is taken out there and
//! then, in softirq.
//!
//! C header: [`include/net/udp_tunnel.h`](srctree/include/net/udp_tunnel.h)

mod open;
mod send;

pub(crate) use send::{
    is_no_memory,
    Outer, //
};

use core::ptr;

use kernel::prelude::*;
use kernel::sync::atomic::{
    Atomic,
    Relaxed, //
};
use kernel::sync::{
    new_mutex,
    Mutex, //
};

use open::{
    release,
    NewSocket, //
};

use super::bh::{
    self,
    BhLock, //
};
use super::bindings;
use super::netdev::Net;
use super::rcu::{
    self,
    Object,
    RawSlot,
    Shared,
    Slot, //
};
use super::skb::{
    DropReason,
    Skb, //
};
use crate::new_bh_lock;

/// Octets of a UDP header.
pub(crate) const HEADER_LEN: usize = 8;

/// An object that takes the datagrams.
pub(crate) trait Receiver: Object + Sized {
    /// What is left to be done with a datagram.
    type Work<'a>;

    /// The receiver's own sockets.
    fn sockets(&self) -> &Sockets<Self>;

    /// Takes one datagram, or several as a train. The data is the payload; IP and UDP headers are before
    /// it, and the checksum has been verified. Called in the order of arrival, for one at a time; what takes
    /// long, or may be done for several at a time, is left to [`Receiver::finish`]. Softirq.
    fn receive(this: &Shared<Self>, skb: Skb) -> Option<Self::Work<'_>>;

    /// Does what is left. Several CPUs may be in here. Softirq.
    fn finish(this: &Shared<Self>, work: Self::Work<'_>);
}

/// Two sockets on one port, or none.
///
/// # Invariants
///
/// The pointers are null or sockets made by [`Sockets::open`], which are released a grace period after
/// they were taken out.
#[pin_data(PinnedDrop)]
pub(crate) struct Sockets<R: Receiver> {
    v4: RawSlot<bindings::sock>,
    v6: RawSlot<bindings::sock>,
    /// The number of the device that the sockets are bound to; zero for none.
    bound: Atomic<u32>,
    /// The mark of the routes that ICMP errors are about.
    errors: Atomic<u32>,
    /// The receiver that the sockets lead to.
    receiver: Slot<R>,
    /// Held while the sockets are changed.
    #[pin]
    change: Mutex<()>,
    /// Held while a datagram is taken out of a queue, until its place in the order is fixed.
    #[pin]
    taking: BhLock<()>,
}

// SAFETY: The pointers are to sockets, which any thread may use.
unsafe impl<R: Receiver> Send for Sockets<R> {}
// SAFETY: As above.
unsafe impl<R: Receiver> Sync for Sockets<R> {}

impl<R: Receiver> Sockets<R> {
    /// No sockets.
    pub(crate) fn closed() -> impl PinInit<Self> {
        pin_init!(Self {
            v4: RawSlot::new(ptr::null_mut()),
            v6: RawSlot::new(ptr::null_mut()),
            bound: Atomic::new(0),
            errors: Atomic::new(0),
            receiver: Slot::empty(),
            change <- new_mutex!((), "udp.sockets"),
            taking <- new_bh_lock!((), "udp.taking"),
        })
    }

    /// Opens both sockets on `port`, or on a free one if it is zero, bound to the device with the number
    /// `bound` unless that is zero, and closes the ones that were there. Returns the port. Sleeps.
    ///
    /// # Errors
    ///
    /// What the socket layer says, above all `EADDRINUSE`; the old sockets stay.
    pub(crate) fn open(
        &self,
        net: &Net,
        port: u16,
        bound: u32,
        receiver: &Shared<R>,
    ) -> Result<u16> {
        let _change = self.change.lock();
        let (v4, v6) = Self::create_pair(net, port, bound, receiver)?;
        self.bound.store(bound, Relaxed);
        let port = v4.port();
        let v6 = v6.map_or(ptr::null_mut(), NewSocket::into_sock);
        self.replace(v4.into_sock(), v6);
        self.mark_sockets();
        self.receiver.set(Some(receiver.clone()));
        // Take what has come while the sockets were being made.
        let _bh = bh::disable();
        let _guard = rcu::read_lock();
        for sk in [self.v4.load(), self.v6.load()] {
            if !sk.is_null() {
                // SAFETY: Whoever closes the socket has to hold the lock.
                unsafe { Self::data_ready(sk) };
            }
        }
        Ok(port)
    }

    /// Binds the sockets, if they are open, to the device with the number `index`, zero for none: datagrams leave
    /// and come in there only. Sleeps.
    ///
    /// # Errors
    ///
    /// `EPERM` when they are bound already and the caller lacks `CAP_NET_RAW`; nothing has changed then.
    pub(crate) fn bind(&self, index: u32) -> Result {
        let _change = self.change.lock();
        let number = i32::try_from(index).map_err(|_| EINVAL)?;
        for sk in [self.v4.load(), self.v6.load()] {
            if !sk.is_null() {
                // SAFETY: Whoever closes the socket has to hold the lock. What is refused for the second socket is
                // refused for the first one already.
                kernel::error::to_result(unsafe { bindings::sock_bindtoindex(sk, number, true) })?;
            }
        }
        self.bound.store(index, Relaxed);
        // Senders have bottom halves off, so after this all of them know.
        rcu::synchronize();
        Ok(())
    }

    /// Takes ICMP errors about what the sockets have sent to be about the routes for packets with this mark. Sleeps.
    pub(crate) fn take_errors_for(&self, mark: u32) {
        let _change = self.change.lock();
        self.errors.store(mark, Relaxed);
        self.mark_sockets();
    }

    /// Marks the sockets, for the kernel's handlers of ICMP errors; what is sent has a mark of its own. To be called
    /// with the lock held.
    fn mark_sockets(&self) {
        let mark = self.errors.load(Relaxed);
        for sk in [self.v4.load(), self.v6.load()] {
            if !sk.is_null() {
                // SAFETY: Whoever closes the socket has to hold the lock; the kernel reads the mark in one access.
                unsafe { (&raw mut (*sk).sk_mark).write_volatile(mark) };
            }
        }
    }

    /// Closes the sockets, and waits until what is on its way to the receiver on other CPUs has reached it. Sleeps.
    pub(crate) fn close(&self) {
        let change = self.change.lock();
        self.replace(ptr::null_mut(), ptr::null_mut());
        let receiver = self.receiver.take();
        // The receiver may be what contains us.
        drop(change);
        drop(receiver);
    }

    fn replace(&self, v4: *mut bindings::sock, v6: *mut bindings::sock) {
        // In one step each: a sender finds the old one or the new one.
        let old = [self.v4.swap(v4), self.v6.swap(v6)];
        if old.iter().any(|sk| !sk.is_null()) {
            rcu::synchronize();
            // SAFETY: By the type invariant; no sender can have them any more.
            unsafe { release(old) };
        }
    }

    /// The stack has put something into the socket's queue. Bottom halves off, in a read-side section.
    ///
    /// # Safety
    ///
    /// `sk` is one of our sockets, and lives; bottom halves are off, in a read-side section.
    unsafe extern "C" fn data_ready(sk: *mut bindings::sock) {
        // SAFETY: The caller is within a read-side section; the receiver lives as long as the socket has
        // it as its user data.
        let receiver = unsafe {
            let receiver = bindings::sk_user_data(sk);
            if receiver.is_null() {
                return;
            }
            Shared::<R>::borrow_raw(receiver.cast_const().cast())
        };
        let Some(receiver) = receiver.upgrade() else {
            return;
        };
        loop {
            let taking = receiver.sockets().taking.lock();
            // SAFETY: The socket lives during the call.
            let Some(skb) = (unsafe { take_datagram(sk) }) else {
                break;
            };
            let work = R::receive(&receiver, skb);
            drop(taking);
            if let Some(work) = work {
                R::finish(&receiver, work);
            }
        }
    }
}

/// Takes the next datagram, or train of datagrams, out of the socket's queue. One with a bad checksum is
/// dropped and counted.
///
/// # Safety
///
/// The socket lives. Softirq.
unsafe fn take_datagram(sk: *mut bindings::sock) -> Option<Skb> {
    // An error that an ICMP message has left at the socket is reported once, in place of a datagram.
    let mut tries = 8u32;
    while tries > 0 {
        let (mut offset, mut error) = (0, 0);
        // SAFETY: The caller's promise.
        let raw = unsafe {
            bindings::__skb_recv_udp(sk, bindings::MSG_DONTWAIT, &mut offset, &mut error)
        };
        if raw.is_null() {
            if error == EAGAIN.to_errno() {
                return None;
            }
            tries = tries.saturating_sub(1);
            continue;
        }
        // SAFETY: The packet was handed over.
        let mut skb = unsafe { Skb::from_raw(raw) };
        // While the packet was in the queue, the socket used the device's field for its own purposes.
        skb.forget_device();
        if skb.take_as_datagrams().is_err() {
            // SAFETY: The socket lives.
            unsafe { bindings::udp_count(sk, bindings::UDP_MIB_INERRORS as i32, 1) };
            skb.drop_for(DropReason::NO_MEMORY);
            continue;
        }
        let datagrams = skb.messages() as u32;
        let count = |what: u32| {
            // SAFETY: The socket lives.
            unsafe { bindings::udp_count(sk, what as i32, datagrams) };
        };
        // SAFETY: The packet is ours.
        if !unsafe { bindings::udp_checksum_is_bad(skb.as_ptr()) } {
            count(bindings::UDP_MIB_INDATAGRAMS);
            return Some(skb);
        }
        count(bindings::UDP_MIB_CSUMERRORS);
        count(bindings::UDP_MIB_INERRORS);
        skb.drop_for(DropReason::UDP_CSUM);
    }
    None
}

#[pinned_drop]
impl<R: Receiver> PinnedDrop for Sockets<R> {
    fn drop(self: Pin<&mut Self>) {
        // While a socket is open, there is a reference to the receiver, so it is not dropped with us inside. If
        // something else contains us, the sockets still lead to the receiver: it has to stay.
        if !self.v4.load().is_null() {
            pr_err!("udp: sockets dropped while open\n");
            core::mem::forget(self.receiver.take());
        }
    }
}
