// SPDX-License-Identifier: GPL-2.0

//! What an attack begins with: whom it is for, how fast it is, and what it sends and listens with.

use std::io;
use std::net::SocketAddr;
use std::time::{
    Duration,
    Instant, //
};

use crate::wire::{
    mac1_key,
    Listener,
    Sender, //
};
use crate::Options;
use wireguard_host::rng::Rng;

pub struct Attack {
    /// The receiver.
    pub to: SocketAddr,
    /// Its key for mac1.
    pub mac1: [u8; 32],
    pub rng: Rng,
    pub sender: Sender,
    pub listener: Listener,
    /// Datagrams a second; zero: as many as can be.
    rate: u64,
    begun: Instant,
}

impl Attack {
    /// From the options that all attacks have. The listener leaves out packets of more than `longest`
    /// octets.
    pub fn new(options: &Options, longest: u32) -> io::Result<Self> {
        Ok(Self {
            to: options.address("to").expect("to="),
            mac1: mac1_key(&options.key()),
            rng: Rng::new(options.number("seed", 1)),
            sender: Sender::new()?,
            listener: Listener::new(longest)?,
            rate: options.number("rate", 0),
            begun: Instant::now(),
        })
    }

    /// From now on the rate is kept.
    pub fn begin(&mut self) {
        self.begun = Instant::now();
    }

    pub fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Waits a little if more were sent than the rate allows; `true` when it has.
    pub fn ahead(&self) -> bool {
        let tried = self.sender.sent + self.sender.failed;
        let ahead =
            self.rate != 0 && tried as f64 >= self.elapsed().as_secs_f64() * self.rate as f64;
        if ahead {
            std::thread::sleep(Duration::from_millis(1));
        }
        ahead
    }
}
