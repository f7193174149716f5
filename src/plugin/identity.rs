//! Who may decide about what, as far as a person's own groups and a grant's status tell. The operator has the last word.

use crate::api::{
    AccessDecision, AccessGrant, AgreedGroup, AgreedPerson, Decision, Identity, PersonKind, Phase,
};
use crate::plan::approval::{receives, same_person};

/// Whether a person is the one named, or in the group named.
pub fn is_named(me: &Identity, named: &AgreedPerson) -> bool {
    match named.kind {
        PersonKind::User => named.name == me.username,
        PersonKind::Group => me.groups.iter().any(|group| group.0 == named.name),
    }
}

/// The approver groups of a grant's terms to which a person belongs.
pub fn groups_of<'a>(me: &Identity, grant: &'a AccessGrant) -> Vec<&'a AgreedGroup> {
    let approval = grant
        .status
        .as_ref()
        .and_then(|s| s.terms.as_ref()?.approval.as_ref());
    let groups = approval.map_or(&[][..], |approval| &approval.groups);
    let mine = |group: &&AgreedGroup| group.approvers.iter().any(|named| is_named(me, named));
    groups.iter().filter(mine).collect()
}

/// Whether a person asked for the loan, or would get its links: such a person never decides.
pub fn is_party(me: &Identity, grant: &AccessGrant) -> bool {
    let requester = grant.spec.requester.as_ref();
    let asked = requester.is_some_and(|requester| same_person(me, requester));
    let terms = grant.status.as_ref().and_then(|s| s.terms.as_ref());
    asked || terms.is_some_and(|terms| receives(me, &terms.recipients))
}

/// Whether a request waits for people's approval.
pub fn waits_for_approval(grant: &AccessGrant) -> bool {
    grant.status.as_ref().is_some_and(|status| {
        let asks = status.terms.as_ref().is_some_and(|t| t.approval.is_some());
        let approved = status
            .conditions
            .iter()
            .any(|c| c.type_ == crate::api::APPROVED && c.status == "True");
        asks && !approved && status.phase == Some(Phase::Pending)
    })
}

/// Whether a request waits for this very person's decision.
pub fn waits_for(me: &Identity, grant: &AccessGrant, decisions: &[AccessDecision]) -> bool {
    waits_for_approval(grant)
        && !is_party(me, grant)
        && !groups_of(me, grant).is_empty()
        && !has_decided(me, grant, decisions)
}

/// Whether a person's decision stands: it was counted, or was made about these very terms and is still to be looked at.
fn has_decided(me: &Identity, grant: &AccessGrant, decisions: &[AccessDecision]) -> bool {
    let Some(status) = &grant.status else {
        return false;
    };
    let counted = status.decisions.iter().any(|d| d.user == me.username);
    let mine = |d: &&AccessDecision| {
        let ignored = status
            .ignored_decisions
            .iter()
            .any(|i| Some(&i.name) == d.metadata.name.as_ref());
        let by_me = d
            .spec
            .approver
            .as_ref()
            .is_some_and(|a| a.username == me.username);
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

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::plugin::samples;

    /// Alice asks, and would get the link.
    #[rstest]
    #[case::herself("alice@example.com", true)]
    #[case::in_another_case("Alice@Example.com", true)]
    #[case::as_the_api_server_prefixes_names("oidc:alice@example.com", true)]
    #[case::by_a_further_mailbox("alice+admin@example.com", true)]
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
}
