// SPDX-License-Identifier: GPL-2.0

//! Netlink attributes: declaring what a family accepts, and reading what it receives.
//!
//! C header: [`include/net/netlink.h`](srctree/include/net/netlink.h)

use core::marker::PhantomData;

use kernel::prelude::*;

use super::bindings;
use super::libcrypto;

/// What one attribute of a family may be. The core checks a request against a table of these, indexed by
/// attribute type, before the family sees it.
#[repr(transparent)]
pub(crate) struct Policy(bindings::nla_policy);

// SAFETY: Policies are never written.
unsafe impl Sync for Policy {}

impl Policy {
    const fn of(kind: u32) -> bindings::nla_policy {
        bindings::nla_policy {
            type_: kind as u8,
            validation_type: bindings::nla_policy_validation_NLA_VALIDATE_NONE as u8,
            len: 0,
            __bindgen_anon_1: bindings::nla_policy__bindgen_ty_1 { mask: 0 },
        }
    }

    const fn range(kind: u32, validation: u32, min: i16, max: i16) -> Self {
        let mut policy = Self::of(kind);
        policy.validation_type = validation as u8;
        policy.__bindgen_anon_1 = bindings::nla_policy__bindgen_ty_1 {
            __bindgen_anon_1: bindings::nla_policy__bindgen_ty_1__bindgen_ty_1 { min, max },
        };
        Self(policy)
    }

    /// No such attribute; entry zero of each table.
    pub(crate) const fn unspec() -> Self {
        Self(Self::of(bindings::NLA_UNSPEC))
    }

    /// An 8-bit number.
    pub(crate) const fn u8() -> Self {
        Self(Self::of(bindings::NLA_U8))
    }

    /// An 8-bit number that is not greater than `max`.
    pub(crate) const fn up_to8(max: u8) -> Self {
        Self::range(
            bindings::NLA_U8,
            bindings::nla_policy_validation_NLA_VALIDATE_MAX,
            0,
            max as i16,
        )
    }

    /// A 16-bit number.
    pub(crate) const fn u16() -> Self {
        Self(Self::of(bindings::NLA_U16))
    }

    /// A 32-bit number.
    pub(crate) const fn u32() -> Self {
        Self(Self::of(bindings::NLA_U32))
    }

    /// A 64-bit number.
    pub(crate) const fn u64() -> Self {
        Self(Self::of(bindings::NLA_U64))
    }

    /// 32 bits of flags, of which only those in `mask` may be set.
    pub(crate) const fn mask32(mask: u32) -> Self {
        let mut policy = Self::of(bindings::NLA_U32);
        policy.validation_type = bindings::nla_policy_validation_NLA_VALIDATE_MASK as u8;
        policy.__bindgen_anon_1 = bindings::nla_policy__bindgen_ty_1 { mask };
        Self(policy)
    }

    /// A null-terminated string of at most `len` octets before the null.
    pub(crate) const fn nul_string(len: u16) -> Self {
        let mut policy = Self::of(bindings::NLA_NUL_STRING);
        policy.len = len;
        Self(policy)
    }

    /// Exactly `len` octets.
    pub(crate) const fn exact_len(len: i16) -> Self {
        Self::range(
            bindings::NLA_BINARY,
            bindings::nla_policy_validation_NLA_VALIDATE_RANGE,
            len,
            len,
        )
    }

    /// At least `len` octets.
    pub(crate) const fn min_len(len: i16) -> Self {
        Self::range(
            bindings::NLA_BINARY,
            bindings::nla_policy_validation_NLA_VALIDATE_MIN,
            len,
            0,
        )
    }

    /// A list whose entries hold attributes as described by `table`; the entries' own types mean nothing.
    pub(crate) const fn nested_array<const N: usize>(table: &'static [Policy; N]) -> Self {
        const { assert!(N > 0) };
        let mut policy = Self::of(bindings::NLA_NESTED_ARRAY);
        policy.len = (N - 1) as u16;
        policy.__bindgen_anon_1 = bindings::nla_policy__bindgen_ty_1 {
            nested_policy: table.as_ptr().cast(),
        };
        Self(policy)
    }

    pub(super) fn table(table: &'static [Policy]) -> *const bindings::nla_policy {
        table.as_ptr().cast()
    }
}

/// One attribute of a request.
#[derive(Clone, Copy)]
pub(crate) struct Attr<'a> {
    /// Whether it is flagged as holding attributes.
    nested: bool,
    payload: &'a [u8],
}

/// Octets of an attribute's header, which holds the attribute's length (header included) and its type.
pub(super) const HEADER_LEN: usize = 4;
/// The flag in the type of an attribute that holds attributes.
pub(super) const NESTED: u16 = bindings::NLA_F_NESTED as u16;
/// The bits of the type that are not flags.
const TYPE_MASK: u16 = !(NESTED | bindings::NLA_F_NET_BYTEORDER as u16);

/// Where the next attribute begins after one of `len` octets: at a multiple of four.
pub(super) fn aligned(len: usize) -> usize {
    len.wrapping_add(3) & !3
}

/// The length (header included) and the type (with its flags) of the attribute at the start of `octets`.
fn header(octets: &[u8]) -> Option<(usize, u16)> {
    let (len, rest) = octets.split_first_chunk()?;
    let kind = rest.first_chunk()?;
    Some((
        usize::from(u16::from_ne_bytes(*len)),
        u16::from_ne_bytes(*kind),
    ))
}

/// In a path to a secret: every entry of a list.
pub(crate) const EACH: u16 = 0;

/// Overwrites with zeros the payloads of all attributes in `octets` that `path` leads to. It has one type for
/// each level of nesting, where [`EACH`] stands for any.
pub(super) fn wipe(octets: &mut [u8], path: &[u16]) {
    let Some((step, deeper)) = path.split_first() else {
        return;
    };
    let mut rest = octets;
    while let Some((len, kind)) = header(rest) {
        let step_len = aligned(len).min(rest.len());
        // An attribute shorter than its header would keep the walk from advancing.
        let Some((this, after)) = rest
            .split_at_mut_checked(step_len)
            .filter(|_| len >= HEADER_LEN)
        else {
            return;
        };
        if *step == EACH || *step == kind & TYPE_MASK {
            if let Some(payload) = this.get_mut(HEADER_LEN..len) {
                if deeper.is_empty() {
                    libcrypto::wipe(payload);
                } else {
                    wipe(payload, deeper);
                }
            }
        }
        rest = after;
    }
}

/// The attributes in `octets`, with their types, in order.
pub(super) fn typed<'a>(octets: &'a [u8]) -> impl Iterator<Item = (u16, Attr<'a>)> {
    let mut rest = octets;
    core::iter::from_fn(move || {
        let (len, kind) = header(rest)?;
        let attr = Attr {
            nested: kind & NESTED != 0,
            payload: rest.get(HEADER_LEN..len)?,
        };
        rest = rest.get(aligned(len)..).unwrap_or_default();
        Some((kind & TYPE_MASK, attr))
    })
}

impl<'a> Attr<'a> {
    /// # Safety
    ///
    /// `attr` is an attribute that the core has checked; it lives for `'a`.
    pub(super) unsafe fn from_raw(attr: *const bindings::nlattr) -> Self {
        // SAFETY: The length covers header and payload.
        let payload = unsafe {
            let len = usize::from((*attr).nla_len).saturating_sub(HEADER_LEN);
            core::slice::from_raw_parts(attr.cast::<u8>().add(HEADER_LEN), len)
        };
        Self {
            // SAFETY: As above.
            nested: unsafe { (*attr).nla_type } & NESTED != 0,
            payload,
        }
    }

    /// Whether the attribute is flagged as holding attributes.
    pub(crate) fn is_nested(&self) -> bool {
        self.nested
    }

    /// The octets.
    pub(crate) fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// The payload, if it is exactly `N` octets long.
    pub(crate) fn array<const N: usize>(&self) -> Option<&'a [u8; N]> {
        self.payload.try_into().ok()
    }

    /// An 8-bit number.
    pub(crate) fn u8(&self) -> Option<u8> {
        self.payload.first().copied()
    }

    /// A 16-bit number.
    pub(crate) fn u16(&self) -> Option<u16> {
        self.payload.first_chunk().map(|b| u16::from_ne_bytes(*b))
    }

    /// A 32-bit number.
    pub(crate) fn u32(&self) -> Option<u32> {
        self.payload.first_chunk().map(|b| u32::from_ne_bytes(*b))
    }

    /// A null-terminated string.
    pub(crate) fn nul_string(&self) -> Option<NulString<'a>> {
        let ends = self.payload.iter().any(|octet| *octet == 0);
        // INVARIANT: Just checked.
        ends.then_some(NulString(self.payload))
    }

    /// The attributes inside, with their types, in order.
    fn typed_children(&self) -> impl Iterator<Item = (u16, Attr<'a>)> {
        typed(self.payload)
    }

    /// The entries of a list.
    pub(crate) fn children(&self) -> impl Iterator<Item = Attr<'a>> {
        self.typed_children().map(|(_, attr)| attr)
    }

    /// The attributes inside, with their types, in order. The core has checked them against this attribute's
    /// policy, but not that an entry of a list is flagged as nested.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the attribute is not flagged as nested.
    pub(crate) fn entries(
        &self,
        extack: &Extack<'_>,
    ) -> Result<impl Iterator<Item = (u16, Attr<'a>)>> {
        if !self.nested {
            extack.set(c"NLA_F_NESTED is missing");
            return Err(EINVAL);
        }
        Ok(self.typed_children())
    }

    /// The attributes inside, by type. Of several with the same type, the last counts; types of `N` and
    /// above are ignored.
    ///
    /// # Errors
    ///
    /// As for [`Attr::entries`].
    pub(crate) fn nested<const N: usize>(&self, extack: &Extack<'_>) -> Result<Attrs<'a, N>> {
        let mut attrs = Attrs([None; N]);
        for (kind, attr) in self.entries(extack)? {
            if let Some(slot) = attrs.0.get_mut(usize::from(kind)) {
                *slot = Some(attr);
            }
        }
        Ok(attrs)
    }
}

/// Octets with a null among them: a string for C.
///
/// # Invariants
///
/// There is a null octet.
pub(crate) struct NulString<'a>(&'a [u8]);

impl NulString<'_> {
    pub(super) fn as_ptr(&self) -> *const kernel::ffi::c_char {
        self.0.as_ptr().cast()
    }
}

/// Attributes by type.
pub(crate) struct Attrs<'a, const N: usize>([Option<Attr<'a>>; N]);

impl<'a, const N: usize> Attrs<'a, N> {
    /// The attribute of this type.
    pub(crate) fn get(&self, kind: u16) -> Option<Attr<'a>> {
        self.0.get(usize::from(kind)).copied().flatten()
    }
}

/// Where a family puts in words what is wrong with a request.
pub(crate) struct Extack<'a> {
    ptr: *mut bindings::netlink_ext_ack,
    _request: PhantomData<&'a ()>,
}

impl<'a> Extack<'a> {
    /// # Safety
    ///
    /// `ptr` is null or good for `'a`.
    pub(super) unsafe fn from_raw(ptr: *mut bindings::netlink_ext_ack) -> Self {
        Self {
            ptr,
            _request: PhantomData,
        }
    }

    /// One that nobody reads.
    pub(crate) fn none() -> Self {
        Self {
            ptr: core::ptr::null_mut(),
            _request: PhantomData,
        }
    }

    /// Sets the message if there is none yet.
    pub(crate) fn set_default(&self, message: &'static CStr) {
        // SAFETY: By the constructor's contract.
        if !self.ptr.is_null() && unsafe { (*self.ptr)._msg.is_null() } {
            self.set(message);
        }
    }

    /// Sets the message.
    pub(crate) fn set(&self, message: &'static CStr) {
        if !self.ptr.is_null() {
            // SAFETY: By the constructor's contract; the message lives for ever.
            unsafe { (*self.ptr)._msg = message.as_char_ptr() };
        }
    }
}
