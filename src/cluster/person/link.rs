//! The link of a loan, as its Secret hands it to the borrower.

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use secrecy::SecretString;

use super::{CallError, Person, Refused, called};

/// What a link's Secret holds.
#[derive(Debug)]
pub struct Link {
    /// The share link; its URL carries the key.
    pub url: SecretString,
    /// Which link of the loan it is, from 1.
    pub sequence: u32,
    /// How to use what was lent.
    pub access_details: Option<String>,
}

impl Person {
    /// Reads the link from the Secret of this name, which only the borrower may read.
    pub async fn link(&self, namespace: &str, secret: &str) -> Result<Link, CallError> {
        let api = self.api::<Secret>(namespace);
        let object = called::<Secret>(namespace, secret);
        let stored = self
            .bounded("read", object.clone(), api.get(secret))
            .await?;
        let mut data = stored.data.unwrap_or_default();
        let mut text = |key: &str| {
            let ByteString(bytes) = data.remove(key)?;
            String::from_utf8(bytes).ok()
        };
        let unreadable = || CallError {
            verb: "read",
            object: object.clone(),
            refused: Refused::Unavailable("it holds no link".into()),
        };
        Ok(Link {
            url: text("url").ok_or_else(unreadable)?.into(),
            sequence: text("sequence").and_then(|n| n.parse().ok()).unwrap_or(0),
            access_details: text("accessDetails"),
        })
    }
}
