//! The cases with Argo CD: an Application for both charts, one for the configuration, one for a
//! team's requests.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use keyloan_cluster::GitopsTool;
use serde_json::{Value, json};

use crate::application::{App, SYNC, health};
use crate::audit;
use crate::common::{
    A_DAY, INTEGRATION, Kept, REQUEST, STEP, TIDIED_AFTER, TIMES, TOLD_WITHIN, approve, ask, loans,
    loans_from_git, release, revoke_token, rotate_token, running_loans,
};
use crate::controllers::{ARGOCD, ARGOCD_CONTROLLER, Controllers};
use crate::objects::{condition, holds, kinds};
use crate::report::{Report, say};
use crate::site::{Site, TEAM, root};
use crate::way::Setting;

const KEYLOAN: &str = "keyloan";
const PLATFORM: &str = "keyloan-platform";
const REQUESTS: &str = "team-a-requests";

/// A second request from Git, void soon after it was made.
const SHORT: (&str, &str) = (TEAM, "db-password-today");
/// The time in which it has to start. Keyloan starts no loan in the last minute.
const STARTS_WITHIN: Duration = Duration::from_secs(120);

/// Runs all cases.
pub async fn run(setting: Setting, report: &mut Report, keep: bool) -> Result<()> {
    let tool = setting.name();
    let tool = tool.as_str();
    say(&format!("{tool}: starting"));
    let version = GitopsTool::ArgoCd.version();
    if !report.tools.contains(&version) {
        report.tools.push(version);
    }
    let site = Site::prepare(&GitopsTool::ArgoCd.crds().await?, keep).await?;
    let controllers = Controllers::argocd(&site, setting.tracking).await?;
    if report.case(tool, "install", install(&site, setting)).await {
        // Before the clock moves: the API server stamps new requests with the true time.
        report.case(tool, "request from Git", request(&site)).await;
        report.case(tool, "request again", again(&site)).await;
        report.case(tool, "upgrade", upgrade(&site)).await;
        report.case(tool, "20 refreshes", refreshes(&site)).await;
        report.case(tool, "wrong token", wrong_token(&site)).await;
        report.case(tool, "token dies", token_dies(&site)).await;
        report.case(tool, "misspelt vault", misspelt(&site)).await;
        report.case(tool, "suspended", suspended(&site)).await;
        report.case(tool, "tidied request", tidied(&site)).await;
        report.case(tool, "prune", prune(&site)).await;
        report.case(tool, "uninstall", uninstall(&site)).await;
    }
    drop(controllers);
    site.strike().await;
    Ok(())
}

async fn install(site: &Site, setting: Setting) -> Result<String> {
    let projects = site.example("argocd/appproject.yaml")?;
    // In a cluster, the tool that makes this Secret owns it, so that it belongs to an Application.
    let listed = "    ignore:\n";
    ensure!(projects.contains(listed), "the example ignores nothing");
    let with_token = format!("{listed}    - kind: Secret\n      name: op-token\n");
    site.admin
        .apply(&projects.replace(listed, &with_token))
        .await?;
    site.put_valid_token().await?;
    // Both at once: the second one is tried again until the kinds of the first are there.
    for file in ["argocd/keyloan.yaml", "argocd/platform.yaml"] {
        let text = setting.of_example(&site.example(file)?)?;
        site.admin.apply(&text).await?;
    }
    let mut count = 0;
    for name in [KEYLOAN, PLATFORM] {
        let app = App { site, name }.until_well().await?;
        count += objects_of(&app);
    }
    Ok(format!(
        "both Applications Synced and Healthy, {count} objects"
    ))
}

async fn request(site: &Site) -> Result<String> {
    let rights = std::fs::read_to_string(root().join("examples/gitops/team-a/rights.yaml"))?;
    site.admin.apply(&rights).await?;
    commit_short_request(site).await?;
    site.admin
        .apply(&site.example("argocd/requests.yaml")?)
        .await?;
    let app = App {
        site,
        name: REQUESTS,
    };
    app.until_well().await?;
    let uid = active_uid(site, REQUEST).await?;
    active_uid(site, SHORT).await?;
    for _ in 0..5 {
        app.refresh().await?;
    }
    for force in [false, true] {
        app.sync(force, false).await?;
    }
    let well = app.until_well().await?;
    let count = objects_of(&well);
    ensure!(
        count == 2,
        "the Application has {count} objects instead of 2"
    );
    ensure!(
        active_uid(site, REQUEST).await? == uid,
        "the request was made again"
    );
    let loans = loans_from_git(site).await?;
    ensure!(loans == 1, "the request became {loans} loans");
    Ok("Healthy when active, made as the team's ServiceAccount; one loan, also after `sync` and `sync --force`".into())
}

/// What makes the request again before its `notAfter` makes another loan: it is taken out of Git and
/// put back, or replaced by force.
async fn again(site: &Site) -> Result<String> {
    let app = App {
        site,
        name: REQUESTS,
    };
    let first = active_uid(site, REQUEST).await?;
    let file = site.git.copy("team-a").join("requests/db-password.yaml");
    let text = std::fs::read(&file)?;
    std::fs::remove_file(&file)?;
    let commit = site.git.commit("team-a", "Remove the request").await?;
    app.refresh().await?;
    app.until_applied(&commit).await?;
    app.until_well().await?;
    let is_there = site.admin.get(kinds::GRANT, REQUEST.0, REQUEST.1).await?;
    ensure!(is_there.is_none(), "the request was not pruned");
    keyloan_cluster::wait_until("its loan has ended", STEP, async || {
        let running = running_loans(site, REQUEST.1).await.ok()?;
        (running == 0).then_some(())
    })
    .await?;
    std::fs::write(&file, text)?;
    let commit = site.git.commit("team-a", "Put it back").await?;
    app.refresh().await?;
    app.until_applied(&commit).await?;
    app.until_well().await?;
    let second = active_uid(site, REQUEST).await?;
    ensure!(first != second, "the request was not made again");
    let put_back = loans_from_git(site).await?;
    ensure!(put_back == 2, "{put_back} loans");
    app.sync(true, true).await?;
    app.until_well().await?;
    let third = active_uid(site, REQUEST).await?;
    ensure!(second != third, "the request was not replaced");
    let replaced = loans_from_git(site).await?;
    ensure!(replaced == 3, "{replaced} loans");
    Ok("pruned: its loan ends; put back, or replaced by force, before its notAfter: another loan each time".into())
}

/// Adds the request whose `notAfter` is near.
async fn commit_short_request(site: &Site) -> Result<()> {
    let folder = site.git.copy("team-a").join("requests");
    let mut request: Value =
        serde_saphyr::from_str(&std::fs::read_to_string(folder.join("db-password.yaml"))?)?;
    request["metadata"]["name"] = json!(SHORT.1);
    let not_after = Timestamp::now() + STARTS_WITHIN;
    request["spec"]["notAfter"] = json!(format!("{not_after:.0}"));
    let file = format!("{}.yaml", SHORT.1);
    std::fs::write(folder.join(file), request.to_string())?;
    site.git.commit("team-a", "A request for today").await?;
    Ok(())
}

/// The uid of an active request, which the team's ServiceAccount has made.
async fn active_uid(site: &Site, (namespace, name): (&str, &str)) -> Result<String> {
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
    Ok(grant["metadata"]["uid"].to_string())
}

/// A request that waits survives the upgrade, which reaches the policies before the operator.
async fn upgrade(site: &Site) -> Result<String> {
    ask(site, "through-an-upgrade").await?;
    let app = App {
        site,
        name: KEYLOAN,
    };
    let since = audit::now(site)?;
    let commit = release(site, "0.1.1").await?;
    app.refresh().await?;
    app.until_applied(&commit).await?;
    app.until_well().await?;
    let user = format!("system:serviceaccount:{ARGOCD}:{ARGOCD_CONTROLLER}");
    let guarding = [
        "validatingadmissionpolicies",
        "mutatingadmissionpolicies",
        "customresourcedefinitions",
    ];
    let guards = audit::writes(site, &user, &guarding, since)?;
    let operator = audit::writes(site, &user, &["deployments"], since)?;
    let (last, first) = (guards.last(), operator.first());
    let (last, first) = last.zip(first).context("nothing was written")?;
    ensure!(
        last < first,
        "the operator was written at {first}, policies until {last}"
    );
    approve(site, "through-an-upgrade").await?;
    Ok("policies before the operator; a waiting request was approved afterwards".into())
}

/// Argo CD compares everything again and again, and never has to correct anything.
async fn refreshes(site: &Site) -> Result<String> {
    let apps = [KEYLOAN, PLATFORM, REQUESTS].map(|name| App { site, name });
    let mut before = Vec::new();
    for app in apps {
        before.push(app.last_sync().await?);
    }
    for time in 0..TIMES {
        if time == TIMES / 2 {
            site.advance(A_DAY).await?;
        }
        for app in apps {
            let seen = app.refresh().await?;
            let sync = &seen["status"]["sync"]["status"];
            ensure!(
                *sync == "Synced",
                "{} is {sync} at refresh {time}: {}",
                app.name,
                out_of_sync(&seen)
            );
        }
    }
    for (app, before) in apps.into_iter().zip(before) {
        app.until_well().await?;
        let after = app.last_sync().await?;
        ensure!(
            before == after,
            "{} was synchronized again at {after:?}",
            app.name
        );
    }
    Ok("always Synced, nothing corrected, a day passed".into())
}

/// The objects of an Application that differ from Git.
fn out_of_sync(app: &Value) -> String {
    let resources = app["status"]["resources"].as_array();
    let differ = resources.into_iter().flatten();
    let differ = differ.filter(|resource| resource["status"] == "OutOfSync");
    let names = differ.map(|r| format!("{} {}", r["kind"], r["name"]));
    names.collect::<Vec<_>>().join(", ")
}

/// Waits until the platform's Application is Degraded; returns the time that it took.
async fn until_degraded(site: &Site) -> Result<()> {
    let app = App {
        site,
        name: PLATFORM,
    };
    app.until(TOLD_WITHIN, |app| health(app) == "Degraded")
        .await?;
    Ok(())
}

async fn platform_is_well(site: &Site) -> Result<()> {
    let app = App {
        site,
        name: PLATFORM,
    };
    app.until_well().await?;
    Ok(())
}

async fn stalled_reason(site: &Site) -> Result<String> {
    let (namespace, name) = INTEGRATION;
    let integration = site.admin.get(kinds::INTEGRATION, namespace, name).await?;
    let integration = integration.context("the integration is gone")?;
    let stalled = condition(&integration, "Stalled");
    let reason = stalled.and_then(|stalled| stalled["reason"].as_str());
    Ok(reason.unwrap_or("not stalled").to_owned())
}

async fn wrong_token(site: &Site) -> Result<String> {
    site.put_token("ops_wrong").await?;
    until_degraded(site).await?;
    let reason = stalled_reason(site).await?;
    ensure!(reason == "TokenMalformed", "the reason is {reason}");
    site.put_valid_token().await?;
    platform_is_well(site).await?;
    Ok("Degraded without a refresh, and Healthy with the right token".into())
}

async fn token_dies(site: &Site) -> Result<String> {
    revoke_token(site).await?;
    until_degraded(site).await?;
    let reason = stalled_reason(site).await?;
    ensure!(reason == "TokenRejected", "the reason is {reason}");
    rotate_token(site).await?;
    platform_is_well(site).await?;
    Ok("Degraded (TokenRejected) without a refresh, and Healthy with the next token".into())
}

/// Changes the platform's repository and has Argo CD read it.
async fn change(site: &Site, file: &str, old: &str, new: &str) -> Result<()> {
    site.git.edit("platform", file, old, new)?;
    let commit = site.git.commit("platform", "Change the platform").await?;
    let app = App {
        site,
        name: PLATFORM,
    };
    app.refresh().await?;
    app.until_applied(&commit).await?;
    Ok(())
}

async fn misspelt(site: &Site) -> Result<String> {
    let file = "platform/base/flow.yaml";
    change(site, file, "vault: Infra\n", "vault: Infraa\n").await?;
    until_degraded(site).await?;
    change(site, file, "vault: Infraa\n", "vault: Infra\n").await?;
    platform_is_well(site).await?;
    Ok("Degraded, and Healthy when corrected".into())
}

async fn suspended(site: &Site) -> Result<String> {
    let file = "platform/base/integration.yaml";
    let (lends, rests) = ("  plan: Business\n", "  plan: Business\n  suspend: true\n");
    change(site, file, lends, rests).await?;
    let app = App {
        site,
        name: PLATFORM,
    };
    app.until(STEP, |app| health(app) == "Suspended").await?;
    change(site, file, rests, lends).await?;
    platform_is_well(site).await?;
    Ok("Suspended, and Healthy when it lends again".into())
}

/// Keyloan deletes old requests, and Argo CD makes them again.
async fn tidied(site: &Site) -> Result<String> {
    let uid_now = async || {
        let grant = site.admin.get(kinds::GRANT, SHORT.0, SHORT.1).await.ok()?;
        Some(grant?["metadata"]["uid"].to_string())
    };
    let before = uid_now().await.context("the request is not there")?;
    let loans_before = loans(site, SHORT.1).await?;
    // The API server stamps what it creates with the true time.
    let grant = site.admin.get(kinds::GRANT, SHORT.0, SHORT.1).await?;
    let grant = grant.context("the request is not there")?;
    let not_after: Timestamp = grant["spec"]["notAfter"]
        .as_str()
        .unwrap_or_default()
        .parse()?;
    let is_void = async || (Timestamp::now() > not_after).then_some(());
    keyloan_cluster::wait_until("notAfter has passed", STARTS_WITHIN, is_void).await?;
    site.advance(TIDIED_AFTER).await?;
    let made_again = async || uid_now().await.filter(|uid| *uid != before);
    keyloan_cluster::wait_until("the request is made again", SYNC, made_again).await?;
    let app = App {
        site,
        name: REQUESTS,
    };
    let is_lapsed = |grant: &Value| grant["status"]["phase"] == "Lapsed";
    let admin = &site.admin;
    admin.until(kinds::GRANT, SHORT, STEP, is_lapsed).await?;
    app.until_well().await?;
    let loans = loans(site, SHORT.1).await?;
    ensure!(
        loans == loans_before,
        "the request became {loans} loans after {loans_before}"
    );
    Ok("made again after its notAfter: Lapsed and Healthy; no further loan".into())
}

/// Kinds and policies leave Git while pruning is on.
async fn prune(site: &Site) -> Result<String> {
    let before = Kept::of(site).await?;
    let app = App {
        site,
        name: KEYLOAN,
    };
    let copy = site.git.copy("keyloan");
    let mut removed = Vec::new();
    for name in ["accessrecords.yaml", "policy-records.yaml"] {
        let path = copy.join("charts/keyloan-crds/templates").join(name);
        removed.push((path.clone(), std::fs::read(&path)?));
        std::fs::remove_file(path)?;
    }
    let message = "Remove a kind and its policies";
    let commit = site.git.commit("keyloan", message).await?;
    app.refresh().await?;
    app.until_applied(&commit).await?;
    let after = Kept::of(site).await?;
    ensure!(before == after, "before: {before}, after: {after}");
    for (path, content) in removed {
        std::fs::write(path, content)?;
    }
    site.git.commit("keyloan", "Put them back").await?;
    app.refresh().await?;
    app.until_well().await?;
    Ok(after.to_string())
}

async fn uninstall(site: &Site) -> Result<String> {
    let before = Kept::of(site).await?;
    for name in [REQUESTS, PLATFORM, KEYLOAN] {
        App { site, name }.delete_with_objects().await?;
    }
    let integrations = site.admin.list(kinds::INTEGRATION, "").await?.len();
    ensure!(integrations == 0, "{integrations} integrations remain");
    let deployments = site.admin.list(kinds::DEPLOYMENT, "").await?.len();
    ensure!(deployments == 0, "the operator remains");
    let after = Kept::of(site).await?;
    ensure!(before == after, "before: {before}, after: {after}");
    Ok(after.to_string())
}

/// The number of objects of an Application.
fn objects_of(app: &Value) -> usize {
    app["status"]["resources"].as_array().map_or(0, Vec::len)
}
