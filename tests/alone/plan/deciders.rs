//! People who decide about alice's request, and how what became of their word is read from a plan.

use std::sync::Arc;

use keyloan::api::*;
use keyloan::plan::effect::{Effect, Plan};

use super::world::*;

pub const DAY: i64 = 24 * 60;

pub fn person(username: &str, groups: &[&str]) -> Identity {
    Identity {
        username: username.into(),
        groups: groups.iter().map(|g| PrincipalName((*g).into())).collect(),
        email: Some(email(&format!("{username}@example.com"))),
    }
}

/// Bob owns databases; carol and dave are of security; frank is of both.
pub fn bob() -> Identity {
    person("bob", &["db-team"])
}

pub fn carol() -> Identity {
    person("carol", &["security"])
}

pub fn dave() -> Identity {
    person("dave", &["security"])
}

pub fn frank() -> Identity {
    person("frank", &["db-team", "security"])
}

impl World {
    /// Alice's request needs approval by these groups; its status has been written.
    pub fn waiting(mode: ApprovalMode, groups: Vec<ApproverGroup>) -> Self {
        Self::asked()
            .with(|w| w.flow().spec.approval = approval_by(mode, groups))
            .settled(0)
    }

    /// The owner and two of security have to agree.
    pub fn by_owner_and_two_of_security() -> Self {
        Self::waiting(ApprovalMode::AllOf, owner_and_two_of_security())
    }

    pub fn digest(&self) -> String {
        let status = self.seen.grant.as_ref().and_then(|g| g.status.clone());
        status.and_then(|s| s.digest).unwrap_or_default()
    }

    /// Somebody decides at this minute, on the terms as status shows them.
    pub fn decide(
        &mut self,
        who: Identity,
        decision: Decision,
        minute: i64,
    ) -> &mut AccessDecision {
        let name = format!("decision-{}", self.seen.decisions.len());
        let mut metadata = flow(&name).metadata;
        metadata.namespace = Some("team-a".into());
        metadata.uid = Some(format!("uid-of-{name}"));
        metadata.creation_timestamp = Some(Time(at(minute)));
        let spec = AccessDecisionSpec {
            grant: "alice-db".into(),
            grant_uid: GRANT_UID.into(),
            digest: Some(self.digest()),
            decision,
            reason: None,
            max_duration: None,
            may_revoke: None,
            approver: Some(who),
        };
        self.seen
            .decisions
            .push(Arc::new(AccessDecision { metadata, spec }));
        Arc::make_mut(self.seen.decisions.last_mut().expect("just pushed"))
    }

    pub fn approved_by(mut self, who: Identity, minute: i64) -> Self {
        self.decide(who, Decision::Approve, minute);
        self
    }

    /// If the approvals of one of the owners shortens it: alice's request needs that, and has it. Otherwise it needs none.
    pub fn approved_for(self, shortened_to: Option<&str>) -> Self {
        let Some(shortened_to) = shortened_to else {
            return self;
        };
        let owners = group("owner", &[(ApproverKind::Group, Some("db-team"))], 1);
        let approval = approval_by(ApprovalMode::AnyOf, vec![owners]);
        let mut world = self.with(|w| w.flow().spec.approval = approval).settled(0);
        let approves = world.decide(bob(), Decision::Approve, 0);
        approves.spec.max_duration = Some(span(shortened_to));
        world
    }

    /// The plan once the makers of all decisions are vouched for.
    pub fn weighed_at(&self, minute: i64) -> Plan {
        let plan = self.plan_at(minute);
        if plan.effect != Some(Effect::CheckBoundary) {
            return plan;
        }
        self.clone().one_step(minute).plan_at(minute)
    }
}

pub fn owner_and_two_of_security() -> Vec<ApproverGroup> {
    vec![
        group("owner", &[(ApproverKind::Group, Some("db-team"))], 1),
        group("security", &[(ApproverKind::Group, Some("security"))], 2),
    ]
}

pub fn waiting_for(plan: &Plan) -> String {
    let status = plan.status.as_ref().expect("a status");
    status.waiting_for.clone().unwrap_or_default()
}

pub fn counted(plan: &Plan) -> Vec<String> {
    let status = plan.status.as_ref().expect("a status");
    let line = |d: &CountedDecision| match &d.group {
        Some(group) => format!("{} for {group}", d.user),
        None => d.user.clone(),
    };
    status.decisions.iter().map(line).collect()
}

/// Why the only decision was ignored.
pub fn ignored(plan: &Plan) -> String {
    let status = plan.status.as_ref().expect("a status");
    let reasons: Vec<_> = status
        .ignored_decisions
        .iter()
        .map(|d| d.reason.as_str())
        .collect();
    reasons.join("; ")
}

pub fn is_approved(plan: &Plan) -> bool {
    matches!(plan.effect, Some(Effect::IssueLink(_)))
}

pub type Attack = fn(&mut World);
