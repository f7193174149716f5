//! The status of an integration: its conditions, and the facts about the account.

use jiff::{SignedDuration, Timestamp};

use crate::api::{
    self, Condition, OnePasswordIntegrationStatus, SharePolicyStatus, Span, Time, VaultStatus,
};
use crate::plan::conditions::Conditions;
use crate::plan::inventory::{Inventory, PolicySeen};
use crate::plan::reasons::IntegrationReason;
use crate::plan::stall;

use super::credentials::credentials;
use super::seen::{Findings, Observed, TokenSeen};
use super::verdict::{Verdict, no, reason_of, sentence, unknown, with_next_try, yes};

/// The number of vaults that a status shows.
const MOST_VAULTS: usize = 100;
/// The tolerated difference between the clocks.
pub const SKEW_TOLERANCE: SignedDuration = SignedDuration::from_secs(60);

/// The status, and the time at which the integration stalls if nothing happens before.
pub(super) fn status(
    seen: &Observed<'_>,
    now: Timestamp,
) -> (OnePasswordIntegrationStatus, Option<Timestamp>) {
    let before = seen.integration.status.clone().unwrap_or_default();
    let generation = seen.integration.metadata.generation.unwrap_or(0);
    if only_restarted(seen, &before, generation) {
        return (before, None);
    }
    let credentials = credentials(seen, now);
    let discovered = discovered(seen);
    let shareable = shareable(seen);
    let ready = ready(seen, &credentials, &discovered, &shareable);
    let remedy = stall::of_integration(ready.reason);
    let mut conditions = Conditions::new(&before.conditions, generation, now);
    for (type_, verdict) in [
        (api::READY, ready),
        (api::CREDENTIALS_VALID, credentials),
        (api::DISCOVERED, discovered),
        (api::SHAREABLE, shareable),
        (api::THROTTLED, throttled(seen, now)),
        (api::BOUNDARY_IN_FORCE, guarded(seen)),
    ] {
        match verdict.holds {
            Some(holds) => conditions.say(type_, holds, verdict.reason, verdict.message),
            None => conditions.say_unknown(type_, verdict.reason, verdict.message),
        }
    }
    let stalls_at = stall::say(&mut conditions, api::READY, remedy, now);
    let status = OnePasswordIntegrationStatus {
        observed_generation: Some(generation),
        conditions: conditions.done(),
        operator_version: Some(env!("CARGO_PKG_VERSION").to_owned()),
        ..account(seen, before)
    };
    (status, stalls_at)
}

/// Right after a start, nothing is known beyond the previous status. It stays until the first
/// discovery is over, so that a restart of the operator does not make everything look broken for a
/// moment.
fn only_restarted(
    seen: &Observed<'_>,
    before: &OnePasswordIntegrationStatus,
    generation: i64,
) -> bool {
    let session = &seen.session;
    let undecided = session.failure.is_none() && session.throttled_until.is_none();
    let same_account = matches!(&seen.token, TokenSeen::Usable { account, .. }
        if before.account.as_ref() == Some(account));
    let was_ready = crate::plan::conditions::holds(&before.conditions, api::READY);
    let unchanged =
        before.observed_generation == Some(generation) && !seen.integration.spec.suspend;
    let nothing_known = seen.discovery.is_none() && seen.inventory.is_none();
    let guarded = seen.unguarded.is_none()
        && crate::plan::conditions::holds(&before.conditions, api::BOUNDARY_IN_FORCE);
    undecided && same_account && was_ready && unchanged && nothing_known && guarded
}

/// The facts about the account. Earlier facts stay as long as they can be about the same account.
fn account(
    seen: &Observed<'_>,
    before: OnePasswordIntegrationStatus,
) -> OnePasswordIntegrationStatus {
    let mut known = match &seen.token {
        TokenSeen::Usable { account, host } => {
            let same = before.account.as_ref() == Some(account);
            OnePasswordIntegrationStatus {
                account: Some(account.clone()),
                host: Some(host.clone()),
                ..if same {
                    before
                } else {
                    OnePasswordIntegrationStatus::default()
                }
            }
        }
        _ => before,
    };
    if let Some(inventory) = seen.inventory {
        known.vaults = vaults(inventory);
        known.share_policy = inventory.policy.map(policy);
    }
    if let Some(discovery) = seen.discovery {
        known.last_discovery_time = Some(Time(seconds(discovery.at)));
    }
    known
}

/// What a person who mends something in 1Password has to know.
const LOOKS_AGAIN: &str = "The operator looks again within an hour";

fn discovered(seen: &Observed<'_>) -> Verdict {
    let Some(inventory) = seen.inventory else {
        return not_discovered(seen);
    };
    if let Some(failure) = &seen.session.failure {
        let listed = seen
            .discovery
            .map_or_else(String::new, |d| format!(" of {:.0}", d.at));
        return unknown(
            reason_of(failure.kind),
            format!(
                "The operator still uses the last listing{listed}: {}",
                with_next_try(failure)
            ),
        );
    }
    let findings = seen
        .discovery
        .map(|discovery| discovery.findings.clone())
        .unwrap_or_default();
    if let Some(problem) = finding(&findings) {
        return problem;
    }
    if inventory.vaults.is_empty() {
        return no(
            IntegrationReason::NoVault,
            format!(
                "The service account cannot read any vault. Give it access to a vault in \
                 1Password. {LOOKS_AGAIN}, or at once when the Secret or spec.vaults change."
            ),
        );
    }
    let items: usize = inventory.vaults.iter().map(|vault| vault.items.len()).sum();
    let vaults = inventory.vaults.len();
    yes(
        IntegrationReason::Discovered,
        format!("Vaults: {vaults}, items: {items}."),
    )
}

fn not_discovered(seen: &Observed<'_>) -> Verdict {
    if !matches!(seen.token, TokenSeen::Usable { .. }) {
        return unknown(
            IntegrationReason::TokenUnusable,
            "The vaults cannot be listed without a usable token.",
        );
    }
    match &seen.session.failure {
        Some(failure) => no(reason_of(failure.kind), with_next_try(failure)),
        None if seen.integration.spec.suspend => unknown(
            IntegrationReason::Suspended,
            "The vaults are not listed while the integration is suspended.",
        ),
        None if seen.session.throttled_until.is_some() => no(
            IntegrationReason::RateLimited,
            "1Password asked the operator to wait before it lists the vaults.",
        ),
        None if seen.room_from.is_some() => no(
            IntegrationReason::QuotaLow,
            "The account's request limits are nearly used up. The operator lists the vaults when \
             there is room again.",
        ),
        None => no(
            IntegrationReason::Discovering,
            "The vaults are being listed for the first time.",
        ),
    }
}

fn finding(findings: &Findings) -> Option<Verdict> {
    if let Some((title, ids)) = findings.ambiguous.first() {
        return Some(no(
            IntegrationReason::VaultAmbiguous,
            format!(
                "Several vaults are titled {title:?}, so the integration lends from none of them. \
                 Name one by its id in spec.vaults ({}).",
                ids.join(", ")
            ),
        ));
    }
    if !findings.missing.is_empty() {
        return Some(no(
            IntegrationReason::VaultNotFound,
            format!(
                "The service account cannot see {}: correct spec.vaults, or give the service \
                 account access in 1Password. {LOOKS_AGAIN}.",
                quoted(&findings.missing)
            ),
        ));
    }
    if !findings.unreadable.is_empty() {
        return Some(no(
            IntegrationReason::VaultUnreadable,
            format!(
                "1Password does not let the service account list {}: give it permission to read \
                 items there. {LOOKS_AGAIN}.",
                quoted(&findings.unreadable)
            ),
        ));
    }
    None
}

fn quoted(titles: &[String]) -> String {
    let quoted: Vec<_> = titles.iter().map(|title| format!("{title:?}")).collect();
    quoted.join(", ")
}

fn shareable(seen: &Observed<'_>) -> Verdict {
    let forbidden = seen
        .discovery
        .is_some_and(|discovery| discovery.findings.sharing_forbidden);
    match (
        seen.inventory,
        seen.inventory.and_then(|inventory| inventory.policy),
    ) {
        (_, Some(policy)) if policy.named_people => {
            let lifetime = policy.max_lifetime;
            yes(
                IntegrationReason::SharingAllowed,
                format!(
                    "Items can be shared with people named by e-mail address, for at most \
                     {lifetime}."
                ),
            )
        }
        (_, Some(_)) => no(
            IntegrationReason::NamedPeopleNotAllowed,
            format!(
                "The 1Password account's sharing policy does not allow links for people named by \
                 e-mail address. An administrator of the account can change the policy. \
                 {LOOKS_AGAIN}."
            ),
        ),
        (Some(_), None) if forbidden => no(
            IntegrationReason::SharingForbidden,
            format!(
                "1Password does not let the service account share items: give it permission to \
                 share in its vaults. {LOOKS_AGAIN}."
            ),
        ),
        (Some(_), None) => unknown(
            IntegrationReason::NoItem,
            format!(
                "The operator found no item for which it could read the account's sharing policy. \
                 Put an item into a vault that the integration lends from. {LOOKS_AGAIN}."
            ),
        ),
        (None, None) => unknown(
            IntegrationReason::Discovering,
            "The sharing policy is known after the first discovery.",
        ),
    }
}

fn throttled(seen: &Observed<'_>, now: Timestamp) -> Verdict {
    match seen.session.throttled_until.filter(|until| *until > now) {
        Some(until) => yes(
            IntegrationReason::RateLimited,
            format!(
                "1Password's request limit is reached: the operator sends nothing before \
                     {until:.0}."
            ),
        ),
        None => no(
            IntegrationReason::NotThrottled,
            "1Password does not ask the operator to wait.",
        ),
    }
}

fn guarded(seen: &Observed<'_>) -> Verdict {
    match &seen.unguarded {
        None => yes(
            IntegrationReason::BoundaryInForce,
            "The admission policies are in force: they verify requesters and approvers.",
        ),
        Some(why) => no(
            IntegrationReason::BoundaryNotInForce,
            format!(
                "{} Until then, nothing new is approved or issued; running loans continue and end \
                 on time.",
                sentence(why)
            ),
        ),
    }
}

fn ready(
    seen: &Observed<'_>,
    credentials: &Verdict,
    discovered: &Verdict,
    shareable: &Verdict,
) -> Verdict {
    let as_in = |verdict: &Verdict| no(verdict.reason, verdict.message.clone());
    if credentials.holds == Some(false) {
        return as_in(credentials);
    }
    if seen.integration.spec.suspend {
        return no(
            IntegrationReason::Suspended,
            "The integration is suspended: set spec.suspend to false to use it.",
        );
    }
    let guarded = guarded(seen);
    if guarded.holds == Some(false) {
        return guarded;
    }
    let Some(inventory) = seen.inventory else {
        return as_in(discovered);
    };
    if inventory.vaults.is_empty() {
        return as_in(discovered);
    }
    if shareable.holds == Some(false) {
        return as_in(shareable);
    }
    match seen
        .session
        .clock_skew
        .filter(|skew| skew.abs() > SKEW_TOLERANCE)
    {
        Some(skew) => yes(
            IntegrationReason::ClockSkew,
            format!(
                "Items can be lent, but 1Password's clock is {} s {} the operator's, and links end \
                 by 1Password's clock. Check the time on this cluster's nodes.",
                skew.abs().as_secs(),
                if skew.is_positive() {
                    "ahead of"
                } else {
                    "behind"
                },
            ),
        ),
        None => yes(IntegrationReason::Ready, "Items can be lent."),
    }
}

/// Whether a condition may require a person to act.
pub(super) fn is_warning(condition: &Condition) -> bool {
    let expected = [
        IntegrationReason::Ready,
        IntegrationReason::TokenAccepted,
        IntegrationReason::Discovered,
        IntegrationReason::SharingAllowed,
        IntegrationReason::NotThrottled,
        IntegrationReason::BoundaryInForce,
        IntegrationReason::Suspended,
    ];
    !IntegrationReason::of(condition).is_some_and(|reason| expected.contains(&reason))
}

/// A condition that only says that something has not happened yet, or that all is normal, is not
/// worth an event.
pub(super) fn is_worth_an_event(reason: &str) -> bool {
    let silent = [
        IntegrationReason::SigningIn,
        IntegrationReason::Discovering,
        IntegrationReason::TokenUnusable,
        IntegrationReason::TokenAccepted,
        IntegrationReason::Discovered,
        IntegrationReason::SharingAllowed,
        IntegrationReason::NotThrottled,
        IntegrationReason::BoundaryInForce,
        IntegrationReason::NoItem,
    ];
    !silent.iter().any(|silent| silent.as_str() == reason)
}

fn vaults(inventory: &Inventory) -> Vec<VaultStatus> {
    let mut vaults: Vec<VaultStatus> = inventory
        .vaults
        .iter()
        .map(|vault| VaultStatus {
            id: vault.id.clone(),
            title: vault.title.clone(),
            items: u32::try_from(vault.items.iter().filter(|item| item.active).count())
                .unwrap_or(u32::MAX),
        })
        .collect();
    vaults.sort_by(|a, b| (&a.title, &a.id).cmp(&(&b.title, &b.id)));
    vaults.truncate(MOST_VAULTS);
    vaults
}

fn policy(policy: PolicySeen) -> SharePolicyStatus {
    let kinds = [(policy.named_people, "Email"), (policy.domains, "Domain")];
    SharePolicyStatus {
        max_lifetime: Span(policy.max_lifetime.to_string()),
        recipient_kinds: kinds
            .iter()
            .filter(|(allowed, _)| *allowed)
            .map(|(_, kind)| (*kind).to_owned())
            .collect(),
        view_once: policy.view_once,
    }
}

/// Kubernetes stores times in whole seconds: the written value must equal the one that is read
/// back.
fn seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}
