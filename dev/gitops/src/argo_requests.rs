//! The cases with Argo CD that are about requests from Git: a team's Application makes them.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use keyloan_cluster::wait_until;
use serde_json::{Value, json};

use crate::application::{App, SYNC, objects_of};
use crate::common::{
    REQUEST, STEP, TIDIED_AFTER, active_uid, give_the_team_its_rights, loans, loans_from_git,
    running_loans,
};
use crate::objects::{holds, kinds};
use crate::site::{Site, TEAM};
use crate::way::{Apply, Setting};

/// The Application of the team's requests.
pub const REQUESTS: &str = "team-a-requests";

/// A second request from Git, void soon after it was made.
const SHORT: (&str, &str) = (TEAM, "db-password-today");
/// The time in which it has to start. Keyloan starts no loan in the last minute.
const STARTS_WITHIN: Duration = Duration::from_secs(120);

/// The examples of a request, and one that is void soon, become one loan each.
pub async fn request(site: &Site, setting: Setting) -> Result<String> {
    give_the_team_its_rights(site).await?;
    commit_short_request(site).await?;
    let requests = setting.of_example(&site.example("argocd/requests.yaml")?)?;
    site.admin.apply(&requests).await?;
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
    app.sync(false, false).await?;
    let synced = match setting.apply {
        Apply::ClientSide => {
            app.sync(true, false).await?;
            "`sync` and `sync --force`"
        }
        // kubectl refuses --force with --server-side, and so does Argo CD.
        Apply::ServerSide | Apply::ServerSideDiff => "`sync`",
    };
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
    Ok(format!(
        "Healthy when active, made as the team's ServiceAccount; one loan, also after {synced}"
    ))
}

/// A request that is made again before its `notAfter` becomes another loan: it is taken out of Git and
/// put back, or replaced by force.
pub async fn again(site: &Site) -> Result<String> {
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
    wait_until("its loan has ended", STEP, async || {
        let running = running_loans(site, REQUEST.1).await.ok()?;
        (running == 0).then_some(())
    })
    .await?;
    std::fs::write(&file, text)?;
    let commit = site.git.commit("team-a", "Put it back").await?;
    app.refresh().await?;
    app.until_applied(&commit).await?;
    let second = active_again(site, REQUEST, &first).await?;
    let put_back = loans_from_git(site).await?;
    ensure!(put_back == 2, "{put_back} loans");
    app.sync(true, true).await?;
    active_again(site, REQUEST, &second).await?;
    let replaced = loans_from_git(site).await?;
    ensure!(replaced == 3, "{replaced} loans");
    app.until_well().await?;
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

/// Waits until a request with another uid is active; returns that uid.
async fn active_again(site: &Site, request: (&str, &str), before: &str) -> Result<String> {
    let is_another = |grant: &Value| grant["metadata"]["uid"] != *before && holds(grant, "Active");
    let admin = &site.admin;
    admin.until(kinds::GRANT, request, STEP, is_another).await?;
    active_uid(site, request).await
}

/// Keyloan deletes old requests, and Argo CD makes them again.
pub async fn tidied(site: &Site) -> Result<String> {
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
    wait_until("notAfter has passed", STARTS_WITHIN, is_void).await?;
    site.advance(TIDIED_AFTER).await?;
    let made_again = async || uid_now().await.filter(|uid| *uid != before);
    wait_until("the request is made again", SYNC, made_again).await?;
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
