// SPDX-License-Identifier: GPL-2.0

//! Safe abstractions over the kernel's C networking interfaces.

#![allow(unsafe_code)]

mod bindings;
