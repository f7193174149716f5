//! The certificate authorities that the operator trusts for 1Password: those that this machine
//! trusts. The refusal of a certificate names its issuer, because that is how people recognize a
//! proxy that inspects their traffic.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, OtherError, SignatureScheme,
};
use rustls_platform_verifier::Verifier;
use x509_cert::Certificate;
use x509_cert::der::Decode as _;

/// The configuration of a client with this machine's trust.
pub(super) fn config() -> Result<ClientConfig, Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let machine = Verifier::new(provider.clone())?;
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        // Nothing is trusted beyond the machine's verifier, which is asked each time.
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Trust { machine }))
        .with_no_client_auth();
    Ok(config)
}

/// A certificate is not trusted.
#[derive(Debug, thiserror::Error)]
#[error("{why}; it is issued by {issuer}")]
pub(super) struct Distrusted {
    why: String,
    issuer: String,
}

/// The machine's own verifier, with refusals that name the certificate's issuer.
#[derive(Debug)]
struct Trust {
    machine: Verifier,
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
        self.machine
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
            .map_err(|error| {
                let distrusted = Distrusted {
                    why: shown(&error.to_string()),
                    issuer: issuer(end_entity),
                };
                let distrusted = OtherError(Arc::new(distrusted));
                Error::InvalidCertificate(CertificateError::Other(distrusted))
            })
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

/// The issuer of a certificate.
fn issuer(certificate: &CertificateDer<'_>) -> String {
    match Certificate::from_der(certificate) {
        Ok(read) => shown(&read.tbs_certificate.issuer.to_string()),
        Err(_) => "an issuer whose name cannot be read".into(),
    }
}

/// The length up to which a certificate's texts are shown: its maker chooses them.
const SHOWN: usize = 140;

fn shown(text: &str) -> String {
    text.chars().take(SHOWN).collect()
}
