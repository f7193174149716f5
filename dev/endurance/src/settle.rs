//! The end of a run: all loans are revoked, and nothing may remain of them but their records.

use std::time::Duration;

use anyhow::{Context, Result};
use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::Secret;
use keyloan::api::{AccessGrant, AccessRecord, GRANT_UID_LABEL, Phase};
use keyloan_cluster::{LINKS_NAMESPACE, wait_until};
use keyloan_ledger::{AuditLog, Given, Record, read_list, read_secrets};
use kube::api::ListParams;
use kube::{Api, Client};

use crate::ground::{Ground, TEAM};
use crate::people::{decide, phase};

/// The time limit until all loans have ended.
const SETTLED_WITHIN: Duration = Duration::from_secs(600);
/// How many decisions are made at a time.
const AT_A_TIME: usize = 4;
/// How often to look whether all is settled.
const LOOKS_EVERY: Duration = Duration::from_secs(2);

/// Revokes all loans and requests.
pub async fn end_all(admin: &Client) -> Result<()> {
    let grants: Api<AccessGrant> = Api::namespaced(admin.clone(), TEAM);
    let goes_on = |grant: &AccessGrant| {
        matches!(
            phase(grant),
            Phase::Pending | Phase::Issuing | Phase::Active
        )
    };
    let all = grants.list(&ListParams::default()).await?;
    let running = all.items.into_iter().filter(goes_on);
    let revocations = running.map(|grant| async move { decide(admin, &grant, "Revoke").await });
    futures::stream::iter(revocations)
        .buffer_unordered(AT_A_TIME)
        .try_collect::<Vec<()>>()
        .await
        .context("cannot revoke a loan")?;
    Ok(())
}

/// Waits until each loan has ended and no link has a Secret; the error says what remains.
pub async fn until_settled(admin: &Client) -> Result<()> {
    let records: Api<AccessRecord> = Api::all(admin.clone());
    let mut remaining = String::new();
    let settled = async || {
        let all = records.list(&ListParams::default()).await.ok()?;
        let open = all
            .iter()
            .filter(|record| record.spec.end.is_none())
            .count();
        let secrets = link_secrets(admin).await.ok()?.items.len();
        remaining = format!("{open} loans have not ended, {secrets} links have a Secret");
        match (open, secrets) {
            (0, 0) => Some(()),
            _ => {
                tokio::time::sleep(LOOKS_EVERY).await;
                None
            }
        }
    };
    let waited = wait_until("all loans have ended", SETTLED_WITHIN, settled).await;
    waited.with_context(|| remaining)
}

/// The records as they are.
pub async fn records(admin: &Client) -> Result<Vec<Record>> {
    Ok(read_list(&list(admin, "accessrecords").await?)?.0)
}

/// All that the checker of ledgers reads; it is also written into the ground's folder.
pub async fn ledger(ground: &Ground, before: Vec<Record>) -> Result<Given> {
    let admin = &ground.admin;
    let records = list(admin, "accessrecords").await?;
    let grants = list(admin, "accessgrants").await?;
    let secrets = serde_json::to_string(&link_secrets(admin).await?.items)?;
    let shares = serde_json::to_string(&ground.control.shares().await?)?;
    for (name, text) in [
        ("records", &records),
        ("grants", &grants),
        ("secrets", &secrets),
        ("shares", &shares),
    ] {
        std::fs::write(ground.folder().join(format!("{name}.json")), text)?;
    }
    let audit = std::fs::File::open(ground.audit_log()).context("no audit log")?;
    Ok(Given {
        records: read_list(&records)?.0,
        grants: Some(read_list(&grants)?.1),
        secrets: Some(read_secrets(&secrets)?),
        shares: Some(serde_json::from_str(&shares)?),
        before: Some(before),
        audit: Some(AuditLog::read(std::io::BufReader::new(audit))?),
    })
}

async fn link_secrets(
    admin: &Client,
) -> Result<kube::api::ObjectList<kube::core::PartialObjectMeta<Secret>>> {
    let secrets: Api<Secret> = Api::namespaced(admin.clone(), LINKS_NAMESPACE);
    let of_loans = ListParams::default().labels(GRANT_UID_LABEL);
    Ok(secrets.list_metadata(&of_loans).await?)
}

/// The API server's answer, in its own words.
async fn list(admin: &Client, plural: &str) -> Result<String> {
    let path = format!("/apis/keyloan.dev/v1alpha1/{plural}");
    let request = http::Request::get(path).body(Vec::new())?;
    Ok(admin.request_text(request).await?)
}
