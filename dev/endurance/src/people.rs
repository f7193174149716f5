//! People who borrow: they ask, approve, deny, revoke, delete, and ask for the next link.

use std::time::Duration;

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::Secret;
use keyloan::api::{AccessDecision, AccessGrant, Phase, RENEW_ANNOTATION, link_name};
use keyloan_cluster::{INTEGRATION_NAMESPACE, LINKS_NAMESPACE};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;
use tokio::task::JoinSet;

use crate::clock::Clock;
use crate::ground::{
    Ground, INTEGRATIONS, ITEMS, TEAM, VAULT, asked_flow, create, free_flow, integration, item,
};

/// How long somebody pauses between two actions, in milliseconds.
const PAUSES: std::ops::Range<u64> = 2000..6000;
/// How often the approver looks for requests.
const APPROVES_EVERY: Duration = Duration::from_millis(1500);
/// How many own loans somebody remembers.
const REMEMBERED: usize = 40;

/// What they do.
#[derive(Clone)]
pub struct Habits {
    /// The longest loan that they ask for, in minutes.
    pub longest: u64,
    /// Whether they lose Secrets, and then ask for the next link.
    pub loses_secrets: bool,
    /// Their clock.
    pub clock: Clock,
}

/// Starts them; they go on until the set is dropped, or a call fails for another reason than that
/// the API server refuses it.
pub async fn gather(
    ground: &Ground,
    people: usize,
    seed: u64,
    habits: &Habits,
) -> Result<JoinSet<Result<()>>> {
    let mut set = JoinSet::new();
    for (number, seed) in (0..people).zip(seed..) {
        let borrower = Borrower {
            client: ground.borrower(number).await?,
            admin: ground.admin.clone(),
            habits: habits.clone(),
            chance: fastrand::Rng::with_seed(seed),
            asked: 0,
            number,
            mine: Vec::new(),
        };
        set.spawn(borrower.borrow());
    }
    let chance = fastrand::Rng::with_seed(!seed);
    set.spawn(approve(ground.approver().await?, chance));
    Ok(set)
}

/// Fails if one of them has stopped.
pub fn all_go_on(people: &mut JoinSet<Result<()>>) -> Result<()> {
    match people.try_join_next() {
        None => Ok(()),
        Some(ended) => ended?.context("somebody can no longer borrow"),
    }
}

struct Borrower {
    client: Client,
    admin: Client,
    habits: Habits,
    chance: fastrand::Rng,
    number: usize,
    asked: usize,
    mine: Vec<String>,
}

impl Borrower {
    async fn borrow(mut self) -> Result<()> {
        loop {
            let pause = Duration::from_millis(self.chance.u64(PAUSES));
            tokio::time::sleep(pause).await;
            let grants: Api<AccessGrant> = Api::namespaced(self.client.clone(), TEAM);
            let known = self.chance.usize(0..self.mine.len().max(1));
            let known = self.mine.get(known).cloned();
            let done = match (self.chance.u8(0..100), known) {
                (0..60, _) | (_, None) => self.ask().await,
                (60..75, Some(name)) => self.revoke(&grants, &name).await,
                (75..85, Some(name)) => {
                    let deleted = grants.delete(&name, &DeleteParams::default()).await;
                    deleted.map(drop)
                }
                (_, Some(_)) if !self.habits.loses_secrets => Ok(()),
                (_, Some(name)) => self.renew(&grants, &name).await,
            };
            unless_refused(done)?;
        }
    }

    async fn ask(&mut self) -> Result<(), kube::Error> {
        self.asked += 1;
        let name = format!("loan-{}-{}", self.number, self.asked);
        let number = self.chance.usize(0..INTEGRATIONS);
        let flow = match self.chance.u8(0..3) {
            0 => asked_flow(number),
            _ => free_flow(number),
        };
        let minutes = self.chance.u64(60..=self.habits.longest);
        let request = json!({
            "metadata": { "name": name },
            "spec": {
                "integration": { "name": integration(number), "namespace": INTEGRATION_NAMESPACE },
                "item": { "vault": VAULT, "item": item(self.chance.usize(0..ITEMS)) },
                "flow": flow, "duration": format!("{minutes}m"), "justification": "endurance",
            },
        });
        create::<AccessGrant>(&self.client, TEAM, request).await?;
        if self.mine.len() >= REMEMBERED {
            self.mine.remove(0);
        }
        self.mine.push(name);
        Ok(())
    }

    async fn revoke(&self, grants: &Api<AccessGrant>, name: &str) -> Result<(), kube::Error> {
        let grant = grants.get(name).await?;
        decide(&self.client, &grant, "Revoke").await
    }

    /// Links of an hour do not end within the run. So somebody loses the Secret, and the borrower
    /// asks for the next link.
    async fn renew(&self, grants: &Api<AccessGrant>, name: &str) -> Result<(), kube::Error> {
        let grant = grants.get(name).await?;
        if phase(&grant) != Phase::Active {
            return Ok(());
        }
        let secrets: Api<Secret> = Api::namespaced(self.admin.clone(), LINKS_NAMESPACE);
        let secret = link_name(&grant.uid().unwrap_or_default());
        secrets.delete(&secret, &DeleteParams::default()).await?;
        let now = self.habits.clock.now().to_string();
        let asked = json!({ "metadata": { "annotations": { RENEW_ANNOTATION: now } } });
        let (params, asked) = (PatchParams::default(), Patch::Merge(asked));
        grants.patch(name, &params, &asked).await.map(drop)
    }
}

/// Decides about all requests that wait: approves most, denies some.
async fn approve(client: Client, mut chance: fastrand::Rng) -> Result<()> {
    let grants: Api<AccessGrant> = Api::namespaced(client.clone(), TEAM);
    let waiting = ListParams::default().fields("status.phase=Pending");
    loop {
        tokio::time::sleep(APPROVES_EVERY).await;
        for grant in grants.list(&waiting).await? {
            let decision = match chance.u8(0..6) {
                0 => "Deny",
                _ => "Approve",
            };
            let waits = grant
                .status
                .as_ref()
                .is_some_and(|s| s.waiting_for.is_some());
            if waits {
                unless_refused(decide(&client, &grant, decision).await)?;
            }
        }
    }
}

/// Makes a decision about a grant.
pub async fn decide(
    client: &Client,
    grant: &AccessGrant,
    decision: &str,
) -> Result<(), kube::Error> {
    let mut spec =
        json!({ "grant": grant.name_any(), "grantUid": grant.uid(), "decision": decision });
    if decision == "Approve" {
        spec["digest"] = json!(
            grant
                .status
                .as_ref()
                .and_then(|status| status.digest.clone())
        );
    }
    let object = json!({ "metadata": { "generateName": "decision-" }, "spec": spec });
    create::<AccessDecision>(client, TEAM, object)
        .await
        .map(drop)
}

/// The phase of a grant.
pub fn phase(grant: &AccessGrant) -> Phase {
    grant
        .status
        .as_ref()
        .and_then(|status| status.phase)
        .unwrap_or_default()
}

/// The API server refuses what no longer fits: a loan may have ended, or been deleted, meanwhile.
fn unless_refused(done: Result<(), kube::Error>) -> Result<()> {
    match done {
        Err(kube::Error::Api(_)) | Ok(()) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
