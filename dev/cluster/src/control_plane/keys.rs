//! The key that signs the tokens of ServiceAccounts.

use std::io;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use base64::prelude::{BASE64_STANDARD, Engine};

/// A key pair in the PEM format.
pub(super) struct SigningKey {
    pub(super) private: String,
    pub(super) public: String,
}

impl SigningKey {
    /// Makes a new P-256 key.
    pub(super) fn generate() -> io::Result<SigningKey> {
        let failed = |what: &str| io::Error::other(format!("cannot generate a key: {what}"));
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING)
            .map_err(|_| failed("generation failed"))?;
        let private = key.to_pkcs8v1().map_err(|_| failed("no PKCS#8"))?;
        let public: PublicKeyX509Der<'_> = key
            .public_key()
            .as_der()
            .map_err(|_| failed("the key has no public part"))?;
        Ok(SigningKey {
            private: pem("PRIVATE KEY", private.as_ref()),
            public: pem("PUBLIC KEY", public.as_ref()),
        })
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(der);
    let lines: Vec<&str> = (0..text.len())
        .step_by(64)
        .map(|start| &text[start..text.len().min(start + 64)])
        .collect();
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        lines.join("\n")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pem_lines_have_at_most_64_characters() {
        let text = pem("PUBLIC KEY", &[0; 100]);
        assert!(
            text.starts_with("-----BEGIN PUBLIC KEY-----\nAAAA"),
            "{text}"
        );
        assert!(text.ends_with("==\n-----END PUBLIC KEY-----\n"), "{text}");
        assert!(text.lines().all(|line| line.len() <= 64), "{text}");
    }
}
