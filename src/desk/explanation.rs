//! Why a request or loan is where it is, and who can do something about it.

use jiff::Timestamp;
use kube::ResourceExt as _;

use crate::api::{
    AccessDecision, AccessGrant, AccessGrantStatus, ApprovalMode, Identity, LinkStatus, Time,
};
use crate::plan::alike::Alike;

use super::approvers::{agreed, approval, can_still_approve, is_named, waits_for_approval};
use super::decision::has_counted;
use super::standing::where_it_is;
use super::terms;
use super::text::{Text, facts, sections, table_unless_empty};
use super::times::{lasts, when};

/// All that is known of a grant, below its headings. Where it is not known who asks, nothing is said of them.
pub fn explained(
    grant: &AccessGrant,
    decisions: &[AccessDecision],
    me: Option<&Identity>,
    now: Timestamp,
) -> Text {
    let status = grant.status.clone().unwrap_or_default();
    sections([
        ("", where_it_is(grant).into()),
        ("Request", terms::shown(grant, now)),
        ("Conditions", conditions(&status, now)),
        ("Flows", flows(&status)),
        ("Who decides", who_decides(grant, &status)),
        (
            "You",
            me.map(|me| who_you_are(me, grant)).unwrap_or_default(),
        ),
        ("Decisions", counted(&status, now)),
        ("Decisions without effect", ignored(&status)),
        ("Decisions not looked at yet", open(&status, decisions, now)),
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

/// Each group, how many of it have agreed, and who of it can still decide.
fn who_decides(grant: &AccessGrant, status: &AccessGrantStatus) -> Text {
    let Some(approval) = approval(grant) else {
        return Text::default();
    };
    let how = match approval.mode {
        ApprovalMode::AnyOf => "any one of these groups",
        ApprovalMode::AllOf | ApprovalMode::None => "all of these groups",
    };
    let waits = waits_for_approval(grant);
    let rows = approval.groups.iter().map(|group| {
        let agreed = agreed(group, status);
        let still = waits && agreed < usize::try_from(group.required).unwrap_or(usize::MAX);
        let left = match still {
            true => can_still_approve(group, grant, status),
            false => Vec::new(),
        };
        let left: Vec<_> = left.into_iter().map(terms::person).collect();
        vec![
            group.name.clone(),
            format!("{agreed} of {}", group.required),
            left.join(" or "),
        ]
    });
    let groups = table_unless_empty(&["GROUP", "AGREED", "CAN STILL DECIDE"], rows);
    let owners: Vec<_> = status
        .terms
        .iter()
        .flat_map(|t| &t.owners)
        .map(terms::person)
        .collect();
    let who_decides = Text::from(format!("{how}, within {}", approval.timeout)).and(groups);
    match owners.is_empty() {
        true => who_decides,
        false => who_decides.and(format!(
            "the integration's owners can end it: {}",
            owners.join(", ")
        )),
    }
}

/// Who asks for the explanation, beside those whom the flow names: names in another spelling are pointed at.
fn who_you_are(me: &Identity, grant: &AccessGrant) -> Text {
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
    let approval = approval(grant).into_iter();
    let notes = approval.flat_map(|approval| &approval.groups).flat_map(|group| {
        let names = group.approvers.iter().filter(|named| !is_named(me, named));
        let alike = names.filter_map(|named| Alike::of(named.kind, &named.name, me));
        alike.map(|alike| {
            format!(
                "You are not in the approver group {}: {}. If they are the same, have the flow corrected.",
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
                Some(most) => format!("{:?}, for {most} at the most", d.decision),
                None => format!("{:?}", d.decision),
            },
            d.group.clone().unwrap_or_default(),
            when(d.at.0, now),
            d.reason.clone().unwrap_or_default(),
        ]
    });
    table_unless_empty(&["WHO", "DECISION", "FOR GROUP", "WHEN", "REASON"], rows)
}

fn ignored(status: &AccessGrantStatus) -> Text {
    let rows = status
        .ignored_decisions
        .iter()
        .map(|d| vec![d.name.clone(), d.user.clone(), d.reason.clone()]);
    table_unless_empty(&["NAME", "WHO", "WHY"], rows)
}

/// Decisions of which the status says nothing: the operator has yet to look at them.
fn open(status: &AccessGrantStatus, decisions: &[AccessDecision], now: Timestamp) -> Text {
    let open = decisions.iter().filter(|d| {
        let ignored = status
            .ignored_decisions
            .iter()
            .any(|i| i.name == d.name_any());
        !ignored && !has_counted(status, d)
    });
    let rows = open.map(|d| {
        let by = d.spec.approver.as_ref();
        let made = d.creation_timestamp();
        vec![
            d.name_any(),
            by.map_or_else(String::new, |who| who.username.clone()),
            format!("{:?}", d.spec.decision),
            made.map_or_else(String::new, |t| when(t.0, now)),
        ]
    });
    table_unless_empty(&["NAME", "WHO", "DECISION", "WHEN"], rows)
}

/// The loan's times, its link, and until when anything of it may open.
fn loan(status: &AccessGrantStatus, now: Timestamp) -> Text {
    let time = |at: &Option<Time>| at.as_ref().map_or_else(String::new, |t| when(t.0, now));
    let link = status.link.as_ref();
    let number = |l: &LinkStatus| {
        let (issued, opens) = (when(l.issued_at.0, now), lasts(l.expires_at.0, now));
        format!("number {}, issued {issued}, opens {opens}", l.sequence)
    };
    let began = ("Began", time(&status.granted_at));
    if status.ended_at.is_some() {
        let residual = status.residual_until.as_ref().filter(|t| t.0 > now);
        let may_open = residual.map(|t| {
            format!(
                "{}: a link that was handed out cannot be taken back; to cut it off now, change the secret itself",
                lasts(t.0, now)
            )
        });
        return facts([
            began,
            ("Ended", time(&status.ended_at)),
            ("May open", may_open.unwrap_or_default()),
            ("Record", status.record.clone().unwrap_or_default()),
        ]);
    }
    let details = status.access_details.as_ref().map(|a| a.0.as_str());
    let link = [
        began,
        ("Ends", time(&status.expires_at)),
        ("Link", link.map(number).unwrap_or_default()),
        (
            "Lies in",
            link.map_or_else(String::new, |l| format!("Secret {}", l.secret_ref)),
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
        let still_open = open(&status, from_ref(&by_carol), samples::present());
        assert!(!still_open.is_empty(), "she made it after the first one");
        by_carol.spec.reason = status.decisions[1].reason.clone();
        by_carol.metadata.creation_timestamp = Some(status.decisions[1].at.clone());
        let still_open = open(&status, from_ref(&by_carol), samples::present());
        assert!(still_open.is_empty(), "it is the first one");
    }
}
