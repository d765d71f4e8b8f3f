#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Makes what the measurements need prepared, always the same. usage: inputs.py DIRECTORY

peers.conf          5,000 peers for wg setconf
initiations.conf    a responder with 200 peers, for wg setconf
initiations         two handshake initiations of each of them, first all the first ones
insert, remove      netlink messages that give 100,000 allowed IPs of mixed lengths to ten peers of wg0, and that
                    take them away

The initiations are made here with plain integers: this has to work wherever Python does, and there are few.
"""

import base64
import hashlib
import hmac
import os
import random
import struct
import sys

PEERS = 5000
INITIATORS = 200
PREFIXES = 100_000


def blake2s(*parts, size=32, key=b""):
    return hashlib.blake2s(b"".join(parts), digest_size=size, key=key).digest()


def kdf(key, data, count):
    secret = hmac.new(key, data, hashlib.blake2s).digest()
    out, last = [], b""
    for i in range(count):
        last = hmac.new(secret, last + bytes([i + 1]), hashlib.blake2s).digest()
        out.append(last)
    return out


def x25519(scalar, point):
    """RFC 7748, section 5."""
    p = 2**255 - 19
    k = bytearray(scalar)
    k[0] &= 248
    k[31] = k[31] & 127 | 64
    k = int.from_bytes(k, "little")
    x1 = int.from_bytes(point, "little") & (1 << 255) - 1
    x2, z2, x3, z3, swap = 1, 0, x1, 1, 0
    for t in reversed(range(255)):
        bit = k >> t & 1
        if swap ^ bit:
            x2, x3, z2, z3 = x3, x2, z3, z2
        swap = bit
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        aa, bb, da, cb = a * a % p, b * b % p, d * a % p, c * b % p
        e = aa - bb
        x3, z3 = (da + cb) ** 2 % p, x1 * (da - cb) ** 2 % p
        x2, z2 = aa * bb % p, e * (aa + 121665 * e) % p
    if swap:
        x2, z2 = x3, z3
    return (x2 * pow(z2, p - 2, p) % p).to_bytes(32, "little")


BASE = (9).to_bytes(32, "little")


def chacha20(key, counter, nonce, length):
    """RFC 8439, section 2.3 and 2.4: the key stream."""
    out = b""
    while len(out) < length:
        start = list(struct.unpack("<16I", b"expand 32-byte k" + key + struct.pack("<I", counter) + nonce))
        s = start[:]
        for i in range(80):
            a, b, c, d = ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
                          (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14))[i % 8]
            for x, y, z, n in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
                s[x] = s[x] + s[y] & 0xFFFFFFFF
                v = s[z] ^ s[x]
                s[z] = (v << n | v >> 32 - n) & 0xFFFFFFFF
        out += struct.pack("<16I", *(a + b & 0xFFFFFFFF for a, b in zip(s, start)))
        counter += 1
    return out[:length]


def seal(key, plain, data):
    """RFC 8439, section 2.8, with the counter 0."""
    nonce = bytes(12)
    text = bytes(a ^ b for a, b in zip(plain, chacha20(key, 1, nonce, len(plain))))
    one = chacha20(key, 0, nonce, 32)
    r = int.from_bytes(one[:16], "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    mac = 0
    padded = b"".join(m + bytes(-len(m) % 16) for m in (data, text)) + struct.pack("<QQ", len(data), len(text))
    for i in range(0, len(padded), 16):
        mac = (mac + int.from_bytes(padded[i:i + 16] + b"\1", "little")) * r % (2**130 - 5)
    return text + (mac + int.from_bytes(one[16:], "little") & (1 << 128) - 1).to_bytes(16, "little")


def secret(name):
    return hashlib.sha256(name.encode()).digest()


def initiation(index, stamp, public, static_shared, ephemeral_public, shared, responder):
    """Section 5.4.2 of the whitepaper. The initiators share an ephemeral key, which spares computing."""
    chain = blake2s(b"Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s")
    hashed = blake2s(chain, b"WireGuard v1 zx2c4 Jason@zx2c4.com")
    hashed = blake2s(hashed, responder)
    (chain,) = kdf(chain, ephemeral_public, 1)
    hashed = blake2s(hashed, ephemeral_public)
    chain, key = kdf(chain, shared, 2)
    static = seal(key, public, hashed)
    hashed = blake2s(hashed, static)
    chain, key = kdf(chain, static_shared, 2)
    stamp = seal(key, struct.pack(">QI", 2**62 + 2_000_000_000 + stamp, 0), hashed)
    message = struct.pack("<II", 1, index) + ephemeral_public + static + stamp
    mac1 = blake2s(message, size=16, key=blake2s(b"mac1----", responder))
    return message + mac1 + bytes(16)


def text(key):
    return base64.b64encode(key).decode()


def attribute(kind, data):
    return struct.pack("<HH", len(data) + 4, kind) + data + bytes(-len(data) % 4)


NESTED = 0x8000
SIZE = 8000


def netlink(prefixes, keys, flags):
    """WG_CMD_SET_DEVICE messages for wg0. Their type, the family, is filled in by who sends them."""
    messages = []
    share = len(prefixes) // len(keys)
    for n, key in enumerate(keys):
        mine = [attribute(NESTED, attribute(1, struct.pack("<H", 2)) + attribute(2, address.to_bytes(4, "big"))
                          + attribute(3, bytes([length])) + flags)
                for address, length in prefixes[n * share:(n + 1) * share]]
        step = SIZE // len(mine[0])
        for i in range(0, len(mine), step):
            peer = attribute(1, key) + attribute(NESTED | 9, b"".join(mine[i:i + step]))
            body = struct.pack("<BBH", 1, 1, 0) + attribute(2, b"wg0\0") + attribute(
                NESTED | 8, attribute(NESTED, peer))
            messages.append(struct.pack("<IHHII", len(body) + 16, 0, 5, 0, 0) + body)
    return b"".join(messages)


def main():
    os.chdir(sys.argv[1])

    with open("peers.conf", "w", encoding="ascii") as conf:
        conf.write(f"[Interface]\nPrivateKey = {text(secret('device'))}\nListenPort = 5000\n")
        for i in range(PEERS):
            key = x25519_like(f"peer {i}")
            conf.write(f"[Peer]\nPublicKey = {text(key)}\nAllowedIPs = 10.{i >> 8}.{i & 255}.1/32\n"
                       f"Endpoint = 192.0.2.1:{1 + i}\n")

    responder = x25519(secret("responder"), BASE)
    ephemeral = secret("ephemeral")
    ephemeral_public = x25519(ephemeral, BASE)
    shared = x25519(ephemeral, responder)
    with open("initiations.conf", "w", encoding="ascii") as conf, open("initiations", "wb") as messages:
        conf.write(f"[Interface]\nPrivateKey = {text(secret('responder'))}\nListenPort = 3000\n")
        initiators = []
        for i in range(INITIATORS):
            private = secret(f"initiator {i}")
            public = x25519(private, BASE)
            initiators.append((public, x25519(private, responder)))
            conf.write(f"[Peer]\nPublicKey = {text(public)}\nAllowedIPs = 10.{i >> 8}.{i & 255}.1/32\n")
        for stamp in (0, 1):
            for i, (public, static_shared) in enumerate(initiators):
                messages.write(initiation(i, stamp, public, static_shared, ephemeral_public, shared, responder))

    # Prefixes as in a routing table: most are /24, all lengths from /8 on occur. Those around the tunnel's
    # addresses are among them.
    rng = random.Random(1)
    prefixes = {(0xC0A80000, 16), (0xC0A8F100, 24), (0xC0000000, 8)}
    lengths = list(range(8, 33))
    weights = [1 if n < 16 else 40 if n == 24 else 6 for n in lengths]
    while len(prefixes) < PREFIXES:
        length = rng.choices(lengths, weights)[0]
        prefix = (rng.getrandbits(32) >> 32 - length << 32 - length, length)
        # Nothing may be more specific than the addresses in use.
        if prefix[0] >> 8 != 0xC0A8F1 or length == 24:
            prefixes.add(prefix)
    prefixes = sorted(prefixes)
    rng.shuffle(prefixes)
    keys = [x25519_like(f"holder {i}") for i in range(10)]
    with open("insert", "wb") as file:
        file.write(netlink(prefixes, keys, b""))
    with open("remove", "wb") as file:
        file.write(netlink(prefixes, keys, attribute(4, struct.pack("<I", 1))))


def x25519_like(name):
    """A public key whose private key nobody needs."""
    key = bytearray(secret(name))
    key[31] &= 127
    return bytes(key)


if __name__ == "__main__":
    main()
