//! The simulated 1Password service, as a separate process without request limits.

use std::fmt;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use keyloan_cluster::wait_until;
use keyloan_simulator::{Control, RequestLog};
use serde_json::json;

use crate::process::Process;

/// The title of the one vault.
pub const VAULT: &str = "Bench";
/// The number of items in the vault.
pub const ITEMS: usize = 20;
/// How long the service may take to start.
const STARTED_WITHIN: Duration = Duration::from_secs(30);

/// The routes that list vaults and items: discovery, which is counted separately.
const LISTING: [&str; 2] = [
    "GET /api/v1/vaults",
    "GET /api/v1/vault/{vault}/items/overviews",
];

/// A running service.
pub struct Service {
    process: Process,
    /// The client that controls it.
    pub control: Control,
}

/// Requests that were counted.
#[derive(Clone, Debug, PartialEq)]
pub struct Requests {
    /// All requests except those that list vaults and items.
    pub lending: u64,
    /// The requests that list vaults and items.
    pub listing: u64,
    /// All requests by route, on one line.
    by_route: String,
}

impl fmt::Display for Requests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.by_route)
    }
}

impl Service {
    /// Starts the service with this many service accounts, all of which may read and share all
    /// items.
    pub async fn start(program: &Path, folder: &Path, accounts: usize) -> Result<Self> {
        let file = folder.join("account.yaml");
        // JSON is YAML, too.
        fs::write(&file, account(accounts).to_string())?;
        let mut command = Command::new(program);
        command.arg("--account").arg(&file).arg("--no-quotas");
        let log = folder.join("simulator.log");
        let process = Process::start("the simulated 1Password", &command, &log)?;
        let origin = wait_until(
            "the simulated 1Password prints its origin",
            STARTED_WITHIN,
            async || origin(&process),
        )
        .await
        .with_context(|| format!("the end of its log:\n{}", process.last_words()))?;
        let control = Control::new(&origin)?;
        Ok(Self { process, control })
    }

    /// The token of the service account with this number, from 1.
    pub async fn token(&self, number: usize) -> Result<String> {
        Ok(self.control.token(&account_name(number)).await?)
    }

    /// Rotates the token of the service account with this number, from 1; returns the new one. The
    /// old one is refused from now on.
    pub async fn rotate_token(&self, number: usize) -> Result<String> {
        Ok(self.control.rotate_token(&account_name(number)).await?)
    }

    /// Empties the request log.
    pub async fn forget_requests(&self) -> Result<()> {
        Ok(self.control.reset_requests().await?)
    }

    /// The requests since the log was last emptied.
    pub async fn requests(&mut self) -> Result<Requests> {
        self.process.check()?;
        Ok(Requests::of(&self.control.requests().await?))
    }

    /// The number of shares that it has created.
    pub async fn shares(&self) -> Result<usize> {
        Ok(self.control.shares().await?.len())
    }

    /// Stops the service.
    pub async fn stop(self) -> Result<()> {
        self.process.stop().await
    }
}

impl Requests {
    /// All requests.
    pub fn all(&self) -> u64 {
        self.lending + self.listing
    }

    /// Counts the requests in a log.
    pub fn of(log: &RequestLog) -> Self {
        let listing = LISTING.iter().map(|route| log.count(route)).sum();
        let routes: Vec<String> = log
            .by_route
            .iter()
            .map(|(route, count)| format!("{count} {route}"))
            .collect();
        Self {
            lending: log.total - listing,
            listing,
            by_route: routes.join(", "),
        }
    }
}

/// The title of an item; every number gives one.
pub fn item_title(number: usize) -> String {
    format!("item {:02}", number % ITEMS)
}

/// The origin that the service prints.
fn origin(service: &Process) -> Option<String> {
    let said = service.said();
    let origin = said.lines().find_map(|line| line.strip_prefix("ORIGIN="));
    origin.map(str::to_owned)
}

fn account_name(number: usize) -> String {
    format!("lender-{number:02}")
}

fn account(service_accounts: usize) -> serde_json::Value {
    let items: Vec<_> = (0..ITEMS)
        .map(|number| {
            json!({
                "title": item_title(number), "tags": ["bench"],
                "fields": [
                    { "label": "username", "value": "app" },
                    { "label": "password", "value": format!("password of {number}"), "kind": "Concealed" },
                    { "label": "host", "value": "db.example.com" },
                ],
            })
        })
        .collect();
    let accounts: Vec<_> = (1..=service_accounts)
        .map(|number| json!({ "name": account_name(number), "vaults": { VAULT: ["read", "share"] } }))
        .collect();
    json!({
        "domain": "bench.1password.com", "plan": "Business",
        "vaults": [{ "title": VAULT, "items": items }],
        "serviceAccounts": accounts,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_account_is_one_that_the_simulator_takes() {
        let account = keyloan_simulator::Account::parse(&account(20).to_string()).unwrap();
        assert_eq!(
            (
                account.service_accounts.len(),
                account.vaults[0].items.len()
            ),
            (20, ITEMS)
        );
    }

    #[test]
    fn listing_counts_apart() {
        let mut log = RequestLog {
            total: 4,
            ..RequestLog::default()
        };
        for (route, count) in [
            (LISTING[0], 1),
            (LISTING[1], 2),
            ("POST /api/v4/itemshare", 1),
        ] {
            log.by_route.insert(route.to_owned(), count);
        }
        let requests = Requests::of(&log);
        assert_eq!((requests.lending, requests.listing), (1, 3));
    }
}
