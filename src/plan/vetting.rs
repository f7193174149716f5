//! Compares the agreement in a record with what people have written: a record alone lends nothing.
//!
//! Only the operator writes records. But anyone with its token could write one by hand: for a
//! pending request, to another recipient, with approvals that nobody gave. The request, the flow
//! and the decisions come from other people, so they have to confirm the record.

use crate::api::{APPROVED, AccessRecord, Condition, CountedDecision, Identity, TitleOrId};

use super::approval::{self, Standing};
use super::case::Request;
use super::delivery::links::Links;
use super::digest::digest;
use super::inventory::Lookup;
use super::items::item_matches;
use super::reasons::GrantReason;
use super::resolve::{Kind, RequestBlock, look_up};
use super::terms::{Agreement, Objection, agree, within_domains};
use super::titles::has_form_of_id;

/// Whether the API server verifies the requester.
pub(super) enum Vouched {
    Yes,
    AfterACheck,
    No(RequestBlock),
}

pub(super) fn vouched_for(request: &Request<'_>) -> Vouched {
    let seen = request.seen;
    if seen.checked.contains(request.uid) {
        return Vouched::Yes;
    }
    if let Some(why) = &seen.boundary.broken {
        return Vouched::No(RequestBlock::boundary(why));
    }
    let changed = seen.boundary.changed_at;
    if changed.is_some_and(|changed| request.made <= changed) {
        let message = "the request was made before the last change of the admission policies, \
                       which verify its requester; delete it and request again";
        return Vouched::No(RequestBlock::new(
            Kind::Final,
            GrantReason::IdentityUnverified,
            message,
        ));
    }
    Vouched::AfterACheck
}

/// Before each link: checks that the integration currently lends from this vault to these
/// recipients, for a request of exactly this person.
pub(super) fn fits(record: &AccessRecord, request: &Request<'_>) -> Result<(), Objection> {
    let terms = &record.spec.terms;
    let asked = request.requester();
    let requester = asked.filter(|by| is_same(by, &record.spec.requester));
    let requester = requester.ok_or_else(|| {
        let recorded = &record.spec.requester.username;
        let message = match asked.map(|by| &by.username) {
            Some(username) if username == recorded => format!(
                "the record gives {recorded} another e-mail address than the request does: find \
                 out who wrote the record, then request again"
            ),
            username => format!(
                "the record names {recorded} as the requester, but {} made the request: find out \
                 who wrote the record, then request again",
                username.map_or("somebody unknown", String::as_str)
            ),
        };
        Objection::new(GrantReason::TermsNotConfirmed, message)
    })?;
    let Some(integration) = &request.seen.integration else {
        return Ok(());
    };
    within_domains(&terms.recipients, requester, &integration.object)?;
    let allowed = &integration.object.spec.vaults;
    let is_allowed = match &integration.inventory {
        Some(inventory) => {
            let found = inventory.vault_that(&terms.vault.id, allowed, |_| true);
            matches!(found, Lookup::One(vault) if vault.id == terms.vault.id)
        }
        // A running loan is renewed even if the vaults have not been listed since a restart.
        None => allowed.is_empty() || allowed.iter().any(|name| names(name, record)),
    };
    if !is_allowed {
        let message = format!(
            "the integration no longer lends from vault {:?}: see its spec.vaults",
            terms.vault.title
        );
        return Err(Objection::new(GrantReason::VaultNotAllowed, message));
    }
    Ok(())
}

fn is_same(one: &Identity, other: &Identity) -> bool {
    (&one.username, &one.email) == (&other.username, &other.email)
}

fn names(TitleOrId(name): &TitleOrId, record: &AccessRecord) -> bool {
    let vault = &record.spec.terms.vault;
    *name == vault.id || (*name == vault.title && !has_form_of_id(name))
}

/// The result of checking a loan's basis again.
pub(super) enum Vetted {
    /// The loan was agreed, and approved with these decisions.
    Agreed(Vec<CountedDecision>),
    /// It is still unknown whether the API server verifies the requester and the approvers.
    AfterACheck,
    /// The loan was not agreed or approved, or this cannot be determined now.
    Not {
        reason: GrantReason,
        message: String,
        stalled: bool,
    },
}

/// Before the first link of a loan that already has a record: the request is looked up again, and
/// its decisions are counted again.
pub(super) fn vet(record: &AccessRecord, request: &Request<'_>) -> Vetted {
    let agreement = match confirmed(record, request) {
        Ok(agreement) => agreement,
        Err(hold) => return Vetted::held(hold),
    };
    match vouched_for(request) {
        Vouched::Yes => {}
        Vouched::AfterACheck => return Vetted::AfterACheck,
        Vouched::No(hold) => return Vetted::held(hold),
    }
    if agreement.terms.approval.is_none() {
        return Vetted::Agreed(Vec::new());
    }
    let weighed = approval::weigh(request, &agreement);
    let (terms, counted) = (&agreement.terms, weighed.counted);
    match weighed.standing {
        Standing::Approved { .. }
            if Links::of(&record.spec).duration() <= approval::duration(terms, &counted) =>
        {
            Vetted::Agreed(counted)
        }
        Standing::Unverified => Vetted::AfterACheck,
        Standing::Approved { .. } | Standing::Waiting { .. } | Standing::Denied(_) => {
            let message = "the record says that the loan was approved, but no decisions confirm \
                           it: find out who wrote the record, then request again";
            Vetted::held(differs(message))
        }
    }
}

/// How far to trust the record's claim that the loan was approved, for the status. The claim of a
/// loan that has had a link is trusted; otherwise an earlier status or the decisions on its terms
/// have to confirm it.
pub(super) fn vet_word(record: &AccessRecord, request: &Request<'_>) -> Vetted {
    let seen = request.seen;
    let agreed = || Vetted::Agreed(record.spec.decisions.clone());
    if Links::of(&record.spec).granted_at().is_some() {
        return agreed();
    }
    let is_over = record.spec.end.is_some();
    let told = told(request).filter(|_| is_over && is_told_ended(request));
    // The refutation stays in the status after the loan is over: flows change, and decisions are
    // deleted.
    if let Some(told) = told.filter(|told| told.reason == GrantReason::TermsNotConfirmed) {
        return Vetted::held(differs(&told.message));
    }
    let vetted = match (vet(record, request), &seen.boundary.broken) {
        (Vetted::AfterACheck, Some(why)) => Vetted::held(RequestBlock::boundary(why)),
        (vetted, _) => vetted,
    };
    match vetted {
        Vetted::Agreed(_) => agreed(),
        Vetted::Not { stalled: true, .. } if !is_over => vetted,
        // A result that cannot be determined now, or any longer, stays as it was.
        Vetted::Not { .. } | Vetted::AfterACheck if is_told_approved(record, request) => agreed(),
        Vetted::Not { .. } => match said_by_decisions(record, request) {
            Some(Standing::Approved { .. }) => agreed(),
            Some(Standing::Unverified) if seen.boundary.broken.is_none() => Vetted::AfterACheck,
            _ => vetted,
        },
        Vetted::AfterACheck => vetted,
    }
}

/// Whether the status already says that these terms were approved.
fn is_told_approved(record: &AccessRecord, request: &Request<'_>) -> bool {
    let shown = request.status.digest.as_ref();
    let is_shown = || shown == Some(&record.spec.digest) && has_its_digest(record);
    let is_told = told(request).is_some_and(|told| told.status == "True");
    is_told && (is_told_ended(request) || is_shown())
}

fn is_told_ended(request: &Request<'_>) -> bool {
    request.status.ended_at.is_some()
}

/// The status's condition about the approval.
fn told<'a>(request: &Request<'a>) -> Option<&'a Condition> {
    let mut conditions = request.status.conditions.iter();
    conditions.find(|condition| condition.type_ == APPROVED)
}

/// The approval state of the record's terms according to the decisions, if no other source is
/// needed: later changes of the flow and later denials do not count.
fn said_by_decisions(record: &AccessRecord, request: &Request<'_>) -> Option<Standing> {
    let agreement = Agreement::of(record);
    agreement.terms.approval.as_ref()?;
    let requester = request.requester();
    let is_theirs = requester.is_some_and(|by| is_same(by, &agreement.requester));
    if !is_theirs || !has_its_digest(record) {
        return None;
    }
    let weighed = approval::weigh_approvals(request, &agreement);
    let longest = approval::duration(&agreement.terms, &weighed.counted);
    (Links::of(&record.spec).duration() <= longest).then_some(weighed.standing)
}

fn has_its_digest(record: &AccessRecord) -> bool {
    let spec = &record.spec;
    digest(&spec.grant.uid, &spec.terms, Some(&spec.digest)) == spec.digest
}

/// The agreement that follows from the request and the flow, if it equals the record's.
fn confirmed(record: &AccessRecord, request: &Request<'_>) -> Result<Agreement, RequestBlock> {
    let found = look_up(request)?;
    let terms = &record.spec.terms;
    let mut flows = found.flows.iter();
    let flow = flows.find(|flow| flow.metadata.uid.as_ref() == Some(&terms.flow.uid));
    let flow = flow.ok_or_else(|| {
        differs("the flow that the record names is not open to the requester; request again")
    })?;
    let subject = found.subject();
    if !item_matches(&flow.spec.items, subject.vault, subject.item) {
        return Err(differs("the flow no longer lends this item; request again"));
    }
    let again = agree(&subject, flow)
        .map_err(|objection| differs(format!("{}; request again", objection.message)))?;
    let uid = &again.grant.uid;
    let of = |terms| digest(uid, terms, Some(&record.spec.digest));
    if of(terms) == record.spec.digest && of(&again.terms) == record.spec.digest {
        let digest = record.spec.digest.clone();
        return Ok(Agreement { digest, ..again });
    }
    Err(differs(
        "the flow or the integration was changed before the first link, or the record does not \
         match what was agreed; request again",
    ))
}

fn differs(message: impl Into<String>) -> RequestBlock {
    RequestBlock::new(Kind::Fails, GrantReason::TermsNotConfirmed, message)
}

impl Vetted {
    /// The reason why the loan was not agreed and approved, if so.
    pub(super) fn refuted(self) -> Option<(GrantReason, String)> {
        match self {
            Self::Not {
                reason, message, ..
            } => Some((reason, message)),
            Self::Agreed(_) | Self::AfterACheck => None,
        }
    }

    fn held(hold: RequestBlock) -> Self {
        Self::Not {
            reason: hold.reason,
            message: hold.message,
            stalled: hold.kind != Kind::Waits,
        }
    }
}
