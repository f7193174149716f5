//! The cases with Flux: HelmReleases for Keyloan, Kustomizations for its configuration.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use keyloan_cluster::GitopsTool;
use serde_json::{Value, json};

use crate::common::{
    A_DAY, INTEGRATION, Kept, REQUEST, STEP, TIMES, TOLD_WITHIN, active_uid, approve, ask,
    ensure_uninstalled, give_the_team_its_rights, loans_from_git, release, revoke_token,
    rotate_token,
};
use crate::controllers::{Controllers, FLUX};
use crate::mishaps::{
    delete_policy, end_throttling, throttle, until_guarded, until_policy_is_back, until_unguarded,
};
use crate::objects::{Kind, condition, holds, kinds};
use crate::report::{Report, say};
use crate::site::{Site, TEAM};

const TOOL: &str = "Flux";
/// The time limit for a reconciliation.
const RECONCILED: Duration = Duration::from_secs(180);
/// The annotation by which people ask for a reconciliation.
const REQUESTED: &str = "reconcile.fluxcd.io/requestedAt";

/// An object of Flux.
#[derive(Clone, Copy)]
struct Resource(Kind, &'static str, &'static str);

const CHARTS: Resource = Resource(kinds::GIT_REPOSITORY, FLUX, "keyloan");
const RULES: Resource = Resource(kinds::GIT_REPOSITORY, FLUX, "platform");
const CRDS_RELEASE: Resource = Resource(kinds::HELM_RELEASE, FLUX, "keyloan-crds");
const RELEASE: Resource = Resource(kinds::HELM_RELEASE, FLUX, "keyloan");
const PLATFORM: Resource = Resource(kinds::KUSTOMIZATION, FLUX, "keyloan-platform");
const REQUESTS: Resource = Resource(kinds::KUSTOMIZATION, TEAM, "requests");

/// Runs all cases.
pub async fn run(report: &mut Report, keep: bool) -> Result<()> {
    say(&format!("{TOOL}: starting"));
    report.tools.push(GitopsTool::Flux.version());
    let site = Site::prepare(&GitopsTool::Flux.crds().await?, keep).await?;
    let controllers = Controllers::flux(&site).await?;
    let installed = report.case(TOOL, "install", install(&site)).await;
    if installed {
        report.case(TOOL, "request from Git", request(&site)).await;
        // Before the clock moves: the API server stamps new requests with the true time.
        report.case(TOOL, "upgrade", upgrade(&site)).await;
        report.case(TOOL, "20 reconciles", reconciles(&site)).await;
        report.case(TOOL, "wrong token", wrong_token(&site)).await;
        report.case(TOOL, "token dies", token_dies(&site)).await;
        report.case(TOOL, "throttled", throttled(&site)).await;
        report.case(TOOL, "policy deleted", policy(&site)).await;
        report.case(TOOL, "misspelt vault", misspelt(&site)).await;
        report.case(TOOL, "prune", prune(&site)).await;
        report.case(TOOL, "uninstall", uninstall(&site)).await;
    }
    drop(controllers);
    site.strike().await;
    Ok(())
}

async fn install(site: &Site) -> Result<String> {
    site.put_valid_token().await?;
    // Both at once: the second one is tried again until the kinds of the first are there.
    for file in ["flux/keyloan.yaml", "flux/platform.yaml"] {
        let text = site
            .example(file)?
            .replace("retryInterval: 1m", "retryInterval: 5s");
        site.admin.apply(&text).await?;
    }
    for resource in [CRDS_RELEASE, RELEASE, PLATFORM] {
        resource
            .until(site, RECONCILED, |o| holds(o, "Ready"))
            .await?;
    }
    Ok("both HelmReleases and the Kustomization Ready".into())
}

async fn request(site: &Site) -> Result<String> {
    give_the_team_its_rights(site).await?;
    site.admin
        .apply(&site.example("flux/requests.yaml")?)
        .await?;
    REQUESTS
        .until(site, RECONCILED, |o| holds(o, "Ready"))
        .await?;
    active_uid(site, REQUEST).await?;
    for _ in 0..5 {
        REQUESTS.reconcile(site).await?;
    }
    let loans = loans_from_git(site).await?;
    ensure!(loans == 1, "the request became {loans} loans");
    Ok("Ready when active, made as the team's ServiceAccount; one loan".into())
}

/// Flux applies everything again and again, and never finds a difference.
async fn reconciles(site: &Site) -> Result<String> {
    let releases = [CRDS_RELEASE, RELEASE];
    let mut before = Vec::new();
    for release in releases {
        before.push(release.get(site).await?["status"]["history"].clone());
    }
    for time in 0..TIMES {
        if time == TIMES / 2 {
            site.advance(A_DAY).await?;
        }
        for resource in [CRDS_RELEASE, RELEASE, PLATFORM, REQUESTS] {
            let seen = resource.reconcile(site).await?;
            let Resource(Kind(_, _, kind, _), _, name) = resource;
            ensure!(
                holds(&seen, "Ready"),
                "{kind} {name} at time {time}: {}",
                seen["status"]["conditions"]
            );
        }
    }
    for (release, before) in releases.into_iter().zip(before) {
        let after = release.get(site).await?["status"]["history"].clone();
        ensure!(before == after, "{} was upgraded again: {after}", release.2);
    }
    Ok("always Ready, no drift corrected, a day passed".into())
}

async fn upgrade(site: &Site) -> Result<String> {
    ask(site, "through-an-upgrade").await?;
    release(site, "0.1.1").await?;
    CHARTS.reconcile(site).await?;
    for resource in [CRDS_RELEASE, RELEASE] {
        resource
            .until(site, RECONCILED, |o| {
                let version = o["status"]["history"][0]["chartVersion"].as_str();
                holds(o, "Ready") && version.is_some_and(|v| v.starts_with("0.1.1"))
            })
            .await?;
    }
    approve(site, "through-an-upgrade").await?;
    Ok("a waiting request was approved afterwards".into())
}

/// Asks for a reconciliation, which fails early instead of waiting for its timeout of 5 minutes.
async fn fails(site: &Site) -> Result<()> {
    let marked = PLATFORM.ask_to_reconcile(site).await?;
    PLATFORM
        .until(site, TOLD_WITHIN, |o| {
            let ready = condition(o, "Ready");
            ready.is_some_and(|c| c["status"] == "False" && c["reason"] == "HealthCheckFailed")
                && o["status"]["lastHandledReconcileAt"] == marked
        })
        .await?;
    Ok(())
}

async fn is_ready_again(site: &Site) -> Result<()> {
    PLATFORM.ask_to_reconcile(site).await?;
    PLATFORM
        .until(site, RECONCILED, |o| holds(o, "Ready"))
        .await?;
    Ok(())
}

async fn until_stalled(site: &Site, reason: &str) -> Result<()> {
    let is_stalled = |o: &Value| condition(o, "Stalled").is_some_and(|c| c["reason"] == reason);
    let admin = &site.admin;
    admin
        .until(kinds::INTEGRATION, INTEGRATION, TOLD_WITHIN, is_stalled)
        .await?;
    Ok(())
}

async fn wrong_token(site: &Site) -> Result<String> {
    site.put_token("ops_wrong").await?;
    until_stalled(site, "TokenMalformed").await?;
    fails(site).await?;
    site.put_valid_token().await?;
    is_ready_again(site).await?;
    Ok("Ready=False at the next reconciliation, and Ready with the right token".into())
}

async fn token_dies(site: &Site) -> Result<String> {
    revoke_token(site).await?;
    until_stalled(site, "TokenRejected").await?;
    fails(site).await?;
    rotate_token(site).await?;
    is_ready_again(site).await?;
    Ok("Ready=False (TokenRejected), and Ready with the next token".into())
}

async fn throttled(site: &Site) -> Result<String> {
    throttle(site).await?;
    let seen = PLATFORM.reconcile(site).await?;
    ensure!(
        holds(&seen, "Ready"),
        "not Ready: {}",
        seen["status"]["conditions"]
    );
    end_throttling(site).await?;
    Ok("Ready while 1Password asks Keyloan to wait".into())
}

/// Without the policies the Kustomization waits, and fails at its timeout: 5 minutes in the example,
/// 30 seconds here.
async fn policy(site: &Site) -> Result<String> {
    let deleted = delete_policy(site).await?;
    until_unguarded(site).await?;
    // Flux waits at least 30 seconds.
    PLATFORM.set_timeout(site, "30s").await?;
    let fails = |o: &Value| {
        let ready = condition(o, "Ready");
        let of_now = &o["metadata"]["generation"];
        ready.is_some_and(|c| {
            c["status"] == "False"
                && c["reason"] == "HealthCheckFailed"
                && c["observedGeneration"] == *of_now
        })
    };
    PLATFORM.until(site, RECONCILED, fails).await?;
    // The drift detection of the HelmRelease finds that the policy is missing.
    CRDS_RELEASE.reconcile(site).await?;
    until_policy_is_back(site, &deleted).await?;
    until_guarded(site).await?;
    PLATFORM.set_timeout(site, "5m").await?;
    is_ready_again(site).await?;
    Ok("Ready=False at the timeout; the HelmRelease puts the policy back, and then Ready".into())
}

async fn misspelt(site: &Site) -> Result<String> {
    let file = "platform/base/flow.yaml";
    let git = &site.git;
    git.edit("platform", file, "vault: Infra\n", "vault: Infraa\n")?;
    git.commit("platform", "Misspell a vault").await?;
    RULES.reconcile(site).await?;
    let failed = |o: &Value| {
        condition(o, "Ready")
            .is_some_and(|c| c["status"] == "False" && c["reason"] == "HealthCheckFailed")
    };
    PLATFORM.until(site, TOLD_WITHIN, failed).await?;
    git.edit("platform", file, "vault: Infraa\n", "vault: Infra\n")?;
    git.commit("platform", "Correct it").await?;
    RULES.reconcile(site).await?;
    PLATFORM
        .until(site, RECONCILED, |o| holds(o, "Ready"))
        .await?;
    Ok("Ready=False, and Ready when corrected".into())
}

/// `crds/` as a Kustomization that prunes, and that is taken away.
async fn prune(site: &Site) -> Result<String> {
    let before = Kept::of(site).await?;
    let kustomization = json!({
        "apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization",
        "metadata": { "name": "crds", "namespace": FLUX },
        "spec": {
            "interval": "10m", "path": "./crds", "prune": true, "wait": true, "force": false,
            "sourceRef": { "kind": "GitRepository", "name": "keyloan" },
        },
    });
    site.admin.apply(&kustomization.to_string()).await?;
    let crds = Resource(kinds::KUSTOMIZATION, FLUX, "crds");
    crds.until(site, RECONCILED, |o| holds(o, "Ready")).await?;
    site.admin
        .delete(kinds::KUSTOMIZATION, FLUX, "crds", RECONCILED)
        .await?;
    before.ensure_as_before(site).await
}

async fn uninstall(site: &Site) -> Result<String> {
    let before = Kept::of(site).await?;
    for Resource(kind, namespace, name) in [REQUESTS, PLATFORM, RELEASE, CRDS_RELEASE] {
        site.admin.delete(kind, namespace, name, RECONCILED).await?;
    }
    ensure_uninstalled(site).await?;
    before.ensure_as_before(site).await
}

impl Resource {
    async fn get(self, site: &Site) -> Result<Value> {
        let Self(kind, namespace, name) = self;
        let found = site.admin.get(kind, namespace, name).await?;
        found.with_context(|| format!("{} {name} is gone", kind.2))
    }

    async fn until(
        self,
        site: &Site,
        within: Duration,
        is: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        let Self(kind, namespace, name) = self;
        site.admin.until(kind, (namespace, name), within, is).await
    }

    async fn set_timeout(self, site: &Site, timeout: &str) -> Result<()> {
        let Self(kind, namespace, name) = self;
        let change = json!({ "spec": { "timeout": timeout } });
        site.admin.patch(kind, namespace, name, change).await
    }

    async fn ask_to_reconcile(self, site: &Site) -> Result<String> {
        let Self(kind, namespace, name) = self;
        let mark = Timestamp::now().to_string();
        site.admin
            .annotate(kind, (namespace, name), REQUESTED, &mark)
            .await?;
        Ok(mark)
    }

    /// Has Flux reconcile it now, and waits for the end.
    async fn reconcile(self, site: &Site) -> Result<Value> {
        let mark = self.ask_to_reconcile(site).await?;
        let handled = |o: &Value| {
            let is_handled = o["status"]["lastHandledReconcileAt"] == mark.as_str();
            let ready = condition(o, "Ready");
            is_handled && ready.is_some_and(|c| c["status"] != "Unknown")
        };
        self.until(site, STEP, handled).await
    }
}
