//! A service account's keyset: the RSA pair for which vault keys are encrypted. It is wrapped, in
//! steps, with the token's master key.

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::{KeySize, OAEP_SHA1_MGF1SHA1, OaepPublicEncryptingKey, PrivateDecryptingKey};
use pkcs8::PrivateKeyInfo;
use pkcs8::der::Decode;
use serde_json::{Value, json};

use crate::crypto::{CryptoError, Envelope, SymmetricKey};
use crate::encoding::base64url;

/// The only algorithm of keysets.
const ALGORITHM: &str = "RSA-OAEP";

/// A key pair with the symmetric key that protects its private half.
pub struct Keyset {
    symmetric: SymmetricKey,
    public: OaepPublicEncryptingKey,
    private_jwk: Value,
    public_jwk: Value,
}

impl Keyset {
    /// Generates a new pair; takes a good part of a second.
    pub fn generate(symmetric: SymmetricKey) -> Result<Self, CryptoError> {
        let pair = PrivateDecryptingKey::generate(KeySize::Rsa2048)
            .map_err(|_| CryptoError::Library("RSA key generation"))?;
        let public = OaepPublicEncryptingKey::new(pair.public_key())
            .map_err(|_| CryptoError::Library("RSA public key"))?;
        let der = AsDer::as_der(&pair).map_err(|_| CryptoError::Library("RSA key as PKCS#8"))?;
        let unreadable = CryptoError::Library("RSA key's numbers");
        let info = PrivateKeyInfo::from_der(der.as_ref()).map_err(|_| unreadable)?;
        let key = pkcs1::RsaPrivateKey::from_der(info.private_key).map_err(|_| unreadable)?;
        let number = |number: pkcs1::UintRef<'_>| base64url(number.as_bytes());
        let (n, e, kid) = (
            number(key.modulus),
            number(key.public_exponent),
            &symmetric.kid,
        );
        let public_jwk = json!({
            "alg": ALGORITHM, "e": e, "ext": true, "key_ops": ["encrypt"],
            "kid": kid, "kty": "RSA", "n": n,
        });
        let private_jwk = json!({
            "alg": ALGORITHM, "e": e, "ext": true, "key_ops": ["decrypt"],
            "kid": kid, "kty": "RSA", "n": n,
            "d": number(key.private_exponent), "p": number(key.prime1), "q": number(key.prime2),
            "dp": number(key.exponent1), "dq": number(key.exponent2), "qi": number(key.coefficient),
        });
        Ok(Self {
            symmetric,
            public,
            private_jwk,
            public_jwk,
        })
    }

    /// The keyset as the service lists it, for the owner of the master key.
    pub fn sealed_for(&self, master: &SymmetricKey) -> Result<Value, CryptoError> {
        Ok(json!({
            "uuid": self.symmetric.kid,
            "encryptedBy": master.kid,
            "sn": 1,
            "encSymKey": master.seal_json(&self.symmetric.jwk())?,
            "encPriKey": self.symmetric.seal_json(&self.private_jwk)?,
            "pubKey": self.public_jwk,
            "encSPriKey": null,
            "spubKey": null,
        }))
    }

    /// Encrypts another key for the owner of this keyset.
    pub fn wrap(&self, key: &SymmetricKey) -> Result<Envelope, CryptoError> {
        let mut buffer = vec![0; self.public.ciphertext_size()];
        let data = self
            .public
            .encrypt(
                &OAEP_SHA1_MGF1SHA1,
                key.jwk().to_string().as_bytes(),
                &mut buffer,
                None,
            )
            .map_err(|_| CryptoError::Library("RSA-OAEP"))?;
        Ok(Envelope::rsa(&self.symmetric.kid, data))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vault_key_fits_into_the_modulus_with_oaep_padding() {
        let keyset = Keyset::generate(SymmetricKey::new("a".repeat(26), [1; 32])).unwrap();
        let envelope = keyset
            .wrap(&SymmetricKey::new("b".repeat(26), [2; 32]))
            .unwrap();
        assert_eq!(
            (envelope.enc.as_str(), envelope.data.len()),
            (ALGORITHM, 342)
        );
    }
}
