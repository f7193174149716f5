//! TLS of a server whose certificate is of a private authority.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

/// The certificate of the server, which is no authority.
pub const SERVER: &str = include_str!("../fixtures/private-ca/server.pem");
const SERVER_KEY: &str = include_str!("../fixtures/private-ca/server-key.pem");

/// Speaks TLS with this certificate.
pub fn acceptor() -> TlsAcceptor {
    let certificate = CertificateDer::from_pem_slice(SERVER.as_bytes()).expect("one");
    let key = PrivateKeyDer::from_pem_slice(SERVER_KEY.as_bytes()).expect("its key");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("a certificate and its key");
    TlsAcceptor::from(Arc::new(config))
}
