//! One discovery: the vaults, the items of those that may be lent from, and the share policy, read
//! for one item.

use std::collections::BTreeMap;

use crate::api::TitleOrId;
use crate::controllers::answers::link_lifetime;
use crate::controllers::registry::item_seen;
use crate::onepassword::{
    CallError, ItemId, OnePassword, Problem, SharePolicy, Stage, Vault, VaultId,
};
use crate::plan::integration::{Discovery, Findings};
use crate::plan::inventory::{Inventory, Lookup, PolicySeen, VaultSeen};
use crate::plan::vaults::choose_vaults;
use crate::runtime::Clock;

/// Lists everything again. Names that were looked for without success are kept from the previous
/// inventory.
///
/// Requests: one for the vaults, one for each vault's items, one for the policy (and, on a new
/// client, the sign-in).
pub(super) async fn discover(
    account: &impl OnePassword,
    allowed: &[TitleOrId],
    known: Option<&Inventory>,
    clock: &Clock,
) -> Result<(Inventory, Discovery), CallError> {
    let at = clock.now();
    let listed = account.vaults().await.result?;
    let chosen = choose_vaults(listed, allowed, |vault| (&vault.id.0, &vault.title));
    let mut findings = Findings {
        missing: chosen.missing,
        ambiguous: chosen.ambiguous,
        ..Findings::default()
    };
    let mut vaults = Vec::new();
    for vault in chosen.vaults {
        match list(account, &vault, known, clock).await {
            Ok(seen) => vaults.push(seen),
            Err(error) if is_its_own(&error) => findings.unreadable.push(vault.title),
            Err(error) => return Err(error),
        }
    }
    let policy = policy(account, &vaults, &mut findings).await?;
    let discovery = Discovery {
        at,
        allowed: allowed.to_vec(),
        findings,
    };
    Ok((Inventory { vaults, policy }, discovery))
}

async fn list(
    account: &impl OnePassword,
    vault: &Vault,
    known: Option<&Inventory>,
    clock: &Clock,
) -> Result<VaultSeen, CallError> {
    let at = clock.now();
    let items = account.items(&vault.id).await.result?;
    let refuted = match known.map(|known| known.vault(&vault.id.0)) {
        Some(Lookup::One(known)) => known.refuted.clone(),
        _ => BTreeMap::new(),
    };
    let mut seen = VaultSeen {
        id: vault.id.0.clone(),
        title: vault.title.clone(),
        listed_at: at,
        items: vec![],
        refuted,
    };
    seen.relist(items.into_iter().map(item_seen).collect(), &[], at);
    Ok(seen)
}

/// The policy, read for one item. Permissions differ by vault, so if a vault forbids it, the next
/// one is tried.
async fn policy(
    account: &impl OnePassword,
    vaults: &[VaultSeen],
    findings: &mut Findings,
) -> Result<Option<PolicySeen>, CallError> {
    for vault in vaults {
        let Some(item) = vault.items.iter().find(|item| item.active) else {
            continue;
        };
        let (vault, item) = (VaultId(vault.id.clone()), ItemId(item.id.clone()));
        match account.share_policy(&vault, &item).await.result {
            Ok(policy) => {
                findings.sharing_forbidden = false;
                return Ok(Some(policy_seen(&policy)));
            }
            Err(error) if is_its_own(&error) => findings.sharing_forbidden = true,
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// Whether a failure concerns only that vault or item.
fn is_its_own(error: &CallError) -> bool {
    error.stage() == Stage::Call
        && matches!(
            error.problem(),
            Problem::Forbidden | Problem::NotFound | Problem::NotActive
        )
}

fn policy_seen(policy: &SharePolicy) -> PolicySeen {
    PolicySeen {
        max_lifetime: link_lifetime(policy.max_lifetime),
        named_people: policy.allows_named_people(),
        domains: policy.domain_recipients,
        view_once: policy.max_views == Some(1),
    }
}
