//! The text formats of 1Password's wire: base32 ids and base64url values, and the random or seeded
//! bytes that they encode.

use aws_lc_rs::hmac;
use data_encoding::{BASE32_NOPAD, BASE64URL_NOPAD};

/// Base64url without padding, as every binary value is written.
pub fn base64url(bytes: &[u8]) -> String {
    BASE64URL_NOPAD.encode(bytes)
}

/// The bytes of unpadded base64url.
pub fn from_base64url(text: &str) -> Option<Vec<u8>> {
    BASE64URL_NOPAD.decode(text.as_bytes()).ok()
}

/// The 26 lower-case characters of a 16-byte id.
pub fn uuid(bytes: [u8; 16]) -> String {
    BASE32_NOPAD.encode(&bytes).to_ascii_lowercase()
}

/// Whether a text, in either case, is base32 of exactly 16 bytes: 26 characters, the last of which
/// carries 3 bits.
pub fn is_uuid(text: &str) -> bool {
    BASE32_NOPAD
        .decode(text.to_ascii_uppercase().as_bytes())
        .is_ok_and(|bytes| bytes.len() == 16)
}

/// Fresh random bytes from the operating system.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    if let Err(error) = getrandom::fill(&mut bytes) {
        panic!(
            "the operating system provides no random bytes, and nothing works without them: \
                {error}"
        );
    }
    bytes
}

/// The source of ids, keys and tokens: the same seed and account produce the same service again
/// after a restart.
pub struct Seed(hmac::Key);

impl Seed {
    /// A seed from a text, or a fresh one without a text.
    pub fn new(text: Option<&str>) -> Self {
        let key = match text {
            Some(text) => hmac::Key::new(hmac::HMAC_SHA256, text.as_bytes()),
            None => hmac::Key::new(hmac::HMAC_SHA256, &random::<32>()),
        };
        Self(key)
    }

    /// 32 bytes for a purpose.
    pub fn bytes(&self, purpose: &str) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(hmac::sign(&self.0, purpose.as_bytes()).as_ref());
        bytes
    }

    /// 16 bytes for a purpose.
    pub fn half(&self, purpose: &str) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&self.bytes(purpose)[..16]);
        bytes
    }

    /// An id for a purpose.
    pub fn uuid(&self, purpose: &str) -> String {
        uuid(self.half(purpose))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_26_characters_without_stray_bits() {
        let id = uuid(random());
        assert!(id.len() == 26 && is_uuid(&id) && is_uuid(&id.to_ascii_uppercase()));
        assert!(
            !is_uuid("aaaaaaaaaaaaaaaaaaaaaaaaab"),
            "stray bits in the last character"
        );
        assert!(!is_uuid("aaaaaaaaaaaaaaaaaaaaaaaaa"), "25 characters");
    }

    #[test]
    fn a_seed_repeats_itself_and_no_seed_does_not() {
        assert_eq!(
            Seed::new(Some("x")).uuid("vault"),
            Seed::new(Some("x")).uuid("vault")
        );
        assert_ne!(
            Seed::new(Some("x")).uuid("vault"),
            Seed::new(Some("x")).uuid("item")
        );
        assert_ne!(Seed::new(None).uuid("vault"), Seed::new(None).uuid("vault"));
    }
}
