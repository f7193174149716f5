//! Reads an installation for an administrator's checkup.

use std::collections::BTreeMap;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use k8s_openapi::api::admissionregistration::v1::{RuleWithOperations, ValidatingWebhook};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{ApiResource, DynamicObject, GetParams, GroupVersionKind, ListParams, PostParams};
use kube::core::Request;
use kube::{Api, ResourceExt as _};
use serde_json::Value;

use super::{CallError, Person, is_unknown};
use crate::cluster::policies;
use crate::desk::checkup::{Deployed, Leader, Right, Webhook};
use crate::plan::boundary::{PoliciesSeen, PolicyKey};

/// How many calls are made at the same time.
const AT_A_TIME: usize = 8;

/// A user of the cluster, as an authorizer knows a ServiceAccount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceAccount {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl ServiceAccount {
    /// The ServiceAccount with this username.
    pub fn of(username: &str) -> Option<Self> {
        let (namespace, name) = username
            .strip_prefix("system:serviceaccount:")?
            .split_once(':')?;
        Some(Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        })
    }

    fn username(&self) -> String {
        format!("system:serviceaccount:{}:{}", self.namespace, self.name)
    }
}

impl Person {
    /// The API server's time, in whole seconds.
    pub async fn server_time(&self) -> Result<Option<Timestamp>, CallError> {
        let api: Api<SelfSubjectReview> = Api::all(self.client.clone());
        let (parameters, review) = (PostParams::default(), SelfSubjectReview::default());
        let call = api.create(&parameters, &review);
        let review = self.bounded("read", "the API server's time", call).await?;
        Ok(review.metadata.creation_timestamp.map(|time| time.0))
    }

    /// The API server's schemas of an API group; `None` if it does not have the group.
    pub async fn schemas(&self, group: &str, version: &str) -> Result<Option<Value>, CallError> {
        let path = format!("/openapi/v3/apis/{group}");
        let call = async {
            let request = Request::new(path).get(version, &GetParams::default());
            let request = request.map_err(kube::Error::BuildRequest)?;
            self.client.request::<Value>(request).await
        };
        let object = format!("the schemas of {group}");
        match self.bounded("read", object, call).await {
            Ok(schemas) => Ok(Some(schemas)),
            Err(error) if is_unknown(&error.refused) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Those of these admission policies and bindings that exist.
    pub async fn policies(&self, keys: Vec<PolicyKey>) -> Result<PoliciesSeen, CallError> {
        let read = |key: PolicyKey| async move {
            let api = policies::api(&self.client, key.0);
            let object = format!("{} {}", key.0.name(), key.1);
            let policy = self.bounded("read", object, api.get(&key.1)).await;
            match policy {
                Ok(policy) => Ok(Some((key, policies::policy_seen(policy)))),
                Err(error) if is_unknown(&error.refused) => Ok(None),
                Err(error) => Err(error),
            }
        };
        let reading = stream::iter(keys.into_iter().map(read)).buffer_unordered(AT_A_TIME);
        let read: Vec<_> = reading.try_collect().await?;
        Ok(read.into_iter().flatten().collect())
    }

    /// The Deployments that run as this ServiceAccount.
    pub async fn deployments(&self, account: &ServiceAccount) -> Result<Vec<Deployed>, CallError> {
        let scope = super::Scope::Namespace(account.namespace.clone());
        let deployments = self.list::<Deployment>(&scope, "").await?;
        let runs_as = |deployment: &Deployment| {
            let spec = deployment.spec.as_ref()?.template.spec.as_ref()?;
            let name = spec.service_account_name.as_deref()?;
            (name == account.name).then(|| deployed(deployment))
        };
        Ok(deployments.iter().filter_map(runs_as).collect())
    }

    /// A lease; `None` if it does not exist.
    pub async fn leader(&self, namespace: &str, name: &str) -> Result<Option<Leader>, CallError> {
        let lease = self.get::<Lease>(namespace, name).await;
        let lease = match lease {
            Ok(lease) => lease.spec.unwrap_or_default(),
            Err(error) if is_unknown(&error.refused) => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(Some(Leader {
            holder: lease.holder_identity.filter(|holder| !holder.is_empty()),
            renewed_at: lease.renew_time.map(|time| time.0),
        }))
    }

    /// The labels of a namespace; `None` if it does not exist.
    pub async fn labels_of_namespace(
        &self,
        name: &str,
    ) -> Result<Option<BTreeMap<String, String>>, CallError> {
        let api: Api<Namespace> = Api::all(self.client.clone());
        let call = api.get(name);
        match self
            .bounded("read", format!("Namespace {name}"), call)
            .await
        {
            Ok(namespace) => Ok(Some(namespace.metadata.labels.unwrap_or_default())),
            Err(error) if is_unknown(&error.refused) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Those of a right's verbs that a ServiceAccount may not use in a namespace; none: in the whole
    /// cluster.
    pub async fn lacks(
        &self,
        account: &ServiceAccount,
        right: &Right,
        namespace: Option<&str>,
    ) -> Result<Vec<&'static str>, CallError> {
        let asked = right.verbs.iter().map(|verb| async move {
            let may = self.may_account(account, right, verb, namespace).await?;
            Ok((!may).then_some(*verb))
        });
        let asked = stream::iter(asked).buffered(AT_A_TIME);
        let lacked: Vec<Option<_>> = asked.try_collect().await?;
        Ok(lacked.into_iter().flatten().collect())
    }

    async fn may_account(
        &self,
        account: &ServiceAccount,
        right: &Right,
        verb: &str,
        namespace: Option<&str>,
    ) -> Result<bool, CallError> {
        let (resource, subresource) = match right.resource.split_once('/') {
            Some((resource, subresource)) => (resource, Some(subresource.to_owned())),
            None => (right.resource, None),
        };
        let groups = [
            "system:serviceaccounts".to_owned(),
            format!("system:serviceaccounts:{}", account.namespace),
            "system:authenticated".to_owned(),
        ];
        let review = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: Some(account.username()),
                groups: Some(groups.to_vec()),
                resource_attributes: Some(ResourceAttributes {
                    group: Some(right.group.to_owned()),
                    resource: Some(resource.to_owned()),
                    subresource,
                    verb: Some(verb.to_owned()),
                    namespace: namespace.map(str::to_owned),
                    name: right.name.map(str::to_owned),
                    ..ResourceAttributes::default()
                }),
                ..SubjectAccessReviewSpec::default()
            },
            ..SubjectAccessReview::default()
        };
        let api: Api<SubjectAccessReview> = Api::all(self.client.clone());
        let parameters = PostParams::default();
        let call = api.create(&parameters, &review);
        let answer = self.bounded("find out", "what the operator may do", call);
        Ok(answer.await?.status.is_some_and(|status| status.allowed))
    }

    /// All admission webhooks.
    pub async fn webhooks(&self) -> Result<Vec<Webhook>, CallError> {
        let mut found = Vec::new();
        for kind in [
            "ValidatingWebhookConfiguration",
            "MutatingWebhookConfiguration",
        ] {
            let gvk = GroupVersionKind::gvk("admissionregistration.k8s.io", "v1", kind);
            let resource = ApiResource::from_gvk(&gvk);
            let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &resource);
            let parameters = ListParams::default();
            let call = api.list(&parameters);
            let listed = self.bounded("list", resource.plural, call).await?;
            found.extend(listed.into_iter().flat_map(webhooks_of));
        }
        Ok(found)
    }
}

/// The webhooks of a configuration. One that cannot be read counts as called for everything.
fn webhooks_of(mut configuration: DynamicObject) -> Vec<Webhook> {
    let name = configuration.name_any();
    let webhooks = configuration.data["webhooks"].take();
    let webhooks = webhooks.as_array().cloned().unwrap_or_default();
    let seen = webhooks.into_iter().map(|webhook| {
        // The parts that both kinds have in common.
        match serde_json::from_value::<ValidatingWebhook>(webhook) {
            Ok(webhook) => seen(&name, webhook),
            Err(_) => Webhook {
                name: name.clone(),
                fails_closed: true,
                rules: vec![(vec!["*".into()], vec!["*".into()])],
                namespaces: None,
            },
        }
    });
    seen.collect()
}

fn deployed(deployment: &Deployment) -> Deployed {
    let status = deployment.status.clone().unwrap_or_default();
    let spec = deployment.spec.as_ref();
    let pod = spec.and_then(|spec| spec.template.spec.as_ref());
    let containers = pod.map(|pod| &pod.containers[..]).unwrap_or_default();
    let arguments = containers
        .iter()
        .filter_map(|container| container.args.clone());
    Deployed {
        name: format!(
            "{}/{}",
            deployment.namespace().unwrap_or_default(),
            deployment.name_any()
        ),
        ready: status.ready_replicas.unwrap_or(0),
        wanted: spec.and_then(|spec| spec.replicas).unwrap_or(1),
        arguments: arguments.flatten().collect(),
    }
}

fn seen(configuration: &str, webhook: ValidatingWebhook) -> Webhook {
    let rule = |rule: RuleWithOperations| {
        let (groups, resources) = (rule.api_groups, rule.resources);
        (groups.unwrap_or_default(), resources.unwrap_or_default())
    };
    let rules = webhook.rules.unwrap_or_default();
    Webhook {
        name: format!("{configuration}/{}", webhook.name),
        fails_closed: webhook.failure_policy.as_deref() != Some("Ignore"),
        rules: rules.into_iter().map(rule).collect(),
        namespaces: webhook.namespace_selector,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhook_that_cannot_be_read_is_not_overlooked() {
        let configuration = |webhooks| {
            let object = serde_json::json!({
                "apiVersion": "admissionregistration.k8s.io/v1",
                "kind": "MutatingWebhookConfiguration",
                "metadata": { "name": "c" },
                "webhooks": webhooks,
            });
            webhooks_of(serde_json::from_value(object).unwrap())
        };
        let usual = serde_json::json!([{
            "name": "w", "admissionReviewVersions": ["v1"], "sideEffects": "None",
            "clientConfig": {}, "failurePolicy": "Ignore", "reinvocationPolicy": "Never",
            "rules": [{ "apiGroups": [""], "resources": ["pods"] }],
        }]);
        let [webhook] = &configuration(usual)[..] else {
            panic!("one webhook");
        };
        assert_eq!(
            (webhook.name.as_str(), webhook.fails_closed),
            ("c/w", false)
        );
        assert_eq!(webhook.rules, [(vec![String::new()], vec!["pods".into()])]);
        let unreadable = configuration(serde_json::json!([{ "name": 1 }]));
        assert_eq!(unreadable[0].rules, [(vec!["*".into()], vec!["*".into()])]);
        assert_eq!(configuration(Value::Null), []);
    }

    #[test]
    fn a_service_account_is_known_by_its_username() {
        let account = ServiceAccount::of("system:serviceaccount:keyloan-system:keyloan").unwrap();
        assert_eq!(account.namespace, "keyloan-system");
        assert_eq!(account.name, "keyloan");
        assert_eq!(
            account.username(),
            "system:serviceaccount:keyloan-system:keyloan"
        );
        assert_eq!(ServiceAccount::of("alice@example.com"), None);
    }
}
