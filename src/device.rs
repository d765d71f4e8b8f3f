// SPDX-License-Identifier: GPL-2.0

//! One interface: its keys, its peers, its sockets, and its life from creation to deletion.

#![forbid(unsafe_code)]

use kernel::prelude::*;
use kernel::sync::atomic::{
    Atomic,
    Relaxed, //
};
use kernel::sync::{
    new_mutex,
    Arc,
    Mutex, //
};

use crate::allowed_ips::{
    AllowedIps,
    Writer, //
};
use crate::counters::{
    self,
    Count,
    Counters,
    Dropped, //
};
use crate::crypto::{
    CookieKeys,
    CookieSecret,
    Identity, //
};
use crate::debug;
use crate::events::{
    self,
    STRANGERS_APART, //
};
use crate::flood::{
    HandshakeQueue,
    RateLimiter, //
};
use crate::indices::IndexTable;
use crate::keypair::now;
use crate::net::bh;
#[cfg(kernel_7_2)]
use crate::net::errno::*;
use crate::net::hashtable::HashMap;
use crate::net::libcrypto;
use crate::net::netdev::{
    DevHandle,
    Home,
    Net,
    NetDevice,
    Stat, //
};
use crate::net::pipeline::{
    Account,
    Pipeline, //
};
use crate::net::pool::Buffers;
use crate::net::rcu::{
    self,
    Object,
    Shared,
    Slot, //
};
use crate::net::rtnl::{
    LinkDriver,
    Rtnl, //
};
use crate::net::skb::Skb;
use crate::net::udp::Sockets;
use crate::net::workqueue::Queue;
use crate::options::{
    Chosen,
    Options,
    Switch, //
};
use crate::peer::Peer;
use crate::places::{
    Placed,
    Places, //
};
use crate::protocol::clock::ClockWatch;
use crate::protocol::messages::{
    DATA_OVERHEAD,
    PADDING_MULTIPLE,
    TAG_LEN, //
};
use crate::protocol::PublicKey;
use crate::receive::Incoming;
use crate::transmit::{
    Outgoing,
    HEADROOM, //
};

/// Buckets of a device's peer table, as a power of two.
const PEER_BITS: u32 = 11;

/// The most peers that a device can have.
const MAX_PEERS: usize = 1 << 20;

/// The MTU of the path that the default MTU is meant for.
const ETHERNET_MTU: u32 = 1500;

/// Octets that are added to a packet on an IPv6 path: our own, UDP's and IPv6's.
const OVERHEAD: u32 = DATA_OVERHEAD as u32 + 8 + 40;

/// For each CPU, twice as many octets of a device may be on their way to be sealed, and as many to be opened.
const QUEUE_LIMIT: usize = 4 << 20;

/// The workers that all devices share.
pub(crate) struct Workers {
    /// Seals what is to be sent.
    pub(crate) seal: Pipeline<Outgoing>,
    /// Seals what comes in so fast that it is better collected first.
    pub(crate) collect: Pipeline<Outgoing>,
    /// Opens what was received.
    pub(crate) open: Pipeline<Incoming>,
    /// Runs the peers' timers and sends initiations; process context.
    pub(crate) control: Queue,
    /// Answers handshake messages; process context.
    pub(crate) handshakes: Queue,
    /// Memory for messages and packets. Outlives the others, which use it.
    pub(crate) buffers: Buffers,
}

impl Workers {
    /// Starts the workers. May sleep.
    pub(crate) fn new() -> Result<Arc<Self>> {
        Ok(Arc::new(
            Self {
                seal: Pipeline::new(Queue::percpu_highpri(c"wg-seal")?, QUEUE_LIMIT)?,
                collect: Pipeline::new(Queue::percpu(c"wg-collect")?, QUEUE_LIMIT)?,
                open: Pipeline::new(Queue::percpu_highpri(c"wg-open")?, QUEUE_LIMIT)?,
                control: Queue::unbound_freezable(c"wg-control")?,
                handshakes: Queue::unbound_freezable(c"wg-kex")?,
                buffers: Buffers::new()?,
            },
            GFP_KERNEL,
        )?)
    }
}

/// The device's private key and what follows from it.
pub(crate) struct LocalIdentity {
    /// The static keys.
    pub(crate) keys: Identity,
    /// Keys of mac1 and cookies in messages to us.
    pub(crate) cookie_keys: CookieKeys,
}

impl Object for LocalIdentity {}

impl Object for CookieSecret {}

/// What the administrator configured; guarded by [`Device::config`].
pub(crate) struct Config {
    /// All peers in the order in which they were added.
    pub(crate) peers: Places<Shared<Peer>>,
    /// Changes with each configuration request, so that a torn dump can be recognised.
    pub(crate) generation: u32,
    /// UDP port; zero until a free one has been taken.
    pub(crate) port: u16,
    /// The number, in the sockets' namespace, of the device that they are bound to; zero for none.
    pub(crate) bound: u32,
    /// The right to change the allowed IPs.
    pub(crate) writer: Writer,
}

/// The private data of an interface.
#[pin_data]
pub(crate) struct Device {
    /// The interface, as long as it exists.
    pub(crate) dev: DevHandle,
    /// The namespace that the interface was created in: its sockets live there.
    home: Home,
    /// Shared with all other devices.
    pub(crate) workers: Arc<Workers>,
    /// The UDP sockets, while the interface is up.
    #[pin]
    pub(crate) sockets: Sockets<Device>,
    /// Cryptokey routing.
    pub(crate) allowed_ips: AllowedIps<Peer>,
    /// Peers by public key.
    #[pin]
    pub(crate) peers: HashMap<PublicKey, Shared<Peer>>,
    /// Handshakes and keypairs by receiver index.
    #[pin]
    pub(crate) indices: IndexTable,
    /// Our static keys, if configured.
    identity: Slot<LocalIdentity>,
    /// Replaced every two minutes by the handshake workers.
    pub(crate) cookie_secret: Slot<CookieSecret>,
    /// Handshake messages that wait for a worker.
    #[pin]
    pub(crate) handshakes: HandshakeQueue,
    /// How often each source may start a handshake when we are under load.
    #[pin]
    pub(crate) limiter: RateLimiter,
    /// Set by the administrator; taken with RTNL held.
    #[pin]
    pub(crate) config: Mutex<Config>,
    /// Mark of outgoing packets; zero for none.
    mark: Atomic<u32>,
    /// What is configured beyond what every WireGuard does.
    options: Options,
    /// What is queued to be sealed.
    pub(crate) sealing: Account,
    /// What is queued to be opened.
    pub(crate) opening: Account,
    /// Between `open` and `stop`.
    up: Atomic<bool>,
    /// What `ethtool -S` shows.
    counters: Counters,
    /// When the next stranger may be announced, in nanoseconds of the protocol's clock.
    next_stranger: Atomic<u64>,
}

impl Device {
    /// Ends all traffic and all sessions. May sleep.
    fn halt(&self, config: &Config) {
        self.up.store(false, Relaxed);
        // First, so that no handshake leads to a session with a peer that has already been stopped.
        self.sockets.close();
        self.handshakes.close(self);
        for peer in config.peers.iter() {
            Peer::stop(peer);
        }
        self.limiter.clear();
    }

    /// Whether the interface is administratively up.
    pub(crate) fn is_up(&self) -> bool {
        self.up.load(Relaxed)
    }

    /// The mark that outgoing packets carry; zero for none.
    pub(crate) fn mark(&self) -> u32 {
        self.mark.load(Relaxed)
    }

    /// The options as they are now.
    pub(crate) fn chosen(&self) -> Chosen {
        self.options.chosen()
    }

    /// Our static keys.
    pub(crate) fn identity(&self) -> Option<Shared<LocalIdentity>> {
        self.identity.get()
    }

    /// Counts what happened `n` times.
    pub(crate) fn count(&self, what: Count, n: usize) {
        self.counters.count(what, n);
    }

    /// Counts packets that are dropped; whoever has them frees them.
    pub(crate) fn dropped(&self, why: Dropped, packets: usize) {
        self.counters.dropped(why, packets);
        events::dropped(self, why, packets);
    }

    /// Whether listeners may be told of one more stranger; if so, notes that they are.
    pub(crate) fn may_announce_stranger(&self) -> bool {
        let now = now().as_nanos();
        if now < self.next_stranger.load(Relaxed) {
            return false;
        }
        let next = now.saturating_add(STRANGERS_APART.as_nanos());
        self.next_stranger.store(next, Relaxed);
        true
    }

    /// Drops a packet, and counts as many as it stands for.
    pub(crate) fn drop_packet(&self, skb: impl Into<Skb>, why: Dropped) {
        let skb = skb.into();
        self.dropped(why, skb.packets());
        skb.drop_for(why.reason());
    }

    /// Counts packets that could not be sent, including in what `ip -s link` shows.
    pub(crate) fn count_tx_dropped(&self, why: Dropped, packets: usize) {
        if packets == 0 {
            return;
        }
        self.dropped(why, packets);
        let guard = rcu::read_lock();
        if let Some(dev) = self.dev.get(&guard) {
            dev.count(Stat::TxDropped, packets);
        }
    }

    /// Counts a received and authentic handshake message of `len` octets.
    pub(crate) fn count_rx(&self, len: usize) {
        let bh = bh::disable();
        let guard = rcu::read_lock();
        if let Some(dev) = self.dev.get(&guard) {
            dev.rx_stats(len, &bh);
        }
    }

    /// The peer with this public key.
    pub(crate) fn find_peer(&self, public_key: &PublicKey) -> Option<Shared<Peer>> {
        let guard = rcu::read_lock();
        self.peers.get(&guard, public_key).cloned()
    }

    /// Adds a peer. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, also when the device has as many peers as it can have.
    pub(crate) fn add_peer(
        this: &Shared<Self>,
        config: &mut Config,
        public_key: &PublicKey,
        preshared: Option<[u8; 32]>,
    ) -> Result<Shared<Peer>> {
        if config.peers.len() >= MAX_PEERS {
            return Err(ENOMEM);
        }
        let peer = Peer::new(this, public_key, preshared)?;
        config.peers.reserve_one()?;
        this.peers.insert(*public_key, peer.clone())?;
        config.peers.add(peer.clone())?;
        debug::peer_created(this, &peer);
        Ok(peer)
    }

    /// Removes one peer. May sleep.
    pub(crate) fn remove_peer(&self, config: &mut Config, peer: &Shared<Peer>) {
        let place = peer.place().load(Relaxed);
        let listed = config.peers.get(place);
        if listed.is_some_and(|other| Shared::ptr_eq(other, peer)) {
            config.peers.remove(place);
        }
        self.allowed_ips.remove_owner(&mut config.writer, peer);
        self.peers.remove(&peer.public_key);
        Peer::remove(peer);
    }

    /// Removes all peers. May sleep.
    pub(crate) fn remove_all_peers(&self, config: &mut Config) {
        self.allowed_ips.clear(&mut config.writer);
        for peer in config.peers.iter() {
            self.peers.remove(&peer.public_key);
        }
        for peer in core::mem::replace(&mut config.peers, Places::new()).iter() {
            AllowedIps::forget(peer);
            Peer::remove(peer);
        }
    }

    /// Sets the private key; an all-zero one takes the key away. Sessions under the old key no longer send.
    /// May sleep.
    pub(crate) fn set_private_key(&self, config: &mut Config, private: &[u8; 32]) -> Result {
        let old = self.identity();
        if let Some(old) = &old {
            if libcrypto::equal(old.keys.private(), private) {
                return Ok(());
            }
        }
        let new = match Identity::new(*private) {
            Some(keys) => {
                let cookie_keys = CookieKeys::new(keys.public());
                Some(Shared::new(LocalIdentity { keys, cookie_keys })?)
            }
            None => None,
        };
        // A peer with our own key would be ourselves.
        if let Some(peer) = new
            .as_ref()
            .and_then(|new| self.find_peer(new.keys.public()))
        {
            self.remove_peer(config, &peer);
        }
        let first = old.is_none() && new.is_some();
        self.identity.set(new);
        for peer in config.peers.iter() {
            let mut side = peer.handshake.lock();
            side.remote.forget_static_static();
            // To the other side, the new key is somebody else, of whose clock it has seen nothing.
            side.clock = ClockWatch::new();
            drop(side);
            peer.expire_sessions();
            if first && self.is_up() {
                crate::transmit::send_staged(peer);
            }
        }
        Ok(())
    }

    /// Sets the port and the mark; zero takes any free port. If the interface is up, the sockets move
    /// at once. May sleep.
    ///
    /// # Errors
    ///
    /// What the socket layer says, above all `EADDRINUSE`; nothing has changed in that case.
    pub(crate) fn set_port_and_mark(
        this: &Shared<Self>,
        config: &mut Config,
        rtnl: &Rtnl,
        port: Option<u16>,
        mark: Option<u32>,
    ) -> Result {
        let new_port = port.filter(|port| *port != config.port);
        if let Some(port) = new_port {
            config.port = match this.home.get(rtnl) {
                Some(net) if this.is_up() => this.sockets.open(net, port, config.bound, this)?,
                _ => port,
            };
        }
        if let Some(mark) = mark {
            this.mark.store(mark, Relaxed);
            this.mark_errors();
        }
        if new_port.is_some() || mark.is_some() {
            for peer in config.peers.iter() {
                peer.clear_source();
            }
        }
        Ok(())
    }

    /// Makes all messages leave and come in by the device with the number `index`, or through the VRF whose
    /// device it is; zero for any way. If that device goes away, none leave or come in. May sleep.
    ///
    /// # Errors
    ///
    /// What the socket layer says; nothing has changed in that case.
    pub(crate) fn bind_sockets(
        this: &Shared<Self>,
        config: &mut Config,
        _rtnl: &Rtnl,
        index: u32,
    ) -> Result {
        if index == config.bound {
            return Ok(());
        }
        this.sockets.bind(index)?;
        config.bound = index;
        for peer in config.peers.iter() {
            peer.clear_source();
        }
        Ok(())
    }

    /// Sets the options. May sleep.
    pub(crate) fn choose(&self, chosen: Chosen, _rtnl: &Rtnl) {
        self.options.choose(chosen);
        self.mark_errors();
    }

    /// What routers report about messages concerns the route that these took, which depends on the mark.
    fn mark_errors(&self) {
        let learn = self.chosen().has(Switch::PathMtu);
        self.sockets
            .take_errors_for(if learn { self.mark() } else { 0 });
    }

    /// The namespace that the sockets live in, if it still exists.
    pub(crate) fn home_net<'a>(&'a self, rtnl: &'a Rtnl) -> Option<&'a Net> {
        self.home.get(rtnl)
    }
}

impl Object for Device {}

impl LinkDriver for Device {
    const KIND: &'static CStr = c"wireguard";
    const HEADROOM: u16 = HEADROOM as u16;
    const TAILROOM: u16 = (PADDING_MULTIPLE + TAG_LEN) as u16;
    const MTU: u32 = ETHERNET_MTU - OVERHEAD;
    // Even when padded to the multiple, the longest packet has a length that fits an `int`.
    const MAX_MTU: u32 = (i32::MAX as u32 & !(PADDING_MULTIPLE as u32 - 1)) - OVERHEAD;
    const STATISTICS: &'static [&'static str] = counters::NAMES;
    type Context = Arc<Workers>;

    fn create(dev: DevHandle, home: Home, workers: &Arc<Workers>) -> Result<Shared<Self>> {
        Shared::pin_init(try_pin_init!(Self {
            dev,
            home,
            workers: workers.clone(),
            sockets <- Sockets::closed(),
            allowed_ips: AllowedIps::new(),
            peers <- HashMap::new(PEER_BITS),
            indices <- IndexTable::new(),
            identity: Slot::empty(),
            cookie_secret: Slot::empty(),
            handshakes <- HandshakeQueue::new(),
            limiter <- RateLimiter::new(),
            config <- new_mutex!(
                Config {
                    peers: Places::new(),
                    generation: 1,
                    port: 0,
                    bound: 0,
                    writer: Writer::new(),
                },
                "device.config"
            ),
            mark: Atomic::new(0),
            options: Options::new(),
            up: Atomic::new(false),
            counters: Counters::new(),
            next_stranger: Atomic::new(0),
            sealing: Account::new(),
            opening: Account::new(),
        }? Error))
    }

    fn created(this: &Shared<Self>, _rtnl: &Rtnl) {
        debug::interface_created(this);
    }

    fn wants_link_local(this: &Shared<Self>) -> bool {
        this.chosen().has(Switch::LinkLocal)
    }

    fn open(this: &Shared<Self>, _dev: &NetDevice, rtnl: &Rtnl) -> Result {
        let mut config = this.config.lock();
        let net = this.home.get(rtnl).ok_or(ENONET)?;
        // First, so that what comes in right away is answered, and the session has its timers.
        this.up.store(true, Relaxed);
        let opened = this
            .handshakes
            .open(this)
            .and_then(|()| this.sockets.open(net, config.port, config.bound, this))
            .inspect_err(|e| debug::cannot_open(this, config.port, *e));
        match opened {
            Ok(port) => config.port = port,
            Err(e) => {
                this.halt(&config);
                return Err(e);
            }
        }
        for peer in config.peers.iter() {
            crate::transmit::send_staged(peer);
            crate::transmit::begin_keepalives(peer);
        }
        Ok(())
    }

    fn stop(this: &Shared<Self>, _dev: &NetDevice, _rtnl: &Rtnl) {
        this.halt(&this.config.lock());
    }

    fn uninit(this: &Shared<Self>, _rtnl: &Rtnl) {
        let mut config = this.config.lock();
        this.up.store(false, Relaxed);
        this.sockets.close();
        this.remove_all_peers(&mut config);
        this.handshakes.close(this);
        this.limiter.clear();
        this.identity.set(None);
        this.cookie_secret.set(None);
        debug::interface_destroyed(this);
    }

    fn xmit(this: &Shared<Self>, dev: &NetDevice, skb: Skb) -> Result {
        crate::transmit::xmit(this, dev, skb)
    }

    fn statistics(this: &Shared<Self>, to: &mut [u64]) {
        this.counters.read(to);
    }

    fn home_exit(this: &Shared<Self>, dev: &NetDevice, rtnl: &Rtnl) {
        debug::namespace_exiting(this);
        dev.carrier_off(rtnl);
        let config = this.config.lock();
        this.sockets.close();
        for peer in config.peers.iter() {
            peer.clear_source();
        }
    }

    fn suspend(this: &Shared<Self>, _rtnl: &Rtnl) {
        for peer in this.config.lock().peers.iter() {
            peer.clear_keys();
        }
    }

    fn copied() {
        crate::keypair::copied();
    }

    fn vm_fork(this: &Shared<Self>, _rtnl: &Rtnl) {
        for peer in this.config.lock().peers.iter() {
            peer.expire_sessions();
        }
    }
}
