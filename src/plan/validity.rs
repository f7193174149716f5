//! Whether a flow can be used: the checks that the schema cannot make.

use jiff::Timestamp;

use crate::api::{self, AccessFlow, AccessFlowStatus, FlowLends, OnePasswordIntegration, Span};

use super::conditions::{self, Conditions, Note};
use super::coverage::{coverage, together};
use super::flow::too_few_approvals;
use super::inventory::Inventory;
use super::items::missing_exclude;
use super::reasons::FlowReason;
use super::selection::selector_problem;
use super::stall;
use super::timeframe::{Opening, opening};

/// The result for one flow.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The status.
    pub status: AccessFlowStatus,
    /// The time of the next look if nothing happens before.
    pub wake: Option<Timestamp>,
    /// Notes for people.
    pub notes: Vec<Note>,
}

/// The observed state of a flow's integration.
#[derive(Clone, Copy, Debug)]
pub struct Lender<'a> {
    /// The integration.
    pub object: &'a OnePasswordIntegration,
    /// The listing since the operator started, if any.
    pub inventory: Option<&'a Inventory>,
}

/// Decides about a flow, with the observed state of its integration, if it exists. A flow is Ready
/// when it can grant a matching request, as far as the flow is concerned.
pub fn plan(flow: &AccessFlow, lender: Option<Lender<'_>>, now: Timestamp) -> Plan {
    let before = flow
        .status
        .as_ref()
        .map_or(&[][..], |status| &status.conditions);
    let generation = flow.metadata.generation.unwrap_or(0);
    let mut said = Conditions::new(before, generation, now);
    let trouble = trouble(flow, lender, now);
    // While an exclude rule has no vault, matching items are not necessarily lent.
    let keeps_all = matches!(trouble, Some((FlowReason::ExcludeNamesNoVault, _)));
    let not_ready = trouble.as_ref().map(|(reason, _)| *reason);
    match trouble {
        Some((reason, message)) => said.say(api::READY, false, reason, message),
        None => said.say(
            api::READY,
            true,
            FlowReason::Valid,
            "Requests can use this flow.",
        ),
    }
    let lends = say_what_matches(&mut said, flow, lender);
    let lends = lends.map(|lends| {
        if keeps_all {
            FlowLends::default()
        } else {
            lends
        }
    });
    let wake = say_whether_stalled(&mut said, not_ready, lends, now);
    let conditions = said.done();
    let unremarkable = [
        FlowReason::Valid,
        FlowReason::NotListedYet,
        FlowReason::RulesMatch,
    ];
    let warns = |condition: &api::Condition| {
        condition.reason != FlowReason::Suspended
            && !FlowReason::of(condition).is_some_and(|reason| unremarkable.contains(&reason))
    };
    // `Stalled` repeats another condition.
    let is_news = |c: &&api::Condition| c.type_ != api::STALLED;
    let news: Vec<_> = conditions.iter().filter(is_news).cloned().collect();
    let mut notes = conditions::notes(before, &news, warns);
    // An obvious change: it precedes Ready or comes with it.
    notes.retain(|note| {
        note.reason != FlowReason::NotListedYet && note.reason != FlowReason::RulesMatch
    });
    Plan {
        wake,
        status: AccessFlowStatus {
            observed_generation: Some(generation),
            conditions,
            lends,
        },
        notes,
    }
}

/// Reports whether the flow lends nothing until a person acts. Returns the time at which that becomes
/// true, if nothing happens before.
fn say_whether_stalled(
    said: &mut Conditions<'_>,
    not_ready: Option<FlowReason>,
    lends: Option<FlowLends>,
    now: Timestamp,
) -> Option<Timestamp> {
    if let Some(reason) = not_ready {
        return stall::say(said, api::READY, stall::of_flow(reason), now);
    }
    let matches = said.said(api::MATCHES_ITEMS).and_then(FlowReason::of)?;
    let lends_nothing = lends.is_some_and(|lends| lends.items == 0);
    let remedy = stall::of_flow(matches);
    lends_nothing
        .then(|| stall::say(said, api::MATCHES_ITEMS, remedy, now))
        .flatten()
}

/// Reports whether each rule matches something according to the last listing. Until a new operator
/// has listed the account, the report of the previous one stays.
fn say_what_matches(
    said: &mut Conditions<'_>,
    flow: &AccessFlow,
    lender: Option<Lender<'_>>,
) -> Option<FlowLends> {
    let listed = lender.and_then(|lender| Some((lender.inventory?, &lender.object.spec.vaults)));
    let Some((inventory, allowed)) = listed else {
        let status = flow.status.as_ref();
        let conditions = status.map_or(&[][..], |status| &status.conditions);
        let before = conditions.iter().find(|condition| {
            condition.type_ == api::MATCHES_ITEMS
                && condition.observed_generation == flow.metadata.generation
        });
        let Some(before) = before.filter(|_| lender.is_some()) else {
            let message = "The vaults of the integration have not been listed yet.";
            said.say_unknown(api::MATCHES_ITEMS, FlowReason::NotListedYet, message);
            return None;
        };
        said.say_again(before);
        return status.and_then(|status| status.lends);
    };
    let found = coverage(&flow.spec.items, inventory, allowed);
    let (holds, reason, message) = if !found.idle.is_empty() {
        let message = format!("In spec.items, {}.", together(&found.idle));
        (false, FlowReason::RuleMatchesNothing, message)
    } else if !found.doubtful.is_empty() {
        let message = format!("In spec.items, {}.", together(&found.doubtful));
        (true, FlowReason::WildcardInTitle, message)
    } else {
        let message = "Every rule of spec.items has a match.";
        (true, FlowReason::RulesMatch, message.to_owned())
    };
    said.say(api::MATCHES_ITEMS, holds, reason, message);
    Some(found.lends)
}

fn trouble(
    flow: &AccessFlow,
    lender: Option<Lender<'_>>,
    now: Timestamp,
) -> Option<(FlowReason, String)> {
    let spec = &flow.spec;
    if let Some(problem) = duration_problem(flow) {
        return Some((FlowReason::InvalidDuration, problem));
    }
    if let Some(Opening::Invalid(why)) = spec.timeframe.as_ref().map(|frame| opening(frame, now)) {
        let message = format!(
            "The timeframe is invalid, so no request can use this flow: {why}. Write times as \
             09:00 or 24:00, and time zones as Europe/Berlin."
        );
        return Some((FlowReason::InvalidTimeframe, message));
    }
    if let Some(problem) = spec.namespaces.selector.as_ref().and_then(selector_problem) {
        let message = format!(
            "spec.namespaces.selector is invalid and matches no namespace: \
             {problem}."
        );
        return Some((FlowReason::InvalidSelector, message));
    }
    let Some(lender) = lender else {
        let message = format!(
            "OnePasswordIntegration {} does not exist in this namespace: create it, or correct \
             spec.integration.",
            spec.integration.0
        );
        return Some((FlowReason::IntegrationNotFound, message));
    };
    if let Some(why) = too_few_approvals(flow, lender.object) {
        let message = format!(
            "The flow lends nothing: {why}. Require more approvals in the flow, or have the \
             integration's owners lower their minimum."
        );
        return Some((FlowReason::TooFewApprovals, message));
    }
    let missing = lender
        .inventory
        .and_then(|inventory| missing_exclude(&spec.items, inventory, &lender.object.spec.vaults));
    if let Some(vault) = missing {
        let message = format!(
            "spec.items.exclude names vault {vault:?}, which the integration does not lend from. \
             Items that the rule is meant to exclude could be lent, so the flow lends nothing. \
             Correct the rule, or remove it."
        );
        return Some((FlowReason::ExcludeNamesNoVault, message));
    }
    let message = "The flow is suspended: set spec.suspend to false to use it.";
    spec.suspend
        .then(|| (FlowReason::Suspended, message.to_owned()))
}

fn duration_problem(flow: &AccessFlow) -> Option<String> {
    let rules = &flow.spec.grant;
    let length = |field: &str, span: &Span| {
        span.parse().ok_or_else(|| {
            format!(
                "{field} {span:?} is not a duration: write weeks, days, hours, minutes and \
                     seconds, for example 1d12h, 90m or 2h0m0s.",
                span = span.0
            )
        })
    };
    let lengths = length("spec.grant.maxDuration", &rules.max_duration).and_then(|max| {
        let default = length("spec.grant.defaultDuration", &rules.default_duration)?;
        length("spec.approval.timeout", &flow.spec.approval.timeout)?;
        Ok((max, default))
    });
    match lengths {
        Err(problem) => Some(problem),
        Ok((max, default)) if default > max => Some(format!(
            "spec.grant.defaultDuration ({}) is longer than maxDuration ({}): shorten the default \
             or raise the maximum.",
            rules.default_duration, rules.max_duration
        )),
        Ok(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::plan::inventory::{ItemSeen, VaultSeen};
    use serde_json::{Value, json};

    fn flow(changes: Value) -> AccessFlow {
        let mut spec = json!({
            "integration": "prod",
            "requesters": [{"kind": "Group", "name": "engineering"}],
            "items": {"include": [{"vault": "Infra"}]},
            "grant": {"maxDuration": "8h"},
            "approval": {"mode": "None"},
        });
        for (key, value) in changes.as_object().expect("an object") {
            spec[key] = value.clone();
        }
        let mut flow = AccessFlow::new("oncall", serde_json::from_value(spec).expect("a spec"));
        flow.metadata.generation = Some(3);
        flow
    }

    fn integration(min_approvals: Option<u32>) -> OnePasswordIntegration {
        let spec = json!({
            "auth": { "serviceAccountToken": { "secretRef": { "name": "token" } } },
            "plan": "Business",
            "limits": { "minApprovals": min_approvals },
        });
        OnePasswordIntegration::new("prod", serde_json::from_value(spec).expect("a spec"))
    }

    fn verdict(flow: &AccessFlow, integration: Option<u32>) -> (String, String, String) {
        let integration = self::integration(integration);
        verdict_with(flow, Some(&integration))
    }

    fn verdict_with(
        flow: &AccessFlow,
        integration: Option<&OnePasswordIntegration>,
    ) -> (String, String, String) {
        let lender = integration.map(|object| Lender {
            object,
            inventory: None,
        });
        let status = plan(flow, lender, Timestamp::UNIX_EPOCH).status;
        assert_eq!(status.observed_generation, Some(3));
        let ready = &status.conditions[0];
        (
            ready.status.clone(),
            ready.reason.clone(),
            ready.message.clone(),
        )
    }

    #[rstest::rstest]
    #[case::plain(json!({}))]
    #[case::with_a_time_zone(json!({"timeframe": {"days": ["Mon"], "from": "09:00", "to": "18:00", "timeZone": "Europe/Berlin"}}))]
    #[case::default_as_long_as_max(json!({"grant": {"maxDuration": "8h", "defaultDuration": "480m"}}))]
    #[case::with_a_selector(json!({"namespaces": {"from": "Selector", "selector": {"matchExpressions": [{"key": "team", "operator": "In", "values": ["a"]}]}}}))]
    fn a_sound_flow_is_ready(#[case] changes: Value) {
        let (status, reason, _) = verdict(&flow(changes), None);
        assert_eq!((status.as_str(), reason.as_str()), ("True", "Valid"));
    }

    #[rstest::rstest]
    #[case::zone(json!({"timeframe": {"days": ["Mon"], "from": "09:00", "to": "18:00", "timeZone": "Europe/Atlantis"}}), "InvalidTimeframe", "Europe/Atlantis")]
    #[case::default_too_long(json!({"grant": {"maxDuration": "1h", "defaultDuration": "2h"}}), "InvalidDuration", "longer than maxDuration (1h)")]
    #[case::duration(json!({"grant": {"maxDuration": "soon"}}), "InvalidDuration", "maxDuration \"soon\"")]
    #[case::operator(json!({"namespaces": {"from": "Selector", "selector": {"matchExpressions": [{"key": "team", "operator": "Like"}]}}}), "InvalidSelector", "\"Like\"")]
    #[case::values(json!({"namespaces": {"from": "Selector", "selector": {"matchExpressions": [{"key": "team", "operator": "In"}]}}}), "InvalidSelector", "requires values")]
    #[case::suspended(json!({"suspend": true}), "Suspended", "spec.suspend")]
    fn a_flow_that_cannot_be_used_says_why(
        #[case] changes: Value,
        #[case] reason: &str,
        #[case] says: &str,
    ) {
        let (status, why, message) = verdict(&flow(changes), None);
        assert_eq!((status.as_str(), why.as_str()), ("False", reason));
        assert!(message.contains(says), "{message}");
    }

    /// (approvals of the flow) (minimum of the integration) -> whether they are enough.
    #[rstest::rstest]
    #[case::nobody(json!({"mode": "None"}), 1, false)]
    #[case::one(json!({"mode": "AnyOf", "groups": [group(1)]}), 1, true)]
    #[case::one_of_two(json!({"mode": "AnyOf", "groups": [group(1)]}), 2, false)]
    #[case::the_least_of_any(json!({"mode": "AnyOf", "groups": [group(3), group(1)]}), 2, false)]
    #[case::all_together(json!({"mode": "AllOf", "groups": [group(1), group(1)]}), 2, true)]
    #[case::not_all_together(json!({"mode": "AllOf", "groups": [group(1), group(1)]}), 3, false)]
    fn a_flow_lends_on_as_many_approvals_as_the_integration_asks_for(
        #[case] approval: Value,
        #[case] least: u32,
        #[case] is_enough: bool,
    ) {
        let (status, reason, message) =
            verdict(&flow(json!({ "approval": approval })), Some(least));
        let expected = match is_enough {
            true => ("True", "Valid"),
            false => ("False", "TooFewApprovals"),
        };
        assert_eq!((status.as_str(), reason.as_str()), expected);
        assert_eq!(
            message.contains("limits.minApprovals"),
            !is_enough,
            "{message}"
        );
    }

    fn group(required: u32) -> Value {
        json!({"name": "g", "approvers": [{"kind": "Group", "name": "g"}], "required": required})
    }

    #[test]
    fn a_flow_without_its_integration_is_not_ready() {
        let (status, reason, message) = verdict_with(&flow(json!({})), None);
        assert_eq!(
            (status.as_str(), reason.as_str()),
            ("False", "IntegrationNotFound")
        );
        assert!(message.contains("prod"), "{message}");
    }

    #[test]
    fn people_hear_of_a_change_once() {
        let mut flow = flow(json!({}));
        let first = plan(&flow, None, Timestamp::UNIX_EPOCH);
        assert_eq!(first.notes.len(), 1);
        assert!(first.notes[0].warning);
        flow.status = Some(first.status.clone());
        let second = plan(&flow, None, Timestamp::from_second(20).expect("in range"));
        assert_eq!((second.status, second.notes), (first.status, vec![]));
    }

    fn listed(title: &str) -> Inventory {
        let vault = VaultSeen {
            id: "v".into(),
            title: title.into(),
            listed_at: Timestamp::UNIX_EPOCH,
            items: vec![],
            refuted: BTreeMap::new(),
        };
        Inventory {
            vaults: vec![vault],
            policy: None,
        }
    }

    fn matches(status: &AccessFlowStatus) -> (&str, &str) {
        let said = status.conditions.iter();
        let mut said = said.filter(|c| c.type_ == api::MATCHES_ITEMS);
        let said = said.next().expect("it is said");
        (&said.status, &said.reason)
    }

    #[test]
    fn a_rule_that_matches_nothing_is_told_once_and_still_holds_for_the_next_operator() {
        let mut flow = flow(json!({}));
        let (inventory, integration) = (listed("Intra"), integration(None));
        let seen = Lender {
            object: &integration,
            inventory: Some(&inventory),
        };
        let unlisted = Lender {
            inventory: None,
            ..seen
        };
        let first = plan(&flow, Some(seen), Timestamp::UNIX_EPOCH);
        assert_eq!(matches(&first.status), ("False", "RuleMatchesNothing"));
        let told: Vec<_> = first.notes.iter().filter(|note| note.warning).collect();
        assert_eq!(told.len(), 1);
        assert!(told[0].message.contains("(similar: \"Intra\")"), "{told:?}");
        flow.status = Some(first.status.clone());
        let restarted = plan(&flow, Some(unlisted), Timestamp::UNIX_EPOCH);
        assert_eq!((restarted.status, restarted.notes), (first.status, vec![]));
        flow.metadata.generation = Some(4);
        let changed = plan(&flow, Some(unlisted), Timestamp::UNIX_EPOCH).status;
        assert_eq!(matches(&changed), ("Unknown", "NotListedYet"));
        assert_eq!(changed.lends, None);
    }

    fn stalled(status: &AccessFlowStatus) -> Option<&str> {
        let mut conditions = status.conditions.iter();
        conditions
            .find(|c| c.type_ == api::STALLED && c.status == "True")
            .map(|c| c.reason.as_str())
    }

    /// (changes of the flow) -> `Stalled`, in an account whose only vault is titled Infra.
    #[rstest::rstest]
    #[case::sound(json!({}), None)]
    #[case::suspended(json!({"suspend": true}), None)]
    #[case::duration(json!({"grant": {"maxDuration": "soon"}}), Some("InvalidDuration"))]
    #[case::zone(json!({"timeframe": {"days": ["Mon"], "from": "09:00", "to": "18:00", "timeZone": "Europe/Atlantis"}}), Some("InvalidTimeframe"))]
    #[case::selector(json!({"namespaces": {"from": "Selector", "selector": {"matchExpressions": [{"key": "team", "operator": "Like"}]}}}), Some("InvalidSelector"))]
    #[case::excluded_vault(json!({"items": {"include": [{"vault": "Infra"}], "exclude": [{"vault": "Infraa"}]}}), Some("ExcludeNamesNoVault"))]
    #[case::misspelt_vault(json!({"items": {"include": [{"vault": "Infraa"}]}}), Some("RuleMatchesNothing"))]
    #[case::one_rule_of_two(json!({"items": {"include": [{"vault": "Infra"}, {"vault": "Infraa"}]}}), None)]
    #[case::suspended_and_misspelt(json!({"suspend": true, "items": {"include": [{"vault": "Infraa"}]}}), None)]
    fn a_flow_stalls_if_it_lends_nothing_until_a_person_acts(
        #[case] changes: Value,
        #[case] expected: Option<&str>,
    ) {
        let (inventory, integration) = (listed_with_an_item("Infra"), integration(None));
        let seen = Lender {
            object: &integration,
            inventory: Some(&inventory),
        };
        let plan = plan(&flow(changes), Some(seen), Timestamp::UNIX_EPOCH);
        assert_eq!(stalled(&plan.status), expected);
        assert_eq!(plan.wake, None);
        let told = plan.notes.iter().filter(|n| Some(&*n.reason) == expected);
        assert!(told.count() <= 1, "people hear of it once");
    }

    #[test]
    fn a_flow_that_nobody_could_match_yet_does_not_stall() {
        let integration = integration(None);
        let seen = Lender {
            object: &integration,
            inventory: None,
        };
        let plan = plan(&flow(json!({})), Some(seen), Timestamp::UNIX_EPOCH);
        assert_eq!(stalled(&plan.status), None);
    }

    #[test]
    fn an_integration_may_follow_its_flow() {
        let at = |second| Timestamp::from_second(second).expect("in range");
        let mut flow = flow(json!({}));
        let first = plan(&flow, None, at(100));
        assert_eq!((stalled(&first.status), first.wake), (None, Some(at(130))));
        flow.status = Some(first.status);
        let later = plan(&flow, None, at(129));
        assert_eq!((stalled(&later.status), later.wake), (None, Some(at(130))));
        let last = plan(&flow, None, at(130));
        assert_eq!(stalled(&last.status), Some("IntegrationNotFound"));
        assert_eq!((last.wake, last.notes), (None, vec![]));
    }

    fn listed_with_an_item(title: &str) -> Inventory {
        let mut inventory = listed(title);
        inventory.vaults[0].items.push(ItemSeen {
            id: "i".into(),
            title: "db".into(),
            tags: vec![],
            updated_at: Timestamp::UNIX_EPOCH,
            active: true,
        });
        inventory
    }

    #[test]
    fn a_flow_whose_exclude_names_no_vault_is_not_ready() {
        let items =
            json!({"items": {"include": [{"vault": "Infra"}], "exclude": [{"vault": "Infraa"}]}});
        let (inventory, integration) = (listed("Infra"), integration(None));
        let seen = Lender {
            object: &integration,
            inventory: Some(&inventory),
        };
        let status = plan(&flow(items), Some(seen), Timestamp::UNIX_EPOCH).status;
        let ready = &status.conditions[0];
        assert_eq!(
            (&*ready.status, &*ready.reason),
            ("False", "ExcludeNamesNoVault")
        );
        assert!(ready.message.contains("\"Infraa\""), "{}", ready.message);
    }
}
