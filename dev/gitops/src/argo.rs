//! The cases with Argo CD: an Application for both charts, one for the configuration, one for a
//! team's requests.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use keyloan_cluster::GitopsTool;
use serde_json::Value;

use crate::application::{App, health, objects_of};
use crate::argo_requests::{REQUESTS, again, request, tidied};
use crate::audit;
use crate::common::{
    A_DAY, INTEGRATION, Kept, STEP, TIMES, TOLD_WITHIN, approve, ask, ensure_uninstalled, release,
    revoke_token, rotate_token,
};
use crate::controllers::{ARGOCD, ARGOCD_CONTROLLER, Controllers};
use crate::mishaps::{
    delete_policy, end_throttling, loosen_binding, throttle, until_binding_denies, until_guarded,
    until_policy_is_back, until_unguarded,
};
use crate::objects::{condition, kinds};
use crate::report::{Report, say};
use crate::site::Site;
use crate::way::Setting;

const KEYLOAN: &str = "keyloan";
const PLATFORM: &str = "keyloan-platform";

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
        report
            .case(tool, "request from Git", request(&site, setting))
            .await;
        report.case(tool, "request again", again(&site)).await;
        report.case(tool, "upgrade", upgrade(&site)).await;
        report.case(tool, "20 refreshes", refreshes(&site)).await;
        report.case(tool, "wrong token", wrong_token(&site)).await;
        report.case(tool, "token dies", token_dies(&site)).await;
        report.case(tool, "throttled", throttled(&site)).await;
        report.case(tool, "policy deleted", healed(&site)).await;
        report.case(tool, "policy loosened", loosened(&site)).await;
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

/// Waits until the platform's Application is Degraded.
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

async fn throttled(site: &Site) -> Result<String> {
    throttle(site).await?;
    let app = App {
        site,
        name: PLATFORM,
    };
    let seen = app.refresh().await?;
    ensure!(health(&seen) == "Healthy", "{} now", health(&seen));
    end_throttling(site).await?;
    platform_is_well(site).await?;
    Ok("Healthy while 1Password asks Keyloan to wait".into())
}

/// Argo CD makes a deleted policy again by itself.
async fn healed(site: &Site) -> Result<String> {
    let app = App {
        site,
        name: KEYLOAN,
    };
    let began = Instant::now();
    let deleted = delete_policy(site).await?;
    until_policy_is_back(site, &deleted).await?;
    let back = began.elapsed().as_secs_f64();
    until_guarded(site).await?;
    app.until_well().await?;
    platform_is_well(site).await?;
    Ok(format!("made again after {back:.1} s, without a refresh"))
}

/// Without self-heal, a binding that somebody changed stays so until it is synchronized again.
async fn loosened(site: &Site) -> Result<String> {
    let app = App {
        site,
        name: KEYLOAN,
    };
    app.set_self_heal(false).await?;
    app.refresh().await?;
    loosen_binding(site).await?;
    until_unguarded(site).await?;
    until_degraded(site).await?;
    app.sync(false, false).await?;
    until_binding_denies(site).await?;
    app.set_self_heal(true).await?;
    until_guarded(site).await?;
    app.until_well().await?;
    platform_is_well(site).await?;
    Ok("without self-heal: Degraded; synchronized again: Healthy".into())
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
    let kept = before.ensure_as_before(site).await?;
    for (path, content) in removed {
        std::fs::write(path, content)?;
    }
    site.git.commit("keyloan", "Put them back").await?;
    app.refresh().await?;
    app.until_well().await?;
    Ok(kept)
}

async fn uninstall(site: &Site) -> Result<String> {
    let before = Kept::of(site).await?;
    for name in [REQUESTS, PLATFORM, KEYLOAN] {
        App { site, name }.delete_with_objects().await?;
    }
    ensure_uninstalled(site).await?;
    before.ensure_as_before(site).await
}
