//! A backup with kubectl and a restore by Velero (docs/backup-upgrade.md): the ledger is complete, integrations and flows work, and
//! nothing is lent again.

use std::collections::BTreeMap;

use keyloan::api::*;
use kube::api::{DynamicObject, ListParams, PostParams};
use kube::core::ApiResource;
use kube::{Api, Client, ResourceExt};

use crate::world::{Ask, PLATFORM, Say, TEAM, World, needs_approval, velero_labels};

#[tokio::test(flavor = "multi_thread")]
async fn what_velero_restores_is_history_and_rules_that_work() {
    let mut world = World::start().await;
    world.integration("prod", "lender").await;
    world
        .flow("oncall", |flow| {
            flow.grant.recipients = RecipientRule::Listed
        })
        .await;
    let reviewed = needs_approval("AnyOf", &[("security", "security", 1)]);
    world.flow("reviewed", reviewed).await;

    let runs = world
        .ask("alice", Ask::item("db password").by("oncall"))
        .await;
    let runs = world.until_active(&runs).await;
    let ended = world
        .ask("alice", Ask::item("db password").by("oncall"))
        .await;
    let ended = world.until_active(&ended).await;
    world.delete("alice", &ended).await;
    world
        .until_record(&ended, |record| record.spec.end.is_some())
        .await;
    let denied = world
        .ask("alice", Ask::item("db password").by("reviewed"))
        .await;
    let denied = world
        .until(&denied, |g| {
            g.status.as_ref().is_some_and(|s| s.waiting_for.is_some())
        })
        .await;
    world.decide("carol", &denied, Say::deny(&denied)).await;
    world.until_record(&denied, |_| true).await;

    // With kubectl get.
    let rules = [
        all::<OnePasswordIntegration>(&world.admin, PLATFORM).await,
        all::<AccessFlow>(&world.admin, PLATFORM).await,
    ];
    let grants = all::<AccessGrant>(&world.admin, TEAM).await;
    let ledger = records(&world.admin).list(&ListParams::default()).await;
    let ledger = ledger.expect("listed").items;
    assert_eq!(ledger.len(), 3);
    // With kubectl replace: nobody changes a record by writing it as it is.
    for record in &ledger {
        let (name, api) = (record.name_any(), records(&world.admin));
        let parameters = PostParams::default();
        let replaced = api.replace(&name, &parameters, record);
        replaced.await.expect("unchanged");
    }
    let shares = world.control.shares().await.expect("shares").len();

    world.stop_operator().await;
    wipe(&world).await;
    let velero = world.as_velero().await;
    for object in rules.iter().flatten() {
        restore(&velero, object).await.expect("restored");
    }
    for record in &ledger {
        let stored = serde_json::to_value(record).expect("JSON");
        let stored = serde_json::from_value(stored).expect("an object");
        restore(&velero, &stored).await.expect("restored");
    }
    // A request would be Velero's own: it has no address, and no end.
    for grant in &grants {
        let refusal = restore(&velero, grant).await.expect_err("refused");
        assert!(refusal.contains(END_TOLD), "{refusal}");
    }
    world.restart_operator().await;

    assert_eq!(world.until_integration("prod", "True").await, "Ready");
    let is_closed = |record: &AccessRecord| record.spec.end.is_some();
    let closed = world.until_record(&runs, is_closed).await;
    let end = closed.spec.end.clone().expect("one");
    assert_eq!(end.reason, EndReason::Restored);
    let link = &closed.spec.links[0];
    assert!(closed.spec.residual_until >= link.expires_at, "{closed:?}");
    let after = records(&world.admin).list(&ListParams::default()).await;
    let after: BTreeMap<_, _> = by_name(after.expect("listed").items);
    for mut record in ledger {
        let name = record.name_any();
        if Some(&name) == runs.metadata.uid.as_ref() {
            record.spec.end = Some(end.clone());
            record.spec.residual_until = closed.spec.residual_until.clone();
        }
        assert_eq!(
            after.get(&name),
            Some(&record.spec),
            "the ledger is complete"
        );
    }
    assert_eq!(world.control.shares().await.expect("shares").len(), shares);

    // The rules lend again, to a person who asks again.
    let again = world
        .ask("alice", Ask::item("db password").by("oncall"))
        .await;
    let again = world.until_active(&again).await;
    world.opens_for("alice", &again).await;
    assert_eq!(
        world.control.shares().await.expect("shares").len(),
        shares + 1
    );
}

fn records(client: &Client) -> Api<AccessRecord> {
    Api::namespaced(client.clone(), PLATFORM)
}

fn by_name(records: Vec<AccessRecord>) -> BTreeMap<String, AccessRecordSpec> {
    let named = records
        .into_iter()
        .map(|record| (record.name_any(), record.spec));
    named.collect()
}

/// All objects of a kind, as they are stored.
async fn all<K: kube::Resource<DynamicType = ()>>(
    client: &Client,
    namespace: &str,
) -> Vec<DynamicObject> {
    let resource = ApiResource::erase::<K>(&());
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
    let listed = api.list(&ListParams::default()).await.expect("listed");
    let typed = listed.items.into_iter().map(|mut object| {
        object.types = Some(kube::core::TypeMeta {
            api_version: resource.api_version.clone(),
            kind: resource.kind.clone(),
        });
        object
    });
    typed.collect()
}

/// Deletes everything of Keyloan's in the namespaces, as their deletion does.
async fn wipe(world: &World) {
    let client = world.as_namespace_controller().await;
    macro_rules! delete_all {
        ($($kind:ty: $namespace:expr),+) => {$(
            let api: Api<$kind> = Api::namespaced(client.clone(), $namespace);
            for object in api.list(&ListParams::default()).await.expect("listed") {
                let deleted = api.delete(&object.name_any(), &Default::default()).await;
                deleted.map(drop).expect("deleted");
            }
        )+};
    }
    delete_all!(
        AccessGrant: TEAM,
        AccessDecision: TEAM,
        AccessRecord: PLATFORM,
        AccessFlow: PLATFORM,
        OnePasswordIntegration: PLATFORM
    );
}

/// What Velero does: it creates the object without what the server sets and without status, and labels it.
async fn restore(velero: &Client, stored: &DynamicObject) -> Result<(), String> {
    let types = stored.types.clone().expect("types");
    let (group, version) = types.api_version.split_once('/').expect("a group");
    let kind = kube::core::GroupVersionKind::gvk(group, version, &types.kind);
    let mut object = DynamicObject::new(&stored.name_any(), &ApiResource::from_gvk(&kind));
    object.metadata.labels = Some(velero_labels());
    object.metadata.namespace = stored.namespace();
    object.data = stored.data.clone();
    if let Some(members) = object.data.as_object_mut() {
        members.remove("status");
    }
    let namespace = stored.namespace().expect("one");
    let api: Api<DynamicObject> =
        Api::namespaced_with(velero.clone(), &namespace, &ApiResource::from_gvk(&kind));
    let created = api.create(&PostParams::default(), &object).await;
    created.map(drop).map_err(|error| error.to_string())
}
