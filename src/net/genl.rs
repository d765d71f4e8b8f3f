// SPDX-License-Identifier: GPL-2.0

//! Generic netlink families with one command that dumps and one that sets.
//!
//! C header: [`include/net/genetlink.h`](srctree/include/net/genetlink.h)

mod message;
mod multicast;

pub(crate) use message::Message;
pub(crate) use multicast::Multicast;

use core::marker::{
    PhantomData,
    PhantomPinned, //
};
use core::mem::size_of;
use core::ptr;

use kernel::prelude::*;
use kernel::types::Opaque;

use super::attr::{
    self,
    Attr,
    Extack,
    Policy, //
};
use super::bindings;
use super::libcrypto;
use super::netdev::Net;

/// A command and the attributes that it takes.
pub(crate) struct Command {
    number: u8,
    policy: &'static [Policy],
    secrets: &'static [&'static [u16]],
}

impl Command {
    /// The command with this number; `policy` has one entry for each attribute type.
    pub(crate) const fn new(number: u8, policy: &'static [Policy]) -> Self {
        Self {
            number,
            policy,
            secrets: &[],
        }
    }

    /// Makes attributes of a request be overwritten with zeros when it has been handled, before an answer
    /// can quote them. Each is named by a path: one attribute type for each level of nesting,
    /// [`EACH`](super::attr::EACH) for the entries of a list.
    pub(crate) const fn with_secrets(mut self, secrets: &'static [&'static [u16]]) -> Self {
        self.secrets = secrets;
        self
    }

    fn max_attr(&self) -> u32 {
        self.policy.len().saturating_sub(1) as u32
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
    /// The command that sets. It takes its own secrets out of the requests: see [`Command::with_secrets`].
    const SET: Command;
    /// Name of the group of those who are told what happens.
    const GROUP: &'static CStr;
    /// What is remembered from one part of a dump to the next.
    type Dump: Send;

    /// The group, which is this family's alone.
    fn listeners() -> &'static Multicast;

    /// Begins a dump.
    fn start(request: &Request<'_>) -> Result<Self::Dump>;

    /// Writes the next part of a dump; `false` when it was the last.
    fn dump(state: &mut Self::Dump, out: &mut Dumper<'_>) -> Result<bool>;

    /// Sets.
    fn set(request: &Request<'_>) -> Result;
}

/// A request.
///
/// # Invariants
///
/// `info` is good for `'a`, and its table of attributes has `max_attr + 1` entries.
pub(crate) struct Request<'a> {
    info: *const bindings::genl_info,
    max_attr: u32,
    _info: PhantomData<&'a ()>,
}

impl<'a> Request<'a> {
    fn raw_attr(&self, kind: u16) -> *mut bindings::nlattr {
        if u32::from(kind) > self.max_attr {
            return ptr::null_mut();
        }
        // SAFETY: By the type invariant.
        unsafe { *(*self.info).attrs.add(usize::from(kind)) }
    }

    /// The attribute of this type.
    pub(crate) fn attr(&self, kind: u16) -> Option<Attr<'a>> {
        let attr = self.raw_attr(kind);
        // SAFETY: The core has checked the attribute; it lives as long as the request.
        (!attr.is_null()).then(|| unsafe { Attr::from_raw(attr) })
    }

    /// The namespace that the request came from.
    pub(crate) fn net(&self) -> &'a Net {
        // SAFETY: The socket of the request keeps its namespace.
        unsafe { Net::from_raw(bindings::genl_info_net(self.info)) }
    }

    /// Where to say what is wrong.
    pub(crate) fn extack(&self) -> Extack<'a> {
        // SAFETY: By the type invariant.
        unsafe { Extack::from_raw((*self.info).extack) }
    }

    /// Overwrites the secrets of the request with zeros. Taking the request ends all use of its attributes.
    fn wipe(self, secrets: &[&[u16]]) {
        // SAFETY: By the type invariant the information and the message live. The message's buffer is ours to
        // write while it is handled, and what had been borrowed from it through the request, is not used any
        // more.
        let attrs = unsafe {
            let message = (*self.info).nlhdr;
            let header = size_of::<bindings::nlmsghdr>()
                .wrapping_add(size_of::<bindings::genlmsghdr>())
                .wrapping_add((*(*self.info).family).hdrsize as usize);
            let len = ((*message).nlmsg_len as usize).saturating_sub(header);
            core::slice::from_raw_parts_mut(message.cast::<u8>().add(header).cast_mut(), len)
        };
        for path in secrets {
            attr::wipe(attrs, path);
        }
    }
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

    /// The generation of what is dumped: if it changes during a dump, user space is told to repeat.
    pub(crate) fn set_generation(&mut self, generation: u32) {
        // SAFETY: By the type invariant.
        unsafe { (*self.cb).seq = generation };
    }

    /// Writes one message.
    ///
    /// # Errors
    ///
    /// Those of `f`, and `EMSGSIZE` when not even the header fits; the message is left out then.
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
    ops: [bindings::genl_split_ops; 2],
    group: bindings::genl_multicast_group,
    #[pin]
    _pin: PhantomPinned,
}

/// A registered family. Dropping it waits for running commands. Sleeps.
pub(crate) struct GenlRegistration<F: Family> {
    inner: Pin<KBox<Inner>>,
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
    /// `EEXIST` when there is one of this name already.
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
        let mut set = bindings::genl_split_ops {
            cmd: F::SET.number,
            flags: (bindings::GENL_UNS_ADMIN_PERM | bindings::GENL_CMD_CAP_DO) as u8,
            policy: Policy::table(F::SET.policy),
            maxattr: F::SET.max_attr(),
            ..Default::default()
        };
        set.__bindgen_anon_1.__bindgen_anon_1 =
            bindings::genl_split_ops__bindgen_ty_1__bindgen_ty_1 {
                pre_doit: None,
                doit: Some(Self::set),
                post_doit: None,
            };
        let inner = KBox::pin_init(
            pin_init!(Inner {
                family: Opaque::new(bindings::genl_family::default()),
                // The core wants them in this order.
                ops: if F::GET.number < F::SET.number {
                    [get, set]
                } else {
                    [set, get]
                },
                group: Multicast::describe(F::GROUP),
                _pin: PhantomPinned,
            }),
            GFP_KERNEL,
        )?;
        let family = inner.family.get();
        // SAFETY: The family is pinned, nobody else knows it yet, and it stays until it is
        // unregistered; so do its operations.
        unsafe {
            for (to, from) in (*family).name.iter_mut().zip(F::NAME.to_bytes()) {
                *to = *from as _;
            }
            (*family).version = F::VERSION;
            (*family).split_ops = inner.ops.as_ptr();
            (*family).n_split_ops = 2;
            (*family).mcgrps = &inner.group;
            (*family).n_mcgrps = 1;
            (*family).module = module.as_ptr().cast();
            (*family).set_netnsok(1);
            kernel::error::to_result(bindings::genl_register_family(family))?;
            F::listeners().open(family);
        }
        Ok(Self {
            inner,
            _family: PhantomData,
        })
    }

    unsafe extern "C" fn set(
        _skb: *mut bindings::sk_buff,
        info: *mut bindings::genl_info,
    ) -> core::ffi::c_int {
        // INVARIANT: The core parsed the attributes by the policy of this command.
        let request = Request {
            info,
            max_attr: F::SET.max_attr(),
            _info: PhantomData,
        };
        let result = libcrypto::with_wiped_stack(|| F::set(&request));
        request.wipe(F::SET.secrets);
        result.map_or_else(|e| e.to_errno(), |()| 0)
    }

    unsafe extern "C" fn start(cb: *mut bindings::netlink_callback) -> core::ffi::c_int {
        // INVARIANT: The core parsed the attributes by the policy of this command.
        let request = Request {
            // SAFETY: A generic netlink dump has this information.
            info: unsafe { bindings::genl_info_dump(cb) },
            max_attr: F::GET.max_attr(),
            _info: PhantomData,
        };
        let state = F::start(&request).and_then(|state| Ok(KBox::new(state, GFP_KERNEL)?));
        match state {
            Ok(state) => {
                // SAFETY: The context is ours; it is zeroed before, and `done` is called in the end.
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
        F::listeners().close();
        // SAFETY: Registered in `new`.
        unsafe { bindings::genl_unregister_family(self.inner.family.get()) };
    }
}
