//! The client's cryptography: envelopes, wrapped keys, derivations.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hkdf;
use aws_lc_rs::rsa::{OAEP_SHA1_MGF1SHA1, OaepPrivateDecryptingKey, PrivateDecryptingKey};
use data_encoding::BASE64URL_NOPAD;
use pkcs1::der::Encode;
use serde_json::{Value, json};

pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).unwrap();
    bytes
}

pub fn jwk_bytes(jwk: &Value, field: &str) -> [u8; 32] {
    BASE64URL_NOPAD
        .decode(jwk[field].as_str().unwrap().as_bytes())
        .unwrap()
        .try_into()
        .unwrap()
}

fn cipher(key: &[u8; 32]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).unwrap())
}

pub fn seal(key: &[u8; 32], kid: &str, plaintext: &[u8]) -> Value {
    let iv: [u8; 12] = random();
    let mut data = plaintext.to_vec();
    let nonce = Nonce::assume_unique_for_key(iv);
    cipher(key)
        .seal_in_place_append_tag(nonce, Aad::empty(), &mut data)
        .unwrap();
    json!({
        "cty": "b5+jwk+json", "enc": "A256GCM", "kid": kid,
        "iv": BASE64URL_NOPAD.encode(&iv), "data": BASE64URL_NOPAD.encode(&data),
    })
}

pub fn open(key: &[u8; 32], envelope: &Value) -> Vec<u8> {
    let bytes = |field: &str| {
        BASE64URL_NOPAD
            .decode(envelope[field].as_str().unwrap().as_bytes())
            .unwrap()
    };
    let nonce = Nonce::try_assume_unique_for_key(&bytes("iv")).unwrap();
    cipher(key)
        .open_in_place(nonce, Aad::empty(), &mut bytes("data"))
        .unwrap()
        .to_vec()
}

pub fn open_json(key: &[u8; 32], envelope: &Value) -> Value {
    serde_json::from_slice(&open(key, envelope)).unwrap()
}

/// RSA-OAEP with the key in a JWK, using every number of it.
pub fn unwrap_rsa(jwk: &Value, envelope: &Value) -> Vec<u8> {
    let bytes = |value: &Value| {
        BASE64URL_NOPAD
            .decode(value.as_str().unwrap().as_bytes())
            .unwrap()
    };
    let [n, e, d, p, q, dp, dq, qi] =
        ["n", "e", "d", "p", "q", "dp", "dq", "qi"].map(|part| bytes(&jwk[part]));
    let number = |bytes| pkcs1::UintRef::new(bytes).unwrap();
    let key = pkcs1::RsaPrivateKey {
        modulus: number(&n),
        public_exponent: number(&e),
        private_exponent: number(&d),
        prime1: number(&p),
        prime2: number(&q),
        exponent1: number(&dp),
        exponent2: number(&dq),
        coefficient: number(&qi),
        other_prime_infos: None,
    };
    let der = encoded(&key);
    let rsa_encryption = pkcs8::AlgorithmIdentifierRef {
        oid: pkcs8::ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1"),
        parameters: Some(pkcs8::der::asn1::AnyRef::NULL),
    };
    let pkcs8 = encoded(&pkcs8::PrivateKeyInfo::new(rsa_encryption, &der));
    let key =
        OaepPrivateDecryptingKey::new(PrivateDecryptingKey::from_pkcs8(&pkcs8).unwrap()).unwrap();
    let mut plaintext = vec![0; key.min_output_size()];
    key.decrypt(
        &OAEP_SHA1_MGF1SHA1,
        &bytes(&envelope["data"]),
        &mut plaintext,
        None,
    )
    .unwrap()
    .to_vec()
}

fn encoded(value: &impl Encode) -> Vec<u8> {
    let mut buffer = vec![0; 4096];
    value.encode_to_slice(&mut buffer).unwrap().to_vec()
}

pub fn expand<const N: usize>(secret: &[u8], info: &str) -> [u8; N] {
    struct Length(usize);
    impl hkdf::KeyType for Length {
        fn len(&self) -> usize {
            self.0
        }
    }
    let mut bytes = [0; N];
    let extracted = hkdf::Salt::new(hkdf::HKDF_SHA256, &[]).extract(secret);
    extracted
        .expand(&[info.as_bytes()], Length(N))
        .unwrap()
        .fill(&mut bytes)
        .unwrap();
    bytes
}
