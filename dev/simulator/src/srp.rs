//! The server's side of SRP-6a as 1Password speaks it (`SRPg-4096`): 4096-bit group, SHA-256.
//!
//! Sources of the formulas: 1Password's Security Design white paper, and its open `srp` package.
//! Some terms are padded to the group's 512 bytes and others are written as short as possible; the
//! tests pin both.

use std::sync::LazyLock;

use aws_lc_rs::digest::{Context, SHA256};
use num_bigint::BigUint;

use crate::encoding::base64url;

/// The group's prime (RFC 3526, group 16).
const PRIME: &str = "\
    FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A0879\
    8E3404DDEF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B\
    0BFF5CB6F406B7EDEE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF0598DA4836\
    1C55D39A69163FA8FD24CF5F83655D23DCA3AD961C62F356208552BB9ED529077096966D670C354E4ABC9804\
    F1746C08CA18217C32905E462E36CE3BE39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF6\
    955817183995497CEA956AE515D2261898FA051015728E5A8AAAC42DAD33170D04507A33A85521ABDF1CBA64\
    ECFB850458DBEF0A8AEA71575D060C7DB3970F85A6E1E4C7ABF5AE8CDB0933D71E8C94E04A25619DCEE3D226\
    1AD2EE6BF12FFA06D98A0864D87602733EC86A64521F2B18177B200CBBE117577A615D6C770988C0BAD946E2\
    08E24FA074E5AB3143DB5BFCE0FD108E4B82D120A92108011A723C12A787E6D788719A10BDBA5B2699C32718\
    6AF4E23C1A946834B6150BDA2583E9CA2AD44CE8DBBBC2DB04DE8EF92E8EFC141FBECAA6287C59474E6BC05D\
    99B2964FA090C3A2233BA186515BE7ED1F612970CEE2D7AFB81BDD762170481CD0069127D5B05AA993B4EA98\
    8D8FDDC186FFB7DC90A6C08F4DF435C934063199FFFFFFFFFFFFFFFF";
const PRIME_BYTES: usize = 512;

static N: LazyLock<BigUint> =
    LazyLock::new(|| BigUint::parse_bytes(PRIME.as_bytes(), 16).unwrap_or_default());
static G: LazyLock<BigUint> = LazyLock::new(|| BigUint::from(5u8));
/// k = H(PAD(N) || PAD(g))
static K: LazyLock<BigUint> =
    LazyLock::new(|| BigUint::from_bytes_be(&hash(&[&pad(&N), &pad(&G)])));

/// The server's data about a client that signs in.
pub struct Login<'a> {
    /// The second group of the secret key.
    pub account_key_uuid: &'a str,
    /// The address in the token.
    pub email: &'a str,
    /// The salt in the response of `auth/start`.
    pub salt: &'a [u8],
    /// The secret, as a number.
    pub x: &'a BigUint,
}

/// The result of the exchange of public values: the server compares the following two requests with
/// it.
pub struct Handshake {
    /// B as hexadecimal digits, padded: the core refuses an odd number of them.
    pub server_public: String,
    /// The key of the session.
    pub session_key: [u8; 32],
    /// The proof of a client that knows x.
    pub client_proof: [u8; 32],
    /// The server's proof.
    pub server_proof: [u8; 32],
}

impl Handshake {
    /// Computes the response to the client's public value with `secret` as b. `None`: the value is
    /// not a usable hexadecimal number.
    pub fn answer(login: &Login<'_>, client_public: &str, secret: &[u8]) -> Option<Self> {
        let a = BigUint::parse_bytes(client_public.as_bytes(), 16)?;
        // With a multiple of N, anyone could compute the session key.
        if &a % &*N == BigUint::ZERO {
            return None;
        }
        let b = BigUint::from_bytes_be(secret);
        let verifier = G.modpow(login.x, &N);
        let public = (&*K * &verifier + G.modpow(&b, &N)) % &*N;
        let u = BigUint::from_bytes_be(&hash(&[&pad(&a), &pad(&public)]));
        let shared = (&a * verifier.modpow(&u, &N)).modpow(&b, &N);
        let session_key = hash(&[shared.to_str_radix(16).as_bytes()]);

        let group: Vec<u8> = hash(&[&N.to_bytes_be()])
            .iter()
            .zip(hash(&[&G.to_bytes_be()]))
            .map(|(n, g)| n ^ g)
            .collect();
        let client_proof = hash(&[
            &group,
            &hash(&[login.identity().as_bytes()]),
            login.salt,
            &a.to_bytes_be(),
            &public.to_bytes_be(),
            &session_key,
        ]);
        let server_proof = hash(&[&a.to_bytes_be(), &client_proof, &session_key]);
        let server_public = format!(
            "{:0>width$}",
            public.to_str_radix(16),
            width = 2 * PRIME_BYTES
        );
        Some(Self {
            server_public,
            session_key,
            client_proof,
            server_proof,
        })
    }
}

impl Login<'_> {
    fn identity(&self) -> String {
        let email = self.email.to_lowercase();
        base64url(&hash(&[
            &hash(&[self.account_key_uuid.as_bytes()]),
            &hash(&[email.as_bytes()]),
        ]))
    }
}

/// Big-endian, in the group's full width.
fn pad(number: &BigUint) -> Vec<u8> {
    let short = number.to_bytes_be();
    let mut padded = vec![0; PRIME_BYTES.saturating_sub(short.len())];
    padded.extend(short);
    padded
}

fn hash(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(part);
    }
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    digest
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALT: [u8; 16] = [9; 16];

    fn x() -> BigUint {
        BigUint::from_bytes_be(&hash(&[b"x"]))
    }

    fn login(x: &BigUint) -> Login<'_> {
        Login {
            account_key_uuid: "ABCDEF",
            email: "Reader@Example.com",
            salt: &SALT,
            x,
        }
    }

    /// The client's side, from its own formulas: S = (B - k g^x) ^ (a + u x).
    fn client(a: &BigUint, server_public: &str) -> ([u8; 32], BigUint) {
        let public = BigUint::parse_bytes(server_public.as_bytes(), 16).unwrap();
        let mine = G.modpow(a, &N);
        let u = BigUint::from_bytes_be(&hash(&[&pad(&mine), &pad(&public)]));
        let known = (&*K * G.modpow(&x(), &N)) % &*N;
        let base = (&*N + public - known) % &*N;
        let shared = base.modpow(&(a + u * x()), &N);
        (hash(&[shared.to_str_radix(16).as_bytes()]), shared)
    }

    /// Answers client secret `a` with server secret `b` and compares both sides; returns S.
    fn agree(a: &BigUint, b: &BigUint) -> BigUint {
        let x = x();
        let public = G.modpow(a, &N).to_str_radix(16);
        let server = Handshake::answer(&login(&x), &public, &b.to_bytes_be()).unwrap();
        assert_eq!(
            server.server_public.len(),
            1024,
            "the core refuses an odd number of digits"
        );
        let (key, shared) = client(a, &server.server_public);
        assert_eq!(key, server.session_key);
        shared
    }

    /// The first exponent from `start` on whose power of g, added to `term`, begins with a zero byte.
    fn with_leading_zero(start: &BigUint, term: &BigUint) -> BigUint {
        let mut exponent = start.clone();
        let mut power = G.modpow(start, &N);
        while ((term + &power) % &*N).bits() > 4088 {
            exponent += 1u8;
            power = power * &*G % &*N;
        }
        exponent
    }

    fn secret(name: &str) -> BigUint {
        BigUint::from_bytes_be(&hash(&[name.as_bytes()]))
    }

    #[test]
    fn the_group_is_the_one_of_rfc_3526() {
        assert_eq!((N.bits(), N.to_bytes_be().len()), (4096, PRIME_BYTES));
        // Fermat's test: it would reveal a wrong digit.
        assert_eq!(
            BigUint::from(2u8).modpow(&(&*N - 1u8), &N),
            BigUint::from(1u8)
        );
    }

    #[test]
    fn both_sides_agree_on_the_key() {
        agree(&secret("a"), &secret("b"));
    }

    #[test]
    fn both_sides_agree_when_the_client_s_value_begins_with_zeros() {
        let a = with_leading_zero(&secret("a"), &BigUint::ZERO);
        assert!(G.modpow(&a, &N).to_bytes_be().len() < PRIME_BYTES);
        agree(&a, &secret("b"));
    }

    #[test]
    fn both_sides_agree_when_the_server_s_value_begins_with_zeros() {
        let known = (&*K * G.modpow(&x(), &N)) % &*N;
        let b = with_leading_zero(&secret("b"), &known);
        let x = x();
        let public = G.modpow(&secret("a"), &N).to_str_radix(16);
        let server = Handshake::answer(&login(&x), &public, &b.to_bytes_be()).unwrap();
        assert!(server.server_public.starts_with("00"), "padded, not short");
        agree(&secret("a"), &b);
    }

    #[test]
    fn both_sides_agree_when_the_secret_s_digits_begin_with_a_zero() {
        let found = (0u8..=255)
            .any(|try_| agree(&secret(&format!("a{try_}")), &secret("b")).bits() <= 4092);
        assert!(found, "one secret in 16 begins with a zero digit");
    }

    #[test]
    fn who_knows_another_x_has_another_proof() {
        let (x, other) = (x(), secret("another x"));
        let public = G.modpow(&secret("a"), &N).to_str_radix(16);
        let answer = |x| Handshake::answer(&login(x), &public, &[1; 32]).unwrap();
        assert_ne!(answer(&x).client_proof, answer(&other).client_proof);
    }

    #[test]
    fn a_public_value_that_gives_the_key_away_is_refused() {
        let x = x();
        for bad in [
            "0".to_owned(),
            N.to_str_radix(16),
            (&*N * 2u8).to_str_radix(16),
            "xyz".into(),
        ] {
            assert!(Handshake::answer(&login(&x), &bad, &[1; 32]).is_none());
        }
    }
}
