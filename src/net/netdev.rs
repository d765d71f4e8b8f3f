// SPDX-License-Identifier: GPL-2.0

//! Network devices and namespaces, as far as a tunnel driver meets them.
//!
//! C headers: [`include/linux/netdevice.h`](srctree/include/linux/netdevice.h),
//! [`include/net/net_namespace.h`](srctree/include/net/net_namespace.h)

use core::fmt::{
    self,
    Write as _, //
};

use kernel::prelude::*;
use kernel::sync::atomic::{
    Atomic,
    Relaxed, //
};
use kernel::sync::Arc;
use kernel::types::Opaque;

use super::attr::NulString;
use super::bh::BhGuard;
use super::bindings;
use super::rcu::{
    Guard,
    RawSlot, //
};
use super::rtnl::Rtnl;

/// A counter of a device's standard statistics.
#[derive(Clone, Copy)]
pub(crate) enum Stat {
    TxErrors,
    TxDropped,
    RxErrors,
    RxDropped,
    RxFrameErrors,
    RxLengthErrors,
}

/// A device's name in a message.
struct DisplayName([u8; 16]);

impl fmt::Display for DisplayName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for octet in self.0.into_iter().take_while(|octet| *octet != 0) {
            f.write_char(char::from(octet))?;
        }
        Ok(())
    }
}

/// How many devices and tunnels the packet that is being transmitted on this CPU has passed on its way, without a queue in
/// between: the kernel's own count. Bottom halves off.
pub(crate) fn nesting() -> usize {
    // SAFETY: No requirements.
    unsafe { bindings::dev_recursion_level() as usize }
}

/// A network device; exists behind references only.
#[repr(transparent)]
pub(crate) struct NetDevice(Opaque<bindings::net_device>);

// SAFETY: The methods may be called from any thread.
unsafe impl Sync for NetDevice {}

impl NetDevice {
    /// # Safety
    ///
    /// `ptr` is a device that lives for `'a`.
    pub(super) unsafe fn from_raw<'a>(ptr: *mut bindings::net_device) -> &'a Self {
        // SAFETY: The caller's promise; the layout is the same.
        unsafe { &*ptr.cast() }
    }

    pub(super) fn as_ptr(&self) -> *mut bindings::net_device {
        self.0.get()
    }

    /// The current name, padded with null octets.
    pub(crate) fn name(&self, _rtnl: &Rtnl) -> [u8; 16] {
        // SAFETY: The device lives, and the name changes only with RTNL held.
        unsafe { (&raw const (*self.as_ptr()).name).cast::<[u8; 16]>().read() }
    }

    /// The current name, for messages: a concurrent change may show.
    pub(crate) fn display_name(&self) -> impl fmt::Display {
        DisplayName(self.present_name())
    }

    /// The current name, padded with null octets; a concurrent change may show.
    pub(crate) fn present_name(&self) -> [u8; 16] {
        // SAFETY: The device lives. The octets may change all at once or one by one, and are only shown.
        unsafe {
            (&raw const (*self.as_ptr()).name)
                .cast::<[u8; 16]>()
                .read_volatile()
        }
    }

    /// The number by which user space knows the device.
    pub(crate) fn ifindex(&self) -> u32 {
        // SAFETY: The device lives.
        unsafe { (&raw const (*self.as_ptr()).ifindex).read_volatile() as u32 }
    }

    /// The longest packet, in octets.
    pub(crate) fn mtu(&self) -> u32 {
        // SAFETY: The device lives.
        unsafe { (&raw const (*self.as_ptr()).mtu).read_volatile() }
    }

    /// Whether the device takes what is to be cut into packets (`ethtool -k`, generic-segmentation-offload).
    pub(crate) fn has_gso(&self) -> bool {
        // SAFETY: The device lives.
        unsafe { bindings::netdev_has_gso(self.as_ptr()) }
    }

    /// Counts sent packets.
    pub(crate) fn tx_stats(&self, packets: u32, octets: usize, _bh: &BhGuard) {
        // SAFETY: The device has per-CPU statistics while it can be reached.
        unsafe { bindings::dev_sw_netstats_tx_add(self.as_ptr(), packets, octets as u32) };
    }

    /// How many packets were counted as sent on this CPU.
    pub(crate) fn sent_here(&self, _bh: &BhGuard) -> u64 {
        // SAFETY: The device has per-CPU statistics while it can be reached.
        unsafe { bindings::dev_sw_netstats_tx_here(self.as_ptr()) }
    }

    /// Counts one received packet.
    pub(crate) fn rx_stats(&self, octets: usize, _bh: &BhGuard) {
        // SAFETY: The device has per-CPU statistics while it can be reached.
        unsafe { bindings::dev_sw_netstats_rx_add(self.as_ptr(), octets as u32) };
    }

    /// Adds to a counter. Any context.
    pub(crate) fn count(&self, stat: Stat, packets: usize) {
        // SAFETY: The device lives, and these counters are always changed atomically.
        unsafe {
            let stats = &raw mut (*self.as_ptr()).stats;
            let counter = match stat {
                Stat::RxErrors => (&raw mut (*stats).__bindgen_anon_5).cast(),
                Stat::TxErrors => (&raw mut (*stats).__bindgen_anon_6).cast(),
                Stat::RxDropped => (&raw mut (*stats).__bindgen_anon_7).cast(),
                Stat::TxDropped => (&raw mut (*stats).__bindgen_anon_8).cast(),
                Stat::RxLengthErrors => (&raw mut (*stats).__bindgen_anon_11).cast(),
                Stat::RxFrameErrors => (&raw mut (*stats).__bindgen_anon_14).cast(),
            };
            Atomic::<isize>::from_ptr(counter).add(packets as isize, Relaxed);
        }
    }

    /// Tells the stack that the device has lost its link.
    pub(crate) fn carrier_off(&self, _rtnl: &Rtnl) {
        // SAFETY: The device lives.
        unsafe { bindings::netif_carrier_off(self.as_ptr()) };
    }

    /// Keeps IPv4 from sending redirects for packets that leave where they came in, which is the normal case on
    /// a tunnel with many peers, and IPv6 from making up a link-local address, unless one is wanted.
    pub(super) fn tame_addressing(&self, _rtnl: &Rtnl, link_local: bool) {
        let dev = self.as_ptr();
        // Without a hardware address there is nothing to derive one from; a random one lasts as long as IPv6 is
        // on the device, which a move to another namespace and a small MTU end.
        let mode = if link_local {
            bindings::in6_addr_gen_mode_IN6_ADDR_GEN_MODE_RANDOM
        } else {
            bindings::in6_addr_gen_mode_IN6_ADDR_GEN_MODE_NONE
        };
        // SAFETY: The device lives, and RTNL is held.
        unsafe {
            let v4 = bindings::in_dev_get_rtnl(dev);
            if !v4.is_null() {
                bindings::in_dev_conf_set_send_redirects(v4, 0);
                bindings::ipv4_devconf_all_set_send_redirects(bindings::dev_net(dev), 0);
            }
            let v6 = bindings::in6_dev_get(dev);
            if !v6.is_null() {
                bindings::inet6_dev_set_addr_gen_mode(v6, mode as i32);
            }
        }
    }
}

/// What ties a driver's object to its device and to the namespace that the device was created in.
///
/// The device's private area and the driver's object share it, so that the link layer can cut the ties
/// whatever the driver does with its part.
///
/// # Invariants
///
/// `dev` is null, or a device that is not freed until a grace period after the pointer was made null;
/// `home` is null, or a namespace that has not ended. Both are made null only with RTNL held.
pub(super) struct Anchor {
    dev: RawSlot<bindings::net_device>,
    home: RawSlot<bindings::net>,
}

impl Anchor {
    /// Ties to `dev` and `net`. May sleep.
    ///
    /// # Safety
    ///
    /// The caller keeps the type's invariants: it calls [`Anchor::cut`] and lets a grace period pass before
    /// `dev` is freed, and [`Anchor::cut_home`] when `net` ends.
    pub(super) unsafe fn new(
        dev: *mut bindings::net_device,
        net: *mut bindings::net,
    ) -> Result<Arc<Self>> {
        // INVARIANT: The caller's promise.
        Ok(Arc::new(
            Self {
                dev: RawSlot::new(dev),
                home: RawSlot::new(net),
            },
            GFP_KERNEL,
        )?)
    }

    /// Whether the device was created in `net`, and `net` has not ended.
    pub(super) fn is_home(&self, net: *mut bindings::net, _rtnl: &Rtnl) -> bool {
        self.home.load() == net
    }

    /// Cuts the tie to the namespace.
    pub(super) fn cut_home(&self, _rtnl: &Rtnl) {
        self.home.store(core::ptr::null_mut());
    }

    /// Cuts both ties.
    pub(super) fn cut(&self, rtnl: &Rtnl) {
        self.cut_home(rtnl);
        self.dev.store(core::ptr::null_mut());
    }
}

/// Access to a device, for holders that may outlive it.
pub(crate) struct DevHandle(Arc<Anchor>);

impl DevHandle {
    pub(super) fn new(anchor: Arc<Anchor>) -> Self {
        Self(anchor)
    }

    /// The device, unless it is gone.
    pub(crate) fn get<'g>(&'g self, _guard: &'g Guard) -> Option<&'g NetDevice> {
        let dev = self.0.dev.load();
        if dev.is_null() {
            return None;
        }
        // SAFETY: By the invariants of `Anchor` the device lives while the guard does.
        Some(unsafe { NetDevice::from_raw(dev) })
    }

    /// The device, unless it is gone; for callers that hold RTNL.
    pub(crate) fn get_locked<'g>(&'g self, _rtnl: &'g Rtnl) -> Option<&'g NetDevice> {
        let dev = self.0.dev.load();
        if dev.is_null() {
            return None;
        }
        // SAFETY: By the invariants of `Anchor` the pointer is made null before the device is freed, and only
        // with RTNL held; so the device lives while the caller holds it.
        Some(unsafe { NetDevice::from_raw(dev) })
    }
}

/// A network namespace; exists behind references only.
#[repr(transparent)]
pub(crate) struct Net(Opaque<bindings::net>);

impl Net {
    /// # Safety
    ///
    /// `ptr` is a namespace that lives for `'a`.
    pub(super) unsafe fn from_raw<'a>(ptr: *mut bindings::net) -> &'a Self {
        // SAFETY: The caller's promise; the layout is the same.
        unsafe { &*ptr.cast() }
    }

    pub(super) fn as_ptr(&self) -> *mut bindings::net {
        self.0.get()
    }

    /// The device with this number.
    pub(crate) fn device<'a>(&'a self, index: u32, _rtnl: &'a Rtnl) -> Option<&'a NetDevice> {
        let index = i32::try_from(index).ok()?;
        // SAFETY: The namespace lives, and RTNL is held, so that its devices stay.
        unsafe {
            let dev = bindings::__dev_get_by_index(self.as_ptr(), index);
            (!dev.is_null()).then(|| NetDevice::from_raw(dev))
        }
    }

    /// The device with this name.
    pub(crate) fn device_named<'a>(
        &'a self,
        name: &NulString<'_>,
        _rtnl: &'a Rtnl,
    ) -> Option<&'a NetDevice> {
        // SAFETY: As in `device`; the name is null-terminated.
        unsafe {
            let dev = bindings::__dev_get_by_name(self.as_ptr(), name.as_ptr());
            (!dev.is_null()).then(|| NetDevice::from_raw(dev))
        }
    }

    /// Whether the current task has `CAP_NET_ADMIN` over the namespace.
    pub(crate) fn may_administer(&self) -> bool {
        // SAFETY: The namespace lives.
        unsafe { bindings::net_capable(self.as_ptr(), bindings::CAP_NET_ADMIN as i32) }
    }
}

/// The namespace that a device was created in. The device may move away, and the namespace may end
/// before it.
pub(crate) struct Home(Arc<Anchor>);

impl Home {
    pub(super) fn new(anchor: Arc<Anchor>) -> Self {
        Self(anchor)
    }

    /// The namespace, unless it has ended or the device is gone.
    pub(crate) fn get<'a>(&'a self, _rtnl: &'a Rtnl) -> Option<&'a Net> {
        let net = self.0.home.load();
        if net.is_null() {
            return None;
        }
        // SAFETY: By the invariants of `Anchor` the pointer is made null when the namespace ends, with RTNL
        // held, so the namespace lives while the caller holds it.
        Some(unsafe { Net::from_raw(net) })
    }
}
