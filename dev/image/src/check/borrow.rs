//! Alice borrows an item, opens the link and gives the item back.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use keyloan::api::{AccessGrant, URL_KEY, link_name};
use keyloan_cluster::{LINKS_NAMESPACE, apply_yaml, wait_until};
use kube::api::{DeleteParams, PostParams};
use kube::{Api, ResourceExt as _};
use serde_json::json;

use super::site::{PLATFORM, Site, TEAM};

/// The item, as in the simulator's example.
const VAULT: &str = "Infra";
const ITEM: &str = "db password";
/// Her address, to which the link is bound.
const ALICE: &str = "alice@example.com";
/// The time limit for a step.
const WITHIN: Duration = Duration::from_secs(120);

/// Lends one item, as the loan with this number.
pub async fn lend(site: &Site, number: usize) -> Result<()> {
    allow(site).await?;
    let grants = Api::<AccessGrant>::namespaced(site.alice.clone(), TEAM);
    let grant: AccessGrant = serde_json::from_value(json!({
        "apiVersion": "keyloan.dev/v1alpha1", "kind": "AccessGrant",
        "metadata": { "name": format!("loan-{number}") },
        "spec": {
            "integration": { "name": "prod", "namespace": PLATFORM },
            "item": { "vault": VAULT, "item": ITEM },
            "justification": "the check of an image",
        },
    }))?;
    let grant = grants.create(&PostParams::default(), &grant).await?;
    let secrets = Api::<Secret>::namespaced(site.alice.clone(), LINKS_NAMESPACE);
    let name = link_name(&grant.uid().context("a grant without a uid")?);
    // Alice may not read the Secret before the operator allows it.
    let link = async || secrets.get_opt(&name).await.ok().flatten();
    let link = match wait_until("alice has her link", WITHIN, link).await {
        Ok(link) => link,
        Err(late) => {
            let status = grants.get(&grant.name_any()).await?.status;
            let status = serde_json::to_string(&status)?;
            return Err(late).context(format!("the status of her request: {status}"));
        }
    };
    let url = link.data.and_then(|mut data| data.remove(URL_KEY));
    let url = String::from_utf8(url.context("a link without its URL")?.0)?;
    let opened = site.control.open(&url, ALICE).await;
    let opened = opened.context("alice cannot open her link")?;
    ensure!(opened.title == ITEM, "alice was lent `{}`", opened.title);
    grants
        .delete(&grant.name_any(), &DeleteParams::default())
        .await?;
    let gone = async || matches!(secrets.get_opt(&name).await, Ok(None) | Err(_)).then_some(());
    wait_until("the link is gone", WITHIN, gone).await?;
    Ok(())
}

/// The platform team's rules: an integration, and a flow that lends without approval.
async fn allow(site: &Site) -> Result<()> {
    let token = site.token().await?;
    let rules = json!([
        {
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {
                "name": "op-token", "namespace": PLATFORM,
                "labels": { "keyloan.dev/secret": "token", "keyloan.dev/integration": "prod" },
            },
            "stringData": { "token": token },
        },
        {
            "apiVersion": "keyloan.dev/v1alpha1", "kind": "OnePasswordIntegration",
            "metadata": { "name": "prod", "namespace": PLATFORM },
            "spec": {
                "auth": { "serviceAccountToken": { "secretRef": { "name": "op-token" } } },
                "plan": "Business",
            },
        },
        {
            "apiVersion": "keyloan.dev/v1alpha1", "kind": "AccessFlow",
            "metadata": { "name": "oncall", "namespace": PLATFORM },
            "spec": {
                "integration": "prod",
                "namespaces": { "from": "All" },
                "requesters": [{ "kind": "Group", "name": "engineering" }],
                "items": { "include": [{ "vault": VAULT }] },
                "grant": { "maxDuration": "2h" },
                "approval": { "mode": "None" },
            },
        },
    ]);
    // JSON is YAML, too.
    for rule in rules.as_array().into_iter().flatten() {
        apply_yaml(&site.admin, &rule.to_string()).await?;
    }
    Ok(())
}
