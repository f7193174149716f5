//! 1Password as it looks in a company's network: by a name that only a proxy can resolve, and with a certificate of the company's own
//! authority.

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::private_server::acceptor;

/// The authority, as a bundle.
pub const AUTHORITY: &str = include_str!("../fixtures/private-ca/ca.pem");

/// The origin that tokens have. Its name is in the certificate, and no resolver knows it.
pub const ORIGIN: &str = "https://op.corp.test";
/// The destination that the proxy is asked for.
pub const DESTINATION: &str = "op.corp.test:443";

/// Speaks TLS, and passes everything on to a service that does not.
pub struct Front {
    /// Where it listens.
    pub address: String,
    serving: JoinHandle<()>,
}

impl Front {
    /// Begins to serve in front of the service at this origin.
    pub async fn before(origin: &str) -> Self {
        let acceptor = acceptor();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound").to_string();
        let service = origin.trim_start_matches("http://").to_owned();
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, service) = (acceptor.clone(), service.clone());
                tokio::spawn(async move {
                    let mut secured = acceptor.accept(stream).await?;
                    let mut plain = TcpStream::connect(service).await?;
                    tokio::io::copy_bidirectional(&mut secured, &mut plain).await
                });
            }
        });
        Self { address, serving }
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// The same token, for another origin.
pub fn token_at(token: &str, origin: &str) -> String {
    let encoded = token
        .trim()
        .trim_start_matches("ops_")
        .trim_end_matches('=');
    let decoded = BASE64_URL_SAFE_NO_PAD.decode(encoded).expect("base64");
    let mut parts: Value = serde_json::from_slice(&decoded).expect("JSON");
    parts["signInAddress"] = json!(origin);
    format!("ops_{}", BASE64_URL_SAFE_NO_PAD.encode(parts.to_string()))
}
