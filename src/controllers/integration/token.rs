//! From the Secret to the token: checks the labels first, and reads only this integration's own
//! Secret.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;

use crate::api::OnePasswordIntegration;
use crate::cluster::{ApiError, Cluster, Key, SecretValues};
use crate::controllers::registry::{Entry, Held, Registry, SecretVersion};
use crate::onepassword::{AllowedOrigins, ServiceAccountToken, TokenError};
use crate::plan::integration::TokenSeen;
use crate::plan::secret_claim::{SecretClaim, SecretPurpose, secret_claim};
use crate::runtime::WorkQueue;

/// The Secret that an integration names, and the key in it.
pub(super) fn secret_of(integration: &OnePasswordIntegration) -> Option<(Key, String)> {
    let source = integration.spec.auth.service_account_token.as_ref()?;
    let namespace = integration.namespace().unwrap_or_default();
    Some((
        Key::new(namespace, &source.secret_ref.name),
        source.secret_ref.key.clone(),
    ))
}

/// What it takes to find an integration's token.
pub(super) struct Tokens<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) registry: &'a Registry,
    pub(super) allowed_origins: &'a AllowedOrigins,
    /// The queue of the integrations: a session may ask for a pass over its own.
    pub(super) passes: &'a WorkQueue<Key>,
}

impl Tokens<'_> {
    /// The state of the token Secret. Reads the Secret if that is allowed and it has changed.
    pub(super) async fn seen(
        &self,
        integration: &OnePasswordIntegration,
        entry: &Entry,
    ) -> TokenSeen {
        let token = match self.find_token(integration, entry).await {
            Ok(token) => token,
            Err((secret, error)) => {
                tracing::warn!(%error, "could not read a token Secret; retrying");
                // The token in use stays in use: the problem is the API server's.
                return TokenSeen::Unreadable {
                    secret,
                    error: error.to_string(),
                };
            }
        };
        if !matches!(token, TokenSeen::Usable { .. })
            && entry.held().is_some_and(|h| h.token.is_ok())
        {
            entry.let_go();
        }
        token
    }

    async fn find_token(
        &self,
        integration: &OnePasswordIntegration,
        entry: &Entry,
    ) -> Result<TokenSeen, (String, ApiError)> {
        let Some((secret, key)) = secret_of(integration) else {
            return Ok(TokenSeen::NotConfigured);
        };
        let name = secret.name.clone();
        let failed = |error| (name.clone(), error);
        let mark = self.cluster.secret_metadata(&secret).await;
        let Some(mark) = mark.map_err(failed)? else {
            return Ok(TokenSeen::Missing { secret: name });
        };
        if let Some(refusal) = refusal(mark.labels(), &name, integration) {
            return Ok(refusal);
        }
        let from = SecretVersion {
            uid: mark.uid(),
            version: mark.resource_version(),
            key,
        };
        if let Some(held) = entry.held().filter(|held| held.from == from) {
            return Ok(seen(&held));
        }
        let read = self.cluster.secret(&secret).await;
        let Some((read, values)) = read.map_err(failed)? else {
            return Ok(TokenSeen::Missing { secret: name });
        };
        // The Secret may have been replaced since the watch reported it.
        if let Some(refusal) = refusal(read.labels(), &name, integration) {
            return Ok(refusal);
        }
        let held = self.hold(&read, &values, from.key, entry, &Key::of(integration));
        let token = seen(&held);
        entry.hold(held);
        Ok(token)
    }

    /// Takes the token out of the Secret. An unchanged token stays in use.
    fn hold(
        &self,
        read: &Secret,
        values: &SecretValues,
        key: String,
        entry: &Entry,
        integration: &Key,
    ) -> Held {
        let token = match values.get(&key) {
            None => Err(TokenSeen::KeyMissing {
                secret: read.name_any(),
                key: key.clone(),
                keys: values.keys().cloned().collect(),
            }),
            Some(bytes) => {
                ServiceAccountToken::parse(bytes, self.allowed_origins).map_err(|error| match error
                {
                    TokenError::Malformed { .. } => TokenSeen::Malformed(error.to_string()),
                    TokenError::ForeignOrigin { .. } => TokenSeen::ForeignOrigin(error.to_string()),
                })
            }
        };
        let from = SecretVersion {
            uid: read.metadata.uid.clone(),
            version: read.metadata.resource_version.clone(),
            key,
        };
        let token = token.map(|token| {
            let in_use = entry.held().and_then(|held| held.token.ok());
            let same = in_use.filter(|session| session.payer().token == token.fingerprint());
            same.unwrap_or_else(|| {
                let (passes, key) = (self.passes.clone(), integration.clone());
                Arc::new(
                    self.registry
                        .session(token, move || passes.enqueue(key.clone())),
                )
            })
        });
        Held { from, token }
    }
}

fn refusal(
    labels: &BTreeMap<String, String>,
    secret: &str,
    integration: &OnePasswordIntegration,
) -> Option<TokenSeen> {
    let secret = secret.to_owned();
    match secret_claim(labels, SecretPurpose::Token, &integration.name_any()) {
        SecretClaim::Ours => None,
        SecretClaim::NotLabelled => Some(TokenSeen::NotLabelled { secret }),
        SecretClaim::OfAnother(names) => Some(TokenSeen::OfAnother {
            secret,
            names: names.map(ToOwned::to_owned),
        }),
    }
}

fn seen(held: &Held) -> TokenSeen {
    match &held.token {
        Ok(session) => TokenSeen::Usable {
            account: session.account().to_owned(),
            host: session.payer().host.clone(),
        },
        Err(problem) => problem.clone(),
    }
}
