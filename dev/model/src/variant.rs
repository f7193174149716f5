//! The operator, broken on purpose in one place each: a search that does not notice one of these
//! proves nothing.

use std::sync::Arc;

use jiff::SignedDuration;
use keyloan::api::{ApprovalMode, LinkOutcome, RENEW_ANNOTATION};
use keyloan::plan::effect::Effect;
use keyloan::plan::observed::{LinkSeen, Observed};

/// One place that is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Variant {
    /// The call is made before the intent is written.
    CallsBeforeTheIntent,
    /// An interrupted intent is taken for a refused one.
    ForgetsInterruptedLinks,
    /// A record is written whatever its version is.
    OverwritesRecords,
    /// Another link is issued without a request for one.
    RenewsUnasked,
    /// A link opens for a day, whatever the loan's length.
    LinksOfADay,
    /// Approvals are not required.
    NeedsNoApproval,
    /// Denials and revocations are not seen.
    IgnoresRefusals,
    /// The end of a loan says that nothing opens.
    ForgetsTheResidual,
    /// The status says that a link is there because the record says so.
    BelievesTheRecord,
    /// The Secret stays at the end.
    KeepsTheSecret,
    /// A link is handed over without a look whether its intent still stands.
    HandsOverUnchecked,
    /// A link is put into the Secret whatever it holds.
    ReplacesLaterLinks,
    /// A call to 1Password whose answer was lost is repeated.
    RepeatsTheCall,
}

impl Variant {
    /// What the broken operator believes to observe.
    pub fn distorts(self, seen: &mut Observed) {
        match self {
            Self::ForgetsInterruptedLinks => {
                if let Some(record) = &mut seen.record {
                    let links = &mut Arc::make_mut(record).spec.links;
                    let open = links.iter_mut().filter(|link| link.outcome.is_none());
                    open.for_each(|link| link.outcome = Some(LinkOutcome::Refused));
                }
            }
            Self::RenewsUnasked => {
                if let Some(grant) = &mut seen.grant {
                    let metadata = &mut Arc::make_mut(grant).metadata;
                    let issued = seen.record.as_ref().and_then(|r| r.spec.links.last());
                    if let Some(link) = issued {
                        let about_to_end = link.latest_end.0 - jiff::SignedDuration::from_mins(10);
                        let after = about_to_end.to_string();
                        let annotations = metadata.annotations.get_or_insert_default();
                        annotations.insert(RENEW_ANNOTATION.to_owned(), after);
                    }
                }
            }
            Self::NeedsNoApproval => {
                for flow in &mut seen.flows {
                    let approval = &mut Arc::make_mut(flow).spec.approval;
                    approval.mode = ApprovalMode::None;
                    approval.groups.clear();
                }
            }
            Self::IgnoresRefusals => {
                let approves = keyloan::api::Decision::Approve;
                seen.decisions
                    .retain(|decision| decision.spec.decision == approves);
            }
            Self::BelievesTheRecord => {
                let issued = seen.record.as_ref().and_then(|record| {
                    let mut links = record.spec.links.iter().rev();
                    links.find(|link| link.outcome == Some(LinkOutcome::Issued))
                });
                if let Some(link) = issued {
                    seen.link = LinkSeen::Present {
                        sequence: link.sequence,
                        issued_at: link.intent_at.0,
                        item_version: 1,
                    };
                }
            }
            Self::CallsBeforeTheIntent
            | Self::OverwritesRecords
            | Self::LinksOfADay
            | Self::ForgetsTheResidual
            | Self::KeepsTheSecret
            | Self::HandsOverUnchecked
            | Self::ReplacesLaterLinks
            | Self::RepeatsTheCall => {}
        }
    }

    /// What the broken operator does instead.
    pub fn spoils(self, effect: &mut Effect) {
        match (self, effect) {
            (Self::LinksOfADay, Effect::IssueLink(issue)) => {
                issue.opens_for = SignedDuration::from_hours(24);
            }
            (Self::ForgetsTheResidual, Effect::EndLoan(end)) => end.residual_until = None,
            _ => {}
        }
    }
}
