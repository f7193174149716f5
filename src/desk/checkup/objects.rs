//! Integrations, flows and notifiers: whether they can be used.

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;

use super::{Finding, Read};
use crate::api::{
    AccessFlow, AccessNotifier, Condition, DELIVERING, MATCHES_ITEMS, OnePasswordIntegration, READY,
};

/// How long before its end a token is worth a note.
const ENDS_SOON: SignedDuration = SignedDuration::from_hours(14 * 24);

/// One finding for each integration that cannot be used or whose token ends soon, or one for all.
pub fn integrations(read: Read<&[OnePasswordIntegration]>, now: Timestamp) -> Vec<Finding> {
    let check = "integrations";
    let integrations = match read {
        Ok([]) => {
            let none = "there are none: create a OnePasswordIntegration";
            return vec![Finding::note(check, none)];
        }
        Ok(integrations) => integrations,
        Err(why) => return vec![Finding::unknown(check, why)],
    };
    let one = |integration: &OnePasswordIntegration| {
        let name = called(integration);
        let spec = &integration.spec;
        let status = integration.status.as_ref();
        let ready = status.and_then(|status| condition(&status.conditions, READY));
        if spec.suspend {
            return Some(Finding::note(&name, "it is suspended (spec.suspend)"));
        }
        if let Some(found) = unready(&name, ready) {
            return Some(found);
        }
        let token = spec.auth.service_account_token.as_ref()?;
        let until = token.expires_at.as_ref()?.0;
        (until <= now.saturating_add(ENDS_SOON).unwrap_or(until)).then(|| {
            Finding::note(
                &name,
                format!("its token ends at {until} (expiresAt): create the next one, and put it into the Secret"),
            )
        })
    };
    all_or(integrations.iter().filter_map(one), check, || {
        format!("{} ready", integrations.len())
    })
}

/// One finding for each flow that cannot be used or has a rule without a match, or one for all.
pub fn flows(read: Read<&[AccessFlow]>) -> Vec<Finding> {
    let check = "flows";
    let flows = match read {
        Ok([]) => {
            let none = "there are none, so nobody can borrow: create an AccessFlow";
            return vec![Finding::note(check, none)];
        }
        Ok(flows) => flows,
        Err(why) => return vec![Finding::unknown(check, why)],
    };
    let one = |flow: &AccessFlow| {
        let name = called(flow);
        let conditions = flow.status.as_ref().map(|status| &status.conditions[..]);
        let conditions = conditions.unwrap_or_default();
        if flow.spec.suspend {
            return Some(Finding::note(&name, "it is suspended (spec.suspend)"));
        }
        let ready = unready(&name, condition(conditions, READY));
        ready.or_else(|| {
            let matches = condition(conditions, MATCHES_ITEMS)?;
            (matches.status == "False").then(|| Finding::problem(&name, &matches.message))
        })
    };
    all_or(flows.iter().filter_map(one), check, || {
        format!("{} ready", flows.len())
    })
}

/// One finding for each notifier that cannot be used or whose receiver takes nothing, or one for all.
pub fn notifiers(read: Read<&[AccessNotifier]>) -> Vec<Finding> {
    let check = "notifiers";
    let notifiers = match read {
        Ok([]) => {
            return vec![Finding::ok(
                check,
                "there are none: nobody is told of requests",
            )];
        }
        Ok(notifiers) => notifiers,
        Err(why) => return vec![Finding::unknown(check, why)],
    };
    let one = |notifier: &AccessNotifier| {
        let name = called(notifier);
        let conditions = notifier
            .status
            .as_ref()
            .map(|status| &status.conditions[..]);
        let conditions = conditions.unwrap_or_default();
        let ready = unready(&name, condition(conditions, READY));
        ready.or_else(|| {
            let delivering = condition(conditions, DELIVERING)?;
            (delivering.status == "False").then(|| Finding::problem(&name, &delivering.message))
        })
    };
    all_or(notifiers.iter().filter_map(one), check, || {
        format!("{} ready", notifiers.len())
    })
}

fn all_or(
    found: impl Iterator<Item = Finding>,
    check: &str,
    all: impl FnOnce() -> String,
) -> Vec<Finding> {
    let mut found: Vec<_> = found.collect();
    if found.is_empty() {
        found.push(Finding::ok(check, all()));
    }
    found
}

fn unready(name: &str, ready: Option<&Condition>) -> Option<Finding> {
    match ready {
        None => Some(Finding::problem(
            name,
            "the operator has not looked at it: check that it runs, and that its value \
             integrationNamespaces has this namespace",
        )),
        Some(ready) if ready.status == "True" => None,
        Some(ready) if ready.status == "Unknown" => Some(Finding::note(name, &ready.message)),
        Some(ready) => Some(Finding::problem(
            name,
            format!("{}: {}", ready.reason, ready.message),
        )),
    }
}

fn condition<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == type_)
}

/// `integration keyloan/prod`.
fn called<K: kube::Resource<DynamicType = ()>>(object: &K) -> String {
    let kind = match &*K::kind(&()) {
        "AccessFlow" => "flow",
        "AccessNotifier" => "notifier",
        _ => "integration",
    };
    let namespace = object.namespace().unwrap_or_default();
    format!("{kind} {namespace}/{}", object.name_any())
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;
    use serde_json::{Value, json};

    fn integration(status: Value, expires_at: Option<&str>) -> OnePasswordIntegration {
        let object = json!({
            "apiVersion": "keyloan.dev/v1alpha1", "kind": "OnePasswordIntegration",
            "metadata": {"name": "prod", "namespace": "keyloan"},
            "spec": {
                "auth": {"serviceAccountToken": {
                    "secretRef": {"name": "op-token", "key": "token"}, "expiresAt": expires_at,
                }},
                "plan": "Business",
            },
            "status": {"observedGeneration": 1, "conditions": [{
                "type": "Ready", "status": status, "reason": "R", "message": "why",
                "lastTransitionTime": "2026-11-24T12:00:00Z",
            }]},
        });
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn an_integration_that_cannot_be_used_or_soon_cannot_is_named() {
        let now: Timestamp = "2026-11-24T12:00:00Z".parse().unwrap();
        let found = |integration: OnePasswordIntegration| {
            let found = integrations(Ok(&[integration]), now);
            (found[0].check.clone(), found[0].state)
        };
        let named = "integration keyloan/prod".to_owned();
        assert_eq!(
            found(integration(json!("True"), None)),
            ("integrations".into(), State::Ok)
        );
        assert_eq!(
            found(integration(json!("False"), None)),
            (named.clone(), State::Problem)
        );
        assert_eq!(
            found(integration(json!("Unknown"), None)),
            (named.clone(), State::Note)
        );
        let soon = Some("2026-12-01T00:00:00Z");
        assert_eq!(
            found(integration(json!("True"), soon)),
            (named.clone(), State::Note)
        );
        let later = Some("2027-12-01T00:00:00Z");
        assert_eq!(found(integration(json!("True"), later)).1, State::Ok);
        let mut unseen = integration(json!("True"), None);
        unseen.status = None;
        assert_eq!(found(unseen), (named, State::Problem));
    }

    #[test]
    fn a_notifier_that_cannot_be_used_or_whose_receiver_fails_is_named() {
        let found = |ready: &str, delivering: &str| {
            let condition = |type_: &str, status: &str| {
                json!({
                    "type": type_, "status": status, "reason": "R", "message": "why",
                    "lastTransitionTime": "2026-11-24T12:00:00Z",
                })
            };
            let object = json!({
                "apiVersion": "keyloan.dev/v1alpha1", "kind": "AccessNotifier",
                "metadata": {"name": "oncall", "namespace": "keyloan"},
                "spec": {},
                "status": {"conditions": [
                    condition("Ready", ready), condition("Delivering", delivering),
                ]},
            });
            let found = notifiers(Ok(&[serde_json::from_value(object).unwrap()]));
            (found[0].check.clone(), found[0].state)
        };
        let named = || "notifier keyloan/oncall".to_owned();
        assert_eq!(found("True", "True"), ("notifiers".into(), State::Ok));
        assert_eq!(found("True", "False"), (named(), State::Problem));
        assert_eq!(found("False", "Unknown"), (named(), State::Problem));
        assert_eq!(notifiers(Ok(&[]))[0].state, State::Ok);
    }
}
