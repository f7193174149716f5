//! Getting rid of a denial: the request is deleted and made again, and somebody else is asked.

use keyloan::api::*;
use kube::{Api, ResourceExt};
use serde_json::json;

use super::scene::Scene;
use crate::world::{PLATFORM, TEAM};

/// Why carol refuses; nobody but who reads records is told later.
const REASON: &str = "not for this purpose";

/// Carol denies it, and alice deletes it at once, asks for the same again under the same name, and turns to somebody else.
pub async fn a_denied_request_made_again(scene: &Scene) {
    let mut request = scene.request_of("alice");
    request["metadata"] = json!({ "name": "denied-once", "namespace": TEAM });
    let first = scene.waits(request.clone()).await;
    let before = earlier(&first);
    let mut denial = scene.decision_of("carol", &first, "Deny");
    denial["spec"]["reason"] = json!(REASON);
    let denial = scene.create("carol", denial).await.expect("decided");
    scene.delete("alice", &first).await.expect("deleted");

    let records: Api<AccessRecord> = Api::namespaced(scene.world.admin.clone(), PLATFORM);
    let record = scene.world.until_record(&first, |_| true).await;
    assert_eq!(record.spec.outcome, Some(RequestOutcome::Denied));
    let end = record.spec.end.clone().expect("an end");
    assert_eq!(end.by.as_deref(), Some("carol@example.com"));
    let said = record.spec.decisions.last().expect("the denial");
    assert_eq!(said.reason.as_deref(), Some(REASON));
    assert!(record.spec.requester.groups.is_empty());

    let again = scene.waits(request).await;
    let shown = |g: &AccessGrant| earlier(g).len() > before.len();
    let again = scene.world.until(&again, shown).await;
    let latest = EarlierDenial {
        at: end.at,
        outcome: RequestOutcome::Denied,
    };
    assert_eq!(earlier(&again).first(), Some(&latest));
    let status = serde_json::to_string(&again.status).expect("JSON");
    assert!(!status.contains(REASON), "{status}");
    let decisions: Api<AccessDecision> = Api::namespaced(scene.world.admin.clone(), TEAM);
    let name = denial["metadata"]["name"].as_str().expect("a name");
    assert!(decisions.get_opt(name).await.expect("an answer").is_some());

    // It hides nothing, and forbids nothing: who has seen it may approve. Of somebody else nothing of the kind is said.
    scene.is_lent(&again).await;
    let lent = scene.world.until_record(&again, |_| true).await;
    assert_eq!(lent.spec.outcome, Some(RequestOutcome::Lent));
    let mallorys = scene
        .waits_for("mallory", scene.request_of("mallory"))
        .await;
    assert_eq!(earlier(&mallorys), []);
    scene.is_lent(&mallorys).await;
    let kept = records.get(&first.uid().expect("one")).await;
    assert_eq!(kept.expect("kept").spec, record.spec);
}

fn earlier(grant: &AccessGrant) -> Vec<EarlierDenial> {
    let status = grant.status.as_ref();
    status.map_or(Vec::new(), |s| s.earlier_denials.clone())
}
