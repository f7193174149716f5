//! The typed client of the control API.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::{Method, RequestBuilder, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::Url;

use super::{Id, ItemChanges, ItemSummary, ShareSummary, Shift, Time, Token, VaultSummary};
use crate::account::{Item, ServiceAccount, SharePolicy};
use crate::faults::Fault;
use crate::log::RequestLog;
use crate::recipient::{self, OpenedItem, Refusal};

/// Controls a simulator, in this process or another one.
#[derive(Clone, Debug)]
pub struct Control {
    origin: String,
    client: reqwest::Client,
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The text is not an origin such as `http://127.0.0.1:8080`.
    #[error(
        "`{0}` is not a simulator's origin; use the value that the simulator prints after \
             ORIGIN="
    )]
    BadOrigin(String),
    /// The simulator returned no response, or an invalid one.
    #[error("the simulator does not answer: {0}; is it still running?")]
    Unreachable(#[from] reqwest::Error),
    /// The command names something that does not exist, or is invalid.
    #[error("the simulator refuses with status {status}: {message}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// The simulator's reason.
        message: String,
    },
}

type Result<T> = std::result::Result<T, ControlError>;

impl Control {
    /// A client for the simulator at an origin.
    pub fn new(origin: &str) -> Result<Self> {
        let bad = || ControlError::BadOrigin(origin.to_owned());
        let origin = Url::parse(origin).map_err(|_| bad())?.origin();
        if !origin.is_tuple() {
            return Err(bad());
        }
        // Connections to the loopback interface must not go through a proxy from the environment.
        let client = reqwest::Client::builder().no_proxy().build()?;
        Ok(Self {
            origin: origin.ascii_serialization(),
            client,
        })
    }

    /// The simulator's origin.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The newest token of a service account, even if it was revoked.
    pub async fn token(&self, service_account: &str) -> Result<String> {
        let path = ["service-accounts", service_account, "token"];
        Ok(self
            .ask::<Token>(self.request(Method::GET, &path))
            .await?
            .token)
    }

    /// Revokes the newest token: it can no longer sign in, and its sessions end.
    pub async fn revoke_token(&self, service_account: &str) -> Result<()> {
        let path = ["service-accounts", service_account, "token"];
        self.order(self.request(Method::DELETE, &path)).await
    }

    /// Replaces the token; the old one is invalid at once.
    pub async fn rotate_token(&self, service_account: &str) -> Result<String> {
        let path = ["service-accounts", service_account, "rotation"];
        Ok(self
            .ask::<Token>(self.request(Method::POST, &path))
            .await?
            .token)
    }

    /// Adds a service account, or replaces the rights of the existing one with that name.
    pub async fn set_service_account(&self, service_account: &ServiceAccount) -> Result<()> {
        self.order(self.with(Method::POST, &["service-accounts"], service_account))
            .await
    }

    /// All vaults with their items' ids and versions.
    pub async fn vaults(&self) -> Result<Vec<VaultSummary>> {
        self.ask(self.request(Method::GET, &["vaults"])).await
    }

    /// Adds an item to a vault, named by title or id; returns the item's id.
    pub async fn add_item(&self, vault: &str, item: &Item) -> Result<String> {
        let request = self.with(Method::POST, &["vaults", vault, "items"], item);
        Ok(self.ask::<Id>(request).await?.id)
    }

    /// Changes an item, named by title or id. The item gets a new version even if nothing else
    /// changes.
    pub async fn edit_item(
        &self,
        vault: &str,
        item: &str,
        changes: &ItemChanges,
    ) -> Result<ItemSummary> {
        self.ask(self.with(Method::PATCH, &["vaults", vault, "items", item], changes))
            .await
    }

    /// Deletes an item, named by title or id.
    pub async fn remove_item(&self, vault: &str, item: &str) -> Result<()> {
        self.order(self.request(Method::DELETE, &["vaults", vault, "items", item]))
            .await
    }

    /// The share policy.
    pub async fn policy(&self) -> Result<SharePolicy> {
        self.ask(self.request(Method::GET, &["policy"])).await
    }

    /// Replaces the share policy. Existing shares do not change.
    pub async fn set_policy(&self, policy: &SharePolicy) -> Result<()> {
        self.order(self.with(Method::PUT, &["policy"], policy))
            .await
    }

    /// Orders a fault.
    pub async fn fault(&self, fault: Fault) -> Result<()> {
        self.order(self.with(Method::POST, &["faults"], &fault))
            .await
    }

    /// Removes all faults that are not used up.
    pub async fn clear_faults(&self) -> Result<()> {
        self.order(self.request(Method::DELETE, &["faults"])).await
    }

    /// The simulator's time.
    pub async fn now(&self) -> Result<Timestamp> {
        Ok(self
            .ask::<Time>(self.request(Method::GET, &["clock"]))
            .await?
            .now)
    }

    /// Moves the simulator's clock forward; returns its new time.
    pub async fn advance_clock(&self, by: Duration) -> Result<Timestamp> {
        self.shift_clock(i64::try_from(by.as_millis()).unwrap_or(i64::MAX))
            .await
    }

    /// Moves the simulator's clock back; returns its new time.
    pub async fn turn_clock_back(&self, by: Duration) -> Result<Timestamp> {
        self.shift_clock(i64::try_from(by.as_millis()).map_or(i64::MIN, |by| -by))
            .await
    }

    async fn shift_clock(&self, milliseconds: i64) -> Result<Timestamp> {
        let request = self.with(Method::POST, &["clock"], &Shift { milliseconds });
        Ok(self.ask::<Time>(request).await?.now)
    }

    /// The requests to the service since the start or the last reset.
    pub async fn requests(&self) -> Result<RequestLog> {
        self.ask(self.request(Method::GET, &["requests"])).await
    }

    /// Empties the request log.
    pub async fn reset_requests(&self) -> Result<()> {
        self.order(self.request(Method::DELETE, &["requests"]))
            .await
    }

    /// All shares, in order of creation.
    pub async fn shares(&self) -> Result<Vec<ShareSummary>> {
        self.ask(self.request(Method::GET, &["shares"])).await
    }

    /// Plays the recipient: opens a share's link as the owner of an address. Each success is a
    /// view.
    pub async fn open(&self, url: &str, email: &str) -> std::result::Result<OpenedItem, Refusal> {
        recipient::open(&self.client, &self.origin, url, email).await
    }

    fn request(&self, method: Method, path: &[&str]) -> RequestBuilder {
        let mut url = format!("{}/_control", self.origin);
        for part in path {
            url.push('/');
            url.extend(url::form_urlencoded::byte_serialize(part.as_bytes()));
        }
        // Form encoding writes a space as +, which is a plus in a path.
        self.client.request(method, url.replace('+', "%20"))
    }

    fn with(&self, method: Method, path: &[&str], body: &impl Serialize) -> RequestBuilder {
        self.request(method, path).json(body)
    }

    async fn ask<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T> {
        Ok(accepted(request.send().await?).await?.json().await?)
    }

    async fn order(&self, request: RequestBuilder) -> Result<()> {
        accepted(request.send().await?).await.map(drop)
    }
}

async fn accepted(response: Response) -> Result<Response> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let message = response.text().await.unwrap_or_default();
    Err(ControlError::Refused {
        status: status.as_u16(),
        message,
    })
}
