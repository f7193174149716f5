//! Whom the operator trusts to be 1Password: the authorities that this machine trusts. Of a certificate that is refused its issuer is kept,
//! since that is how people recognize a proxy that inspects their traffic.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use rustls_platform_verifier::Verifier;
use x509_cert::Certificate;
use x509_cert::der::Decode as _;

/// The machine's own verifier, and whose certificate it refused last.
pub(super) struct Trust {
    machine: Verifier,
    refused: Mutex<Option<String>>,
}

impl Trust {
    /// The authorities that this machine trusts.
    pub(super) fn of_this_machine() -> Result<Self, Error> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        Ok(Self {
            machine: Verifier::new(provider)?,
            refused: Mutex::default(),
        })
    }

    /// The configuration of a client that goes by it.
    pub(super) fn config(self: Arc<Self>) -> Result<ClientConfig, Error> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            // Nothing is trusted beyond what the machine's verifier trusts: it is asked each time.
            .dangerous()
            .with_custom_certificate_verifier(self)
            .with_no_client_auth();
        Ok(config)
    }

    /// Who issued the certificate that was refused last.
    pub(super) fn issuer_refused(&self) -> Option<String> {
        self.refused
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Trust")
    }
}

impl ServerCertVerifier for Trust {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.machine.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        if verified.is_err() {
            let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
            *refused = issuer(end_entity);
        }
        verified
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.machine
            .verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.machine
            .verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.machine.supported_verify_schemes()
    }
}

/// So much of an issuer's name is shown.
const SHOWN: usize = 200;

/// Who issued a certificate, in plain characters.
fn issuer(certificate: &CertificateDer<'_>) -> Option<String> {
    let read = Certificate::from_der(certificate).ok()?;
    let issuer = read.tbs_certificate.issuer.to_string();
    let plain = issuer
        .chars()
        .filter(|c| !c.is_control())
        .take(SHOWN)
        .collect();
    Some(plain)
}
