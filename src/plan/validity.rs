//! Whether a flow can be used: what the schema cannot check.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use crate::api::{self, AccessFlow, AccessFlowStatus, OnePasswordIntegration, Span};

use super::conditions::{self, Conditions};
use super::effect::Note;
use super::flow::too_few_approvals;
use super::reasons::flow as reasons;
use super::timeframe::{Opening, opening};

/// What to write about one flow now.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// What the status should say.
    pub status: AccessFlowStatus,
    /// What to tell people.
    pub notes: Vec<Note>,
}

/// Decide. A flow is Ready when a request that fits it can be granted by it, as far as the flow is concerned.
pub fn plan(
    flow: &AccessFlow,
    integration: Option<&OnePasswordIntegration>,
    now: Timestamp,
) -> Plan {
    let before = flow
        .status
        .as_ref()
        .map_or(&[][..], |status| &status.conditions);
    let generation = flow.metadata.generation.unwrap_or(0);
    let mut said = Conditions::new(before, generation, now);
    match trouble(flow, integration, now) {
        Some((reason, message)) => said.say(api::READY, false, reason, message),
        None => said.say(
            api::READY,
            true,
            reasons::VALID,
            "People can ask by this flow.",
        ),
    }
    let conditions = said.done();
    let warns = |condition: &api::Condition| {
        ![reasons::VALID, reasons::SUSPENDED].contains(&condition.reason.as_str())
    };
    let notes = conditions::notes(before, &conditions, warns);
    Plan {
        status: AccessFlowStatus {
            observed_generation: Some(generation),
            conditions,
        },
        notes,
    }
}

fn trouble(
    flow: &AccessFlow,
    integration: Option<&OnePasswordIntegration>,
    now: Timestamp,
) -> Option<(&'static str, String)> {
    let spec = &flow.spec;
    if let Some(problem) = duration_problem(flow) {
        return Some((reasons::INVALID_DURATION, problem));
    }
    if let Some(Opening::Invalid(why)) = spec.timeframe.as_ref().map(|frame| opening(frame, now)) {
        let message = format!(
            "The timeframe cannot be used, so nobody can ask by this flow: {why}. Times are as 09:00, zones as Europe/Berlin."
        );
        return Some((reasons::INVALID_TIMEFRAME, message));
    }
    if let Some(problem) = spec.namespaces.selector.as_ref().and_then(selector_problem) {
        let message = format!("spec.namespaces.selector matches no namespace: {problem}.");
        return Some((reasons::INVALID_SELECTOR, message));
    }
    let Some(integration) = integration else {
        let message = format!(
            "There is no OnePasswordIntegration {} in this namespace: create it, or correct spec.integration.",
            spec.integration.0
        );
        return Some((reasons::INTEGRATION_NOT_FOUND, message));
    };
    if let Some(why) = too_few_approvals(flow, integration) {
        let message = format!(
            "The flow lends nothing: {why}. Have more people approve, or have the integration's owners lower its bound."
        );
        return Some((reasons::TOO_FEW_APPROVALS, message));
    }
    let message = "The flow is suspended: set spec.suspend to false to use it.";
    spec.suspend
        .then(|| (reasons::SUSPENDED, message.to_owned()))
}

fn duration_problem(flow: &AccessFlow) -> Option<String> {
    let rules = &flow.spec.grant;
    let length = |field: &str, span: &Span| {
        span.parse().ok_or_else(|| {
            format!("{field} {span:?} is not a duration: write days, hours and minutes, as 1d12h or 90m.", span = span.0)
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
            "spec.grant.defaultDuration ({}) is longer than maxDuration ({}): shorten the one or lengthen the other.",
            rules.default_duration, rules.max_duration
        )),
        Ok(_) => None,
    }
}

fn selector_problem(selector: &LabelSelector) -> Option<String> {
    selector.match_expressions.iter().flatten().find_map(|expression| {
        let values = expression.values.as_ref().map_or(0, Vec::len);
        let key = &expression.key;
        match expression.operator.as_str() {
            "In" | "NotIn" if values == 0 => {
                Some(format!("{} for {key:?} needs values", expression.operator))
            }
            "Exists" | "DoesNotExist" if values > 0 => {
                Some(format!("{} for {key:?} takes no values", expression.operator))
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" => None,
            other => Some(format!(
                "the operator {other:?} for {key:?} is unknown; use In, NotIn, Exists or DoesNotExist"
            )),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
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
        let status = plan(flow, integration, Timestamp::UNIX_EPOCH).status;
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
    #[case::values(json!({"namespaces": {"from": "Selector", "selector": {"matchExpressions": [{"key": "team", "operator": "In"}]}}}), "InvalidSelector", "needs values")]
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

    /// (what the flow asks for) (what the integration asks for) -> whether that is enough.
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
        let second = plan(&flow, None, Timestamp::from_second(60).expect("in range"));
        assert_eq!((second.status, second.notes), (first.status, vec![]));
    }
}
