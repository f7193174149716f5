//! The certificate authorities that the operator trusts outside of the cluster: those that this
//! machine trusts, and those of a bundle. The refusal of a certificate names its issuer, because
//! that is how people recognize a proxy that inspects their traffic.

use std::io;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, OtherError, SignatureScheme,
};
use rustls_platform_verifier::Verifier;
use x509_cert::Certificate;
use x509_cert::der::Decode as _;

/// The configuration of a client that trusts this machine's authorities and these. It speaks
/// HTTP/1.1.
pub(super) fn config(bundle: Vec<CertificateDer<'static>>) -> Result<ClientConfig, Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = Verifier::new_with_extra_roots(bundle, provider.clone())?;
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        // Nothing is trusted beyond the verifier, which is asked each time.
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Trust { verifier }))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// A certificate is not trusted.
#[derive(Debug, thiserror::Error)]
#[error("{why}; the certificate of {host} is issued by {issuer}")]
pub(super) struct Distrusted {
    why: String,
    host: String,
    issuer: String,
    /// No known authority has signed it. Otherwise it is not valid for another reason.
    pub(super) has_unknown_authority: bool,
}

/// The refusal of a certificate that an error of a handshake contains.
pub(super) fn refusal(error: &io::Error) -> Option<&Distrusted> {
    // An I/O error does not reveal the error that it wraps through its source.
    match error.get_ref()?.downcast_ref()? {
        Error::InvalidCertificate(CertificateError::Other(OtherError(why))) => why.downcast_ref(),
        _ => None,
    }
}

/// The verifier, with refusals that name the certificate's issuer.
#[derive(Debug)]
struct Trust {
    verifier: Verifier,
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
        self.verifier
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
            .map_err(|error| {
                let distrusted = Distrusted {
                    why: shown(&error.to_string()),
                    host: server_name.to_str().into_owned(),
                    issuer: issuer(end_entity),
                    has_unknown_authority: matches!(
                        error,
                        Error::InvalidCertificate(CertificateError::UnknownIssuer)
                    ),
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
        self.verifier
            .verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier
            .verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
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
