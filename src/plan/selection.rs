//! Matches people and namespaces with a flow's rules.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use crate::api::{
    AccessFlow, AgreedPerson, FromNamespaces, Identity, Person, PersonKind, Subject, SubjectKind,
};

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
            .is_some_and(|selector| is_known(labels) && labels_match(selector, labels)),
    }
}

/// The API server gives every namespace a label with its name. A namespace without labels is
/// therefore not known yet; a selector for missing labels would match it wrongly.
pub(super) fn is_known(labels: &BTreeMap<String, String>) -> bool {
    !labels.is_empty()
}

fn labels_match(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    let exactly = selector
        .match_labels
        .iter()
        .flatten()
        .all(|(k, v)| labels.get(k) == Some(v));
    let expressions = selector.match_expressions.iter().flatten().all(|e| {
        let value = labels.get(&e.key);
        let listed = |v: &String| e.values.iter().flatten().any(|x| x == v);
        match e.operator.as_str() {
            "In" => value.is_some_and(listed),
            "NotIn" => !value.is_some_and(listed),
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            _ => false,
        }
    });
    exactly && expressions
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

/// A named person, or a group of people.
pub trait Named {
    /// Whether it is a person or a group.
    fn kind(&self) -> PersonKind;
    /// The name.
    fn name(&self) -> &str;
}

impl Named for Person {
    fn kind(&self) -> PersonKind {
        self.kind
    }

    fn name(&self) -> &str {
        &self.name
    }
}

impl Named for AgreedPerson {
    fn kind(&self) -> PersonKind {
        self.kind
    }

    fn name(&self) -> &str {
        &self.name
    }
}

/// Whether a person is one of these people, or in one of these groups.
pub fn is_one_of(people: &[impl Named], who: &Identity) -> bool {
    people.iter().any(|person| match person.kind() {
        PersonKind::User => is_name_of(person.name(), who),
        PersonKind::Group => in_group(who, person.name()),
    })
}
