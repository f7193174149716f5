//! A person's client certificate: when it expires. The API server does not say that when it refuses
//! one.

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use kube::config::AuthInfo;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use x509_cert::Certificate;
use x509_cert::der::Decode as _;

/// A client certificate in a kubeconfig.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OwnCertificate {
    until: Timestamp,
}

impl OwnCertificate {
    /// The certificate that a person signs in with, if there is one that can be read. The client
    /// reports an unreadable one.
    pub(super) fn of(who: &AuthInfo) -> Option<Self> {
        let pem = match (&who.client_certificate_data, &who.client_certificate) {
            (Some(data), _) => STANDARD.decode(data.trim()).ok()?,
            (None, Some(path)) => fs::read(path).ok()?,
            (None, None) => return None,
        };
        Self::read(&pem)
    }

    fn read(pem: &[u8]) -> Option<Self> {
        let der = CertificateDer::from_pem_slice(pem).ok()?;
        let certificate = Certificate::from_der(&der).ok()?;
        let until = certificate.tbs_certificate.validity.not_after;
        let seconds = i64::try_from(until.to_unix_duration().as_secs()).ok()?;
        let until = Timestamp::from_second(seconds).ok()?;
        Some(Self { until })
    }

    /// What a person needs to know about it when the API server does not recognize them.
    pub(super) fn told(self) -> String {
        format!(
            "the client certificate in your kubeconfig is valid until {}",
            self.until
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Created with `openssl req -x509 -newkey ed25519 -nodes -subj /CN=alice -days 1`.
    const PEM: &str = include_str!("certificate_of_alice.pem");

    #[test]
    fn a_certificate_says_until_when_it_is_valid() {
        let who = AuthInfo {
            client_certificate_data: Some(STANDARD.encode(PEM)),
            ..AuthInfo::default()
        };
        let told = OwnCertificate::of(&who).unwrap().told();
        assert!(
            told.ends_with("is valid until 2026-11-30T00:22:38Z"),
            "{told}"
        );
        assert_eq!(OwnCertificate::of(&AuthInfo::default()), None);
        assert_eq!(OwnCertificate::read(b"no certificate"), None);
    }
}
