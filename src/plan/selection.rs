//! Matches people and namespaces with a flow's rules.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::{Selector, SelectorExt as _};

use crate::api::{AccessFlow, FromNamespaces, Identity, Subject, SubjectKind};

use super::people::{in_group, is_name_of};

/// Whether a flow accepts requests from a namespace.
pub fn namespace_matches(
    flow: &AccessFlow,
    namespace: &str,
    labels: &BTreeMap<String, String>,
) -> bool {
    let rule = &flow.spec.namespaces;
    match rule.from {
        FromNamespaces::Same => flow.metadata.namespace.as_deref() == Some(namespace),
        FromNamespaces::All => true,
        FromNamespaces::Selector => rule
            .selector
            .as_ref()
            .is_some_and(|selector| is_known(labels) && selects(selector, labels)),
    }
}

/// The API server gives every namespace a label with its name. A namespace without labels is
/// therefore not known yet; a selector for missing labels would match it wrongly.
pub(super) fn is_known(labels: &BTreeMap<String, String>) -> bool {
    !labels.is_empty()
}

/// Whether a selector selects these labels. An invalid one selects none: some that kube accepts
/// would select every namespace.
fn selects(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    selector_problem(selector).is_none()
        && Selector::try_from(selector.clone()).is_ok_and(|selector| selector.matches(labels))
}

/// The mistake in a selector that is invalid by the rules of Kubernetes, if it has one.
pub(super) fn selector_problem(selector: &LabelSelector) -> Option<String> {
    selector
        .match_expressions
        .iter()
        .flatten()
        .find_map(|expression| {
            let values = expression.values.as_ref().map_or(0, Vec::len);
            let key = &expression.key;
            match expression.operator.as_str() {
                "In" | "NotIn" if values == 0 => Some(format!(
                    "operator {} for key {key:?} requires values",
                    expression.operator
                )),
                "Exists" | "DoesNotExist" if values > 0 => Some(format!(
                    "operator {} for key {key:?} allows no values",
                    expression.operator
                )),
                "In" | "NotIn" | "Exists" | "DoesNotExist" => None,
                other => Some(format!(
                    "operator {other:?} for key {key:?} is unknown; use In, NotIn, Exists or \
                 DoesNotExist"
                )),
            }
        })
}

/// Whether a person is among the subjects.
pub fn is_among(subjects: &[Subject], who: &Identity) -> bool {
    subjects.iter().any(|subject| match subject.kind {
        SubjectKind::User => is_name_of(&subject.name, who),
        SubjectKind::Group => in_group(who, &subject.name),
        SubjectKind::ServiceAccount => subject.namespace.as_ref().is_some_and(|namespace| {
            who.username == format!("system:serviceaccount:{namespace}:{}", subject.name)
        }),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// The namespace has the label `team: a` and no other.
    #[rstest::rstest]
    #[case::everything(json!({}), true)]
    #[case::a_label(json!({"matchLabels": {"team": "a"}}), true)]
    #[case::another_value(json!({"matchLabels": {"team": "b"}}), false)]
    #[case::a_missing_label(json!({"matchLabels": {"lend": "yes"}}), false)]
    #[case::one_of(one("team", "In", &["b", "a"]), true)]
    #[case::one_of_a_missing_label(one("lend", "In", &["yes"]), false)]
    #[case::none_of(one("team", "NotIn", &["a"]), false)]
    #[case::none_of_a_missing_label(one("lend", "NotIn", &["no"]), true)]
    #[case::any_value(one("team", "Exists", &[]), true)]
    #[case::any_value_of_a_missing_label(one("lend", "Exists", &[]), false)]
    #[case::no_label(one("team", "DoesNotExist", &[]), false)]
    #[case::no_missing_label(one("lend", "DoesNotExist", &[]), true)]
    #[case::both(json!({"matchLabels": {"team": "a"}, "matchExpressions": [{"key": "lend", "operator": "Exists"}]}), false)]
    fn a_selector_selects_as_the_api_server_does(
        #[case] selector: Value,
        #[case] is_selected: bool,
    ) {
        let labels = [("team".to_owned(), "a".to_owned())].into();
        let selector = serde_json::from_value(selector).unwrap();
        assert_eq!(selector_problem(&selector), None);
        assert_eq!(selects(&selector, &labels), is_selected);
    }

    /// The status of its flow says so.
    #[rstest::rstest]
    #[case::none_of_no_values(one("lend", "NotIn", &[]))]
    #[case::none_of_values_left_out(json!({"matchExpressions": [{"key": "lend", "operator": "NotIn"}]}))]
    #[case::one_of_no_values(one("team", "In", &[]))]
    #[case::any_value_with_values(one("team", "Exists", &["a"]))]
    #[case::no_label_with_values(one("lend", "DoesNotExist", &["yes"]))]
    #[case::an_unknown_operator(one("team", "Like", &["a"]))]
    fn an_invalid_selector_selects_nothing(#[case] selector: Value) {
        let labels = [("team".to_owned(), "a".to_owned())].into();
        let selector = serde_json::from_value(selector).unwrap();
        assert!(selector_problem(&selector).is_some());
        assert!(!selects(&selector, &labels));
    }

    fn one(key: &str, operator: &str, values: &[&str]) -> Value {
        json!({"matchExpressions": [{"key": key, "operator": operator, "values": values}]})
    }
}
