//! Waits for events, never for a time, and not forever.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use keyloan::api::*;
use keyloan_cluster::{OPERATOR_NAMESPACE, OPERATOR_SERVICE_ACCOUNT};
use kube::api::PostParams;
use kube::runtime::wait::await_condition;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use super::{LINKS, PLATFORM, TEAM, World, condition};

/// How long lies between two looks at what cannot be watched.
pub(super) const A_MOMENT: Duration = Duration::from_millis(20);

/// No wait takes longer; on a good day none takes a tenth of it.
const PATIENCE: Duration = Duration::from_secs(60);

impl World {
    /// Waits until a grant is as it should be.
    pub async fn until(
        &self,
        grant: &AccessGrant,
        wanted: impl Fn(&AccessGrant) -> bool,
    ) -> AccessGrant {
        let api: Api<AccessGrant> =
            Api::namespaced(self.admin.clone(), &grant.namespace().expect("one"));
        let name = grant.name_any();
        match tokio::time::timeout(
            PATIENCE,
            watched(&api, &name, |seen| seen.is_some_and(&wanted)),
        )
        .await
        {
            Ok(seen) => seen.expect("it is there"),
            Err(_) => {
                let status = api
                    .get_opt(&name)
                    .await
                    .expect("readable")
                    .and_then(|g| g.status);
                panic!("waited in vain; the grant's status is {status:#?}");
            }
        }
    }

    /// Waits until a link is there and opens.
    pub async fn until_active(&self, grant: &AccessGrant) -> AccessGrant {
        self.until(grant, |g| {
            condition(g, ACTIVE).is_some_and(|c| c.status == "True")
        })
        .await
    }

    /// Waits until the record of a grant is as it should be.
    pub async fn until_record(
        &self,
        grant: &AccessGrant,
        wanted: impl Fn(&AccessRecord) -> bool,
    ) -> AccessRecord {
        let api: Api<AccessRecord> = Api::namespaced(self.admin.clone(), PLATFORM);
        let name = grant.uid().expect("one");
        let waiting = watched(&api, &name, |seen| seen.is_some_and(&wanted));
        patiently("a record", waiting).await.expect("it is there")
    }

    /// Waits until Secret, Role and RoleBinding of a grant's link are gone.
    pub async fn until_link_gone(&self, grant: &AccessGrant) {
        use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
        use kube::runtime::conditions::is_deleted;
        use kube::runtime::wait::Condition as _;
        let name = link_name(&grant.uid().expect("one"));
        macro_rules! gone {
            ($kind:ty) => {
                let api = Api::<$kind>::namespaced(self.admin.clone(), LINKS);
                if let Some(object) = api.get_opt(&name).await.expect("readable") {
                    let uid = object.uid().expect("one");
                    let deleted =
                        watched(&api, &name, |seen| is_deleted(&uid).matches_object(seen));
                    patiently(stringify!($kind), deleted).await;
                }
            };
        }
        gone!(Secret);
        gone!(Role);
        gone!(RoleBinding);
    }

    /// Waits until nothing carries a link of the grant with this uid.
    pub async fn until_none_left(&self, grant_uid: &str) {
        self.until_none_left_in(LINKS, grant_uid).await;
    }

    /// The same, of another install's links namespace.
    pub async fn until_none_left_in(&self, links: &str, grant_uid: &str) {
        use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
        let name = link_name(grant_uid);
        macro_rules! gone {
            ($kind:ty) => {
                let api = Api::<$kind>::namespaced(self.admin.clone(), links);
                let gone = watched(&api, &name, |seen: Option<&$kind>| seen.is_none());
                patiently(stringify!($kind), gone).await;
            };
        }
        gone!(Secret);
        gone!(Role);
        gone!(RoleBinding);
    }

    /// Waits until an object that is so is among those of a kind.
    pub async fn until_listed<K>(&self, api: &Api<K>, is_so: impl Fn(&K) -> bool)
    where
        K: kube::Resource<DynamicType = ()> + Clone + std::fmt::Debug + serde::de::DeserializeOwned,
    {
        let listed = async {
            loop {
                let all = api.list(&Default::default()).await.expect("listed");
                if all.items.iter().any(&is_so) {
                    return;
                }
                tokio::time::sleep(A_MOMENT).await;
            }
        };
        patiently("an object to be listed", listed).await;
    }

    /// Waits until the API server can stamp requests and decisions, or judge what people write: it learns the schemas of new kinds for
    /// that a moment after it serves them, and refuses whatever it cannot stamp or judge.
    pub async fn until_stamped(&self) {
        let canary = async |kind: &str, spec: Value| {
            let mut object = json!({
                "apiVersion": "keyloan.dev/v1alpha1", "kind": kind, "metadata": { "name": "canary", "namespace": TEAM }, "spec": spec,
            });
            self.sign(&self.admin, &mut object).await;
            object
        };
        let spec = json!({ "integration": { "name": "prod" }, "item": { "vault": "v", "item": "i" }, "notAfter": "2999-01-01T00:00:00Z" });
        let grant = canary("AccessGrant", spec).await;
        let grant: AccessGrant = serde_json::from_value(grant).expect("a request");
        let spec = json!({ "grant": "g", "grantUid": "u", "decision": "Deny" });
        let decision = canary("AccessDecision", spec).await;
        let decision: AccessDecision = serde_json::from_value(decision).expect("a decision");
        let dry_run = PostParams {
            dry_run: true,
            ..PostParams::default()
        };
        let grants: Api<AccessGrant> = Api::namespaced(self.admin.clone(), TEAM);
        let decisions: Api<AccessDecision> = Api::namespaced(self.admin.clone(), TEAM);
        let stamped = async {
            while grants.create(&dry_run, &grant).await.is_err()
                || decisions.create(&dry_run, &decision).await.is_err()
            {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        patiently("requests to be stamped", stamped).await;
    }

    /// Waits until 1Password has got so many requests by this route.
    pub async fn until_requested(&self, route: &str, times: u64) {
        let arrived = async {
            while self.control.requests().await.expect("log").count(route) < times {
                tokio::time::sleep(A_MOMENT).await;
            }
        };
        patiently(route, arrived).await;
    }

    /// Waits until an integration's condition Ready has this status; says why it has.
    pub async fn until_integration(&self, integration: &str, status: &str) -> String {
        let api: Api<OnePasswordIntegration> = Api::namespaced(self.admin.clone(), PLATFORM);
        let ready = |seen: &OnePasswordIntegration| {
            let conditions = seen.status.as_ref().map_or(&[][..], |s| &s.conditions);
            conditions.iter().find(|c| c.type_ == READY).cloned()
        };
        let wanted = |seen: Option<&OnePasswordIntegration>| {
            seen.and_then(ready).is_some_and(|c| c.status == status)
        };
        let seen = patiently(integration, watched(&api, integration, wanted)).await;
        let seen = seen.expect("it is there");
        ready(&seen).expect("Ready").reason
    }

    /// Waits until the operator has looked at a flow as it is now.
    pub async fn until_flow_is_known(&self, name: &str) {
        let api: Api<AccessFlow> = Api::namespaced(self.admin.clone(), PLATFORM);
        let looked_at = |seen: Option<&AccessFlow>| {
            seen.is_some_and(|flow| {
                let status = flow.status.as_ref();
                status.and_then(|s| s.observed_generation) == flow.metadata.generation
            })
        };
        patiently(name, watched(&api, name, looked_at)).await;
    }

    /// When an integration's vaults were listed last.
    pub async fn discovered_at(&self, integration: &str) -> Timestamp {
        let api: Api<OnePasswordIntegration> = Api::namespaced(self.admin.clone(), PLATFORM);
        let status = api
            .get(integration)
            .await
            .expect("readable")
            .status
            .expect("a status");
        status.last_discovery_time.expect("discovered").0
    }

    /// Waits until an integration's vaults have been listed after that time.
    pub async fn until_discovered_after(&self, integration: &str, then: Timestamp) {
        let api: Api<OnePasswordIntegration> = Api::namespaced(self.admin.clone(), PLATFORM);
        let later = |seen: Option<&OnePasswordIntegration>| {
            let status = seen.and_then(|i| i.status.as_ref());
            status
                .and_then(|s| s.last_discovery_time.as_ref())
                .is_some_and(|t| t.0 > then)
        };
        patiently("a discovery", watched(&api, integration, later)).await;
    }

    /// Waits until the object that carries a grant's link is there.
    pub async fn until_there<K>(&self, api: &Api<K>, grant: &AccessGrant)
    where
        K: kube::Resource<DynamicType = ()>
            + Clone
            + std::fmt::Debug
            + serde::de::DeserializeOwned
            + Send
            + 'static,
    {
        let name = link_name(&grant.uid().expect("one"));
        let there = |seen: Option<&K>| seen.is_some();
        patiently(&name, watched(api, &name, there)).await;
    }

    /// By what names the operator has made its requests.
    pub fn operators_user_agents(&self) -> BTreeSet<String> {
        let operator =
            format!("system:serviceaccount:{OPERATOR_NAMESPACE}:{OPERATOR_SERVICE_ACCOUNT}");
        let events = self.audited().into_iter();
        let by_operator = events.filter(|event| event["user"]["username"] == operator);
        let name = |event: serde_json::Value| event["userAgent"].as_str().map(str::to_owned);
        by_operator
            .map(|event| name(event).unwrap_or_default())
            .collect()
    }

    /// What the API server's audit log says so far.
    pub fn audited(&self) -> Vec<serde_json::Value> {
        let log = std::fs::read_to_string(self.cluster.audit_log()).unwrap_or_default();
        let events = log.lines().map(serde_json::from_str);
        events.map(Result::unwrap_or_default).collect()
    }

    /// Waits until the API server has refused the operator to do this to that object.
    pub async fn until_refused(&self, verb: &str, resource: &str, name: &str) {
        let is_it = |object: &serde_json::Value| object["name"] == name;
        self.until_refused_where(verb, resource, is_it).await;
    }

    /// Waits until the API server has refused the operator to create such an object in this namespace; for want of the right it does not
    /// even look at its name.
    pub async fn until_refused_to_create(&self, resource: &str, namespace: &str) {
        let is_it = |object: &serde_json::Value| object["namespace"] == namespace;
        self.until_refused_where("create", resource, is_it).await;
    }

    async fn until_refused_where(
        &self,
        verb: &str,
        resource: &str,
        is_it: impl Fn(&serde_json::Value) -> bool,
    ) {
        let refused = async {
            loop {
                let log = std::fs::read_to_string(self.cluster.audit_log()).unwrap_or_default();
                let is_refusal = |line: &str| {
                    let event: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
                    event["verb"] == verb
                        && event["objectRef"]["resource"] == resource
                        && is_it(&event["objectRef"])
                        && event["responseStatus"]["code"] == 403
                };
                if log.lines().any(is_refusal) {
                    return;
                }
                tokio::time::sleep(A_MOMENT).await;
            }
        };
        patiently("a refusal", refused).await;
    }
}

/// Waits until an object is in the expected state, or gone if that is expected. A watch can break
/// off at any time, for example when the machine is busy; it is started again.
pub(super) async fn watched<K>(
    api: &Api<K>,
    name: &str,
    wanted: impl Fn(Option<&K>) -> bool,
) -> Option<K>
where
    K: kube::Resource<DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned
        + Send
        + 'static,
{
    loop {
        match await_condition(api.clone(), name, &wanted).await {
            Ok(seen) => return seen,
            Err(error) => tracing::warn!(%error, name, "watching again"),
        }
        tokio::time::sleep(A_MOMENT).await;
    }
}

/// Waits, but not forever.
pub(super) async fn patiently<T>(what: &str, wait: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, wait).await {
        Ok(done) => done,
        Err(_) => panic!("waited in vain for {what}"),
    }
}
