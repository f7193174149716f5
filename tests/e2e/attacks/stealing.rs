//! An attacker with the operator's ServiceAccount: records written by hand lend nothing that nobody
//! approved.

use keyloan::api::*;
use keyloan::plan::digest::digest;
use kube::{Api, ResourceExt};

use super::scene::{Scene, until};
use crate::world::{PLATFORM, condition};

type Forge = fn(&mut AccessRecordSpec);

/// For a request that waits: to somebody else, by approvals that nobody gave, and by no approval at all.
pub async fn records_of_requests_that_wait(scene: &Scene) {
    let elsewhere: Forge = |record| record.terms.recipients = vec![Email("m@evil.example".into())];
    let as_agreed: Forge = |_| {};
    let of_nobody: Forge = |record| record.terms.approval = None;
    let by_accomplices: Forge = |record| {
        let approval = record.terms.approval.as_mut().expect("one");
        approval.groups.truncate(1);
        approval.groups[0].approvers = vec![AgreedPerson {
            kind: PersonKind::User,
            name: "erin@example.com".into(),
        }];
    };
    for forge in [elsewhere, as_agreed, of_nobody, by_accomplices] {
        let waiting = scene.waiting().await;
        let mut record = record_of(&waiting);
        forge(&mut record);
        record.digest = digest(&record.grant.uid, &record.terms, None);
        write(scene, record).await;
        let is_refused = |g: &AccessGrant| {
            let active = condition(g, ACTIVE);
            let stalled = condition(g, STALLED).is_some_and(|c| c.status == "True");
            stalled && active.is_some_and(|c| REFUSED.contains(&c.reason.as_str()))
        };
        let refused = scene.world.until(&waiting, is_refused).await;
        let is_approved = condition(&refused, APPROVED).is_some_and(|c| c.status == "True");
        assert!(!is_approved, "nobody did: {:?}", refused.status);
        let shown = refused.status.as_ref().map(|s| &s.decisions);
        assert!(shown.is_some_and(Vec::is_empty), "{shown:?}");
        scene.nothing_else_is_lent().await;
        scene.delete("alice", &refused).await.expect("deleted");
    }
}

/// The reason why nothing is lent.
const REFUSED: [&str; 2] = ["TermsNotConfirmed", "RecipientNotAllowed"];

/// For a request that nobody has made: its loan ends before it begins.
pub async fn records_of_requests_that_nobody_made(scene: &Scene) {
    let waiting = scene.waiting().await;
    let mut record = record_of(&waiting);
    record.grant.uid = "0b54a15c-invented".into();
    record.grant.name = "invented".into();
    record.digest = digest(&record.grant.uid, &record.terms, None);
    let written = write(scene, record).await;
    let records: Api<AccessRecord> = Api::namespaced(scene.world.admin.clone(), PLATFORM);
    until("the loan ends", async || {
        let seen = records.get(&written.name_any()).await.expect("there");
        let end = seen.spec.end.map(|end| end.reason);
        end == Some(EndReason::Deleted) && seen.spec.links.is_empty()
    })
    .await;
    scene.is_lent(&waiting).await;
}

/// What the operator would write of this request if all had agreed: on approvals that are invented.
pub fn record_of(waiting: &AccessGrant) -> AccessRecordSpec {
    let status = waiting.status.clone().expect("a status");
    let terms = status.terms.expect("terms");
    let approval = |user: &str, group: &str| CountedDecision {
        uid: None,
        name: None,
        user: format!("{user}@example.com"),
        decision: Decision::Approve,
        group: Some(group.into()),
        at: waiting.creation_timestamp().expect("one"),
        reason: None,
        max_duration: None,
    };
    AccessRecordSpec {
        grant: ObjectIdentity {
            namespace: waiting.namespace().expect("one"),
            name: waiting.name_any(),
            uid: waiting.uid().expect("one"),
        },
        install: None,
        requester: waiting.spec.requester.clone().expect("signed"),
        justification: None,
        requested_at: None,
        outcome: None,
        digest: status.digest.expect("one"),
        terms,
        decisions: vec![
            approval("bob", "owner"),
            approval("carol", "security"),
            approval("dave", "security"),
        ],
        ignored_decisions: Vec::new(),
        considered_flows: Vec::new(),
        requested_on: None,
        granted_at: None,
        expires_at: None,
        links: Vec::new(),
        end: None,
        residual_until: None,
    }
}

/// Writes a record by hand, as the operator.
async fn write(scene: &Scene, record: AccessRecordSpec) -> AccessRecord {
    let records: Api<AccessRecord> = Api::namespaced(scene.world.as_operator().await, PLATFORM);
    let record = AccessRecord::new(&record.grant.uid.clone(), record);
    let written = records.create(&Default::default(), &record).await;
    written.expect("the operator may write records")
}
