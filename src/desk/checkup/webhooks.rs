//! Admission webhooks of others that are called for Keyloan's objects: they may refuse them, and
//! receive what is in them.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::{Selector, SelectorExt as _};

use super::{Finding, Read};
use crate::api::GROUP;

/// A webhook.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Webhook {
    /// Its configuration and its name.
    pub name: String,
    /// Whether a call that fails refuses the object.
    pub fails_closed: bool,
    /// The groups and resources of each of its rules.
    pub rules: Vec<(Vec<String>, Vec<String>)>,
    /// The namespaces for whose objects it is called; none: all.
    pub namespaces: Option<LabelSelector>,
}

impl Webhook {
    fn is_called_for(&self, group: &str, resources: &[&str]) -> bool {
        self.rules.iter().any(|(groups, named)| {
            let any_group = groups.iter().any(|g| g == "*" || g == group);
            let any_resource = named.iter().any(|name| {
                let name = name.split('/').next().unwrap_or_default();
                name == "*" || resources.contains(&name)
            });
            any_group && any_resource
        })
    }

    /// Whether it is called for objects of a namespace with these labels. A selector that cannot be
    /// understood counts as one that selects.
    fn selects(&self, labels: &BTreeMap<String, String>) -> bool {
        let Some(selector) = self.namespaces.clone() else {
            return true;
        };
        Selector::try_from(selector).map_or(true, |selector| selector.matches(labels))
    }
}

/// The webhooks that are called for the objects of a loan, with the labels of the links namespace.
pub fn webhooks(
    read: Read<&[Webhook]>,
    links_namespace: &str,
    labels: &BTreeMap<String, String>,
) -> Vec<Finding> {
    let check = "webhooks";
    let webhooks = match read {
        Ok(webhooks) => webhooks,
        Err(why) => return vec![Finding::unknown(check, why)],
    };
    let one = |webhook: &Webhook| {
        let in_links = webhook.selects(labels);
        let name = format!("webhook {}", webhook.name);
        let closed = match webhook.fails_closed {
            true => "; while it cannot be reached, nothing is lent",
            false => "",
        };
        if in_links && webhook.is_called_for("", &["secrets"]) {
            return Some(Finding::problem(
                &name,
                format!(
                    "it receives the link of each loan: exclude namespace {links_namespace} in its \
                     namespaceSelector{closed}"
                ),
            ));
        }
        let places = ["roles", "rolebindings"];
        let refuses = in_links && webhook.is_called_for("rbac.authorization.k8s.io", &places)
            || webhook.is_called_for(GROUP, &["accessrecords", "accessgrants", "accessdecisions"]);
        refuses.then(|| {
            Finding::note(
                &name,
                format!("it is called for Keyloan's objects and may refuse them{closed}"),
            )
        })
    };
    let mut found: Vec<_> = webhooks.iter().filter_map(one).collect();
    if found.is_empty() {
        found.push(Finding::ok(check, "none is called for Keyloan's objects"));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;
    use serde_json::json;

    fn webhook(group: &str, resource: &str, namespaces: Option<serde_json::Value>) -> Webhook {
        Webhook {
            name: "policy/validate".into(),
            fails_closed: true,
            rules: vec![(vec![group.into()], vec![resource.into()])],
            namespaces: namespaces.map(|s| serde_json::from_value(s).unwrap()),
        }
    }

    fn found(webhook: Webhook) -> State {
        let name = ("kubernetes.io/metadata.name".into(), "links".into());
        webhooks(Ok(&[webhook]), "links", &[name].into())[0].state
    }

    #[test]
    fn a_webhook_that_receives_links_is_a_problem() {
        assert_eq!(found(webhook("*", "*", None)), State::Problem);
        assert_eq!(found(webhook("", "secrets", None)), State::Problem);
        assert_eq!(found(webhook("*", "*/*", None)), State::Problem);
        assert_eq!(found(webhook("apps", "*", None)), State::Ok);
        assert_eq!(found(webhook("", "pods", None)), State::Ok);
    }

    #[test]
    fn a_selector_that_leaves_the_namespace_out_is_heard() {
        let others = json!({"matchExpressions": [
            {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["links"]},
        ]});
        assert_eq!(
            found(webhook("", "secrets", Some(others.clone()))),
            State::Ok
        );
        assert_eq!(
            found(webhook("", "secrets", Some(json!({})))),
            State::Problem
        );
        // Grants are in other namespaces.
        assert_eq!(found(webhook("*", "*", Some(others))), State::Note);
    }

    #[test]
    fn a_webhook_that_may_refuse_is_noted() {
        assert_eq!(
            found(webhook("keyloan.dev", "accessgrants", None)),
            State::Note
        );
        let roles = webhook("rbac.authorization.k8s.io", "rolebindings", None);
        assert_eq!(found(roles), State::Note);
    }
}
