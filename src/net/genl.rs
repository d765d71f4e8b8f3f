// SPDX-License-Identifier: GPL-2.0

//! Generic netlink families: one command that dumps, and others that do something and may answer.
//!
//! C header: [`include/net/genetlink.h`](srctree/include/net/genetlink.h)

mod message;
mod multicast;
mod request;

pub(crate) use message::Message;
pub(crate) use multicast::Multicast;
pub(crate) use request::Request;

use core::marker::{
    PhantomData,
    PhantomPinned, //
};
use core::ptr;

use kernel::prelude::*;
use kernel::types::Opaque;

use super::attr::{
    Extack,
    Policy, //
};
use super::bindings;
#[cfg(kernel_7_2)]
use super::errno::*;
use super::libcrypto;
use super::vector::Vector;

/// A command and the attributes that it takes.
pub(crate) struct Command {
    number: u8,
    policy: &'static [Policy],
    secrets: &'static [&'static [u16]],
}

impl Command {
    /// The command with this number; `policy` has one entry for each attribute type, of which there has to be at
    /// least one besides type zero.
    pub(crate) const fn new<const N: usize>(number: u8, policy: &'static [Policy; N]) -> Self {
        // Otherwise the core would parse no attributes, and hand over no table of them.
        const { assert!(N >= 2) };
        Self {
            number,
            policy,
            secrets: &[],
        }
    }

    /// Has attributes of a request overwritten with zeros once it has been handled, before an answer can
    /// quote them. Each is named by a path: one attribute type for each level of nesting, and
    /// [`EACH`](super::attr::EACH) for the entries of a list.
    pub(crate) const fn with_secrets(mut self, secrets: &'static [&'static [u16]]) -> Self {
        self.secrets = secrets;
        self
    }

    fn max_attr(&self) -> u32 {
        self.policy.len().saturating_sub(1) as u32
    }
}

/// A command that does something. Its secrets are wiped from its requests: see [`Command::with_secrets`].
pub(crate) struct Action {
    command: Command,
    run: fn(&Request<'_>) -> Result,
}

impl Action {
    /// What `run` does when `command` is given.
    pub(crate) const fn new(command: Command, run: fn(&Request<'_>) -> Result) -> Self {
        Self { command, run }
    }
}

/// A family. All callbacks run in process context; the core has checked `CAP_NET_ADMIN` over the
/// namespace of the request, and the attributes.
pub(crate) trait Family: Sized + 'static {
    /// The name by which user space finds the family.
    const NAME: &'static CStr;
    /// The version that it announces.
    const VERSION: u32;
    /// The command that dumps.
    const GET: Command;
    /// The other commands, in ascending order of their numbers, all greater than that of [`Family::GET`].
    const ACTIONS: &'static [Action];
    /// The name of the group whose members are told what happens.
    const GROUP: &'static CStr;
    /// What is remembered from one part of a dump to the next.
    type Dump: Send;

    /// The group, which belongs to this family alone.
    fn listeners() -> &'static Multicast;

    /// Begins a dump.
    fn start(request: &Request<'_>) -> Result<Self::Dump>;

    /// Writes the next part of a dump; `false` when it was the last.
    fn dump(state: &mut Self::Dump, out: &mut Dumper<'_>) -> Result<bool>;
}

/// Where the parts of a dump go.
///
/// # Invariants
///
/// `skb` and `cb` are those of a running dump of `family`, for `'a`.
pub(crate) struct Dumper<'a> {
    skb: *mut bindings::sk_buff,
    cb: *mut bindings::netlink_callback,
    family: *const bindings::genl_family,
    command: u8,
    _dump: PhantomData<&'a mut ()>,
}

impl Dumper<'_> {
    /// Where to say what is wrong.
    pub(crate) fn extack(&self) -> Extack<'_> {
        // SAFETY: By the type invariant; it is null or lives as long as this part of the dump.
        unsafe { Extack::from_raw((*self.cb).extack) }
    }

    /// The generation of what is dumped: if it changes during a dump, user space is told to repeat it.
    pub(crate) fn set_generation(&mut self, generation: u32) {
        // SAFETY: By the type invariant.
        unsafe { (*self.cb).seq = generation };
    }

    /// Writes one message.
    ///
    /// # Errors
    ///
    /// Those of `f`, and `EMSGSIZE` if not even the header fits; the message is then left out.
    pub(crate) fn message<R>(
        &mut self,
        f: impl FnOnce(&mut Message<'_>) -> Result<R>,
    ) -> Result<R> {
        // SAFETY: By the type invariant; the header is used before the message ends.
        unsafe {
            let header = bindings::genl_dump_put(self.skb, self.cb, self.family, self.command);
            if header.is_null() {
                return Err(EMSGSIZE);
            }
            bindings::genl_dump_check_consistent(self.cb, header);
            let result = Message::append(self.skb, f);
            match result {
                Ok(_) => bindings::genlmsg_end(self.skb, header),
                Err(_) => bindings::genlmsg_cancel(self.skb, header),
            }
            result
        }
    }
}

#[pin_data]
struct Inner {
    family: Opaque<bindings::genl_family>,
    ops: Vector<bindings::genl_split_ops>,
    group: bindings::genl_multicast_group,
    #[pin]
    _pin: PhantomPinned,
}

/// A registered family. Dropping it waits for running commands. Sleeps.
pub(crate) struct GenlRegistration<F: Family> {
    inner: Pin<KBox<Inner>>,
    /// The group that was opened.
    listeners: &'static Multicast,
    _family: PhantomData<F>,
}

// SAFETY: The parts are used by the kernel's functions only.
unsafe impl<F: Family> Send for GenlRegistration<F> {}
// SAFETY: As above.
unsafe impl<F: Family> Sync for GenlRegistration<F> {}

impl<F: Family> GenlRegistration<F> {
    /// Registers the family. May sleep.
    ///
    /// # Errors
    ///
    /// `EEXIST` if there is already one with this name.
    pub(crate) fn new(module: &'static ThisModule) -> Result<Self> {
        let mut get = bindings::genl_split_ops {
            cmd: F::GET.number,
            flags: (bindings::GENL_UNS_ADMIN_PERM | bindings::GENL_CMD_CAP_DUMP) as u8,
            policy: Policy::table(F::GET.policy),
            maxattr: F::GET.max_attr(),
            ..Default::default()
        };
        get.__bindgen_anon_1.__bindgen_anon_2 =
            bindings::genl_split_ops__bindgen_ty_1__bindgen_ty_2 {
                start: Some(Self::start),
                dumpit: Some(Self::dump),
                done: Some(Self::done),
            };
        let mut ops = Vector::new();
        ops.push(get)?;
        for action in F::ACTIONS {
            let mut op = bindings::genl_split_ops {
                cmd: action.command.number,
                flags: (bindings::GENL_UNS_ADMIN_PERM | bindings::GENL_CMD_CAP_DO) as u8,
                policy: Policy::table(action.command.policy),
                maxattr: action.command.max_attr(),
                ..Default::default()
            };
            op.__bindgen_anon_1.__bindgen_anon_1 =
                bindings::genl_split_ops__bindgen_ty_1__bindgen_ty_1 {
                    pre_doit: None,
                    doit: Some(Self::act),
                    post_doit: None,
                };
            ops.push(op)?;
        }
        let count = u8::try_from(ops.len()).map_err(|_| E2BIG)?;
        let inner = KBox::pin_init(
            pin_init!(Inner {
                family: Opaque::new(bindings::genl_family::default()),
                ops,
                group: Multicast::describe(F::GROUP),
                _pin: PhantomPinned,
            }),
            GFP_KERNEL,
        )?;
        let family = inner.family.get();
        // SAFETY: The family is pinned, nobody else knows it yet, and it stays until it is
        // unregistered; so do its operations.
        unsafe {
            let name = (*family).name.as_mut_slice();
            // The last octet stays null.
            let room = name.len().saturating_sub(1);
            for (to, from) in name.iter_mut().take(room).zip(F::NAME.to_bytes()) {
                *to = *from;
            }
            (*family).version = F::VERSION;
            (*family).split_ops = inner.ops.as_slice().as_ptr();
            (*family).n_split_ops = count;
            (*family).mcgrps = &inner.group;
            (*family).n_mcgrps = 1;
            (*family).module = module.as_ptr().cast();
            (*family).set_netnsok(1);
            kernel::error::to_result(bindings::genl_register_family(family))?;
        }
        let listeners = F::listeners();
        // SAFETY: It was just registered, and is closed before the family goes.
        unsafe { listeners.open(family) };
        Ok(Self {
            inner,
            listeners,
            _family: PhantomData,
        })
    }

    /// A request of this family.
    ///
    /// # Safety
    ///
    /// The core calls it, as `doit` of one of the family's operations.
    unsafe extern "C" fn act(
        _skb: *mut bindings::sk_buff,
        info: *mut bindings::genl_info,
    ) -> core::ffi::c_int {
        // SAFETY: The core hands over the request with its headers.
        let number = unsafe { (*(*info).genlhdr).cmd };
        let Some(action) = F::ACTIONS.iter().find(|a| a.command.number == number) else {
            return EOPNOTSUPP.to_errno();
        };
        // SAFETY: The core parsed the attributes by the policy of this command.
        let request = unsafe { Request::from_raw(info, action.command.max_attr()) };
        let result = libcrypto::with_wiped_stack(|| (action.run)(&request));
        request.wipe(action.command.secrets);
        result.map_or_else(|e| e.to_errno(), |()| 0)
    }

    /// # Safety
    ///
    /// The core calls it, as `start` of a dump.
    unsafe extern "C" fn start(cb: *mut bindings::netlink_callback) -> core::ffi::c_int {
        // SAFETY: A generic netlink dump has this information; the core parsed the attributes by the policy of
        // this command.
        let request = unsafe { Request::from_raw(bindings::genl_info_dump(cb), F::GET.max_attr()) };
        let state = F::start(&request).and_then(|state| Ok(KBox::new(state, GFP_KERNEL)?));
        match state {
            Ok(state) => {
                // SAFETY: The context is ours; it is zeroed before, and `done` is called at the end.
                unsafe { *Self::state(cb) = KBox::into_raw(state) };
                0
            }
            Err(e) => e.to_errno(),
        }
    }

    /// The place where the dump's state is kept.
    ///
    /// # Safety
    ///
    /// `cb` is a dump of this family.
    unsafe fn state(cb: *mut bindings::netlink_callback) -> *mut *mut F::Dump {
        // SAFETY: The context is big enough for a pointer.
        unsafe { (&raw mut (*cb).__bindgen_anon_1.ctx).cast() }
    }

    /// # Safety
    ///
    /// The core calls it, as `dumpit`, after `start`.
    unsafe extern "C" fn dump(
        skb: *mut bindings::sk_buff,
        cb: *mut bindings::netlink_callback,
    ) -> core::ffi::c_int {
        // SAFETY: `start` has set the state; no two parts of a dump are written at once.
        let (state, family) = unsafe {
            (
                &mut **Self::state(cb),
                (*bindings::genl_info_dump(cb)).family,
            )
        };
        // INVARIANT: As the core handed them over.
        let mut out = Dumper {
            skb,
            cb,
            family,
            command: F::GET.number,
            _dump: PhantomData,
        };
        match F::dump(state, &mut out) {
            // SAFETY: The buffer is the core's.
            Ok(true) => unsafe { (*skb).len as core::ffi::c_int },
            Ok(false) => 0,
            Err(e) => e.to_errno(),
        }
    }

    /// # Safety
    ///
    /// The core calls it, as `done`, once and last.
    unsafe extern "C" fn done(cb: *mut bindings::netlink_callback) -> core::ffi::c_int {
        // SAFETY: The state is null or was set by `start`; this is the end of the dump.
        unsafe {
            let state = core::mem::replace(&mut *Self::state(cb), ptr::null_mut());
            if !state.is_null() {
                drop(KBox::from_raw(state));
            }
        }
        0
    }
}

impl<F: Family> Drop for GenlRegistration<F> {
    fn drop(&mut self) {
        self.listeners.close();
        // SAFETY: Registered in `new`.
        unsafe { bindings::genl_unregister_family(self.inner.family.get()) };
    }
}
