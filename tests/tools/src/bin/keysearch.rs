// SPDX-License-Identifier: GPL-2.0

//! Looks for keys in the machine's memory while they are in use and after their end. Prints TAP.
//!
//! It gives an interface a private key and a peer with a preshared key, is that peer itself, and so
//! knows the session keys as well, and what they were derived from. What it knows it keeps under a mask only, so that it does not find
//! itself; the memory is read through /proc/kcore. What is in use must be found: that shows that the
//! search works. What has ended must not be found anywhere.

use std::fs::File;
use std::hint::black_box;
use std::io;
use std::net::UdpSocket;
use std::os::unix::fs::FileExt;
use std::process::Command;
use std::sync::Mutex;
use std::time::{
    Duration,
    SystemTime, //
};

use socket2::{
    Domain,
    Protocol,
    Socket,
    Type, //
};
use wireguard_host::protocol::cookie::{
    CookieKeys,
    CookieMaker, //
};
use wireguard_host::protocol::crypto::Crypto;
use wireguard_host::protocol::noise::{
    Handshake,
    Identity,
    Remote, //
};
use wireguard_host::protocol::time::{
    Instant,
    Tai64n, //
};
use wireguard_host::rust_crypto::RustCrypto;

type Key = [u8; 32];

const NOW: Instant = Instant::from_nanos(1);
const PORT: u16 = 5000;

/// What all keys that are kept are masked with.
const MASK: Key = *b"nothing of all this is in memory";

fn masked(key: &Key) -> Key {
    std::array::from_fn(|i| key[i] ^ MASK[i])
}

/// Transport keys that were used, under the mask.
static USED: Mutex<Vec<Key>> = Mutex::new(Vec::new());
/// Chaining keys and whatever else a handshake derives, the transport keys among them, under the mask.
static DERIVED: Mutex<Vec<Key>> = Mutex::new(Vec::new());

fn used(key: &Key) {
    USED.lock().unwrap().push(masked(key));
}

/// [`RustCrypto`], which notes the keys.
struct Spy;

impl Crypto for Spy {
    fn blake2s_256(out: &mut Key, key: &[u8], parts: &[&[u8]]) {
        RustCrypto::blake2s_256(out, key, parts);
        // The outer hash of an HMAC.
        if parts.len() == 2 && parts[0].len() == 64 {
            DERIVED.lock().unwrap().push(masked(out));
        }
    }
    fn blake2s_128(out: &mut [u8; 16], key: &[u8], parts: &[&[u8]]) {
        RustCrypto::blake2s_128(out, key, parts)
    }
    fn x25519(out: &mut Key, secret: &Key, public: &Key) -> bool {
        RustCrypto::x25519(out, secret, public)
    }
    fn x25519_public(out: &mut Key, secret: &Key) -> bool {
        RustCrypto::x25519_public(out, secret)
    }
    fn seal(dst: &mut [u8], src: &[u8], ad: &[u8], counter: u64, key: &Key) -> bool {
        RustCrypto::seal(dst, src, ad, counter, key)
    }
    fn open(dst: &mut [u8], src: &[u8], ad: &[u8], counter: u64, key: &Key) -> bool {
        RustCrypto::open(dst, src, ad, counter, key)
    }
    fn seal_in_place(buf: &mut [u8], ad: &[u8], counter: u64, key: &Key) -> bool {
        used(key);
        RustCrypto::seal_in_place(buf, ad, counter, key)
    }
    fn open_in_place(buf: &mut [u8], ad: &[u8], counter: u64, key: &Key) -> bool {
        used(key);
        RustCrypto::open_in_place(buf, ad, counter, key)
    }
    fn xseal(dst: &mut [u8], src: &[u8], ad: &[u8], nonce: &[u8; 24], key: &Key) -> bool {
        RustCrypto::xseal(dst, src, ad, nonce, key)
    }
    fn xopen(dst: &mut [u8], src: &[u8], ad: &[u8], nonce: &[u8; 24], key: &Key) -> bool {
        RustCrypto::xopen(dst, src, ad, nonce, key)
    }
    fn equal(a: &[u8], b: &[u8]) -> bool {
        RustCrypto::equal(a, b)
    }
    fn wipe(buf: &mut [u8]) {
        RustCrypto::wipe(buf)
    }
}

/// Runs what has to do with keys, and overwrites then what it has left on the stack, below this call,
/// and in the vector registers, which the kernel keeps in memory while others run.
#[inline(never)]
fn scrubbed<R>(f: impl FnOnce() -> R) -> R {
    /// In a frame of its own, which [`scrub_stack`] comes to lie over.
    #[inline(never)]
    fn call<R>(f: impl FnOnce() -> R) -> R {
        f()
    }
    #[inline(never)]
    fn scrub_stack() {
        let mut room = [0u8; 512 << 10];
        black_box(&mut room).fill(0x55);
        black_box(&room);
    }
    let result = call(f);
    // The same steps with other keys come by all registers that those of the true ones have come by.
    let mut text = black_box([0; 64]);
    let _ = RustCrypto::seal_in_place(&mut text, &[], 1, black_box(&[0x55; 32]));
    let _ = RustCrypto::open_in_place(&mut text, &[], 1, black_box(&[0x66; 32]));
    let mut hash = [0; 32];
    RustCrypto::blake2s_256(&mut hash, black_box(&[0x77; 32]), &[&text]);
    black_box(hash);
    scrub_stack();
    result
}

/// A key that is the same each time; the same octet in front and at the end as a clamped one.
fn make(seed: u64, key: &mut Key) {
    // Lest the compiler computes it, and puts it into the program.
    let mut rng = wireguard_host::rng::Rng::new(black_box(seed));
    for octet in key.iter_mut() {
        *octet = rng.word() as u8;
    }
    key[0] &= 248;
    key[31] = key[31] & 127 | 64;
}

/// Private key of the device, of the peer, preshared key: made anew for each use, and wiped after it.
const SEEDS: [u64; 3] = [0x1111, 0x2222, 0x3333];

fn with_key<R>(seed: u64, f: impl FnOnce(&Key) -> R) -> R {
    scrubbed(|| {
        let mut key = [0; 32];
        make(seed, &mut key);
        let result = f(&key);
        RustCrypto::wipe(&mut key);
        result
    })
}

fn public(seed: u64) -> Key {
    with_key(seed, |key| *Identity::<Spy>::new(*key).unwrap().public())
}

fn put(out: &mut Vec<u8>, kind: u16, payload: &[u8]) {
    out.extend((payload.len() as u16 + 4).to_ne_bytes());
    out.extend(kind.to_ne_bytes());
    out.extend(payload);
    out.resize(out.len().next_multiple_of(4), 0);
}

/// Sends a generic netlink request; its memory is wiped. The answer without its header.
fn netlink(family: u16, command: u8, attributes: &mut [u8]) -> io::Result<Vec<u8>> {
    let netlink = Socket::new(Domain::from(16), Type::RAW, Some(Protocol::from(16)))?;
    let mut message = Vec::with_capacity(4096);
    message.extend((attributes.len() as u32 + 20).to_ne_bytes());
    message.extend(family.to_ne_bytes());
    message.extend(5u16.to_ne_bytes());
    message.extend([1, 0, 0, 0, 0, 0, 0, 0, command, 1, 0, 0]);
    message.extend(&attributes[..]);
    netlink.send(&message)?;
    RustCrypto::wipe(&mut message);
    RustCrypto::wipe(attributes);
    let mut answer = vec![0; 8192];
    let len = io::Read::read(&mut &netlink, &mut answer)?;
    answer.truncate(len);
    if answer[4..6] == [2, 0] && answer[16..20] != [0; 4] {
        let code = i32::from_ne_bytes(answer[16..20].try_into().unwrap());
        return Err(io::Error::from_raw_os_error(-code));
    }
    // An error message would begin with the request: it is not asked for more than its head.
    Ok(answer.split_off(20))
}

fn family() -> io::Result<u16> {
    let mut name = Vec::new();
    put(&mut name, 2, b"wireguard\0");
    let answer = netlink(16, 3, &mut name)?;
    let mut rest = &answer[..];
    while let [a, b, kind, _, value @ ..] = rest {
        if *kind == 1 {
            return Ok(u16::from_ne_bytes([value[0], value[1]]));
        }
        let len = usize::from(u16::from_ne_bytes([*a, *b])).next_multiple_of(4);
        rest = &rest[len..];
    }
    Err(io::ErrorKind::NotFound.into())
}

/// Gives the interface its keys and its peer.
fn configure() -> io::Result<()> {
    let family = family()?;
    // No vector may grow while a key is in it: the old memory would stay as it is.
    let mut all = Vec::with_capacity(4096);
    put(&mut all, 2, b"wgk\0");
    with_key(SEEDS[0], |key| put(&mut all, 3, key));
    put(&mut all, 6, &PORT.to_ne_bytes());
    let mut peer = Vec::with_capacity(1024);
    put(&mut peer, 1, &public(SEEDS[1]));
    with_key(SEEDS[2], |key| put(&mut peer, 2, key));
    let mut nest = Vec::with_capacity(1024);
    put(&mut nest, 0x8000, &peer);
    put(&mut all, 0x8008, &nest);
    RustCrypto::wipe(&mut peer);
    RustCrypto::wipe(&mut nest);
    netlink(family, 1, &mut all)?;
    Ok(())
}

/// Removes the peer. Not by wg, which asks for all keys first, and leaves them where it has put them.
fn remove() -> io::Result<()> {
    let mut peer = Vec::with_capacity(64);
    put(&mut peer, 1, &public(SEEDS[1]));
    put(&mut peer, 3, &1u32.to_ne_bytes());
    let mut nest = Vec::new();
    put(&mut nest, 0x8000, &peer);
    let mut all = Vec::new();
    put(&mut all, 2, b"wgk\0");
    put(&mut all, 0x8008, &nest);
    netlink(family()?, 1, &mut all)?;
    Ok(())
}

/// The peer's side: a handshake and one message. The two transport keys, under the mask; the others that
/// were derived are in [`DERIVED`].
fn session(socket: &UdpSocket) -> io::Result<[Key; 2]> {
    scrubbed(|| session_with_remains(socket))
}

fn session_with_remains(socket: &UdpSocket) -> io::Result<[Key; 2]> {
    USED.lock().unwrap().clear();
    DERIVED.lock().unwrap().clear();
    let mut identity = with_key(SEEDS[1], |key| Identity::<Spy>::new(*key).unwrap());
    let to = public(SEEDS[0]);
    let mut remote = Remote::<Spy>::new(to);
    with_key(SEEDS[2], |key| remote.set_preshared(Some(*key)));
    let mut handshake = Handshake::<Spy>::new();
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap();
    let time = Tai64n::from_unix(now.as_secs(), now.subsec_nanos());
    let mut random = [0; 32];
    File::open("/dev/urandom").and_then(|f| io::Read::read_exact(&mut &f, &mut random))?;
    let index = u32::from_ne_bytes([random[0], random[1], random[2], random[3]]);
    let mut message = handshake
        .initiate(&identity, &mut remote, random, index, time)
        .unwrap();
    CookieMaker::new().add_macs(&CookieKeys::<Spy>::new(&to), &mut message, NOW);
    socket.send(&message)?;
    let mut response = [0; 92];
    assert_eq!(socket.recv(&mut response)?, 92, "no response");
    assert!(handshake.accept_response(&identity, &remote, &response));
    let session = handshake.begin_session(NOW).unwrap();
    let mut keepalive = session.header(0).to_vec();
    keepalive.extend([0; 16]);
    assert!(session.seal_in_place(0, &mut keepalive[16..]));
    socket.send(&keepalive)?;
    let _ = session.open_in_place(0, &mut [0; 16]);
    drop((session, handshake, remote));
    identity = Identity::new([1; 32]).unwrap();
    drop(black_box(identity));
    let keys = USED.lock().unwrap();
    let mut derived = DERIVED.lock().unwrap();
    derived.retain(|key| !keys.contains(key));
    Ok([keys[0], keys[1]])
}

/// How often something of a key is in the memory of the machine.
#[derive(Clone, Copy, Debug, Default)]
struct Found {
    /// All of it.
    whole: usize,
    /// Eight octets, as a compiler puts them on the stack.
    pieces: usize,
}

impl Found {
    fn nothing(&self) -> bool {
        self.whole + self.pieces == 0
    }
}

fn search<const N: usize>(keys: [Key; N]) -> io::Result<[Found; N]> {
    let found = search_all(&keys)?;
    println!("#   {found:?}");
    Ok(found.try_into().unwrap())
}

fn search_all(keys: &[Key]) -> io::Result<Vec<Found>> {
    const CHUNK: usize = 1 << 20;
    let start_of = |key: &Key| {
        let [a, b, c, d, ..] = masked(key);
        u32::from_ne_bytes([a, b, c, d])
    };
    let starts: Vec<u32> = keys.iter().map(start_of).collect();
    let mut likely = vec![false; 1 << 16];
    for start in &starts {
        likely[*start as usize & 0xffff] = true;
    }
    let piece_of = |key: &[u8], at: usize| -> [u8; 8] { std::array::from_fn(|i| key[at + i]) };
    let pieces: Vec<(usize, usize, [u8; 8])> = keys
        .iter()
        .enumerate()
        .flat_map(|(n, key)| [0, 8, 16, 24].map(|at| (n, at, piece_of(key, at))))
        .collect();
    let mut likely_piece = vec![false; 1 << 16];
    for (_, at, piece) in &pieces {
        let low = u16::from_ne_bytes([piece[0] ^ MASK[*at], piece[1] ^ MASK[at + 1]]);
        likely_piece[usize::from(low)] = true;
    }
    let core = File::open("/proc/kcore")?;
    let mut head = vec![0; 1 << 14];
    let len = core.read_at(&mut head, 0)?;
    let word = |at: usize| u64::from_ne_bytes(head[at..at + 8].try_into().unwrap());
    let segments = u16::from_ne_bytes([head[56], head[57]]);
    let table = word(32) as usize;
    let mut found = vec![Found::default(); keys.len()];
    let mut searched = 0;
    let mut buffer = vec![0; CHUNK + 32];
    for segment in 0..usize::from(segments) {
        let at = table + segment * 56;
        assert!(at + 56 <= len);
        let (offset, address, physical, size) =
            (word(at + 8), word(at + 16), word(at + 24), word(at + 32));
        // The linear map of memory has physical addresses, and so has the kernel's own image, which
        // is in that map, too.
        if head[at] != 1 || physical == u64::MAX || address >= 0xffff_ffff_8000_0000 {
            continue;
        }
        let mut done = 0;
        while done < size {
            let want = (size - done).min(CHUNK as u64 + 32) as usize;
            let got = core.read_at(&mut buffer[..want], offset + done)?;
            if got < 32 {
                break;
            }
            for i in 0..=got - 32 {
                let start = u32::from_ne_bytes(buffer[i..i + 4].try_into().unwrap());
                if !likely[start as usize & 0xffff] {
                    continue;
                }
                for (n, key) in keys.iter().enumerate() {
                    if start == starts[n] && (0..32).all(|k| buffer[i + k] ^ MASK[k] == key[k]) {
                        found[n].whole += 1;
                        println!("#   key {n} at {:#x}", physical + done + i as u64);
                        // This memory comes past, too.
                        buffer[i..i + 32].fill(0);
                    }
                }
            }
            // The rest of the buffer comes again, as the beginning of the next.
            for i in (0..got.min(CHUNK) - 7).step_by(8) {
                let word = &mut buffer[i..i + 8];
                if !likely_piece[usize::from(u16::from_ne_bytes([word[0], word[1]]))] {
                    continue;
                }
                for (n, at, piece) in &pieces {
                    if (0..8).all(|k| word[k] ^ MASK[at + k] == piece[k]) {
                        found[*n].pieces += 1;
                        let address = physical + done + i as u64;
                        println!("#   octets {at} to {} of key {n} at {address:#x}", at + 8);
                        word.fill(0);
                    }
                }
            }
            done += (got as u64).min(CHUNK as u64);
        }
        searched += size;
    }
    RustCrypto::wipe(&mut buffer);
    println!("# {} MiB searched", searched >> 20);
    Ok(found)
}

fn run(command: &str) {
    let status = Command::new("sh").args(["-c", command]).status();
    assert!(status.is_ok_and(|status| status.success()), "{command}");
    // Memory goes a grace period later.
    std::thread::sleep(Duration::from_secs(3));
}

/// Lets the machine begin to sleep. The guest's file system cannot: the kernel turns back once it has told drivers, and
/// says so with an error, which is not looked at. Whether it told them.
fn suspend() -> bool {
    let entered = || {
        Command::new("dmesg")
            .output()
            .is_ok_and(|log| String::from_utf8_lossy(&log.stdout).contains("PM: suspend entry"))
    };
    let before = entered();
    let _ = std::fs::write("/sys/power/state", "freeze");
    !before && entered()
}

/// Numbers of tests that ran and that failed.
#[derive(Default)]
struct Tap(u32, u32);

impl Tap {
    fn check(&mut self, what: &str, holds: bool) {
        self.0 += 1;
        self.1 += u32::from(!holds);
        println!("{}ok {} - {what}", if holds { "" } else { "not " }, self.0);
    }
}

fn main() -> io::Result<()> {
    println!("TAP version 13\n1..14");
    let socket = UdpSocket::bind("127.0.0.1:6000")?;
    socket.connect(("127.0.0.1", PORT))?;
    socket.set_read_timeout(Some(Duration::from_secs(20)))?;
    run("ip link add wgk type wireguard");
    scrubbed(configure)?;
    run("ip link set wgk up");
    let [private, preshared] = [0, 2].map(|n| with_key(SEEDS[n], masked));
    let mut tap = Tap::default();

    let first = session(&socket)?;
    std::thread::sleep(Duration::from_secs(1));
    let [p, q, s, r] = search([private, preshared, first[0], first[1]])?;
    tap.check("the private key is found while it is in use", p.whole > 0);
    tap.check("and the preshared key", q.whole > 0);
    tap.check("and both keys of the session", s.whole > 0 && r.whole > 0);

    // The first session is the previous one after the second, and nothing after the third.
    session(&socket)?;
    std::thread::sleep(Duration::from_secs(1));
    let last = session(&socket)?;
    run("true");
    let derived = DERIVED.lock().unwrap().clone();
    let [s, r, t, u] = search([first[0], first[1], last[0], last[1]])?;
    tap.check(
        "the keys of a session go when it was replaced",
        s.nothing() && r.nothing(),
    );
    tap.check(
        "those of the present one are found",
        t.whole > 0 && u.whole > 0,
    );
    // A handshake takes eight key derivations, each of which has one HMAC for its own key and one for each that it gives.
    let left = search_all(&derived)?;
    let left = left.iter().filter(|found| !found.nothing()).count();
    println!("#   {left} of {} keys left something", derived.len());
    tap.check(
        "and no key that they were derived from",
        left == 0 && derived.len() == 19,
    );

    // A machine that sleeps has no time to wait: what is in its memory now stays there.
    let sleeps = suspend();
    let [p, q, t, u] = search([private, preshared, last[0], last[1]])?;
    tap.check("the kernel announces suspend", sleeps);
    tap.check(
        "the keys of the session go with it",
        t.nothing() && u.nothing(),
    );
    tap.check(
        "the private key and the preshared key stay",
        p.whole > 0 && q.whole > 0,
    );

    let last = session(&socket)?;
    std::thread::sleep(Duration::from_secs(1));
    run("ip link set wgk down");
    let [q, t, u] = search([preshared, last[0], last[1]])?;
    tap.check(
        "the keys of the session go with the interface down",
        t.nothing() && u.nothing(),
    );
    tap.check("the preshared key stays", q.whole > 0);

    remove()?;
    run("true");
    let [p, q] = search([private, preshared])?;
    tap.check("the preshared key goes with the peer", q.nothing());
    tap.check("the private key stays", p.whole > 0);

    run("ip link del wgk");
    let [p] = search([private])?;
    tap.check("the private key goes with the interface", p.nothing());
    std::process::exit(i32::from(tap.1 > 0));
}
