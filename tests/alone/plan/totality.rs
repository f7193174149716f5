//! What holds for the plans of integrations and of flows, whatever is seen and whatever their specs say: no input makes them panic, the
//! API server takes each status, and a status that was written is not written again.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use keyloan::api::*;
use keyloan::plan::integration::{
    self, Discovery, Effect, Failure, FailureKind, Findings, Observed, SessionSeen, TokenSeen,
};
use keyloan::plan::inventory::{Inventory, PolicySeen, VaultSeen};
use keyloan::plan::validity::{self, Lender};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::Value;

use super::arbitrary::{
    any_span, flow_seen, integration_seen, inventory_seen, lifetime, rarely, text, time,
    vault_name, word,
};
use super::bounds;
use super::properties::cases;

static OF_INTEGRATIONS: LazyLock<Value> = LazyLock::new(bounds::schema::<OnePasswordIntegration>);
static OF_FLOWS: LazyLock<Value> = LazyLock::new(bounds::schema::<AccessFlow>);

/// What is known of an integration beside the object itself.
#[derive(Clone, Debug)]
struct Known {
    token: TokenSeen,
    session: SessionSeen,
    discovery: Option<Discovery>,
    inventory: Option<Inventory>,
    discovering: bool,
    room_from: Option<Timestamp>,
    unguarded: Option<String>,
}

impl Known {
    fn plan(&self, integration: &OnePasswordIntegration, now: Timestamp) -> integration::Plan {
        let seen = Observed {
            integration,
            token: self.token.clone(),
            session: self.session.clone(),
            discovery: self.discovery.as_ref(),
            inventory: self.inventory.as_ref(),
            discovering: self.discovering,
            room_from: self.room_from,
            unguarded: self.unguarded.clone(),
        };
        integration::plan(&seen, now)
    }

    /// Whether 1Password may be asked: with a token of the right shape that it has not refused.
    fn may_ask(&self) -> bool {
        let failure = self.session.failure.as_ref();
        let is_rejected = failure.is_some_and(|f| f.kind == FailureKind::Rejected);
        matches!(self.token, TokenSeen::Usable { .. }) && !is_rejected
    }
}

proptest! {
    #![proptest_config(cases(500))]

    /// Pass after pass, with the status of the pass before, at times in any order.
    #[test]
    fn a_plan_of_an_integration_is_total_and_comes_to_rest(
        integration in any_integration(),
        passes in vec((known(), time()), 1..4),
    ) {
        let mut integration = integration;
        for (known, now) in passes {
            let plan = known.plan(&integration, now);
            check_conditions(&plan.status.conditions)?;
            bounds::keeps_those_of(&OF_INTEGRATIONS, &plan.status).map_err(TestCaseError::fail)?;
            prop_assert!(plan.wake.is_none_or(|wake| wake > now), "{:?}", plan.wake);
            match plan.effect {
                Some(Effect::Discover) => {
                    prop_assert!(known.may_ask() && !integration.spec.suspend && !known.discovering);
                }
                Some(Effect::GiveUpDiscovery) => prop_assert!(known.discovering),
                None => {}
            }
            integration.status = Some(plan.status.clone());
            let again = known.plan(&integration, now);
            prop_assert_eq!(&again.status, &plan.status);
            prop_assert_eq!(&again.notes, &vec![], "each change is told once");
        }
    }

    /// The same of a flow. One that is Ready lends.
    #[test]
    fn a_plan_of_a_flow_is_total_and_comes_to_rest(
        flow in any_flow(),
        passes in vec((option::weighted(0.7, any_integration()), option::of(inventory_seen()), time()), 1..4),
    ) {
        let mut flow = flow;
        for (integration, inventory, now) in passes {
            let lender = integration.as_ref().map(|object| Lender {
                object,
                inventory: inventory.as_ref(),
            });
            let plan = validity::plan(&flow, lender, now);
            check_conditions(&plan.status.conditions)?;
            bounds::keeps_those_of(&OF_FLOWS, &plan.status).map_err(TestCaseError::fail)?;
            if is_ready(&plan.status.conditions) {
                let rules = &flow.spec.grant;
                let (most, usual) = (rules.max_duration.parse(), rules.default_duration.parse());
                prop_assert!(usual.is_some() && usual <= most);
                prop_assert!(flow.spec.approval.timeout.parse().is_some());
                prop_assert!(integration.is_some() && !flow.spec.suspend);
            }
            flow.status = Some(plan.status.clone());
            let again = validity::plan(&flow, lender, now);
            prop_assert_eq!(&again.status, &plan.status);
            prop_assert_eq!(&again.notes, &vec![], "each change is told once");
        }
    }
}

/// The properties above are about something: some of what is seen can be lent from.
#[test]
fn some_of_the_integrations_and_of_the_flows_are_ready() {
    const CASES: usize = 500;
    let mut runner = TestRunner::deterministic();
    let (mut integrations, mut flows) = (0, 0);
    for _ in 0..CASES {
        let (integration, known, flow, now) = (any_integration(), known(), any_flow(), time())
            .new_tree(&mut runner)
            .expect("a case")
            .current();
        let seen = known.plan(&integration, now).status;
        integrations += usize::from(is_ready(&seen.conditions));
        let lender = Lender {
            object: &integration,
            inventory: None,
        };
        let seen = validity::plan(&flow, Some(lender), now).status;
        flows += usize::from(is_ready(&seen.conditions));
    }
    assert!(integrations >= CASES / 20, "{integrations} integrations");
    assert!(flows >= CASES / 20, "{flows} flows");
}

fn is_ready(conditions: &[Condition]) -> bool {
    conditions
        .iter()
        .any(|c| c.type_ == READY && c.status == "True")
}

/// What the API server and people's tools expect of conditions: each type once, with a status that there is and a reason that is a word.
fn check_conditions(conditions: &[Condition]) -> Result<(), TestCaseError> {
    let types: BTreeSet<_> = conditions.iter().map(|c| &c.type_).collect();
    prop_assert_eq!(types.len(), conditions.len());
    prop_assert!(conditions.iter().any(|c| c.type_ == READY));
    for Condition { status, reason, .. } in conditions {
        prop_assert!(["True", "False", "Unknown"].contains(&status.as_str()));
        let is_word = reason.chars().all(|c| c.is_ascii_alphanumeric()) && !reason.is_empty();
        prop_assert!(is_word, "{reason:?}");
    }
    Ok(())
}

fn any_integration() -> impl Strategy<Value = OnePasswordIntegration> {
    let source = rarely(Just(true), Just(false));
    let expires_at = option::weighted(0.3, time());
    (
        integration_seen(),
        any_span(),
        vec(vault_name(), 0..3),
        source,
        expires_at,
    )
        .prop_map(|(seen, interval, vaults, has_source, expires_at)| {
            let mut integration = (*seen.object).clone();
            integration.spec.discovery_interval = interval;
            integration.spec.vaults = vaults;
            let token = &mut integration.spec.auth.service_account_token;
            *token = token.take().filter(|_| has_source);
            if let Some(source) = token {
                source.expires_at = expires_at.map(Time);
            }
            integration
        })
}

fn known() -> impl Strategy<Value = Known> {
    (
        token(),
        session(),
        option::weighted(0.7, discovery()),
        option::weighted(0.8, inventory()),
        any::<bool>(),
        option::weighted(0.2, time()),
        option::weighted(0.1, word()),
    )
        .prop_map(
            |(token, session, discovery, inventory, discovering, room_from, unguarded)| Known {
                token,
                session,
                discovery,
                inventory,
                discovering,
                room_from,
                unguarded,
            },
        )
}

fn token() -> impl Strategy<Value = TokenSeen> {
    let secret = || text(&["op-token"], &["", "\u{0}"]);
    let accounts = vec!["keyloan-prod@1password.com", "another@1password.com", ""];
    let usable = select(accounts).prop_map(|account| TokenSeen::Usable {
        account: account.into(),
        host: "my.1password.com".into(),
    });
    let unusable = prop_oneof![
        Just(TokenSeen::NotConfigured),
        secret().prop_map(|secret| TokenSeen::Missing { secret }),
        secret().prop_map(|secret| TokenSeen::NotLabelled { secret }),
        (secret(), option::of(word()))
            .prop_map(|(secret, names)| TokenSeen::OfAnother { secret, names }),
        (secret(), word()).prop_map(|(secret, error)| TokenSeen::Unreadable { secret, error }),
        (secret(), word(), vec(word(), 0..4))
            .prop_map(|(secret, key, keys)| TokenSeen::KeyMissing { secret, key, keys }),
        word().prop_map(TokenSeen::Malformed),
        word().prop_map(TokenSeen::ForeignOrigin),
    ];
    prop_oneof![3 => usable, 1 => unusable]
}

fn session() -> impl Strategy<Value = SessionSeen> {
    let clocks = (time(), time()).prop_map(|(theirs, ours)| theirs.duration_since(ours));
    let small = (-90i64..90).prop_map(SignedDuration::from_secs);
    (
        any::<bool>(),
        option::of(failure()),
        option::weighted(0.2, time()),
        option::of(prop_oneof![3 => small, 1 => clocks]),
    )
        .prop_map(
            |(accepted, failure, throttled_until, clock_skew)| SessionSeen {
                accepted,
                failure,
                throttled_until,
                clock_skew,
            },
        )
}

fn failure() -> impl Strategy<Value = Failure> {
    let kinds = vec![
        FailureKind::Rejected,
        FailureKind::Forbidden,
        FailureKind::Unavailable,
        FailureKind::Broken,
        FailureKind::RateLimited,
    ];
    let count = prop_oneof![3 => 0u32..20, 1 => any::<u32>()];
    (select(kinds), word(), time(), count).prop_map(|(kind, message, at, count)| Failure {
        kind,
        message,
        at,
        count,
    })
}

fn discovery() -> impl Strategy<Value = Discovery> {
    let few = || vec(word(), 0..3);
    let ambiguous = vec((word(), few()), 0..2);
    let findings = (few(), ambiguous, few(), any::<bool>()).prop_map(
        |(missing, ambiguous, unreadable, sharing_forbidden)| Findings {
            missing,
            ambiguous,
            unreadable,
            sharing_forbidden,
        },
    );
    (time(), vec(vault_name(), 0..3), findings).prop_map(|(at, allowed, findings)| Discovery {
        at,
        allowed,
        findings,
    })
}

/// No vault, some, or more than a status shows.
fn inventory() -> impl Strategy<Value = Inventory> {
    let policy = (lifetime(), any::<[bool; 3]>()).prop_map(
        |(max_lifetime, [named_people, domains, view_once])| PolicySeen {
            max_lifetime,
            named_people,
            domains,
            view_once,
        },
    );
    let more = prop_oneof![6 => Just(Some(0)), 1 => (90usize..130).prop_map(Some), 1 => Just(None)];
    (inventory_seen(), option::of(policy), more).prop_map(|(mut inventory, policy, more)| {
        inventory.policy = policy;
        match more {
            Some(more) => {
                let like = inventory.vaults[0].clone();
                let more = (0..more).map(|number| VaultSeen {
                    id: format!("v-{number}"),
                    ..like.clone()
                });
                inventory.vaults.extend(more);
            }
            None => inventory.vaults.clear(),
        }
        inventory
    })
}

fn any_flow() -> impl Strategy<Value = AccessFlow> {
    let durations = (any_span(), any_span(), any_span());
    (flow_seen(), durations, option::weighted(0.3, selector())).prop_map(
        |(mut flow, (most, usual, timeout), selector)| {
            flow.spec.grant.max_duration = most;
            flow.spec.grant.default_duration = usual;
            flow.spec.approval.timeout = timeout;
            flow.spec.namespaces.selector = selector;
            flow
        },
    )
}

fn selector() -> impl Strategy<Value = LabelSelector> {
    let operator = text(&["In", "NotIn", "Exists", "DoesNotExist"], &["", "Like"]);
    let values = option::of(vec(word(), 0..3));
    let expression =
        (word(), operator, values).prop_map(|(key, operator, values)| LabelSelectorRequirement {
            key,
            operator,
            values,
        });
    option::of(vec(expression, 0..3)).prop_map(|match_expressions| LabelSelector {
        match_labels: None,
        match_expressions,
    })
}
