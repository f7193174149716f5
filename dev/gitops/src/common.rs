//! The acts of people beside the tool, and the state that they see.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::objects::{holds, kinds};
use crate::repositories::root;
use crate::site::{PLATFORM, SERVICE_ACCOUNT, Site, TEAM};

/// The time limit for a step of the operator.
pub const STEP: Duration = Duration::from_secs(60);
/// How soon a tool has to tell that 1Password refuses Keyloan.
pub const TOLD_WITHIN: Duration = Duration::from_secs(60);
/// How often each tool is told to reconcile.
pub const TIMES: usize = 20;
/// A day and some more: the integration lists its vaults once a day.
pub const A_DAY: Duration = Duration::from_secs(25 * 3600);
/// More than the time for which Keyloan keeps ended requests.
pub const TIDIED_AFTER: Duration = Duration::from_secs(8 * 24 * 3600);

/// The integration of the examples.
pub const INTEGRATION: (&str, &str) = (PLATFORM, "prod");
/// The request from Git of the examples.
pub const REQUEST: (&str, &str) = (TEAM, "db-password");

/// Alice asks for an item and waits for an approval.
pub async fn ask(site: &Site, name: &str) -> Result<()> {
    let request = json!({
        "apiVersion": "keyloan.dev/v1alpha1", "kind": "AccessGrant",
        "metadata": { "name": name, "namespace": TEAM },
        "spec": {
            "integration": { "name": "prod", "namespace": PLATFORM },
            "item": { "vault": "Infra", "item": "db password" },
        },
    });
    let alice = site.person("alice").await?;
    alice.create(kinds::GRANT, TEAM, request).await?;
    let waits = |grant: &Value| grant["status"]["waitingFor"].is_string();
    site.admin
        .until(kinds::GRANT, (TEAM, name), STEP, waits)
        .await?;
    Ok(())
}

/// Bob approves alice's request, and her loan starts.
pub async fn approve(site: &Site, name: &str) -> Result<()> {
    let grant = site.admin.get(kinds::GRANT, TEAM, name).await?;
    let grant = grant.context("alice's request is gone")?;
    let decision = json!({
        "apiVersion": "keyloan.dev/v1alpha1", "kind": "AccessDecision",
        "metadata": { "name": name, "namespace": TEAM },
        "spec": {
            "grant": name, "grantUid": grant["metadata"]["uid"],
            "digest": grant["status"]["digest"], "decision": "Approve",
        },
    });
    let bob = site.person("bob").await?;
    bob.create(kinds::DECISION, TEAM, decision).await?;
    let is_active = |grant: &Value| holds(grant, "Active");
    site.admin
        .until(kinds::GRANT, (TEAM, name), STEP, is_active)
        .await?;
    Ok(())
}

/// Changes both charts as a release does: another version, and other metadata of the policies.
pub async fn release(site: &Site, version: &str) -> Result<String> {
    for chart in ["keyloan-crds", "keyloan"] {
        let file = format!("charts/{chart}/Chart.yaml");
        let path = site.git.copy("keyloan").join(&file);
        let text = std::fs::read_to_string(&path)?;
        let mut lines = text.lines();
        let old = lines.find(|line| line.starts_with("version: "));
        let old = old.context("a chart has no version")?.to_owned();
        let new = format!("version: {version}");
        site.git.edit("keyloan", &file, &old, &new)?;
    }
    let folder = site
        .git
        .copy("keyloan")
        .join("charts/keyloan-crds/templates");
    let mark = format!("\n  annotations:\n    example.com/release: \"{version}\"\n");
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let text = std::fs::read_to_string(&path)?;
        std::fs::write(&path, text.replace("\n  annotations:\n", &mark))?;
    }
    site.git
        .commit("keyloan", &format!("Release {version}"))
        .await
}

/// The token that 1Password revokes: the operator notices it when it next lists the vaults.
pub async fn revoke_token(site: &Site) -> Result<()> {
    site.control.revoke_token(SERVICE_ACCOUNT).await?;
    site.advance(A_DAY).await
}

/// Another valid token.
pub async fn rotate_token(site: &Site) -> Result<()> {
    let token = site.control.rotate_token(SERVICE_ACCOUNT).await?;
    site.put_token(&token).await
}

/// The objects that stay in a cluster: kinds, policies, records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    crds: usize,
    policies: usize,
    mutating: usize,
    records: usize,
}

impl Kept {
    /// The objects that are there now.
    pub async fn of(site: &Site) -> Result<Self> {
        let ours = async |kind, is_ours: fn(&str) -> bool| {
            let all = site.admin.list(kind, "").await?;
            let names = all.iter().filter_map(|o| o["metadata"]["name"].as_str());
            anyhow::Ok(names.filter(|name| is_ours(name)).count())
        };
        let kept = Self {
            crds: ours(kinds::CRD, |name| name.ends_with(".keyloan.dev")).await?,
            policies: ours(kinds::POLICY, |name| name.starts_with("keyloan-")).await?,
            mutating: ours(kinds::MUTATING, |name| name.starts_with("keyloan-")).await?,
            records: site.admin.list(kinds::RECORD, PLATFORM).await?.len(),
        };
        ensure!(
            kept.crds == 5 && kept.policies > 5 && kept.mutating == 2 && kept.records > 0,
            "kinds, policies or records are missing: {kept:?}"
        );
        Ok(kept)
    }
}

impl Kept {
    /// Fails unless these objects, and no others, are still there; says how many they are.
    pub async fn ensure_as_before(self, site: &Site) -> Result<String> {
        let after = Self::of(site).await?;
        ensure!(self == after, "before: {self}, after: {after}");
        Ok(after.to_string())
    }
}

/// Fails if Keyloan's configuration or operator is there.
pub async fn ensure_uninstalled(site: &Site) -> Result<()> {
    let integrations = site.admin.list(kinds::INTEGRATION, "").await?.len();
    ensure!(integrations == 0, "{integrations} integrations remain");
    let deployments = site.admin.list(kinds::DEPLOYMENT, "").await?.len();
    ensure!(deployments == 0, "the operator remains");
    Ok(())
}

/// The uid of an active request, which the team's ServiceAccount has made.
pub async fn active_uid(site: &Site, (namespace, name): (&str, &str)) -> Result<String> {
    let grant = site.admin.get(kinds::GRANT, namespace, name).await?;
    let grant = grant.with_context(|| format!("the request {name} is not there"))?;
    ensure!(
        holds(&grant, "Active"),
        "{name} is not active: {}",
        grant["status"]
    );
    let requester = &grant["spec"]["requester"]["username"];
    ensure!(
        *requester == "system:serviceaccount:team-a:deployer",
        "the requester is {requester}"
    );
    let uid = grant["metadata"]["uid"].as_str();
    Ok(uid.context("the request has no uid")?.to_owned())
}

/// Gives the team's ServiceAccount the rights of the examples.
pub async fn give_the_team_its_rights(site: &Site) -> Result<()> {
    let rights = std::fs::read_to_string(root().join("examples/gitops/team-a/rights.yaml"))?;
    site.admin.apply(&rights).await
}

impl std::fmt::Display for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            crds,
            policies,
            mutating,
            records,
        } = self;
        let policies = policies + mutating;
        write!(
            f,
            "{crds} kinds, {policies} policies and {records} records kept"
        )
    }
}

/// How many loans the request from Git has become.
pub async fn loans_from_git(site: &Site) -> Result<usize> {
    loans(site, REQUEST.1).await
}

/// How many loans a request of this name has become: one record for each.
pub async fn loans(site: &Site, name: &str) -> Result<usize> {
    let records = site.admin.list(kinds::RECORD, PLATFORM).await?;
    let is_it = |record: &&Value| record["spec"]["grant"]["name"] == name;
    Ok(records.iter().filter(is_it).count())
}

/// How many loans of a request of this name run.
pub async fn running_loans(site: &Site, name: &str) -> Result<usize> {
    let records = site.admin.list(kinds::RECORD, PLATFORM).await?;
    let runs = |record: &&Value| {
        record["spec"]["grant"]["name"] == name && record["spec"]["end"].is_null()
    };
    Ok(records.iter().filter(runs).count())
}
