//! A channel: where notices of one notifier go, with the values of its Secrets.

use crate::api::{Email, MailSecurity};

use super::secrets::{Credentials, SecretUrl, SigningKey};

/// Where notices go.
#[derive(Clone, Debug)]
pub enum Channel {
    /// A Slack channel, by the URL of an incoming webhook.
    Slack {
        /// The URL.
        url: SecretUrl,
    },
    /// A Microsoft Teams channel or chat, by the URL of a workflow.
    Teams {
        /// The URL.
        url: SecretUrl,
    },
    /// A program.
    Webhook {
        /// The URL.
        url: SecretUrl,
        /// The keys that sign. Each event has a signature by each of them.
        keys: Vec<SigningKey>,
    },
    /// People, by e-mail.
    Mail(Mailer),
}

/// A mail server and the sender's address.
#[derive(Clone, Debug)]
pub struct Mailer {
    /// The server's name, which is in its certificate.
    pub server: String,
    /// The server's port.
    pub port: u16,
    /// When the connection is encrypted.
    pub security: MailSecurity,
    /// The user, if the server asks for one.
    pub credentials: Option<Credentials>,
    /// The sender's address.
    pub from: Email,
}

impl Channel {
    /// The host to which it connects. It is not secret.
    pub fn host(&self) -> &str {
        match self {
            Self::Slack { url } | Self::Teams { url } | Self::Webhook { url, .. } => url.host(),
            Self::Mail(mailer) => &mailer.server,
        }
    }
}
