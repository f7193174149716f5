//! The people who may decide about a grant, as far as the person's groups and the grant's status
//! show. The plan decides; the operator has the last word.

use jiff::Timestamp;

use crate::api::{
    APPROVED, AccessDecision, AccessGrant, AccessGrantStatus, AgreedApproval, AgreedPerson,
    CountedDecision, Decision, Email, Identity, Phase, Time,
};
use crate::plan::approval::{self, Approvers, Group, Ineligible};
use crate::plan::people::{Mailbox, same_person};

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

/// The people who may decide about a grant, at any time. `None` before the terms are known.
///
/// The integration's owners may have blocked some of them, which the grant does not show.
pub fn approvers(grant: &AccessGrant) -> Option<Approvers<'_>> {
    let terms = grant.status.as_ref()?.terms.as_ref()?;
    let made = grant.metadata.creation_timestamp.as_ref();
    let made = made.map_or(Timestamp::MIN, |Time(made)| *made);
    let approvers = Approvers::of(terms, grant.spec.requester.as_ref(), &[])
        .without_known_addresses()
        .during(made..Timestamp::MAX);
    Some(approvers)
}

/// Whether a rule names this person or one of their groups.
pub fn is_named(me: &Identity, named: &AgreedPerson) -> bool {
    approval::is_named(named, &as_known(me))
}

/// Whether a request waits for approval.
pub fn waits_for_approval(grant: &AccessGrant) -> bool {
    let phase = grant.status.as_ref().and_then(|status| status.phase);
    approval(grant).is_some() && !holds(grant, APPROVED) && phase == Some(Phase::Pending)
}

/// Whether a request waits for this person's decision.
pub fn waits_for(me: &Identity, grant: &AccessGrant, decisions: &[AccessDecision]) -> bool {
    waits_for_approval(grant)
        && ineligible(me, grant).is_none()
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
    match ineligible(me, grant)? {
        Ineligible::Requester | Ineligible::Recipient => {
            Some("you are the requester or a recipient; somebody else has to approve".into())
        }
        Ineligible::InNoGroup => Some(format!("{} is in none of the approver groups", me.username)),
        Ineligible::Blocked | Ineligible::WithoutAddress => None,
    }
}

fn ineligible(me: &Identity, grant: &AccessGrant) -> Option<Ineligible> {
    approvers(grant)?.may_approve(&as_known(me)).err()
}

/// The number of approvals that count for a group.
pub fn approvals_of(group: &Group<'_>, status: &AccessGrantStatus) -> usize {
    let of_this_group = approvals(status).filter(|d| d.group.as_deref() == Some(group.name));
    of_this_group.count()
}

/// The named people of a group, by its index, who can still approve, as far as known: not the
/// requester, the recipients, or people who have approved already.
pub fn can_still_approve<'a>(
    group: usize,
    approvers: &Approvers<'a>,
    status: &AccessGrantStatus,
) -> Vec<&'a AgreedPerson> {
    let approved: Vec<_> = approvals(status).map(|d| named(&d.user)).collect();
    let approved: Vec<_> = approved.iter().collect();
    approvers.left(&[group], &approved)
}

fn approvals(status: &AccessGrantStatus) -> impl Iterator<Item = &CountedDecision> {
    let decisions = status.decisions.iter();
    decisions.filter(|d| d.decision == Decision::Approve)
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
        let why = ineligible(&me, &samples::waiting());
        let is_party = matches!(why, Some(Ineligible::Requester | Ineligible::Recipient));
        assert_eq!(is_party, is_one);
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
        let approvers = approvers(&waiting).unwrap();
        let security = approvers.groups().iter().position(|g| g.name == "security");
        let own = approvers.may_approve(&as_known(&me)).ok();
        assert_eq!(own == security.map(|index| vec![index]), is_one);
    }
}
