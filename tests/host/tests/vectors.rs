// SPDX-License-Identifier: GPL-2.0

//! The primitives as the protocol calls them, against published test vectors. What the other tests
//! find out with these primitives holds for the kernel's as far as both give these answers.

use wireguard_host::protocol::crypto::Crypto;
use wireguard_host::rust_crypto::RustCrypto as C;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| c.to_digit(16).expect("hex digit") as u8)
        .collect();
    digits
        .chunks(2)
        .map(|pair| (pair[0] << 4) | pair[1])
        .collect()
}

fn hex32(text: &str) -> [u8; 32] {
    hex(text).try_into().expect("32 octets")
}

fn counting<const N: usize>(from: u8) -> [u8; N] {
    std::array::from_fn(|i| from + i as u8)
}

fn blake2s_256(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut out = [0xa5; 32];
    C::blake2s_256(&mut out, key, parts);
    out
}

fn blake2s_128(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut out = [0xa5; 16];
    C::blake2s_128(&mut out, key, parts);
    out.to_vec()
}

/// RFC 7693, appendix B, and the official known answers for the 32-octet key 00..1f.
#[test]
fn blake2s_known_answers() {
    let abc = hex32("508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982");
    assert_eq!(blake2s_256(&[], &[b"abc"]), abc);
    assert_eq!(blake2s_256(&[], &[b"a", b"", b"bc"]), abc);

    let key: [u8; 32] = counting(0);
    let input: [u8; 255] = counting(0);
    for (len, answer) in [
        (
            0,
            "48a8997da407876b3d79c0d92325ad3b89cbb754d86ab71aee047ad345fd2c49",
        ),
        (
            1,
            "40d15fee7c328830166ac3f918650f807e7e01e177258cdc0a39b11f598066f1",
        ),
        (
            255,
            "3fb735061abc519dfe979e54c1ee5bfad0a9d858b3315bad34bde999efd724dd",
        ),
    ] {
        assert_eq!(blake2s_256(&key, &[&input[..len]]), hex32(answer));
        let (one, two) = input[..len].split_at(len / 3);
        assert_eq!(blake2s_256(&key, &[one, two]), hex32(answer));
    }
}

/// Shorter output is a parameter of the hash, not a cut; answers of the reference implementation.
#[test]
fn blake2s_short_output() {
    assert_eq!(
        blake2s_128(&[], &[b"abc"]),
        hex("aa4938119b1dc7b87cbad0ffd200d0ae")
    );
    let key: [u8; 32] = counting(0);
    let input: [u8; 255] = counting(0);
    assert_eq!(
        blake2s_128(&key, &[b"abc"]),
        hex("61ba5f165c194692e09d12520cc4c74a")
    );
    assert_eq!(
        blake2s_128(&key[..16], &[&input]),
        hex("b2953795123bd6b890ef3b6fa8b9bae2")
    );
}

fn x25519(secret: &[u8; 32], public: &[u8; 32]) -> [u8; 32] {
    let mut out = [0; 32];
    assert!(C::x25519(&mut out, secret, public));
    out
}

/// RFC 7748, section 5.2.
#[test]
fn x25519_known_answers() {
    for (secret, public, answer) in [
        (
            "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
            "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
            "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552",
        ),
        (
            "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
            "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
            "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957",
        ),
    ] {
        assert_eq!(x25519(&hex32(secret), &hex32(public)), hex32(answer));
    }

    let mut public: [u8; 32] = std::array::from_fn(|i| if i == 0 { 9 } else { 0 });
    let mut secret = public;
    for round in 1..=1000 {
        (secret, public) = (x25519(&secret, &public), secret);
        if round == 1 {
            let mut derived = [0; 32];
            assert!(C::x25519_public(&mut derived, &public));
            assert_eq!(derived, secret);
            let answer = "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079";
            assert_eq!(secret, hex32(answer));
        }
    }
    let answer = "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51";
    assert_eq!(secret, hex32(answer));
}

/// Points of small order give zero whatever the secret, and are reported.
#[test]
fn x25519_reports_small_order() {
    let mut one = [0; 32];
    one[0] = 1;
    let eight = "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800";
    for public in [[0; 32], one, hex32(eight)] {
        let mut out = [0xa5; 32];
        assert!(!C::x25519(&mut out, &counting(3), &public));
    }
}

/// RFC 8439, appendix A.5: the nonce there begins with 32 zero bits, as WireGuard's do.
#[test]
fn chacha20poly1305_known_answer() {
    let key = hex32("1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0");
    let counter = u64::from_le_bytes(counting(1));
    let ad = hex("f33388860000000000004e91");
    let plain = "Internet-Drafts are draft documents valid for a maximum of six months and may be \
                 updated, replaced, or obsoleted by other documents at any time. It is inappropriate \
                 to use Internet-Drafts as reference material or to cite them other than as \
                 /\u{201c}work in progress./\u{201d}";
    let sealed = hex(
        "64a0861575861af460f062c79be643bd5e805cfd345cf389f108670ac76c8cb2
         4c6cfc18755d43eea09ee94e382d26b0bdb7b73c321b0100d4f03b7f355894cf
         332f830e710b97ce98c8a84abd0b948114ad176e008d33bd60f982b1ff37c855
         9797a06ef4f0ef61c186324e2b3506383606907b6a7c02b0f9f6157b53c867e4
         b9166c767b804d46a59b5216cde7a4e99040c5a40433225ee282a1b0a06c523e
         af4534d7f83fa1155b0047718cbc546a0d072b04b3564eea1b422273f548271a
         0bb2316053fa76991955ebd63159434ecebb4e466dae5a1073a6727627097a10
         49e617d91d361094fa68f0ff77987130305beaba2eda04df997b714d6c6f2c29
         a6ad5cb4022b02709b eead9d67890cbb22392336fea1851f38",
    );

    let mut out = vec![0; sealed.len()];
    assert!(C::seal(&mut out, plain.as_bytes(), &ad, counter, &key));
    assert_eq!(out, sealed);

    let mut out = plain.as_bytes().to_vec();
    out.extend([0; 16]);
    assert!(C::seal_in_place(&mut out, &ad, counter, &key));
    assert_eq!(out, sealed);

    assert!(C::open_in_place(&mut out, &ad, counter, &key));
    assert_eq!(&out[..plain.len()], plain.as_bytes());

    let mut out = vec![0; plain.len()];
    assert!(C::open(&mut out, &sealed, &ad, counter, &key));
    assert_eq!(out, plain.as_bytes());
    assert!(!C::open(&mut out, &sealed, &ad, counter + 1, &key));
    assert!(!C::open(&mut out, &sealed, &ad[1..], counter, &key));
    assert!(!C::open(&mut out[1..], &sealed, &ad, counter, &key));
    assert!(!C::open(&mut [], &sealed[..15], &ad, counter, &key));
}

/// draft-irtf-cfrg-xchacha-03, appendix A.3.1.
#[test]
fn xchacha20poly1305_known_answer() {
    let key: [u8; 32] = counting(0x80);
    let nonce: [u8; 24] = counting(0x40);
    let ad = hex("50515253c0c1c2c3c4c5c6c7");
    let plain = b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for \
                  the future, sunscreen would be it.";
    let sealed = hex(
        "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb
         731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216cb96b72e1213b452
         2f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9
         21f9664c97637da9768812f615c68b13b52e c0875924c1c7987947deafd8780acf49",
    );
    let mut out = vec![0; sealed.len()];
    assert!(C::xseal(&mut out, plain, &ad, &nonce, &key));
    assert_eq!(out, sealed);
    let mut out = vec![0; plain.len()];
    assert!(C::xopen(&mut out, &sealed, &ad, &nonce, &key));
    assert_eq!(out, plain);
    assert!(!C::xopen(&mut out, &sealed, &ad, &counting(0x41), &key));
}

#[test]
fn comparison_and_wiping() {
    assert!(C::equal(&[1, 2, 3], &[1, 2, 3]));
    assert!(!C::equal(&[1, 2, 3], &[1, 2, 4]));
    assert!(!C::equal(&[1, 2, 3], &[1, 2]));
    let mut secret = [7; 9];
    C::wipe(&mut secret);
    assert_eq!(secret, [0; 9]);
}
