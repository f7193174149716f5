//! SRP-6a from the client's side, with a prime of its own making: RFC 3526 defines it by the digits of pi.

use std::sync::LazyLock;

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::BASE64URL_NOPAD;
use num_bigint::BigUint;

use crate::core::Proofs;
use crate::envelope::random;

/// 2^4096 - 2^4032 - 1 + 2^64 * (floor(2^3966 pi) + 240904)
pub static PRIME: LazyLock<BigUint> = LazyLock::new(|| {
    let one = BigUint::from(1u8);
    (&one << 4096) - (&one << 4032) - &one + ((pi_times_power_of_two(3966) + 240_904u32) << 64)
});

/// floor(2^bits pi), by Machin's formula.
fn pi_times_power_of_two(bits: usize) -> BigUint {
    let guard = 64;
    let one = BigUint::from(1u8) << (bits + guard);
    let arc_cotangent = |x: u32| {
        let mut power = &one / x;
        let (mut positive, mut negative) = (power.clone(), BigUint::ZERO);
        for n in 1u32.. {
            power /= x * x;
            if power == BigUint::ZERO {
                break;
            }
            let term = &power / (2 * n + 1);
            if n % 2 == 0 {
                positive += term
            } else {
                negative += term
            }
        }
        positive - negative
    };
    ((arc_cotangent(5) * 4u8 - arc_cotangent(239)) * 4u8) >> guard
}

/// A client that knows x.
pub struct SrpClient {
    x: BigUint,
    a: BigUint,
    public: BigUint,
}

impl SrpClient {
    pub fn new(x: &[u8]) -> Self {
        let a = BigUint::from_bytes_be(&random::<32>());
        let public = BigUint::from(5u8).modpow(&a, &PRIME);
        Self {
            x: BigUint::from_bytes_be(x),
            a,
            public,
        }
    }

    pub fn public_hex(&self) -> String {
        self.public.to_str_radix(16)
    }

    pub fn prove(
        &self,
        server_public: &str,
        account_key_uuid: &str,
        email: &str,
        salt: &[u8],
    ) -> Proofs {
        assert_eq!(
            server_public.len() % 2,
            0,
            "the core refuses an odd number of digits"
        );
        let n = &*PRIME;
        let g = BigUint::from(5u8);
        let b = BigUint::parse_bytes(server_public.as_bytes(), 16).unwrap();
        let k = BigUint::from_bytes_be(&hash(&[&pad(n), &pad(&g)]));
        let u = BigUint::from_bytes_be(&hash(&[&pad(&self.public), &pad(&b)]));
        let base = (n + &b - (k * g.modpow(&self.x, n)) % n) % n;
        let shared = base.modpow(&(&self.a + u * &self.x), n);
        let key = hash(&[format!("{shared:x}").as_bytes()]);

        let group: Vec<u8> = hash(&[&n.to_bytes_be()])
            .iter()
            .zip(hash(&[&[5]]))
            .map(|(n, g)| n ^ g)
            .collect();
        let who = [
            hash(&[account_key_uuid.as_bytes()]),
            hash(&[email.to_lowercase().as_bytes()]),
        ];
        let identity = BASE64URL_NOPAD.encode(&hash(&[&who[0], &who[1]]));
        let client = hash(&[
            &group,
            &hash(&[identity.as_bytes()]),
            salt,
            &self.public.to_bytes_be(),
            &b.to_bytes_be(),
            &key,
        ]);
        let server = hash(&[&self.public.to_bytes_be(), &client, &key]);
        Proofs {
            key,
            client,
            server,
        }
    }
}

fn pad(number: &BigUint) -> Vec<u8> {
    let bytes = number.to_bytes_be();
    [vec![0; 512 - bytes.len()], bytes].concat()
}

fn hash(parts: &[&[u8]]) -> [u8; 32] {
    digest(&SHA256, &parts.concat())
        .as_ref()
        .try_into()
        .unwrap()
}
