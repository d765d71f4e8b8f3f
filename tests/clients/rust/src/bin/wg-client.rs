// SPDX-License-Identifier: GPL-2.0

//! A client as programs in Rust have one: creates, configures, shows and deletes an interface by
//! the library `wireguard-control`, which speaks netlink to the kernel.

use std::env;
use std::error::Error;
use std::net::{IpAddr, Ipv4Addr};

use wireguard_control::{Backend, Device, DeviceUpdate, InterfaceName, Key, PeerConfigBuilder};

const USAGE: &str = "usage: wg-client list
       wg-client show NAME
       wg-client delete NAME
       wg-client set NAME PRIVATE-KEY PORT FWMARK
       wg-client peer NAME PUBLIC-KEY PRESHARED-KEY ENDPOINT KEEPALIVE ADDRESS/LENGTH...
       wg-client unpeer NAME PUBLIC-KEY
       wg-client many NAME NUMBER";

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["list"] => {
            for name in Device::list(Backend::Kernel)? {
                println!("{name}");
            }
        }
        ["show", name] => show(&Device::get(&name.parse()?, Backend::Kernel)?),
        ["delete", name] => Device::get(&name.parse()?, Backend::Kernel)?.delete()?,
        ["set", name, key, port, mark] => DeviceUpdate::new()
            .set_private_key(Key::from_base64(key)?)
            .set_listen_port(port.parse()?)
            .set_fwmark(mark.parse()?)
            .replace_peers()
            .apply(&name.parse()?, Backend::Kernel)?,
        ["peer", name, key, preshared, endpoint, keepalive, ref allowed @ ..] => {
            let mut peer = PeerConfigBuilder::new(&Key::from_base64(key)?)
                .set_preshared_key(Key::from_base64(preshared)?)
                .set_endpoint(endpoint.parse()?)
                .set_persistent_keepalive_interval(keepalive.parse()?)
                .replace_allowed_ips();
            for item in allowed {
                let (address, length) = item.split_once('/').ok_or("no length")?;
                peer = peer.add_allowed_ip(address.parse()?, length.parse()?);
            }
            DeviceUpdate::new()
                .add_peer(peer)
                .apply(&name.parse()?, Backend::Kernel)?;
        }
        ["unpeer", name, key] => DeviceUpdate::new()
            .remove_peer_by_key(&Key::from_base64(key)?)
            .apply(&name.parse()?, Backend::Kernel)?,
        ["many", name, number] => many(&name.parse()?, number.parse()?)?,
        _ => return Err(USAGE.into()),
    }
    Ok(())
}

/// One line for the interface, one for each peer.
fn show(device: &Device) {
    println!(
        "{} {} {} {} {}",
        device.name,
        key(&device.private_key),
        key(&device.public_key),
        device.listen_port.unwrap_or(0),
        device.fwmark.unwrap_or(0),
    );
    for peer in &device.peers {
        let config = &peer.config;
        let allowed: Vec<String> = config
            .allowed_ips
            .iter()
            .map(|ip| format!("{}/{}", ip.address, ip.cidr))
            .collect();
        println!(
            "{} {} {} {} {} {} {} {}",
            config.public_key.to_base64(),
            key(&config.preshared_key),
            config.endpoint.map_or("-".into(), |e| e.to_string()),
            config.persistent_keepalive_interval.unwrap_or(0),
            allowed.join(","),
            peer.stats.last_handshake_time.is_some(),
            peer.stats.rx_bytes,
            peer.stats.tx_bytes,
        );
    }
}

fn key(key: &Option<Key>) -> String {
    key.as_ref().map_or("-".into(), Key::to_base64)
}

/// Adds so many peers, with two allowed IPs each, that they take several messages both ways.
fn many(name: &InterfaceName, number: u16) -> Result<(), Box<dyn Error>> {
    let mut update = DeviceUpdate::new();
    for i in 0..number {
        let [high, low] = i.to_be_bytes();
        update = update.add_peer(
            PeerConfigBuilder::new(&Key::generate_private().get_public())
                .add_allowed_ip(IpAddr::V4(Ipv4Addr::new(10, 8, high, low)), 32)
                .add_allowed_ip(IpAddr::V4(Ipv4Addr::new(10, 9, high, low)), 32),
        );
    }
    Ok(update.apply(name, Backend::Kernel)?)
}
