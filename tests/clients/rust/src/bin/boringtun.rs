// SPDX-License-Identifier: GPL-2.0

//! The peer boringtun: makes an interface, which `wg` configures by its socket in
//! /var/run/wireguard, and serves it until it is deleted. It is what `boringtun-cli --foreground
//! --disable-connected-udp` does, without a log.

use std::env;
use std::process::ExitCode;

use boringtun::device::{DeviceConfig, DeviceHandle};

fn main() -> ExitCode {
    let Some(name) = env::args().nth(1) else {
        eprintln!("usage: boringtun INTERFACE");
        return ExitCode::FAILURE;
    };
    // A connected socket would stay at the address that it had when it was connected.
    let config = DeviceConfig {
        use_connected_socket: false,
        ..DeviceConfig::default()
    };
    match DeviceHandle::new(&name, config) {
        Ok(mut device) => {
            device.wait();
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("boringtun: {error}");
            ExitCode::FAILURE
        }
    }
}
