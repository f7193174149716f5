//! Taking the guard away for a while: the policies that refuse false names are deleted, or only watch, and false names are stored
//! meanwhile.

use std::path::Path;
use std::time::Duration;

use keyloan::api::*;
use keyloan::manifests::IDENTITY_POLICIES;
use kube::Api;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};

use super::scene::{Scene, identity_of, resource, until};
use crate::world::condition;

/// What somebody with stolen rights does to the policies.
enum Breach {
    Deleted,
    OnlyAudits,
}

pub async fn policies_deleted(scene: &Scene) {
    nothing_forged_meanwhile_counts(scene, Breach::Deleted).await;
}

pub async fn policies_that_only_audit(scene: &Scene) {
    nothing_forged_meanwhile_counts(scene, Breach::OnlyAudits).await;
}

/// Mallory asks as alice, for a link to herself, and approves her own request as all who have to agree. What alice has been lent goes on.
async fn nothing_forged_meanwhile_counts(scene: &Scene, breach: Breach) {
    let world = &scene.world;
    let own = scene
        .waits_for("mallory", scene.request_of("mallory"))
        .await;
    let running = running(scene).await;
    breach.make(scene).await;
    let false_names = ["alice", "bob"].map(|who| Some(format!("{who}@example.com")));
    until("false names are stored", async || {
        stored_as(scene, &own).await == false_names
    })
    .await;
    assert_eq!(
        world.until_integration("prod", "False").await,
        "BoundaryNotInForce"
    );

    let forged = scene.create("mallory", forged_request(scene)).await;
    let forged: AccessGrant = serde_json::from_value(forged.expect("stored")).expect("a grant");
    let mut approvals = Vec::new();
    for who in ["bob", "carol", "dave"] {
        let approval = scene.create("mallory", approval_as(scene, who, &own)).await;
        let approval = approval.expect("stored");
        assert_eq!(approval["spec"]["approver"], identity_of(who));
        approvals.push(approval);
    }
    let held = |reason: &'static str, why: &'static str| {
        move |g: &AccessGrant| {
            condition(g, ACCEPTED).is_some_and(|c| c.reason == reason && c.message.contains(why))
        }
    };
    world
        .until(&forged, held("BoundaryNotInForce", breach.flaw()))
        .await;
    let why = "the integration is not ready: BoundaryNotInForce; if this lasts, ask its owners";
    world.until(&own, held("IntegrationNotReady", why)).await;
    goes_on_and_ends(scene, &running, &breach).await;
    scene.nothing_else_is_lent().await;

    breach.mend(scene).await;
    let as_before = [(); 2].map(|()| scene.stamped.then(|| "mallory@example.com".to_owned()));
    until("false names are mended or refused again", async || {
        stored_as(scene, &own).await == as_before
    })
    .await;
    assert_eq!(world.until_integration("prod", "True").await, "Ready");
    let void = |g: &AccessGrant| {
        let accepted = condition(g, ACCEPTED).is_some_and(|c| c.reason == "IdentityUnverified");
        accepted && g.status.as_ref().and_then(|s| s.phase) == Some(Phase::Failed)
    };
    world.until(&forged, void).await;
    let why = "the decision was made before the last change of the admission policies, which verify who made it; decide again";
    for approval in &approvals {
        scene.is_ignored(&own, approval, why).await;
    }
    scene.nothing_else_is_lent().await;

    // What is made in the second of the change is not vouched for either.
    let then = now(scene).await;
    until("the API server's next second", async || {
        now(scene).await != then
    })
    .await;
    scene.is_lent(&own).await;
    let twin = scene.waiting().await;
    scene.is_lent(&twin).await;
    world.until(&forged, void).await;
    scene.delete("alice", &forged).await.expect("tidied away");
}

/// A loan that the boundary vouched for when it began.
async fn running(scene: &Scene) -> AccessGrant {
    let mut request = scene.request_of("alice");
    request["spec"]["duration"] = json!("4h");
    let grant = scene.waits(request).await;
    scene.runs(&grant).await
}

/// Alice gets her next link while nobody vouches for anything new, and then has enough.
async fn goes_on_and_ends(scene: &Scene, loan: &AccessGrant, breach: &Breach) {
    let world = &scene.world;
    world.advance(Duration::from_secs(55 * 60)).await;
    scene.expect_a_share();
    let now = world.now().to_string();
    world.annotate(loan, RENEW_ANNOTATION, &now).await;
    let renewed = |g: &AccessGrant| {
        let link = g.status.as_ref().and_then(|s| s.link.as_ref());
        link.is_some_and(|link| link.sequence == 2)
    };
    world.until(loan, renewed).await;
    let reason = match breach {
        Breach::Deleted => {
            let mut enough = scene.decision_of("alice", loan, "Revoke");
            enough["spec"]["approver"] = identity_of("alice");
            scene.create("alice", enough).await.expect("decided");
            EndReason::Revoked
        }
        Breach::OnlyAudits => {
            scene.delete("alice", loan).await.expect("given back");
            EndReason::Deleted
        }
    };
    world.until_link_gone(loan).await;
    let record = world.until_record(loan, |r| r.spec.end.is_some()).await;
    assert_eq!(record.spec.end.map(|end| end.reason), Some(reason));
}

impl Breach {
    /// Where the API server stamps identities, that has to go as well: else the names are true.
    async fn make(&self, scene: &Scene) {
        for name in IDENTITY_POLICIES {
            if scene.stamped {
                delete(scene, "MutatingAdmissionPolicyBinding", name).await;
            }
            match self {
                Self::Deleted => delete(scene, "ValidatingAdmissionPolicy", name).await,
                Self::OnlyAudits => {
                    let change = json!({ "spec": { "validationActions": ["Audit"] } });
                    let bindings = policies(scene, "ValidatingAdmissionPolicyBinding");
                    bindings
                        .patch(name, &PatchParams::default(), &Patch::Merge(change))
                        .await
                        .expect("changed");
                }
            }
        }
    }

    /// What the operator says of it: of all that is wrong, it names what comes first.
    fn flaw(&self) -> &'static str {
        match self {
            Self::Deleted => "he ValidatingAdmissionPolicy keyloan-decision-identity is missing",
            Self::OnlyAudits => {
                "he ValidatingAdmissionPolicyBinding keyloan-decision-identity differs from the shipped one (spec.validationActions is [\"Audit\"]"
            }
        }
    }

    /// Puts all of it back, as it was installed.
    async fn mend(&self, scene: &Scene) {
        let crds = Path::new(env!("CARGO_MANIFEST_DIR")).join("crds");
        let stamps = scene.stamped.then_some("policy-identity-mutating.yaml");
        for file in ["policy-identity.yaml"].into_iter().chain(stamps) {
            let shipped = std::fs::read_to_string(crds.join(file)).expect("readable");
            keyloan_cluster::apply_yaml(&scene.world.admin, &shipped)
                .await
                .expect("applied");
        }
    }
}

async fn delete(scene: &Scene, kind: &str, name: &str) {
    policies(scene, kind)
        .delete(name, &DeleteParams::default())
        .await
        .expect("deleted");
}

fn policies(scene: &Scene, kind: &str) -> Api<DynamicObject> {
    let resource = resource("admissionregistration.k8s.io", "v1", kind);
    Api::all_with(scene.world.admin.clone(), &resource)
}

/// Alice asks, and mallory gets the link.
fn forged_request(scene: &Scene) -> Value {
    let mut request = scene.request_of("alice");
    request["spec"]["requester"] = identity_of("alice");
    request["spec"]["recipients"] = json!(["mallory@example.com"]);
    request
}

fn approval_as(scene: &Scene, who: &str, grant: &AccessGrant) -> Value {
    let mut approval = scene.decision_of(who, grant, "Approve");
    approval["spec"]["approver"] = identity_of(who);
    approval
}

/// Under what names mallory's request as alice, and her approval as bob, would be stored, if they would be.
async fn stored_as(scene: &Scene, grant: &AccessGrant) -> [Option<String>; 2] {
    let request = scene.dry_run("mallory", forged_request(scene)).await;
    let approval = approval_as(scene, "bob", grant);
    let approval = scene.dry_run("mallory", approval).await;
    let name = |made: Result<Value, String>, field: &str| {
        made.ok()
            .and_then(|made| made["spec"][field]["username"].as_str().map(str::to_owned))
    };
    [name(request, "requester"), name(approval, "approver")]
}

/// The API server's time, which has no fractions of seconds.
async fn now(scene: &Scene) -> Value {
    let honest = scene.dry_run("alice", scene.request_of("alice")).await;
    honest.expect("it would be stored")["metadata"]["creationTimestamp"].clone()
}
