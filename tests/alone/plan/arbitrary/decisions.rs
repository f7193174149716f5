//! Decisions by anybody about anything, and boundaries in force or not.

use jiff::Timestamp;
use keyloan::api::*;
use keyloan::plan::boundary::BoundarySeen;
use kube::api::ObjectMeta;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::values::{any_span, minute, rarely, time, word};
use crate::plan::world::{GRANT_UID, World, at, issued};

/// A decision: often on alice's request, now and then on the very terms that she is offered without approval.
pub fn decision() -> impl Strategy<Value = AccessDecision> {
    let no = select(vec![Decision::Deny, Decision::Revoke]);
    let kind = rarely(Just(Decision::Approve), no);
    let odd = select(vec!["alice", "system:serviceaccount:a:b"]);
    let who = rarely(select(vec!["bob", "carol", "dave", "erin"]), odd);
    let other = select(vec!["engineering", "system:masters"]);
    let groups = rarely(select(vec!["group-0", "group-0", "group-1"]), other);
    let about = (
        rarely(Just(GRANT_UID.to_owned()), word()),
        option::of(word()),
        kind,
        option::of(any_span()),
    );
    let has_address = rarely(Just(true), Just(false));
    let by = (who, groups, option::of(any::<bool>()), has_address);
    let made = (
        select(vec!["decision-1", "decision-2", "decision-3"]),
        rarely(minute().prop_map(at), time()),
    );
    (about, by, made).prop_map(
        |(
            (uid, reason, kind, max_duration),
            (user, group, may_revoke, has_address),
            (name, made),
        )| {
            let digest = issued(&World::asked().plan_at(0)).agreement.digest.clone();
            let spec = AccessDecisionSpec {
                grant: "alice-db".into(),
                grant_uid: uid,
                digest: Some(digest),
                decision: kind,
                reason,
                max_duration,
                may_revoke,
                approver: Some(Identity {
                    username: user.into(),
                    groups: vec![PrincipalName(group.into())],
                    email: has_address.then(|| Email(format!("{user}@example.com"))),
                }),
            };
            AccessDecision {
                metadata: ObjectMeta {
                    name: Some(name.into()),
                    uid: Some(name.into()),
                    creation_timestamp: Some(Time(made)),
                    ..ObjectMeta::default()
                },
                spec,
            }
        },
    )
}

/// A boundary: mostly in force and unchanged.
pub fn boundary() -> impl Strategy<Value = BoundarySeen> {
    let changed = rarely(Just(None), time().prop_map(Some));
    let broken = select(vec![Some("the policy is gone".to_owned())]);
    (rarely(Just(None), broken), changed).prop_map(
        |(broken, changed_at): (_, Option<Timestamp>)| BoundarySeen { broken, changed_at },
    )
}
