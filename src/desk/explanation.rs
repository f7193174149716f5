//! The explanation of a grant: its state, the causes, and who can decide.

use jiff::Timestamp;
use kube::ResourceExt as _;

use crate::api::{AccessDecision, AccessGrant, AccessGrantStatus, Identity, LinkStatus, Time};
use crate::plan::alike::Alike;
use crate::plan::approval::name_of;

use super::approvers::{
    approval, approvals_of, approvers, can_still_approve, is_named, waits_for_approval,
};
use super::decision::has_counted;
use super::standing::phase_and_cause;
use super::terms;
use super::text::{Text, facts, sections, table_unless_empty};
use super::times::{for_another, opens, when};

/// Explains a grant to a person. Without `me`, the section about the person is left out.
pub fn explained(
    grant: &AccessGrant,
    decisions: &[AccessDecision],
    me: Option<&Identity>,
    now: Timestamp,
) -> Text {
    let status = grant.status.clone().unwrap_or_default();
    sections([
        ("", phase_and_cause(grant).into()),
        ("Request", terms::shown(grant, now)),
        ("Conditions", conditions(&status, now)),
        ("Flows", flows(&status)),
        ("Approvers", groups(grant, &status, now)),
        ("You", me.map(|me| you(me, grant)).unwrap_or_default()),
        ("Decisions", counted(&status, now)),
        ("Decisions without effect", ignored(&status)),
        (
            "Decisions not counted yet",
            uncounted(&status, decisions, now),
        ),
        ("Loan", loan(&status, now)),
    ])
}

fn conditions(status: &AccessGrantStatus, now: Timestamp) -> Text {
    let rows = status.conditions.iter().map(|c| {
        vec![
            c.type_.clone(),
            c.status.clone(),
            c.reason.clone(),
            when(c.last_transition_time.0, now),
            c.message.clone(),
        ]
    });
    table_unless_empty(&["TYPE", "STATUS", "REASON", "SINCE", "MESSAGE"], rows)
}

fn flows(status: &AccessGrantStatus) -> Text {
    let chosen = status
        .flow
        .iter()
        .map(|flow| (flow.as_str(), "chosen".to_owned()));
    let others = status
        .considered_flows
        .iter()
        .map(|flow| (flow.name.as_str(), flow.reason.clone()));
    facts(chosen.chain(others))
}

/// The approver groups, the number of approvals of each, and who can still approve.
fn groups(grant: &AccessGrant, status: &AccessGrantStatus, now: Timestamp) -> Text {
    let (Some(approval), Some(approvers)) = (approval(grant), approvers(grant)) else {
        return Text::default();
    };
    let approvers = approvers.at(now);
    let how = match approvers.any_group_is_enough() {
        true => "One of these groups",
        false => "All of these groups",
    };
    let waits = waits_for_approval(grant);
    let rows = approvers
        .groups()
        .into_iter()
        .enumerate()
        .map(|(index, group)| {
            let approvals = approvals_of(&group, status);
            let still = waits && approvals < usize::try_from(group.required).unwrap_or(usize::MAX);
            let left = match still {
                true => can_still_approve(index, &approvers, status),
                false => Vec::new(),
            };
            let left: Vec<_> = left.into_iter().map(name_of).collect();
            vec![
                group.name.to_owned(),
                format!("{approvals} of {}", group.required),
                left.join(" or "),
            ]
        });
    let groups = table_unless_empty(&["GROUP", "APPROVALS", "CAN STILL APPROVE"], rows);
    let owners: Vec<_> = status
        .terms
        .iter()
        .flat_map(|t| &t.owners)
        .map(name_of)
        .collect();
    let said = Text::from(format!("{how} must approve within {}.", approval.timeout)).and(groups);
    match owners.is_empty() {
        true => said,
        false => said.and(format!(
            "The integration's owners can revoke: {}",
            owners.join(", ")
        )),
    }
}

/// The person's identity, with a note on each approver group that names the person in another
/// spelling.
fn you(me: &Identity, grant: &AccessGrant) -> Text {
    let groups: Vec<_> = me.groups.iter().map(|group| group.0.as_str()).collect();
    let own = facts([
        ("Username", me.username.clone()),
        (
            "Groups",
            match groups.is_empty() {
                true => "none".to_owned(),
                false => groups.join(", "),
            },
        ),
    ]);
    let groups = approvers(grant).map_or_else(Vec::new, |approvers| approvers.groups());
    let notes = groups.into_iter().flat_map(|group| {
        let names = group.approvers.into_iter().filter(|named| !is_named(me, named));
        let alike = names.filter_map(|named| Alike::of(named.kind, &named.name, me));
        alike.map(move |alike| {
            format!(
                "You are not in the approver group {}: {}. If both names mean the same, have the flow corrected.",
                group.name,
                alike.compared()
            )
        })
    });
    notes.fold(own, |text, note| text.and(note))
}

fn counted(status: &AccessGrantStatus, now: Timestamp) -> Text {
    let rows = status.decisions.iter().map(|d| {
        let most = d.max_duration.as_ref();
        vec![
            d.user.clone(),
            match most {
                Some(most) => format!("{:?}, for at most {most}", d.decision),
                None => format!("{:?}", d.decision),
            },
            d.group.clone().unwrap_or_default(),
            when(d.at.0, now),
            d.reason.clone().unwrap_or_default(),
        ]
    });
    table_unless_empty(&["USER", "DECISION", "GROUP", "WHEN", "REASON"], rows)
}

fn ignored(status: &AccessGrantStatus) -> Text {
    let rows = status
        .ignored_decisions
        .iter()
        .map(|d| vec![d.name.clone(), d.user.clone(), d.reason.clone()]);
    table_unless_empty(&["NAME", "USER", "WHY"], rows)
}

/// Decisions that the operator has not counted yet: the status does not mention them.
fn uncounted(status: &AccessGrantStatus, decisions: &[AccessDecision], now: Timestamp) -> Text {
    let uncounted = decisions.iter().filter(|d| {
        let ignored = status
            .ignored_decisions
            .iter()
            .any(|i| i.name == d.name_any());
        !ignored && !has_counted(status, d)
    });
    let rows = uncounted.map(|d| {
        let by = d.spec.approver.as_ref();
        let made = d.creation_timestamp();
        vec![
            d.name_any(),
            by.map_or_else(String::new, |who| who.username.clone()),
            format!("{:?}", d.spec.decision),
            made.map_or_else(String::new, |t| when(t.0, now)),
        ]
    });
    table_unless_empty(&["NAME", "USER", "DECISION", "WHEN"], rows)
}

/// The loan's times, its link, and until when a link may still open.
fn loan(status: &AccessGrantStatus, now: Timestamp) -> Text {
    let time = |at: &Option<Time>| at.as_ref().map_or_else(String::new, |t| when(t.0, now));
    let link = status.link.as_ref();
    let number = |l: &LinkStatus| {
        let (issued, opens) = (when(l.issued_at.0, now), opens(l.expires_at.0, now));
        format!("number {}, issued {issued}, {opens}", l.sequence)
    };
    let started = ("Started", time(&status.granted_at));
    if status.ended_at.is_some() {
        let residual = status.residual_until.as_ref().filter(|t| t.0 > now);
        let may_open = residual.map(|t| {
            format!(
                "A link may still open {}. Links cannot be taken back: to cut off access now, change the item's secret in 1Password.",
                for_another(t.0, now)
            )
        });
        return facts([
            started,
            ("Ended", time(&status.ended_at)),
            ("Residual", may_open.unwrap_or_default()),
            ("Record", status.record.clone().unwrap_or_default()),
        ]);
    }
    let details = status.access_details.as_ref().map(|a| a.0.as_str());
    let link = [
        started,
        ("Ends", time(&status.expires_at)),
        ("Link", link.map(number).unwrap_or_default()),
        (
            "Secret",
            link.map_or_else(String::new, |l| l.secret_ref.to_string()),
        ),
    ];
    let record = ("Record", status.record.clone().unwrap_or_default());
    facts(
        link.into_iter()
            .chain(terms::access(details))
            .chain([record]),
    )
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use super::*;
    use crate::desk::samples;

    #[test]
    fn a_second_decision_of_somebody_whose_first_one_counted_is_not_looked_at_yet() {
        let status = samples::half_approved().status.unwrap();
        let mut by_carol = samples::approval_by(samples::bob());
        by_carol.spec.approver.as_mut().unwrap().username = "carol@example.com".into();
        let left = uncounted(&status, from_ref(&by_carol), samples::present());
        assert!(!left.is_empty(), "she made it after the first one");
        by_carol.spec.reason = status.decisions[1].reason.clone();
        by_carol.metadata.creation_timestamp = Some(status.decisions[1].at.clone());
        let left = uncounted(&status, from_ref(&by_carol), samples::present());
        assert!(left.is_empty(), "it is the first one");
    }
}
