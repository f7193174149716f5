//! Chooses the flow for a request. The requester is checked before anything about items is looked
//! up or revealed.

use std::sync::Arc;

use jiff::Timestamp;
use kube::core::ObjectMeta;

use crate::api::{
    AccessFlow, AccessGrantStatus, ApprovalMode, ConsideredFlow, FlowLimits, Identity,
    OnePasswordIntegration,
};

use super::alike::Alike;
use super::case::Request;
use super::items::{item_matches, missing_exclude};
use super::observed::{Observed, Usage};
use super::reasons::GrantReason;
use super::selection::{is_among, namespace_matches};
use super::terms::{Agreement, Objection, Subject, agree};
use super::timeframe::{Opening, opening};

/// The number of considered flows that a status shows.
const SHOWN: usize = 20;

/// The flows that this person may use from this namespace, in the order in which they are tried.
pub(super) fn open_to(request: &Request<'_>, requester: &Identity) -> Vec<Arc<AccessFlow>> {
    let (seen, grant) = (request.seen, request.grant);
    let namespace = grant.metadata.namespace.as_deref().unwrap_or_default();
    let integration = seen.integration.as_ref().map(|i| &i.object.metadata);
    let mut flows: Vec<_> = seen
        .flows
        .iter()
        .filter(|flow| integration.is_some_and(|integration| belongs_to(flow, integration)))
        .filter(|flow| name(flow) == grant.spec.flow.as_deref().unwrap_or(name(flow)))
        .filter(|flow| namespace_matches(flow, namespace, &seen.namespace_labels))
        .filter(|flow| is_among(&flow.spec.requesters, requester))
        .cloned()
        .collect();
    flows.sort_by_cached_key(|flow| (approvals(flow), name(flow).to_owned()));
    flows
}

/// The flows that this person may not use although they name the person in another spelling.
pub(super) fn misspelt_for(request: &Request<'_>, requester: &Identity) -> Vec<ConsideredFlow> {
    let (seen, grant) = (request.seen, request.grant);
    let namespace = grant.metadata.namespace.as_deref().unwrap_or_default();
    let integration = seen.integration.as_ref().map(|i| &i.object.metadata);
    let flows = seen
        .flows
        .iter()
        .filter(|flow| integration.is_some_and(|integration| belongs_to(flow, integration)))
        .filter(|flow| namespace_matches(flow, namespace, &seen.namespace_labels));
    let misspelt = flows.filter_map(|flow| {
        let mut subjects = flow.spec.requesters.iter();
        let alike = subjects.find_map(|subject| Alike::of_subject(subject, requester))?;
        let why = format!(
            "{}; have one of the two spellings corrected",
            alike.compared()
        );
        Some(not_chosen(flow, &Objection::new(GrantReason::NoFlow, why)))
    });
    misspelt.take(SHOWN).collect()
}

/// A flow counts only in its integration's namespace: people who can write flows elsewhere must not
/// be able to open this integration.
fn belongs_to(flow: &AccessFlow, integration: &ObjectMeta) -> bool {
    flow.metadata.namespace == integration.namespace
        && Some(&flow.spec.integration.0) == integration.name.as_ref()
}

/// The minimum number of approvals.
pub(super) fn approvals(flow: &AccessFlow) -> u32 {
    let required = flow.spec.approval.groups.iter().map(|g| g.required);
    match flow.spec.approval.mode {
        ApprovalMode::None => 0,
        ApprovalMode::AnyOf => required.min().unwrap_or(1),
        ApprovalMode::AllOf => required.sum(),
    }
}

/// The result of trying the flows.
#[derive(Clone, Debug)]
pub struct Choice {
    /// The agreement through the chosen flow, or the reason why none was chosen.
    pub outcome: Result<Agreement, Objection>,
    /// The reason why each other flow was not chosen.
    pub considered: Vec<ConsideredFlow>,
}

/// Tries the flows in their order and chooses the first one that covers the request.
pub fn choose(
    flows: &[Arc<AccessFlow>],
    subject: &Subject<'_>,
    seen: &Observed,
    now: Timestamp,
) -> Choice {
    let mut considered = Vec::new();
    let mut closest: Option<(u8, Objection)> = None;
    for (index, flow) in flows.iter().enumerate() {
        let objection = match covers(flow, subject, seen, now) {
            Ok(agreement) => {
                let message = format!(
                    "flow {:?} covers the request and takes precedence",
                    name(flow)
                );
                let spare = Objection::new(GrantReason::FlowChosen, message);
                let later = flows.iter().skip(index + 1);
                considered.extend(later.map(|later| not_chosen(later, &spare)));
                considered.truncate(SHOWN);
                return Choice {
                    outcome: Ok(agreement),
                    considered,
                };
            }
            Err(objection) => objection,
        };
        if considered.len() < SHOWN {
            considered.push(not_chosen(flow, &objection));
        }
        let closeness = closeness(lends(flow, subject), &objection);
        if closest.as_ref().is_none_or(|(c, _)| closeness > *c) {
            let message = format!("flow {:?}: {}", name(flow), objection.message);
            closest = Some((closeness, Objection::new(objection.reason, message)));
        }
    }
    let none = || {
        Objection::new(
            GrantReason::NoFlow,
            "no flow lets you request items from this namespace",
        )
    };
    Choice {
        outcome: Err(closest.map_or_else(none, |(_, objection)| objection)),
        considered,
    }
}

/// The flows that would cover a request if its requester had fewer loans or requests; `None` if
/// there may be more than the status shows.
pub fn full_for(status: &AccessGrantStatus) -> Option<Vec<&str>> {
    let considered = &status.considered_flows;
    let is_full = |flow: &&ConsideredFlow| {
        let said = flow.reason.strip_prefix(GrantReason::LimitReached.as_str());
        said.is_some_and(|rest| rest.starts_with(':'))
    };
    let full = considered.iter().filter(is_full);
    let full: Vec<_> = full.map(|flow| flow.name.as_str()).collect();
    (considered.len() < SHOWN && !full.is_empty()).then_some(full)
}

fn not_chosen(flow: &AccessFlow, why: &Objection) -> ConsideredFlow {
    ConsideredFlow {
        name: name(flow).into(),
        reason: format!("{}: {}", why.reason, why.message),
    }
}

/// How close a flow came to covering the request. An obstacle that may pass by itself outranks a
/// final refusal.
fn closeness(lends: bool, objection: &Objection) -> u8 {
    match objection.reason {
        GrantReason::NoFlowCoversRequest => u8::from(lends),
        GrantReason::LimitReached => 4,
        GrantReason::OutsideTimeframe => 3,
        _ => 2,
    }
}

fn lends(flow: &AccessFlow, subject: &Subject<'_>) -> bool {
    !flow.spec.suspend && item_matches(&flow.spec.items, subject.vault, subject.item)
}

fn covers(
    flow: &AccessFlow,
    subject: &Subject<'_>,
    seen: &Observed,
    now: Timestamp,
) -> Result<Agreement, Objection> {
    let reject = |reason, message: String| Err(Objection { reason, message });
    if flow.spec.suspend {
        return reject(
            GrantReason::NoFlowCoversRequest,
            "the flow is suspended".into(),
        );
    }
    if !item_matches(&flow.spec.items, subject.vault, subject.item) {
        return reject(
            GrantReason::NoFlowCoversRequest,
            "the flow does not lend this item".into(),
        );
    }
    if let Some(why) = too_few_approvals(flow, subject.integration) {
        return reject(GrantReason::NoFlowCoversRequest, why);
    }
    let integration = seen.integration.as_ref();
    let inventory = integration.and_then(|integration| integration.inventory.as_ref());
    let allowed = &subject.integration.spec.vaults;
    if inventory.is_some_and(|it| missing_exclude(&flow.spec.items, it, allowed).is_some()) {
        let message = "one of the flow's exclude rules names a vault that the integration does not \
                       lend from, so the flow lends nothing until the rule is corrected; contact \
                       the flow's maintainer";
        return reject(GrantReason::NoFlowCoversRequest, message.into());
    }
    let agreement = agree(subject, flow)?;
    if let Some(frame) = &flow.spec.timeframe {
        match opening(frame, now) {
            Opening::Open => {}
            Opening::Closed { opens: Some(opens) } => {
                let message = format!(
                    "the flow's timeframe is closed until {opens:.0}; then a pending request \
                     continues, and a failed one has to be made again"
                );
                return reject(GrantReason::OutsideTimeframe, message);
            }
            Opening::Closed { opens: None } => {
                return reject(
                    GrantReason::OutsideTimeframe,
                    "the flow's timeframe never opens".into(),
                );
            }
            Opening::Invalid(why) => {
                return reject(
                    GrantReason::NoFlowCoversRequest,
                    format!("the flow's timeframe is invalid: {why}"),
                );
            }
        }
    }
    let usage = flow
        .metadata
        .uid
        .as_ref()
        .and_then(|uid| seen.usage.get(uid));
    let usage = usage.copied().unwrap_or_default();
    match over_limit(flow.spec.limits, usage, now) {
        Some(message) => reject(GrantReason::LimitReached, message),
        None => Ok(agreement),
    }
}

/// The reason why a flow lends nothing from this integration, if it can lend with fewer approvals
/// than the integration requires.
pub(super) fn too_few_approvals(
    flow: &AccessFlow,
    integration: &OnePasswordIntegration,
) -> Option<String> {
    let limits = integration.spec.limits.as_ref();
    let least = limits.and_then(|limits| limits.min_approvals)?;
    let asked = approvals(flow);
    (asked < least).then(|| {
        let approvals = if asked == 1 { "approval" } else { "approvals" };
        format!(
            "the flow requires {asked} {approvals}, but the integration requires at least {least} \
             (limits.minApprovals)"
        )
    })
}

/// The limit that the requester has reached, if any.
fn over_limit(limits: FlowLimits, usage: Usage, now: Timestamp) -> Option<String> {
    let (active, pending) = (usage.active_at(now), usage.pending);
    if active >= limits.active_per_requester {
        let most = limits.active_per_requester;
        let loans = if most == 1 { "loan" } else { "loans" };
        let next = usage.next_over.filter(|at| *at > now);
        let next = next.map_or_else(String::new, |at| {
            format!("; the next of them ends by {at:.0}")
        });
        return Some(format!(
            "you have reached this flow's limit of {most} active {loans}. An ended or deleted loan \
             counts while one of its links may still open{next}"
        ));
    }
    let most = limits.pending_per_requester;
    let full = pending >= most;
    let requests = if most == 1 { "request" } else { "requests" };
    full.then(|| format!("you have reached this flow's limit of {most} pending {requests}"))
}

fn name(flow: &AccessFlow) -> &str {
    flow.metadata.name.as_deref().unwrap_or_default()
}
