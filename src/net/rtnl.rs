// SPDX-License-Identifier: GPL-2.0

//! Link types: network devices that user space makes with `ip link add type …`.
//!
//! [`LinkDriver`] is what a driver implements, [`Registration`] makes the kernel know it. A device's
//! private area holds one counted reference to the driver's object, from `newlink` to `ndo_uninit`.
//!
//! C header: [`include/net/rtnetlink.h`](srctree/include/net/rtnetlink.h)

use core::marker::PhantomPinned;
use core::ops::Deref;
use core::ptr;

use kernel::prelude::*;
use kernel::types::{
    NotThreadSafe,
    Opaque, //
};

use super::attr::NulString;
use super::bindings;
use super::netdev::{
    DevHandle,
    Home,
    Net,
    NetDevice, //
};
use super::rcu::Shared;
use super::skb::Skb;

/// Evidence that the routing netlink lock is held.
pub(crate) struct Rtnl(NotThreadSafe);

/// The routing netlink lock, held.
pub(crate) struct RtnlGuard(Rtnl);

impl Rtnl {
    /// Takes the lock. Sleeps.
    pub(crate) fn lock() -> RtnlGuard {
        // SAFETY: Process context; the guard's drop is the counterpart.
        unsafe { bindings::rtnl_lock() };
        RtnlGuard(Self::assume())
    }

    /// For callbacks that run with the lock held.
    fn assume() -> Self {
        Self(NotThreadSafe)
    }
}

impl Deref for RtnlGuard {
    type Target = Rtnl;

    fn deref(&self) -> &Rtnl {
        &self.0
    }
}

impl Drop for RtnlGuard {
    fn drop(&mut self) {
        // SAFETY: Taken in `Rtnl::lock`.
        unsafe { bindings::rtnl_unlock() };
    }
}

/// A driver of layer 3 tunnel devices.
pub(crate) trait LinkDriver: Send + Sync + Sized + 'static {
    /// The type's name.
    const KIND: &'static CStr;
    /// Octets that a packet needs in front and behind.
    const HEADROOM: u16;
    /// See [`LinkDriver::HEADROOM`].
    const TAILROOM: u16;
    /// MTU of a new device, and the greatest that can be set.
    const MTU: u32;
    /// See [`LinkDriver::MTU`].
    const MAX_MTU: u32;

    /// What all devices of the driver share.
    type Context: Clone + Send + Sync + 'static;

    /// Makes the driver's part of a device that is about to be registered.
    fn create(dev: DevHandle, home: Home, context: &Self::Context) -> Result<Shared<Self>>;

    /// The handle that [`LinkDriver::create`] was given.
    fn handle(&self) -> &DevHandle;

    /// The home that [`LinkDriver::create`] was given.
    fn home(&self) -> &Home;

    /// The device goes up. May sleep.
    fn open(this: &Shared<Self>, dev: &NetDevice, rtnl: &Rtnl) -> Result;

    /// The device goes down. May sleep.
    fn stop(this: &Shared<Self>, dev: &NetDevice, rtnl: &Rtnl);

    /// The device goes away: no packet comes from the stack any more, and after this call none may be
    /// given to it. May sleep.
    fn uninit(this: &Shared<Self>, rtnl: &Rtnl);

    /// Takes a packet from the stack. Bottom halves off.
    ///
    /// # Errors
    ///
    /// The packet is gone in any case. The error goes to a local sender.
    fn xmit(this: &Shared<Self>, dev: &NetDevice, skb: Skb) -> Result;

    /// The namespace where the device was created ends; the device lives on elsewhere. May sleep.
    fn home_exit(this: &Shared<Self>, dev: &NetDevice, rtnl: &Rtnl);

    /// The system is about to sleep. May sleep.
    fn suspend(this: &Shared<Self>, rtnl: &Rtnl);

    /// The virtual machine was duplicated. May sleep.
    fn vm_fork(this: &Shared<Self>, rtnl: &Rtnl);
}

/// A device's private area.
///
/// # Invariants
///
/// `owner` is null or came from [`Shared::into_raw`] of the type that the functions were made for.
/// From registration to `ndo_uninit` the area is on the list that begins at [`DEVICES`].
struct Private {
    owner: *const (),
    dev: *mut bindings::net_device,
    next: *mut Private,
    calls: Calls,
}

/// What concerns all devices, whatever their type. The first argument is a `Private::owner`.
#[derive(Clone, Copy)]
struct Calls {
    home: unsafe fn(*const (), *mut bindings::net) -> bool,
    home_exit: unsafe fn(*const (), &NetDevice, &Rtnl),
    suspend: unsafe fn(*const (), &Rtnl),
    vm_fork: unsafe fn(*const (), &Rtnl),
}

/// A list of devices that is guarded by RTNL.
struct DeviceList(core::cell::UnsafeCell<*mut Private>);

// SAFETY: Only used with RTNL held.
unsafe impl Sync for DeviceList {}

static DEVICES: DeviceList = DeviceList(core::cell::UnsafeCell::new(ptr::null_mut()));

impl DeviceList {
    /// # Safety
    ///
    /// `private` is in a registered device, and not on the list.
    unsafe fn add(&self, private: *mut Private, _rtnl: &Rtnl) {
        // SAFETY: RTNL is held.
        unsafe {
            (*private).next = *self.0.get();
            *self.0.get() = private;
        }
    }

    fn remove(&self, private: *mut Private, _rtnl: &Rtnl) {
        // SAFETY: RTNL is held; what is on the list lives.
        unsafe {
            let mut link = self.0.get();
            while !(*link).is_null() {
                if *link == private {
                    *link = (*private).next;
                    return;
                }
                link = &raw mut (**link).next;
            }
        }
    }

    fn for_each(&self, _rtnl: &Rtnl, mut f: impl FnMut(&Private)) {
        // SAFETY: RTNL is held; what is on the list lives and has an owner.
        unsafe {
            let mut private = *self.0.get();
            while !private.is_null() {
                let next = (*private).next;
                f(&*private);
                private = next;
            }
        }
    }
}

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

    const DEVICE_TYPE: bindings::device_type = bindings::device_type {
        name: T::KIND.as_ptr().cast(),
        // SAFETY: All others are optional pointers.
        ..unsafe { core::mem::MaybeUninit::zeroed().assume_init() }
    };

    const CALLS: Calls = Calls {
        home: Self::is_home,
        home_exit: Self::home_exit,
        suspend: Self::suspend,
        vm_fork: Self::vm_fork,
    };

    /// # Safety
    ///
    /// `dev` is a device of this driver.
    unsafe fn private(dev: *mut bindings::net_device) -> *mut Private {
        // SAFETY: The private area was asked for with the size of a `Private`.
        unsafe { bindings::netdev_priv(dev) }.cast()
    }

    /// # Safety
    ///
    /// `dev` is a registered device of this driver; it lives for `'a`.
    unsafe fn owner<'a>(dev: *mut bindings::net_device) -> Option<Shared<T>> {
        // SAFETY: The caller's promise.
        let owner = unsafe { (*Self::private(dev)).owner };
        if owner.is_null() {
            return None;
        }
        // SAFETY: By the invariant of `Private`.
        unsafe { Shared::<T>::borrow_raw(owner) }.upgrade()
    }

    unsafe extern "C" fn setup(dev: *mut bindings::net_device) {
        // SAFETY: The device is new and nobody else's yet.
        unsafe {
            let features = bindings::tunnel_features();
            (*dev).netdev_ops = &Self::OPS;
            (*dev).hard_header_len = 0;
            (*dev).addr_len = 0;
            (*dev).needed_headroom = T::HEADROOM;
            (*dev).needed_tailroom = T::TAILROOM;
            (*dev).type_ = bindings::ARPHRD_NONE as _;
            (*dev).flags = (bindings::net_device_flags_IFF_POINTOPOINT
                | bindings::net_device_flags_IFF_NOARP) as _;
            (*dev).features |= features;
            (*dev).hw_features |= features;
            (*dev).hw_enc_features |= features;
            (*dev).mtu = T::MTU;
            (*dev).max_mtu = T::MAX_MTU;
            (*dev).needs_free_netdev = true;
            bindings::netdev_set_noqueue(dev);
            bindings::netdev_set_lltx(dev);
            bindings::netdev_set_pcpu_tstats(dev);
            bindings::netdev_set_header_ops(dev);
            bindings::set_netdev_devtype(dev, &Self::DEVICE_TYPE);
            // The route of a packet tells the path's MTU, and where an ICMP error goes.
            bindings::netif_keep_dst(dev);
            bindings::netif_set_tso_max_size(dev, bindings::GSO_MAX_SIZE);
        }
    }

    unsafe extern "C" fn newlink(
        dev: *mut bindings::net_device,
        params: *mut bindings::rtnl_newlink_params,
        _extack: *mut bindings::netlink_ext_ack,
    ) -> core::ffi::c_int {
        let rtnl = Rtnl::assume();
        // SAFETY: The core sets the ops before it calls; they are those of a `Registration<T>`.
        let context = unsafe {
            let ops: *const Opaque<bindings::rtnl_link_ops> = (*dev).rtnl_link_ops.cast();
            &(*kernel::container_of!(ops, Inner<T>, link)).context
        };
        // SAFETY: The parameters are good during the call.
        let net = unsafe { bindings::rtnl_newlink_link_net(params) };
        let owner = match T::create(DevHandle::new(dev), Home::new(net), context) {
            Ok(owner) => owner,
            Err(e) => return e.to_errno(),
        };
        // SAFETY: The area is zeroed, big enough and nobody else's yet.
        unsafe {
            Self::private(dev).write(Private {
                owner: owner.into_raw(),
                dev,
                next: ptr::null_mut(),
                calls: Self::CALLS,
            });
        }
        // SAFETY: The device is set up. On failure `ndo_uninit` may have been called or not; `release`
        // is fit for both.
        let ret = unsafe { bindings::register_netdevice(dev) };
        if ret < 0 {
            // SAFETY: The device is ours.
            unsafe { Self::release(dev, &rtnl) };
            return ret;
        }
        // SAFETY: Registered just now.
        unsafe { DEVICES.add(Self::private(dev), &rtnl) };
        ret
    }

    /// Takes the driver's object out of the device.
    ///
    /// # Safety
    ///
    /// `dev` is a device of this driver.
    unsafe fn release(dev: *mut bindings::net_device, rtnl: &Rtnl) {
        // SAFETY: The caller's promise.
        let private = unsafe { Self::private(dev) };
        DEVICES.remove(private, rtnl);
        // SAFETY: As above; RTNL is held.
        let owner = unsafe { core::mem::replace(&mut (*private).owner, ptr::null()) };
        if !owner.is_null() {
            // SAFETY: By the invariant of `Private`.
            let owner = unsafe { Shared::<T>::from_raw(owner) };
            T::uninit(&owner, rtnl);
            // The core waits for a grace period between this call and the end of the device.
            owner.handle().revoke();
        }
    }

    unsafe extern "C" fn uninit(dev: *mut bindings::net_device) {
        // SAFETY: The core calls with RTNL held, when no packet comes from the stack any more.
        unsafe { Self::release(dev, &Rtnl::assume()) };
    }

    unsafe extern "C" fn open(dev: *mut bindings::net_device) -> core::ffi::c_int {
        let rtnl = Rtnl::assume();
        // SAFETY: The device is registered, and RTNL is held.
        let (owner, dev) = unsafe { (Self::owner(dev), NetDevice::from_raw(dev)) };
        dev.tame_addressing(&rtnl);
        match owner.map(|owner| T::open(&owner, dev, &rtnl)) {
            Some(Ok(())) => 0,
            Some(Err(e)) => e.to_errno(),
            None => ENODEV.to_errno(),
        }
    }

    unsafe extern "C" fn stop(dev: *mut bindings::net_device) -> core::ffi::c_int {
        let rtnl = Rtnl::assume();
        // SAFETY: The device is registered, and RTNL is held.
        let (owner, dev) = unsafe { (Self::owner(dev), NetDevice::from_raw(dev)) };
        if let Some(owner) = owner {
            T::stop(&owner, dev, &rtnl);
        }
        0
    }

    unsafe extern "C" fn xmit(
        skb: *mut bindings::sk_buff,
        dev: *mut bindings::net_device,
    ) -> bindings::netdev_tx_t {
        // SAFETY: The packet is handed over.
        let skb = unsafe { Skb::from_raw(skb) };
        // SAFETY: The core sends only to devices that are up, within a read-side section that ends
        // before `ndo_uninit`.
        let (owner, dev) = unsafe { (Self::owner(dev), NetDevice::from_raw(dev)) };
        match owner.map(|owner| T::xmit(&owner, dev, skb)) {
            Some(Err(e)) => e.to_errno(),
            _ => 0,
        }
    }

    /// # Safety
    ///
    /// `owner` is a `Private::owner` of this driver.
    unsafe fn borrow<'a>(owner: *const ()) -> Option<Shared<T>> {
        // SAFETY: The caller's promise.
        unsafe { Shared::<T>::borrow_raw(owner) }.upgrade()
    }

    /// # Safety
    ///
    /// As for `borrow`.
    unsafe fn is_home(owner: *const (), net: *mut bindings::net) -> bool {
        // SAFETY: The caller's promise.
        unsafe { Self::borrow(owner) }.is_some_and(|owner| owner.home().is(net))
    }

    /// # Safety
    ///
    /// As for `borrow`.
    unsafe fn home_exit(owner: *const (), dev: &NetDevice, rtnl: &Rtnl) {
        // SAFETY: The caller's promise.
        if let Some(owner) = unsafe { Self::borrow(owner) } {
            T::home_exit(&owner, dev, rtnl);
            owner.home().revoke();
        }
    }

    /// # Safety
    ///
    /// As for `borrow`.
    unsafe fn suspend(owner: *const (), rtnl: &Rtnl) {
        // SAFETY: The caller's promise.
        if let Some(owner) = unsafe { Self::borrow(owner) } {
            T::suspend(&owner, rtnl);
        }
    }

    /// # Safety
    ///
    /// As for `borrow`.
    unsafe fn vm_fork(owner: *const (), rtnl: &Rtnl) {
        // SAFETY: The caller's promise.
        if let Some(owner) = unsafe { Self::borrow(owner) } {
            T::vm_fork(&owner, rtnl);
        }
    }
}

unsafe extern "C" fn namespace_exit(net: *mut bindings::net, _kill: *mut bindings::list_head) {
    let rtnl = Rtnl::assume();
    DEVICES.for_each(&rtnl, |private| {
        // SAFETY: What is on the list has an owner of the right type.
        unsafe {
            if (private.calls.home)(private.owner, net) {
                (private.calls.home_exit)(private.owner, NetDevice::from_raw(private.dev), &rtnl);
            }
        }
    });
}

unsafe extern "C" fn power_event(
    _nb: *mut bindings::notifier_block,
    action: usize,
    _data: *mut core::ffi::c_void,
) -> core::ffi::c_int {
    // A machine that sleeps all the time, as phones do, would lose its sessions all the time.
    let autosleep = cfg!(CONFIG_PM_AUTOSLEEP) || cfg!(CONFIG_PM_USERSPACE_AUTOSLEEP);
    let sleeps = action == bindings::PM_HIBERNATION_PREPARE as usize
        || action == bindings::PM_SUSPEND_PREPARE as usize;
    if sleeps && !autosleep {
        let rtnl = Rtnl::lock();
        DEVICES.for_each(&rtnl, |private| {
            // SAFETY: What is on the list has an owner of the right type.
            unsafe { (private.calls.suspend)(private.owner, &rtnl) };
        });
        drop(rtnl);
        // The keys are wiped when the grace period has passed; wait for that.
        kernel::sync::rcu::rcu_barrier();
    }
    0
}

unsafe extern "C" fn vm_fork_event(
    _nb: *mut bindings::notifier_block,
    _action: usize,
    _data: *mut core::ffi::c_void,
) -> core::ffi::c_int {
    let rtnl = Rtnl::lock();
    DEVICES.for_each(&rtnl, |private| {
        // SAFETY: What is on the list has an owner of the right type.
        unsafe { (private.calls.vm_fork)(private.owner, &rtnl) };
    });
    0
}

/// The driver's object of the device with this number or name in `net`.
///
/// # Errors
///
/// `ENODEV` when there is no such device, `EOPNOTSUPP` when it is of another type.
pub(crate) fn find<T: LinkDriver>(net: &Net, by: By<'_>, _rtnl: &Rtnl) -> Result<Shared<T>> {
    // SAFETY: RTNL is held, so the device stays; the name is null-terminated.
    let dev = unsafe {
        match by {
            By::Index(index) => bindings::__dev_get_by_index(net.as_ptr(), index as _),
            By::Name(name) => bindings::__dev_get_by_name(net.as_ptr(), name.as_ptr()),
        }
    };
    if dev.is_null() {
        return Err(ENODEV);
    }
    // SAFETY: The device lives; the ops of a type that is registered have a name.
    let ours = unsafe {
        let ops = (*dev).rtnl_link_ops;
        !ops.is_null() && bindings::strcmp((*ops).kind, T::KIND.as_ptr().cast()) == 0
    };
    if !ours {
        return Err(EOPNOTSUPP);
    }
    // SAFETY: A kind has one driver, so the device is one of ours.
    unsafe { Adapter::<T>::owner(dev) }.ok_or(ENODEV)
}

/// How a device is named in a request.
pub(crate) enum By<'a> {
    /// By number.
    Index(u32),
    /// By name.
    Name(NulString<'a>),
}

#[pin_data]
struct Inner<T: LinkDriver> {
    #[pin]
    link: Opaque<bindings::rtnl_link_ops>,
    pernet: Opaque<bindings::pernet_operations>,
    power: Opaque<bindings::notifier_block>,
    vm: Opaque<bindings::notifier_block>,
    context: T::Context,
    #[pin]
    _pin: PhantomPinned,
}

/// A registered driver. Dropping it deletes all its devices. Sleeps.
///
/// # Invariants
///
/// All four parts of `Inner` are registered.
pub(crate) struct Registration<T: LinkDriver>(Pin<KBox<Inner<T>>>);

// SAFETY: The parts are used by the kernel's functions only.
unsafe impl<T: LinkDriver> Send for Registration<T> {}
// SAFETY: As above.
unsafe impl<T: LinkDriver> Sync for Registration<T> {}

impl<T: LinkDriver> Registration<T> {
    /// Registers the driver. May sleep.
    ///
    /// # Errors
    ///
    /// `EEXIST` when a driver of this kind is there already.
    pub(crate) fn new(context: T::Context) -> Result<Self> {
        let inner = KBox::pin_init(
            pin_init!(Inner {
                link <- Opaque::ffi_init(|slot: *mut bindings::rtnl_link_ops| {
                    // SAFETY: All fields may be zero; those that matter are set.
                    unsafe {
                        slot.write_bytes(0, 1);
                        (*slot).kind = T::KIND.as_ptr().cast();
                        (*slot).priv_size = core::mem::size_of::<Private>();
                        (*slot).setup = Some(Adapter::<T>::setup);
                        (*slot).newlink = Some(Adapter::<T>::newlink);
                    }
                }),
                pernet: Opaque::new(bindings::pernet_operations {
                    exit_rtnl: Some(namespace_exit),
                    ..Default::default()
                }),
                power: Opaque::new(bindings::notifier_block {
                    notifier_call: Some(power_event),
                    ..Default::default()
                }),
                vm: Opaque::new(bindings::notifier_block {
                    notifier_call: Some(vm_fork_event),
                    ..Default::default()
                }),
                context,
                _pin: PhantomPinned,
            }),
            GFP_KERNEL,
        )?;
        // SAFETY: The parts are pinned, live until they are unregistered, and each is registered once.
        // On failure what was registered is taken back in reverse order.
        unsafe {
            kernel::error::to_result(bindings::register_pm_notifier(inner.power.get()))?;
            let ret = bindings::register_random_vmfork_notifier(inner.vm.get());
            if ret < 0 {
                bindings::unregister_pm_notifier(inner.power.get());
                return Err(Error::from_errno(ret));
            }
            let ret = bindings::register_pernet_device(inner.pernet.get());
            if ret < 0 {
                bindings::unregister_random_vmfork_notifier(inner.vm.get());
                bindings::unregister_pm_notifier(inner.power.get());
                return Err(Error::from_errno(ret));
            }
            let ret = bindings::rtnl_link_register(inner.link.get());
            if ret < 0 {
                bindings::unregister_pernet_device(inner.pernet.get());
                bindings::unregister_random_vmfork_notifier(inner.vm.get());
                bindings::unregister_pm_notifier(inner.power.get());
                return Err(Error::from_errno(ret));
            }
        }
        // INVARIANT: All four are registered.
        Ok(Self(inner))
    }
}

impl<T: LinkDriver> Drop for Registration<T> {
    fn drop(&mut self) {
        let inner = &self.0;
        // SAFETY: By the type invariant. The devices go first, while their events still come.
        unsafe {
            bindings::rtnl_link_unregister(inner.link.get());
            bindings::unregister_pernet_device(inner.pernet.get());
            bindings::unregister_random_vmfork_notifier(inner.vm.get());
            bindings::unregister_pm_notifier(inner.power.get());
        }
    }
}
