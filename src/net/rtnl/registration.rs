// SPDX-License-Identifier: GPL-2.0

//! Making a driver known to the kernel.

use core::any::TypeId;
use core::marker::PhantomPinned;

use kernel::error::to_result;
use kernel::prelude::*;
use kernel::types::{
    Opaque,
    ScopeGuard, //
};

use super::{
    namespace_exit,
    Adapter,
    Driver,
    LinkDriver,
    Links,
    Private,
    Rtnl,
    DRIVERS, //
};
use crate::net::bindings;

#[pin_data]
pub(super) struct Inner<T: LinkDriver> {
    #[pin]
    pub(super) link: Opaque<bindings::rtnl_link_ops>,
    pernet: Opaque<bindings::pernet_operations>,
    pub(super) power: Opaque<bindings::notifier_block>,
    pub(super) vm: Opaque<bindings::notifier_block>,
    image: Opaque<bindings::syscore>,
    driver: Opaque<Driver>,
    pub(super) context: T::Context,
    #[pin]
    _pin: PhantomPinned,
}

/// A registered driver. Dropping it deletes all its devices. Sleeps.
///
/// # Invariants
///
/// The five kernel objects in `Inner` are registered, and `driver` is on the list of drivers.
pub(crate) struct Registration<T: LinkDriver>(Pin<KBox<Inner<T>>>);

// SAFETY: The parts are used by the kernel's functions only.
unsafe impl<T: LinkDriver> Send for Registration<T> {}
// SAFETY: As above.
unsafe impl<T: LinkDriver> Sync for Registration<T> {}

impl<T: LinkDriver> Registration<T> {
    const IMAGE_OPS: bindings::syscore_ops = bindings::syscore_ops {
        suspend: Some(Adapter::<T>::image_event),
        resume: None,
        shutdown: None,
    };

    /// Registers the driver. May sleep.
    ///
    /// # Errors
    ///
    /// `EEXIST` when a driver of this kind is registered already.
    pub(crate) fn new(context: T::Context) -> Result<Self> {
        let inner = KBox::pin_init(
            pin_init!(Inner {
                link <- Opaque::ffi_init(|slot: *mut bindings::rtnl_link_ops| {
                    // SAFETY: All fields may be zero; those that matter are set.
                    unsafe {
                        slot.write_bytes(0, 1);
                        (*slot).kind = T::KIND.as_char_ptr();
                        (*slot).priv_size = core::mem::size_of::<Private<T>>();
                        (*slot).setup = Some(Adapter::<T>::setup);
                        (*slot).newlink = Some(Adapter::<T>::newlink);
                    }
                }),
                pernet: Opaque::new(bindings::pernet_operations {
                    exit_rtnl: Some(namespace_exit),
                    ..Default::default()
                }),
                power: Opaque::new(bindings::notifier_block {
                    notifier_call: Some(Adapter::<T>::power_event),
                    ..Default::default()
                }),
                vm: Opaque::new(bindings::notifier_block {
                    notifier_call: Some(Adapter::<T>::vm_fork_event),
                    ..Default::default()
                }),
                image: Opaque::new(bindings::syscore {
                    ops: &Self::IMAGE_OPS,
                    ..Default::default()
                }),
                driver: Opaque::new(Driver {
                    links: Links::new(),
                    ops: core::ptr::null(),
                    type_id: TypeId::of::<T>(),
                }),
                context,
                _pin: PhantomPinned,
            }),
            GFP_KERNEL,
        )?;
        let driver = inner.driver.get();
        // SAFETY: The parts are pinned, live until they are unregistered, and each is registered once.
        // On failure, what was registered is unregistered in reverse order.
        unsafe {
            (*driver).ops = inner.link.get();
            bindings::register_syscore(inner.image.get());
            let image = ScopeGuard::new(|| bindings::unregister_syscore(inner.image.get()));
            to_result(bindings::register_pm_notifier(inner.power.get()))?;
            let power = ScopeGuard::new(|| {
                bindings::unregister_pm_notifier(inner.power.get());
            });
            to_result(bindings::register_random_vmfork_notifier(inner.vm.get()))?;
            let vm = ScopeGuard::new(|| {
                bindings::unregister_random_vmfork_notifier(inner.vm.get());
            });
            to_result(bindings::register_pernet_device(inner.pernet.get()))?;
            let pernet = ScopeGuard::new(|| {
                bindings::unregister_pernet_device(inner.pernet.get());
            });
            // Before the first device can be made and looked up.
            DRIVERS.add(driver, &Rtnl::lock());
            let listed = ScopeGuard::new(|| DRIVERS.remove(driver, &Rtnl::lock()));
            to_result(bindings::rtnl_link_register(inner.link.get()))?;
            listed.dismiss();
            pernet.dismiss();
            vm.dismiss();
            power.dismiss();
            image.dismiss();
        }
        // INVARIANT: All are registered.
        Ok(Self(inner))
    }
}

impl<T: LinkDriver> Drop for Registration<T> {
    fn drop(&mut self) {
        let inner = &self.0;
        // SAFETY: By the type invariant. The devices go first, while their events are still delivered.
        unsafe {
            bindings::rtnl_link_unregister(inner.link.get());
            DRIVERS.remove(inner.driver.get(), &Rtnl::lock());
            bindings::unregister_pernet_device(inner.pernet.get());
            bindings::unregister_random_vmfork_notifier(inner.vm.get());
            bindings::unregister_pm_notifier(inner.power.get());
            bindings::unregister_syscore(inner.image.get());
        }
    }
}
