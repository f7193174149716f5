//! The people who may decide about a grant, as far as the person's groups and the grant's status show. The
//! operator has the last word.

use crate::api::{
    APPROVED, AccessDecision, AccessGrant, AccessGrantStatus, AgreedApproval, AgreedGroup,
    AgreedPerson, Decision, Email, Identity, PersonKind, Phase,
};
use crate::plan::people::{Mailbox, receives, same_person};
use crate::plan::selection::is_one_of;

use super::standing::holds;

/// A person as the operator probably knows them. The address that the cluster derives is not known
/// here; most clusters use the username if it is an address.
fn as_known(me: &Identity) -> Identity {
    let address = Mailbox::named(&me.username).map(|_| Email(me.username.to_ascii_lowercase()));
    Identity {
        email: me.email.clone().or(address),
        ..me.clone()
    }
}

fn named(username: &str) -> Identity {
    Identity {
        username: username.to_owned(),
        ..Identity::default()
    }
}

/// The approval that a grant's terms require. `None` before the terms are known.
pub fn approval(grant: &AccessGrant) -> Option<&AgreedApproval> {
    grant.status.as_ref()?.terms.as_ref()?.approval.as_ref()
}

/// The approver groups of a grant that a person belongs to.
pub fn groups_of<'a>(me: &Identity, grant: &'a AccessGrant) -> Vec<&'a AgreedGroup> {
    let groups = approval(grant).map_or(&[][..], |approval| &approval.groups);
    let me = as_known(me);
    let mine = |group: &&AgreedGroup| is_one_of(&group.approvers, &me);
    groups.iter().filter(mine).collect()
}

/// Whether a rule names this person or one of their groups.
pub fn is_named(me: &Identity, named: &AgreedPerson) -> bool {
    is_one_of(std::slice::from_ref(named), &as_known(me))
}

/// Whether a person is the requester or a recipient, who cannot approve.
pub fn is_party(me: &Identity, grant: &AccessGrant) -> bool {
    let requester = grant.spec.requester.as_ref();
    let asked = requester.is_some_and(|requester| same_person(me, requester));
    let terms = grant.status.as_ref().and_then(|s| s.terms.as_ref());
    asked || terms.is_some_and(|terms| receives(me, &terms.recipients))
}

/// Whether a request waits for approval.
pub fn waits_for_approval(grant: &AccessGrant) -> bool {
    let phase = grant.status.as_ref().and_then(|status| status.phase);
    approval(grant).is_some() && !holds(grant, APPROVED) && phase == Some(Phase::Pending)
}

/// Whether a request waits for this person's decision.
pub fn waits_for(me: &Identity, grant: &AccessGrant, decisions: &[AccessDecision]) -> bool {
    waits_for_approval(grant)
        && !is_party(me, grant)
        && !groups_of(me, grant).is_empty()
        && !has_decided(me, grant, decisions)
}

/// Whether a person has decided: their decision counts, or it is about the current terms and the
/// operator has not looked at it yet.
fn has_decided(me: &Identity, grant: &AccessGrant, decisions: &[AccessDecision]) -> bool {
    let Some(status) = &grant.status else {
        return false;
    };
    let counted = status
        .decisions
        .iter()
        .any(|d| same_person(&named(&d.user), me));
    let mine = |d: &&AccessDecision| {
        let ignored = status
            .ignored_decisions
            .iter()
            .any(|i| Some(&i.name) == d.metadata.name.as_ref());
        let by_me = d.spec.approver.as_ref().is_some_and(|a| same_person(a, me));
        let about_these_terms =
            d.spec.decision != Decision::Approve || d.spec.digest == status.digest;
        by_me
            && !ignored
            && about_these_terms
            && d.metadata.namespace == grant.metadata.namespace
            && Some(&d.spec.grant_uid) == grant.metadata.uid.as_ref()
    };
    counted || decisions.iter().any(|d| mine(&d))
}

/// Why this person's approval probably does not count.
pub fn doubt(me: &Identity, grant: &AccessGrant) -> Option<String> {
    if is_party(me, grant) {
        return Some("you are the requester or a recipient; somebody else has to approve".into());
    }
    groups_of(me, grant)
        .is_empty()
        .then(|| format!("{} is in none of the approver groups", me.username))
}

/// The number of approvals that count for a group.
pub fn approvals_of(group: &AgreedGroup, status: &AccessGrantStatus) -> usize {
    let of_this_group = status
        .decisions
        .iter()
        .filter(|d| d.decision == Decision::Approve && d.group.as_ref() == Some(&group.name));
    of_this_group.count()
}

/// The named people of a group who can still approve, as far as known: not the requester, the
/// recipients, or people who have approved already.
pub fn can_still_approve<'a>(
    group: &'a AgreedGroup,
    grant: &AccessGrant,
    status: &AccessGrantStatus,
) -> Vec<&'a AgreedPerson> {
    let agreed = status.terms.as_ref();
    let recipients = agreed.map_or(&[][..], |terms| &terms.recipients);
    let approvals = status
        .decisions
        .iter()
        .filter(|d| d.decision == Decision::Approve);
    let requester = grant.spec.requester.iter().cloned();
    let left_out: Vec<_> = requester.chain(approvals.map(|d| named(&d.user))).collect();
    let is_left_out = |person: &AgreedPerson| {
        let who = named(&person.name);
        person.kind == PersonKind::User
            && (receives(&who, recipients) || left_out.iter().any(|other| same_person(other, &who)))
    };
    group.approvers.iter().filter(|p| !is_left_out(p)).collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::desk::samples;

    #[test]
    fn somebody_who_cannot_decide_is_told_beforehand() {
        let waiting = samples::waiting();
        assert_eq!(doubt(&samples::bob(), &waiting), None);
        assert!(
            doubt(&samples::alice(), &waiting)
                .unwrap()
                .contains("somebody else has to approve")
        );
        assert!(
            doubt(&samples::erin(), &waiting)
                .unwrap()
                .contains("none of the approver groups")
        );
    }

    /// Alice asks, and would get the link.
    #[rstest]
    #[case::herself("alice@example.com", true)]
    #[case::in_another_case("Alice@Example.com", true)]
    #[case::by_a_further_mailbox("alice+admin@example.com", true)]
    #[case::what_is_no_address_as_a_whole("oidc:alice@example.com", false)]
    #[case::somebody_else("bob@example.com", false)]
    fn who_asks_or_receives_is_a_party_however_the_name_is_written(
        #[case] username: &str,
        #[case] is_one: bool,
    ) {
        let me = Identity {
            username: username.into(),
            ..Identity::default()
        };
        assert_eq!(is_party(&me, &samples::waiting()), is_one);
    }

    #[rstest]
    #[case::as_the_rule_writes_it("carol@example.com", true)]
    #[case::in_another_case("Carol@Example.com", true)]
    #[case::somebody_else("carol@other.org", false)]
    fn who_is_named_by_an_address_may_decide_however_their_name_is_written(
        #[case] username: &str,
        #[case] is_one: bool,
    ) {
        let me = Identity {
            username: username.into(),
            ..Identity::default()
        };
        let waiting = samples::waiting();
        let groups = groups_of(&me, &waiting);
        let names: Vec<_> = groups.iter().map(|group| group.name.as_str()).collect();
        assert_eq!(names == ["security"], is_one);
    }
}
