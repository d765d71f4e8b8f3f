// SPDX-License-Identifier: GPL-2.0

//! Link types: network devices that user space makes with `ip link add type …`.
//!
//! [`LinkDriver`] is what a driver implements; [`Registration`] makes it known to the kernel. A device's
//! private area holds one counted reference to the driver's object, from `newlink` to `priv_destructor`.
//! The driver's ties to the device and to the namespace are cut here, not by the driver, so that nothing
//! it does can leave them dangling.
//!
//! C header: [`include/net/rtnetlink.h`](srctree/include/net/rtnetlink.h)

mod ethtool;
mod registration;

pub(crate) use registration::Registration;

use core::any::TypeId;

use kernel::prelude::*;
use kernel::sync::atomic::{
    Atomic,
    Relaxed, //
};
use kernel::sync::Arc;
use kernel::types::Opaque;

use registration::Inner;

use super::attr::NulString;
use super::bindings;
#[cfg(kernel_7_2)]
use super::errno::*;
use super::netdev::{
    Anchor,
    DevHandle,
    Home,
    Net,
    NetDevice, //
};
use super::rcu::{
    self,
    Shared, //
};
use super::rtnl_lock::{
    Entry,
    Links,
    RtnlList, //
};
use super::skb::Skb;

pub(crate) use super::rtnl_lock::Rtnl;

/// A driver of layer 3 tunnel devices.
pub(crate) trait LinkDriver: rcu::Object + Sized {
    /// The type's name.
    const KIND: &'static CStr;
    /// Octets of room that a packet needs before and after its data.
    const HEADROOM: u16;
    /// See [`LinkDriver::HEADROOM`].
    const TAILROOM: u16;
    /// MTU of a new device, and the greatest that can be set.
    const MTU: u32;
    /// See [`LinkDriver::MTU`].
    const MAX_MTU: u32;

    /// Names of the driver's own statistics, as `ethtool -S` shows them; each is shorter than 32 octets.
    const STATISTICS: &'static [&'static str];

    /// What all devices of the driver share.
    type Context: Clone + Send + Sync + 'static;

    /// Makes the driver's part of a device that is about to be registered.
    fn create(dev: DevHandle, home: Home, context: &Self::Context) -> Result<Shared<Self>>;

    /// Whether the device is to get a link-local IPv6 address when it goes up.
    fn wants_link_local(this: &Shared<Self>) -> bool;

    /// The device goes up. May sleep.
    fn open(this: &Shared<Self>, dev: &NetDevice, rtnl: &Rtnl) -> Result;

    /// The device goes down. May sleep.
    fn stop(this: &Shared<Self>, dev: &NetDevice, rtnl: &Rtnl);

    /// The device exists and has its name. May sleep.
    fn created(this: &Shared<Self>, rtnl: &Rtnl);

    /// The device goes away: no packet comes from the stack any more, and after this call none may be
    /// given to it. May sleep.
    fn uninit(this: &Shared<Self>, rtnl: &Rtnl);

    /// Takes a packet from the stack. Bottom halves off.
    ///
    /// # Errors
    ///
    /// The packet is gone in any case. The error goes to a local sender.
    fn xmit(this: &Shared<Self>, dev: &NetDevice, skb: Skb) -> Result;

    /// The current values of the statistics, in the order of [`LinkDriver::STATISTICS`].
    fn statistics(this: &Shared<Self>, to: &mut [u64]);

    /// The namespace in which the device was created ends; the device lives on in another one. May sleep.
    fn home_exit(this: &Shared<Self>, dev: &NetDevice, rtnl: &Rtnl);

    /// The system is about to sleep. May sleep.
    fn suspend(this: &Shared<Self>, rtnl: &Rtnl);

    /// The machine was duplicated, or what is in its memory now will be the image from which it wakes up. Any context, even
    /// with interrupts off.
    fn copied();

    /// The virtual machine was duplicated; comes after [`LinkDriver::copied`]. May sleep.
    fn vm_fork(this: &Shared<Self>, rtnl: &Rtnl);
}

/// The part of a device's private area that does not depend on the driver.
struct Head {
    links: Links<Head>,
    dev: *mut bindings::net_device,
    /// Shared with what the driver was given; gone when the device is.
    anchor: Option<Arc<Anchor>>,
    /// [`LinkDriver::home_exit`] of the driver.
    home_exit: unsafe fn(*mut Head, &Rtnl),
}

// SAFETY: The links are a field, and only the list uses them.
unsafe impl Entry for Head {
    unsafe fn links(this: *mut Self) -> *mut Links<Self> {
        // SAFETY: By the function's contract.
        unsafe { &raw mut (*this).links }
    }
}

/// A device's private area.
///
/// # Invariants
///
/// `owner` is there from before the device is registered until nobody has a reference to the device any more
/// (`destroy`), and does not change in between.
#[repr(C)]
struct Private<T: rcu::Object> {
    head: Head,
    owner: Option<Shared<T>>,
}

/// All devices of all drivers, from registration to `ndo_uninit`.
static DEVICES: RtnlList<Head> = RtnlList::new();

/// Whether the machine is being suspended, without an image of its memory.
static SUSPENDS: Atomic<bool> = Atomic::new(false);

/// What tells a driver's devices from others.
struct Driver {
    links: Links<Driver>,
    ops: *const bindings::rtnl_link_ops,
    type_id: TypeId,
}

// SAFETY: The links are a field, and only the list uses them.
unsafe impl Entry for Driver {
    unsafe fn links(this: *mut Self) -> *mut Links<Self> {
        // SAFETY: By the function's contract.
        unsafe { &raw mut (*this).links }
    }
}

/// All drivers, while devices of theirs may exist.
static DRIVERS: RtnlList<Driver> = RtnlList::new();

/// The C callbacks of a driver.
struct Adapter<T>(core::marker::PhantomData<T>);

impl<T: LinkDriver> Adapter<T> {
    const OPS: bindings::net_device_ops = bindings::net_device_ops {
        ndo_uninit: Some(Self::uninit),
        ndo_open: Some(Self::open),
        ndo_stop: Some(Self::stop),
        ndo_start_xmit: Some(Self::xmit),
        // SAFETY: All callbacks are optional.
        ..unsafe { core::mem::MaybeUninit::zeroed().assume_init() }
    };

    const ETHTOOL_OPS: bindings::ethtool_ops = ethtool::ops::<T>();

    const DEVICE_TYPE: bindings::device_type = bindings::device_type {
        name: kernel::str::as_char_ptr_in_const_context(T::KIND),
        // SAFETY: All others are optional pointers.
        ..unsafe { core::mem::MaybeUninit::zeroed().assume_init() }
    };

    /// # Safety
    ///
    /// `dev` is a device of this driver.
    unsafe fn private(dev: *mut bindings::net_device) -> *mut Private<T> {
        // The kernel aligns private areas to 32 octets.
        const { assert!(core::mem::align_of::<Private<T>>() <= 32) };
        // SAFETY: The private area was asked for with the size of a `Private<T>`.
        unsafe { bindings::netdev_priv(dev) }.cast()
    }

    /// The driver's object, by reference: if each packet took and gave back a count, all CPUs that send
    /// would fight over its cache line.
    ///
    /// # Safety
    ///
    /// `dev` is a device of this driver that [`Adapter::newlink`] has begun to register, and somebody has a reference to
    /// it during `'a`, or RTNL is held while it is registered.
    unsafe fn owner<'a>(dev: *mut bindings::net_device) -> Option<&'a Shared<T>> {
        // SAFETY: The caller's promise, and the invariant of `Private`.
        unsafe { (*Self::private(dev)).owner.as_ref() }
    }

    /// Describes a device of this driver.
    ///
    /// # Safety
    ///
    /// The core calls it, as `setup`, with a device that is being made with the driver's ops.
    unsafe extern "C" fn setup(dev: *mut bindings::net_device) {
        // SAFETY: The device is new and nobody else's yet.
        unsafe {
            let features = bindings::tunnel_features();
            (*dev).netdev_ops = &Self::OPS;
            (*dev).ethtool_ops = &Self::ETHTOOL_OPS;
            (*dev).hard_header_len = 0;
            (*dev).addr_len = 0;
            (*dev).needed_headroom = T::HEADROOM;
            (*dev).needed_tailroom = T::TAILROOM;
            (*dev).type_ = bindings::ARPHRD_NONE as u16;
            (*dev).flags =
                bindings::net_device_flags_IFF_POINTOPOINT | bindings::net_device_flags_IFF_NOARP;
            (*dev).features |= features;
            (*dev).hw_features |= features;
            (*dev).hw_enc_features |= features;
            (*dev).mtu = T::MTU;
            (*dev).max_mtu = T::MAX_MTU;
            (*dev).needs_free_netdev = true;
            bindings::netdev_set_noqueue(dev);
            bindings::netdev_set_lltx(dev);
            bindings::netdev_set_pcpu_tstats(dev);
            (*dev).header_ops = &raw const bindings::ip_tunnel_header_ops;
            (*dev).dev.type_ = &Self::DEVICE_TYPE;
            // The route of a packet tells the path's MTU, and where an ICMP error goes.
            bindings::netif_keep_dst(dev);
            bindings::netif_set_tso_max_size(dev, bindings::GSO_MAX_SIZE);
        }
    }

    /// Makes the driver's object, and registers the device.
    ///
    /// # Safety
    ///
    /// The core calls it, as `newlink`, with RTNL held and a device that `setup` has described.
    unsafe extern "C" fn newlink(
        dev: *mut bindings::net_device,
        params: *mut bindings::rtnl_newlink_params,
        _extack: *mut bindings::netlink_ext_ack,
    ) -> core::ffi::c_int {
        // SAFETY: The core calls with RTNL held.
        let rtnl = unsafe { Rtnl::assume_held() };
        // SAFETY: The core sets the ops before it calls; they are those of a `Registration<T>`.
        let context = unsafe {
            let ops: *const Opaque<bindings::rtnl_link_ops> = (*dev).rtnl_link_ops.cast();
            &(*kernel::container_of!(ops, Inner<T>, link)).context
        };
        // SAFETY: The parameters are good during the call.
        let net = unsafe { bindings::rtnl_newlink_link_net(params) };
        // SAFETY: The ties are cut in `release`, after which the core, or we below, wait for a grace period
        // before the device is freed; and in `namespace_exit`.
        let anchor = match unsafe { Anchor::new(dev, net) } {
            Ok(anchor) => anchor,
            Err(e) => return e.to_errno(),
        };
        let owner = T::create(
            DevHandle::new(anchor.clone()),
            Home::new(anchor.clone()),
            context,
        );
        let (owner, error) = match owner {
            Ok(owner) => (Some(owner), 0),
            Err(e) => (None, e.to_errno()),
        };
        // SAFETY: The area is zeroed, big enough and nobody else's yet.
        // INVARIANT: The device is registered below if there is an owner.
        unsafe {
            Self::private(dev).write(Private {
                head: Head {
                    links: Links::new(),
                    dev,
                    anchor: Some(anchor),
                    home_exit: Self::home_exit,
                },
                owner,
            });
        }
        let ret = if error == 0 {
            // SAFETY: The device is set up.
            unsafe { bindings::register_netdevice(dev) }
        } else {
            error
        };
        if ret < 0 {
            // SAFETY: The device is ours. `ndo_uninit` may or may not have been called; `release` copes with
            // both.
            unsafe { Self::release(dev, &rtnl) };
            // The caller frees the device, and only we know that somebody may still be looking at it.
            rcu::synchronize();
            // SAFETY: The device was never up, so nobody has sent to it.
            unsafe { Self::destroy(dev) };
            return ret;
        }
        // SAFETY: The device was registered just now; `ndo_uninit` takes it off the list. RTNL is held, so that does not
        // happen before we are done.
        unsafe {
            (*dev).priv_destructor = Some(Self::destroy);
            DEVICES.add(&raw mut (*Self::private(dev)).head, &rtnl);
        }
        // SAFETY: As above.
        if let Some(owner) = unsafe { Self::owner(dev) } {
            T::created(owner, &rtnl);
        }
        ret
    }

    /// Parts the driver's object from the device; nothing happens the second time.
    ///
    /// # Safety
    ///
    /// `dev` is a device of this driver whose private area has been written, and no other callback runs but
    /// `ndo_start_xmit`.
    unsafe fn release(dev: *mut bindings::net_device, rtnl: &Rtnl) {
        // SAFETY: The caller's promise. RTNL is held, so nobody else uses the head; the owner is only read.
        let (head, owner) = unsafe {
            let private = Self::private(dev);
            (&mut (*private).head, &(*private).owner)
        };
        // SAFETY: The head is on the list of devices or on none.
        unsafe { DEVICES.remove(head, rtnl) };
        if let Some(anchor) = head.anchor.take() {
            if let Some(owner) = owner {
                T::uninit(owner, rtnl);
            }
            anchor.cut(rtnl);
        }
    }

    /// Gives up the device's part of the driver's object. That is not for `ndo_uninit` to do: a packet that is to pass the
    /// queueing discipline by (`PACKET_QDISC_BYPASS`) may have been on its way to `ndo_start_xmit` since before the
    /// device went down, with nothing but a reference to the device. May sleep.
    ///
    /// # Safety
    ///
    /// `dev` is a device of this driver whose private area has been written, and nobody else uses it any more.
    unsafe extern "C" fn destroy(dev: *mut bindings::net_device) {
        // SAFETY: The caller's promise.
        drop(unsafe { (*Self::private(dev)).owner.take() });
    }

    /// # Safety
    ///
    /// The core calls it, as `ndo_uninit`, with RTNL held.
    unsafe extern "C" fn uninit(dev: *mut bindings::net_device) {
        // SAFETY: The core calls with RTNL held, when no packet comes from the stack any more, and waits for
        // a grace period between this call and the end of the device.
        unsafe { Self::release(dev, &Rtnl::assume_held()) };
    }

    /// # Safety
    ///
    /// The core calls it, as `ndo_open`, with RTNL held.
    unsafe extern "C" fn open(dev: *mut bindings::net_device) -> core::ffi::c_int {
        // SAFETY: The device is registered, and RTNL is held.
        let (rtnl, owner, dev) = unsafe {
            (
                Rtnl::assume_held(),
                Self::owner(dev),
                NetDevice::from_raw(dev),
            )
        };
        dev.tame_addressing(&rtnl, owner.is_some_and(T::wants_link_local));
        match owner.map(|owner| T::open(owner, dev, &rtnl)) {
            Some(Ok(())) => 0,
            Some(Err(e)) => e.to_errno(),
            None => ENODEV.to_errno(),
        }
    }

    /// # Safety
    ///
    /// The core calls it, as `ndo_stop`, with RTNL held.
    unsafe extern "C" fn stop(dev: *mut bindings::net_device) -> core::ffi::c_int {
        // SAFETY: The device is registered, and RTNL is held.
        let (rtnl, owner, dev) = unsafe {
            (
                Rtnl::assume_held(),
                Self::owner(dev),
                NetDevice::from_raw(dev),
            )
        };
        if let Some(owner) = owner {
            T::stop(owner, dev, &rtnl);
        }
        0
    }

    /// # Safety
    ///
    /// The stack calls it, as `ndo_start_xmit`, with bottom halves off, and hands the packet over.
    unsafe extern "C" fn xmit(
        skb: *mut bindings::sk_buff,
        dev: *mut bindings::net_device,
    ) -> bindings::netdev_tx_t {
        // SAFETY: The packet is handed over.
        let skb = unsafe { Skb::from_raw(skb) };
        // SAFETY: The device has been up, so it is registered or was; and the sender has a reference to it, or is within a
        // read-side section that began while it was up.
        let (owner, dev) = unsafe { (Self::owner(dev), NetDevice::from_raw(dev)) };
        match owner.map(|owner| T::xmit(owner, dev, skb)) {
            Some(Err(e)) => e.to_errno(),
            _ => 0,
        }
    }

    /// # Safety
    ///
    /// `head` is that of a device of this driver, and on the list of devices.
    unsafe fn home_exit(head: *mut Head, rtnl: &Rtnl) {
        // SAFETY: The head is the first field of a `Private<T>`, and the device on the list lives.
        let (owner, dev) = unsafe {
            (
                (*head.cast::<Private<T>>()).owner.as_ref(),
                NetDevice::from_raw((*head).dev),
            )
        };
        if let Some(owner) = owner {
            T::home_exit(owner, dev, rtnl);
        }
    }

    /// Calls `f` with the objects of all devices that were made through `ops`.
    ///
    /// # Safety
    ///
    /// `ops` are those of a `Registration<T>`.
    unsafe fn for_each(
        ops: *const bindings::rtnl_link_ops,
        rtnl: &Rtnl,
        mut f: impl FnMut(&Shared<T>),
    ) {
        DEVICES.for_each(rtnl, |head| {
            // SAFETY: The device on the list lives, and with these ops it has a `Private<T>`, whose first
            // field is the head.
            unsafe {
                if (*(*head).dev).rtnl_link_ops == ops {
                    if let Some(owner) = &(*head.cast::<Private<T>>()).owner {
                        f(owner);
                    }
                }
            }
        });
    }

    /// The machine is about to sleep, or has woken up.
    ///
    /// # Safety
    ///
    /// The kernel calls it, as the power notifier of a registration.
    unsafe extern "C" fn power_event(
        nb: *mut bindings::notifier_block,
        action: usize,
        _data: *mut core::ffi::c_void,
    ) -> core::ffi::c_int {
        // A machine that sleeps all the time, as phones do, would lose its sessions all the time. It does not hibernate all
        // the time.
        let autosleep = cfg!(CONFIG_PM_AUTOSLEEP) || cfg!(CONFIG_PM_USERSPACE_AUTOSLEEP);
        let suspends = action == bindings::PM_SUSPEND_PREPARE as usize;
        if suspends || action == bindings::PM_POST_SUSPEND as usize {
            SUSPENDS.store(suspends, Relaxed);
        }
        if action == bindings::PM_HIBERNATION_PREPARE as usize || suspends && !autosleep {
            let nb: *const Opaque<bindings::notifier_block> = nb.cast_const().cast();
            let rtnl = Rtnl::lock();
            // SAFETY: The block is that of a registration, which lives while its events come.
            unsafe {
                let inner = kernel::container_of!(nb, Inner<T>, power);
                Self::for_each((*inner).link.get(), &rtnl, |owner| {
                    T::suspend(owner, &rtnl);
                });
            }
            drop(rtnl);
            // Keys are wiped when their grace period has passed; the machine must not sleep before that.
            // SAFETY: Process context.
            unsafe { bindings::rcu_barrier() };
        }
        0
    }

    /// Interrupts are off, and this is the only CPU at work. It comes just before an image is made of what is in memory, by
    /// hibernation or by a hypervisor; others may have sessions again since that was announced, which a sync needs.
    ///
    /// # Safety
    ///
    /// Nothing is asked of the caller: it has the type of a callback.
    unsafe extern "C" fn image_event(_data: *mut core::ffi::c_void) -> core::ffi::c_int {
        if !SUSPENDS.load(Relaxed) {
            T::copied();
        }
        0
    }

    /// The virtual machine that this runs in has been copied.
    ///
    /// # Safety
    ///
    /// The kernel calls it, as the VM fork notifier of a registration.
    unsafe extern "C" fn vm_fork_event(
        nb: *mut bindings::notifier_block,
        _action: usize,
        _data: *mut core::ffi::c_void,
    ) -> core::ffi::c_int {
        let nb: *const Opaque<bindings::notifier_block> = nb.cast_const().cast();
        T::copied();
        let rtnl = Rtnl::lock();
        // SAFETY: As in `power_event`.
        unsafe {
            let inner = kernel::container_of!(nb, Inner<T>, vm);
            Self::for_each((*inner).link.get(), &rtnl, |owner| {
                T::vm_fork(owner, &rtnl);
            });
        }
        0
    }
}

/// A network namespace ends, and devices that were made in it and live elsewhere lose it.
///
/// # Safety
///
/// The core calls it, as `exit_rtnl` of a driver's operations, with RTNL held.
unsafe extern "C" fn namespace_exit(net: *mut bindings::net, _kill: *mut bindings::list_head) {
    // When a driver is unregistered, the core calls this for namespaces that stay.
    // SAFETY: The namespace lives during the call.
    if unsafe { bindings::check_net(net) } != 0 {
        return;
    }
    // SAFETY: The core calls with RTNL held.
    let rtnl = unsafe { Rtnl::assume_held() };
    DEVICES.for_each(&rtnl, |head| {
        // SAFETY: What is on the list lives, and the function was made for it.
        unsafe {
            if let Some(anchor) = (*head).anchor.as_ref().filter(|a| a.is_home(net, &rtnl)) {
                ((*head).home_exit)(head, &rtnl);
                anchor.cut_home(&rtnl);
            }
        }
    });
}

/// The driver's object of the device with this number or name in `net`.
///
/// # Errors
///
/// `ENODEV` when there is no such device, `EOPNOTSUPP` when it belongs to another driver.
pub(crate) fn find<T: LinkDriver>(net: &Net, by: By<'_>, rtnl: &Rtnl) -> Result<Shared<T>> {
    // SAFETY: RTNL is held, so the device stays; the name is null-terminated.
    let dev = unsafe {
        match by {
            By::Index(index) => bindings::__dev_get_by_index(net.as_ptr(), index as i32),
            By::Name(name) => bindings::__dev_get_by_name(net.as_ptr(), name.as_ptr()),
        }
    };
    if dev.is_null() {
        return Err(ENODEV);
    }
    let mut ours = false;
    DRIVERS.for_each(rtnl, |driver| {
        // SAFETY: The device and what is on the list live.
        unsafe {
            ours |= (*dev).rtnl_link_ops == (*driver).ops && (*driver).type_id == TypeId::of::<T>();
        }
    });
    if !ours {
        return Err(EOPNOTSUPP);
    }
    // SAFETY: The device was made through the ops of a `Registration<T>`. It is listed, so `newlink` has
    // written its private area, and RTNL is held, so it stays so.
    unsafe { Adapter::<T>::owner(dev) }.cloned().ok_or(ENODEV)
}

/// How a device is named in a request.
pub(crate) enum By<'a> {
    /// By number.
    Index(u32),
    /// By name.
    Name(NulString<'a>),
}
