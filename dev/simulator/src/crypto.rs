//! Symmetric keys, the envelopes of all encrypted data, and the derivations for sessions and
//! shares.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::{digest, hkdf, hmac};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::encoding::{base64url, from_base64url, random, uuid};

/// The encryption of an AES-GCM envelope.
const GCM: &str = "A256GCM";
/// The content type of every envelope.
const CONTENT_TYPE: &str = "b5+jwk+json";

/// Encrypted data as it is sent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Envelope {
    /// Always `b5+jwk+json`.
    pub cty: String,
    /// `A256GCM` or `RSA-OAEP`.
    pub enc: String,
    /// The name of the key that opens the envelope.
    pub kid: String,
    /// 12 bytes, base64url; only with `A256GCM`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iv: Option<String>,
    /// Ciphertext and tag, base64url.
    pub data: String,
}

impl Envelope {
    /// An envelope for data that RSA-OAEP encrypted.
    pub fn rsa(kid: &str, data: &[u8]) -> Self {
        Self {
            cty: CONTENT_TYPE.into(),
            enc: "RSA-OAEP".into(),
            kid: kid.into(),
            iv: None,
            data: base64url(data),
        }
    }
}

/// Why something cannot be sealed or opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CryptoError {
    /// The envelope names another key.
    #[error("the envelope is for another key (kid)")]
    OtherKey,
    /// The envelope is not an AES-GCM envelope with a 12-byte iv and base64url data.
    #[error("the envelope is malformed")]
    Malformed,
    /// The key does not fit, or the data was changed.
    #[error("the envelope does not open with its key")]
    DoesNotOpen,
    /// The cryptographic library refused.
    #[error("the cryptographic library refused: {0}")]
    Library(&'static str),
}

/// A named AES-256 key.
#[derive(Clone)]
pub struct SymmetricKey {
    /// The name that envelopes refer to.
    pub kid: String,
    bytes: [u8; 32],
}

impl SymmetricKey {
    /// Creates a key with a name.
    pub fn new(kid: impl Into<String>, bytes: [u8; 32]) -> Self {
        Self {
            kid: kid.into(),
            bytes,
        }
    }

    /// As a JSON Web Key.
    pub fn jwk(&self) -> Value {
        json!({
            "alg": GCM, "ext": true, "k": base64url(&self.bytes),
            "key_ops": ["encrypt", "decrypt"], "kty": "oct", "kid": self.kid,
        })
    }

    /// Encrypts.
    pub fn seal(&self, plaintext: &[u8]) -> Result<Envelope, CryptoError> {
        let iv: [u8; 12] = random();
        let mut data = plaintext.to_vec();
        self.cipher()?
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(iv), Aad::empty(), &mut data)
            .map_err(|_| CryptoError::Library("AES-GCM"))?;
        Ok(Envelope {
            cty: CONTENT_TYPE.into(),
            enc: GCM.into(),
            kid: self.kid.clone(),
            iv: Some(base64url(&iv)),
            data: base64url(&data),
        })
    }

    /// Encrypts JSON.
    pub fn seal_json(&self, value: &Value) -> Result<Envelope, CryptoError> {
        self.seal(value.to_string().as_bytes())
    }

    /// Decrypts data that was sealed with this same key.
    pub fn open(&self, envelope: &Envelope) -> Result<Vec<u8>, CryptoError> {
        if envelope.kid != self.kid {
            return Err(CryptoError::OtherKey);
        }
        if envelope.enc != GCM || envelope.cty != CONTENT_TYPE {
            return Err(CryptoError::Malformed);
        }
        let iv = envelope
            .iv
            .as_deref()
            .and_then(from_base64url)
            .ok_or(CryptoError::Malformed)?;
        let nonce = Nonce::try_assume_unique_for_key(&iv).map_err(|_| CryptoError::Malformed)?;
        let mut data = from_base64url(&envelope.data).ok_or(CryptoError::Malformed)?;
        let plaintext = self
            .cipher()?
            .open_in_place(nonce, Aad::empty(), &mut data)
            .map_err(|_| CryptoError::DoesNotOpen)?;
        Ok(plaintext.to_vec())
    }

    fn cipher(&self) -> Result<LessSafeKey, CryptoError> {
        let key = UnboundKey::new(&AES_256_GCM, &self.bytes)
            .map_err(|_| CryptoError::Library("AES-GCM key"))?;
        Ok(LessSafeKey::new(key))
    }
}

/// SHA-256.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    hash
}

/// Authenticates the requests of one session.
#[derive(Clone)]
pub struct MacKey(hmac::Key);

impl MacKey {
    /// Derives it from the session's key; the constant is part of the protocol.
    pub fn derive(session_key: &[u8; 32]) -> Self {
        const PURPOSE: &[u8] = b"He never wears a Mac, in the pouring rain. Very strange.";
        let key = hmac::Key::new(hmac::HMAC_SHA256, session_key);
        Self(hmac::Key::new(
            hmac::HMAC_SHA256,
            hmac::sign(&key, PURPOSE).as_ref(),
        ))
    }

    /// The tag of a message: 12 bytes, base64url.
    pub fn tag(&self, message: &str) -> String {
        base64url(&hmac::sign(&self.0, message.as_bytes()).as_ref()[..12])
    }
}

/// Everything that is derived from the secret after the `#` in a share's URL.
pub struct ShareSecret {
    /// The share's id.
    pub uuid: String,
    /// The text with which the viewer authenticates to the service: base32 as well.
    pub token: String,
    /// The key that encrypts the copy of the item; its name is the share's id.
    pub key: SymmetricKey,
}

impl ShareSecret {
    /// Derives all of it, or `None` if the text is not a secret.
    pub fn derive(secret: &str) -> Option<Self> {
        let secret = from_base64url(secret).filter(|bytes| !bytes.is_empty())?;
        let id = uuid(expand(&secret, "share_item_uuid")?);
        let token = uuid(expand(&secret, "share_item_token")?);
        let key = SymmetricKey::new(&*id, expand(&secret, "share_item_encryption_key")?);
        Some(Self {
            uuid: id,
            token,
            key,
        })
    }
}

fn expand<const N: usize>(secret: &[u8], info: &str) -> Option<[u8; N]> {
    struct Length(usize);
    impl hkdf::KeyType for Length {
        fn len(&self) -> usize {
            self.0
        }
    }
    let mut bytes = [0; N];
    hkdf::Salt::new(hkdf::HKDF_SHA256, &[])
        .extract(secret)
        .expand(&[info.as_bytes()], Length(N))
        .and_then(|okm| okm.fill(&mut bytes))
        .ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_opens_with_its_key_alone() {
        let key = SymmetricKey::new("k", [1; 32]);
        let envelope = key.seal(b"hello").unwrap();
        assert_eq!(key.open(&envelope).unwrap(), b"hello");
        assert_eq!(
            SymmetricKey::new("k", [2; 32]).open(&envelope),
            Err(CryptoError::DoesNotOpen)
        );
        assert_eq!(
            SymmetricKey::new("l", [1; 32]).open(&envelope),
            Err(CryptoError::OtherKey)
        );
    }

    #[test]
    fn a_changed_envelope_does_not_open() {
        let key = SymmetricKey::new("k", [1; 32]);
        let sealed = key.seal(b"hello").unwrap();
        let data = base64url(&from_base64url(&sealed.data).unwrap().split_off(1));
        assert!(
            key.open(&Envelope {
                data,
                ..sealed.clone()
            })
            .is_err()
        );
        let iv = Some(base64url(&[0; 11]));
        assert_eq!(
            key.open(&Envelope { iv, ..sealed }).unwrap_err(),
            CryptoError::Malformed
        );
    }

    #[test]
    fn share_parts_differ_and_repeat() {
        let secret = base64url(&[7; 16]);
        let (one, two) = (
            ShareSecret::derive(&secret).unwrap(),
            ShareSecret::derive(&secret).unwrap(),
        );
        assert_eq!((&one.uuid, &one.token), (&two.uuid, &two.token));
        assert_ne!(one.uuid, one.token);
        assert!(ShareSecret::derive("not base64!").is_none() && ShareSecret::derive("").is_none());
    }
}
