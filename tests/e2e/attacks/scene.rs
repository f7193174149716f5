//! Where the attacks happen: a flow that needs bob and two of security, and what every attack and its twin do.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use keyloan::api::*;
use keyloan::cluster::KubeAccess;
use kube::api::{DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::discovery::ApiResource;
use kube::{Api, Client, Resource, ResourceExt};
use serde_json::{Value, json};

use crate::world::{PLATFORM, TEAM, World, condition, needs_approval};

/// The flow under attack.
pub const FLOW: &str = "reviewed";

/// The people whose approvals it requires.
pub const APPROVERS: [&str; 3] = ["bob", "carol", "dave"];

/// Of which groups they are.
const GROUPS: &[(&str, &str, u32)] =
    &[("owner", "platform-owners", 1), ("security", "security", 2)];

/// A world with the flow, and whether its API server stamps identities.
pub struct Scene {
    pub world: World,
    pub stamped: bool,
    /// So many shares have come of honest loans.
    honest: AtomicUsize,
}

impl Scene {
    /// The API server writes who asks and who decides.
    pub async fn stamped() -> Self {
        let world = World::start().await;
        let scene = Self {
            world,
            stamped: true,
            honest: AtomicUsize::default(),
        };
        scene.set_up().await;
        scene
    }

    /// It only checks what people write, as those before 1.36 do.
    pub async fn unstamped() -> Self {
        let world = World::start().await;
        let kinds = ["MutatingAdmissionPolicyBinding", "MutatingAdmissionPolicy"];
        let has_any = world.cluster.has_mutating_policies();
        for kind in kinds.into_iter().filter(|_| has_any) {
            let resource = resource("admissionregistration.k8s.io", "v1", kind);
            let api: Api<DynamicObject> = Api::all_with(world.admin.clone(), &resource);
            for policy in api.list(&ListParams::default()).await.expect("listed") {
                api.delete(&policy.name_any(), &Default::default())
                    .await
                    .expect("deleted");
            }
        }
        let scene = Self {
            world,
            stamped: false,
            honest: AtomicUsize::default(),
        };
        scene.until_nothing_is_stamped().await;
        scene.set_up().await;
        scene
    }

    async fn set_up(&self) {
        let world = &self.world;
        world.integration("prod", "lender").await;
        world
            .flow(FLOW, |flow| {
                needs_approval("AllOf", GROUPS)(flow);
                flow.grant.recipients = RecipientRule::Listed;
                // Alice makes more honest loans here than most people have.
                flow.limits.active_per_requester = 1000;
                flow.limits.pending_per_requester = 1000;
            })
            .await;
    }

    /// The API server forgets a policy a moment after it is deleted.
    async fn until_nothing_is_stamped(&self) {
        let mut probe = self.request_of("alice");
        probe["spec"]["requester"] = json!({ "username": "somebody" });
        until("the policies go", async || {
            self.dry_run("alice", probe.clone()).await.is_err()
        })
        .await;
    }

    pub async fn person(&self, who: &str) -> Client {
        self.world.cluster.client(who).await.expect("a client")
    }

    /// A ServiceAccount of the team, which signs in with a token of its own.
    pub async fn service_account(&self, name: &str) -> Client {
        let account = format!(
            "{{apiVersion: v1, kind: ServiceAccount, metadata: {{name: {name}, namespace: {TEAM}}}}}"
        );
        keyloan_cluster::apply_yaml(&self.world.admin, &account)
            .await
            .expect("applied");
        let cluster = &self.world.cluster;
        let kubeconfig = cluster.service_account_kubeconfig(TEAM, name).await;
        let access = KubeAccess::Kubeconfig(kubeconfig.expect("a kubeconfig"));
        keyloan::cluster::connect(&access).await.expect("a client")
    }

    /// A request by this person for the database's password, honest in all.
    pub fn request_of(&self, who: &str) -> Value {
        let mut request = json!({
            "apiVersion": "keyloan.dev/v1alpha1",
            "kind": "AccessGrant",
            "metadata": { "generateName": "loan-", "namespace": TEAM },
            "spec": {
                "integration": { "name": "prod", "namespace": PLATFORM },
                "item": { "vault": "Infra", "item": "db password" },
                "flow": FLOW,
            },
        });
        if !self.stamped {
            request["spec"]["requester"] = identity_of(who);
        }
        request
    }

    /// Creates any object as somebody; the error is what the API server says.
    pub async fn create(&self, who: &str, object: Value) -> Result<Value, String> {
        create(self.person(who).await, object).await
    }

    /// What would become of an object that somebody creates.
    pub async fn dry_run(&self, who: &str, object: Value) -> Result<Value, String> {
        let dry_run = PostParams {
            dry_run: true,
            ..PostParams::default()
        };
        post(self.person(who).await, object, &dry_run).await
    }

    /// Patches an object as somebody, by a merge.
    pub async fn patch(
        &self,
        who: &str,
        object: &impl Described,
        change: Value,
    ) -> Result<(), String> {
        let (api, name) = self.api_for(who, object).await;
        let patched = api
            .patch(&name, &PatchParams::default(), &Patch::Merge(change))
            .await;
        patched.map(drop).map_err(said)
    }

    /// Deletes an object as somebody.
    pub async fn delete(&self, who: &str, object: &impl Described) -> Result<(), String> {
        let (api, name) = self.api_for(who, object).await;
        api.delete(&name, &Default::default())
            .await
            .map(drop)
            .map_err(said)
    }

    async fn api_for(&self, who: &str, object: &impl Described) -> (Api<DynamicObject>, String) {
        let (resource, namespace, name) = object.described();
        let client = self.person(who).await;
        (Api::namespaced_with(client, &namespace, &resource), name)
    }

    /// A decision on a request as this person writes it, honest in all.
    pub fn decision_of(&self, who: &str, grant: &AccessGrant, decision: &str) -> Value {
        let mut spec =
            json!({ "grant": grant.name_any(), "grantUid": grant.uid(), "decision": decision });
        if decision == "Approve" {
            spec["digest"] = json!(grant.status.as_ref().and_then(|s| s.digest.clone()));
        }
        if !self.stamped {
            spec["approver"] = identity_of(who);
        }
        json!({
            "apiVersion": "keyloan.dev/v1alpha1",
            "kind": "AccessDecision",
            "metadata": { "generateName": "decision-", "namespace": TEAM },
            "spec": spec,
        })
    }

    /// Somebody decides honestly.
    pub async fn decide(&self, who: &str, grant: &AccessGrant, decision: &str) -> Value {
        let decision = self.decision_of(who, grant, decision);
        self.create(who, decision).await.expect("decided")
    }

    /// Alice's request waits for approval.
    pub async fn waiting(&self) -> AccessGrant {
        self.waits(self.request_of("alice")).await
    }

    /// Alice makes this request, and it waits for approval.
    pub async fn waits(&self, request: Value) -> AccessGrant {
        self.waits_for("alice", request).await
    }

    /// Somebody makes this request, and it waits for approval.
    pub async fn waits_for(&self, who: &str, request: Value) -> AccessGrant {
        let made = self.create(who, request).await.expect("asked");
        let grant: AccessGrant = serde_json::from_value(made).expect("a grant");
        self.world
            .until(&grant, |g| {
                g.status.as_ref().is_some_and(|s| s.waiting_for.is_some())
            })
            .await
    }

    /// The honest twin: all who have to agree do, and the request is lent.
    pub async fn is_lent(&self, grant: &AccessGrant) {
        self.runs(grant).await;
        let requester = grant.spec.requester.as_ref().expect("signed");
        let who = requester.username.split('@').next().expect("a name");
        self.delete(who, grant).await.expect("given back");
    }

    /// The same, and the loan goes on.
    pub async fn runs(&self, grant: &AccessGrant) -> AccessGrant {
        for who in APPROVERS {
            self.decide(who, grant, "Approve").await;
        }
        self.gets_a_share(grant).await
    }

    /// An honest request becomes a loan: by one share, and nobody else has got one.
    pub async fn gets_a_share(&self, grant: &AccessGrant) -> AccessGrant {
        let active = self.world.until_active(grant).await;
        self.expect_a_share();
        self.nothing_else_is_lent().await;
        active
    }

    /// The next share is an honest one.
    pub fn expect_a_share(&self) {
        self.honest.fetch_add(1, Ordering::SeqCst);
    }

    /// 1Password has made the shares of the honest, and no other.
    pub async fn nothing_else_is_lent(&self) {
        let honest = self.honest.load(Ordering::SeqCst);
        assert_eq!(self.shares().await, honest, "all shares, and honest ones");
    }

    /// The same when an attack is over: an honest loan comes last, so that a share which the attack has brought about is there by then.
    pub async fn nothing_has_come_of(&self, attack: &str) {
        tracing::info!(attack, "over; has anything come of it?");
        let after_it = self.waiting().await;
        self.is_lent(&after_it).await;
    }

    /// How many shares 1Password has made.
    pub async fn shares(&self) -> usize {
        self.world.control.shares().await.expect("shares").len()
    }

    /// Waits until the status says that a decision has no effect, and why; nothing is lent.
    pub async fn is_ignored(&self, grant: &AccessGrant, decision: &Value, why: &str) {
        self.one_is_ignored(grant, &[decision], why).await;
    }

    /// The same for one of several decisions: those of one second have no order of their own.
    pub async fn one_is_ignored(&self, grant: &AccessGrant, decisions: &[&Value], why: &str) {
        let name = |decision: &&Value| decision["metadata"]["name"].as_str().map(str::to_owned);
        let names: Vec<_> = decisions.iter().filter_map(name).collect();
        let reason = |g: &AccessGrant| {
            let ignored = g.status.as_ref().map_or(&[][..], |s| &s.ignored_decisions);
            ignored
                .iter()
                .find(|i| names.contains(&i.name))
                .map(|i| i.reason.clone())
        };
        let seen = self.world.until(grant, |g| reason(g).is_some()).await;
        assert_eq!(reason(&seen).as_deref(), Some(why));
        assert!(condition(&seen, APPROVED).is_some_and(|c| c.status == "False"));
        self.nothing_else_is_lent().await;
    }
}

/// What the API server knows of somebody.
pub fn identity_of(who: &str) -> Value {
    let groups = match who {
        "alice" | "mallory" => json!(["engineering"]),
        "bob" => json!(["platform-owners"]),
        "carol" | "dave" => json!(["security"]),
        _ => json!([]),
    };
    let name = format!("{who}@example.com");
    json!({ "username": name, "groups": groups, "email": name })
}

/// Creates any object; the error is what the API server says.
pub async fn create(client: Client, object: Value) -> Result<Value, String> {
    post(client, object, &PostParams::default()).await
}

async fn post(client: Client, object: Value, parameters: &PostParams) -> Result<Value, String> {
    let object: DynamicObject = serde_json::from_value(object).expect("an object");
    let types = object.types.clone().expect("types");
    let (group, version) = types
        .api_version
        .split_once('/')
        .unwrap_or(("", &types.api_version));
    let resource = resource(group, version, &types.kind);
    let namespace = object.metadata.namespace.clone().unwrap_or_default();
    let api: Api<DynamicObject> = Api::namespaced_with(client, &namespace, &resource);
    let made = api.create(parameters, &object).await;
    made.map(|made| serde_json::to_value(made).expect("JSON"))
        .map_err(said)
}

/// Asks until it is so: the API server tells nobody when it has learnt of a policy or forgotten it.
pub async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    let asking = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(60), asking).await;
    assert!(in_time.is_ok(), "waited in vain until {what}");
}

/// What a refusal says.
pub fn said(error: kube::Error) -> String {
    match error {
        kube::Error::Api(refusal) => refusal.message,
        other => other.to_string(),
    }
}

/// An attack that the API server refuses, saying so.
pub fn refused<T: std::fmt::Debug>(outcome: Result<T, String>, why: &str) {
    let message = outcome.expect_err("the attack succeeded");
    assert!(message.contains(why), "{message}\nshould say: {why}");
}

/// A kind by which objects are read and written as they are.
pub fn resource(group: &str, version: &str, kind: &str) -> ApiResource {
    ApiResource::from_gvk(&kube::api::GroupVersionKind::gvk(group, version, kind))
}

/// An object by its kind, namespace and name.
pub trait Described {
    fn described(&self) -> (ApiResource, String, String);
}

impl<K: Resource<DynamicType = ()>> Described for K {
    fn described(&self) -> (ApiResource, String, String) {
        let resource = resource(&K::group(&()), &K::version(&()), &K::kind(&()));
        (
            resource,
            self.namespace().unwrap_or_default(),
            self.name_any(),
        )
    }
}
