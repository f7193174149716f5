//! What goes wrong beside the tool: 1Password asks Keyloan to wait, and somebody changes the policies
//! by hand.

use std::time::Duration;

use anyhow::{Context, Result};
use keyloan_simulator::{Fault, FaultKind};
use serde_json::{Value, json};

use crate::common::{A_DAY, INTEGRATION, STEP};
use crate::objects::{condition, holds, kinds};
use crate::site::Site;

/// The policy that compares who asks with who signed in, and its binding.
const GUARD: &str = "keyloan-grant-identity";
/// For how long 1Password asks Keyloan to wait.
const RETRY_AFTER: Duration = Duration::from_secs(3600);

/// 1Password answers each request with 429: the operator notices it when it next lists the vaults.
pub async fn throttle(site: &Site) -> Result<()> {
    let fault = Fault {
        route: "*".into(),
        kind: FaultKind::rate_limited(Some(RETRY_AFTER.as_secs())),
        times: u32::MAX,
    };
    site.control.fault(fault).await?;
    site.advance(A_DAY).await?;
    until_integration(site, |o| holds(o, "Throttled") && holds(o, "Ready")).await
}

/// 1Password answers again, and the operator asks again once the time is over.
pub async fn end_throttling(site: &Site) -> Result<()> {
    site.control.clear_faults().await?;
    site.advance(RETRY_AFTER * 2).await?;
    until_integration(site, |o| !holds(o, "Throttled") && holds(o, "Ready")).await
}

/// Deletes the policy; returns its uid.
pub async fn delete_policy(site: &Site) -> Result<String> {
    let uid = policy(site).await?;
    let uid = uid.context("the policy is gone already")?;
    site.admin.remove(kinds::POLICY, "", GUARD).await?;
    Ok(uid)
}

/// Waits until the policy is there again, as another object.
pub async fn until_policy_is_back(site: &Site, deleted: &str) -> Result<()> {
    let is_another = |policy: &Value| policy["metadata"]["uid"] != deleted;
    let admin = &site.admin;
    admin
        .until(kinds::POLICY, ("", GUARD), STEP, is_another)
        .await?;
    Ok(())
}

/// The uid of the policy, if it is there.
async fn policy(site: &Site) -> Result<Option<String>> {
    let found = site.admin.get(kinds::POLICY, "", GUARD).await?;
    Ok(found.and_then(|found| found["metadata"]["uid"].as_str().map(str::to_owned)))
}

/// Has the policy only audit.
pub async fn loosen_binding(site: &Site) -> Result<()> {
    let audit = json!({ "spec": { "validationActions": ["Audit"] } });
    site.admin.patch(kinds::BINDING, "", GUARD, audit).await
}

/// Waits until the policy refuses again. It may still audit, too: by server-side apply, a tool adds its
/// action to those that somebody else has set.
pub async fn until_binding_denies(site: &Site) -> Result<()> {
    let denies = |binding: &Value| {
        let actions = binding["spec"]["validationActions"].as_array();
        actions.is_some_and(|actions| actions.contains(&json!("Deny")))
    };
    let admin = &site.admin;
    admin
        .until(kinds::BINDING, ("", GUARD), STEP, denies)
        .await?;
    Ok(())
}

/// Waits until the integration says that the policies are not in force, which is no reason to fail
/// early.
pub async fn until_unguarded(site: &Site) -> Result<()> {
    let is_unguarded = |o: &Value| {
        let ready = condition(o, "Ready");
        let says = ready.is_some_and(|c| c["status"] == "False" && c["reason"] == UNGUARDED);
        says && !holds(o, "Stalled")
    };
    until_integration(site, is_unguarded).await
}

/// The reason of such an integration.
const UNGUARDED: &str = "BoundaryNotInForce";

/// Waits until the integration lends again.
pub async fn until_guarded(site: &Site) -> Result<()> {
    until_integration(site, |o| holds(o, "Ready")).await
}

async fn until_integration(site: &Site, is: impl Fn(&Value) -> bool) -> Result<()> {
    let admin = &site.admin;
    admin
        .until(kinds::INTEGRATION, INTEGRATION, STEP, is)
        .await?;
    Ok(())
}
