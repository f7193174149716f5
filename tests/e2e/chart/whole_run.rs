//! All that an operator ever does, in one run: loans asked for, approved, denied, renewed, given back and revoked, by replicas that take turns, until
//! nothing is left of them. Integrations are where nobody borrows.

use std::fmt::Debug;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use keyloan::api::{
    ACTIVE, AccessDecision, AccessGrant, AccessRecord, EndReason, Phase, RENEW_ANNOTATION,
};
use keyloan_cluster::{OPERATOR_NAMESPACE, apply_yaml, wait_until};
use kube::api::ListParams;
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::chart::installed::{FIRST, Installed};
use crate::world::{Ask, PLATFORM, Say, TEAM, World, condition, needs_approval};

/// The other replicas.
const SECOND: &str = "keyloan-1";
const THIRD: &str = "keyloan-2";

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// For the security people where alice asks; and she may also ask where the integrations are.
const PEOPLE: &str = r#"
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: ask, namespace: team-a}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: keyloan-requester}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: engineering}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: ask, namespace: keyloan}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: keyloan-requester}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: engineering}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: decide, namespace: team-a}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: keyloan-approver}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: security}]
"#;

pub async fn play(installed: &mut Installed) {
    let world = &installed.world;
    apply_yaml(&world.admin, PEOPLE).await.unwrap();
    apply_yaml(&world.admin, NOTIFIER).await.unwrap();
    world.integration("prod", "lender").await;
    let databases = json!({ "include": [{ "vault": "Infra", "titles": ["db *"] }] });
    let databases = |flow: &mut keyloan::api::AccessFlowSpec| {
        flow.items = serde_json::from_value(databases).unwrap();
    };
    world.flow("oncall", databases).await;
    let security = needs_approval("AnyOf", &[("security", "security", 1)]);
    world.flow("by-approval", security).await;
    let lent = borrow(world).await;
    let waiting = ask_for_approval(world).await;

    installed.start_replica(SECOND).await;
    installed.stop_replica(FIRST).await;
    let world = &installed.world;
    approve_and_revoke(world, waiting).await;
    deny(world).await;
    assert_eq!(leader(world).await.as_deref(), Some(SECOND));

    // The clock of the others is the machine's.
    installed.start_replica_here(THIRD).await;
    installed.stop_replica(SECOND).await;
    let world = &installed.world;
    renew(world, &lent).await;
    give_back(world, &lent).await;
    assert_eq!(leader(world).await.as_deref(), Some(THIRD));
    tidy_away(world).await;
}

/// Its server does not exist: the operator says so in its status.
const NOTIFIER: &str = "
apiVersion: keyloan.dev/v1alpha1
kind: AccessNotifier
metadata: {name: mail, namespace: keyloan}
spec:
  email:
    server: {host: smtp.invalid}
    from: keyloan@example.com
    to: {requester: true}
";

/// Alice borrows what nobody has to agree to.
async fn borrow(world: &World) -> AccessGrant {
    let ask = Ask::item("db password").lasting("8h");
    let grant = world.ask("alice", ask).await;
    let grant = world.until_active(&grant).await;
    let link = world.read_link("alice", &grant).await.unwrap();
    let opened = world.control.open(&link["url"], "alice@example.com").await;
    assert!(opened.is_ok());
    grant
}

/// She asks for what others have to agree to.
async fn ask_for_approval(world: &World) -> AccessGrant {
    let grant = world.ask("alice", Ask::item("web console")).await;
    let waits = |g: &AccessGrant| g.status.as_ref().is_some_and(|s| s.waiting_for.is_some());
    world.until(&grant, waits).await
}

async fn approve_and_revoke(world: &World, waiting: AccessGrant) {
    world
        .decide("carol", &waiting, Say::approve(&waiting))
        .await;
    let grant = world.until_active(&waiting).await;
    world.decide("carol", &grant, Say::revoke(&grant)).await;
    let record = world.until_record(&grant, |r| r.spec.end.is_some()).await;
    assert_eq!(record.spec.end.map(|e| e.reason), Some(EndReason::Revoked));
    world.until_link_gone(&grant).await;
}

async fn deny(world: &World) {
    let waiting = ask_for_approval(world).await;
    world.decide("carol", &waiting, Say::deny(&waiting)).await;
    let denied = |g: &AccessGrant| g.status.as_ref().and_then(|s| s.phase) == Some(Phase::Denied);
    world.until(&waiting, denied).await;
}

/// The next link where somebody has deleted the Role, of which the RoleBinding is left, and the Secret, then shortly before one ends, then twice after that.
async fn renew(world: &World, grant: &AccessGrant) {
    world.orphan_link(grant).await;
    world.lose_link(grant).await;
    let hour = 60 * MINUTE;
    let links = [
        (2 * MINUTE, false),
        (55 * MINUTE, true),
        (hour, false),
        (hour, false),
    ];
    for (sequence, (later, still_opens)) in (2..).zip(links) {
        world.advance(later).await;
        let opens = |g: &AccessGrant| condition(g, ACTIVE).is_some_and(|c| c.status == "True");
        world.until(grant, |g| opens(g) == still_opens).await;
        let now = world.now().to_string();
        world.annotate(grant, RENEW_ANNOTATION, &now).await;
        let renewed = |g: &AccessGrant| {
            let link = g.status.as_ref().and_then(|s| s.link.as_ref());
            link.is_some_and(|link| link.sequence == sequence) && opens(g)
        };
        let grant = world.until(grant, renewed).await;
        let link = world.read_link("alice", &grant).await.unwrap();
        assert_eq!(link["sequence"], sequence.to_string());
    }
}

async fn give_back(world: &World, grant: &AccessGrant) {
    world.delete("alice", grant).await;
    let record = world.until_record(grant, |r| r.spec.end.is_some()).await;
    assert_eq!(record.spec.end.map(|e| e.reason), Some(EndReason::Deleted));
    world.until_link_gone(grant).await;
}

/// What is over goes in a week, with the decisions about it; records are kept for 90 days.
async fn tidy_away(world: &World) {
    world.advance(8 * DAY).await;
    until_none::<AccessGrant>(world, TEAM).await;
    until_none::<AccessDecision>(world, TEAM).await;
    let records: Api<AccessRecord> = Api::namespaced(world.admin.clone(), PLATFORM);
    let kept = records.list(&ListParams::default()).await.unwrap();
    assert_eq!(kept.items.len(), 3, "two loans and a denial");
    world.advance(90 * DAY).await;
    until_none::<AccessRecord>(world, PLATFORM).await;
}

async fn until_none<K>(world: &World, namespace: &str)
where
    K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
    K: Clone + Debug + DeserializeOwned,
{
    let api: Api<K> = Api::namespaced(world.admin.clone(), namespace);
    let none = async || {
        let left = api.list(&ListParams::default()).await.unwrap();
        left.items.is_empty().then_some(())
    };
    let what = format!("there is no {} any more", K::kind(&()));
    wait_until(what, MINUTE, none).await.unwrap();
}

async fn leader(world: &World) -> Option<String> {
    let leases: Api<Lease> = Api::namespaced(world.admin.clone(), OPERATOR_NAMESPACE);
    let lease = leases.get("keyloan").await.unwrap();
    lease.spec.and_then(|spec| spec.holder_identity)
}
