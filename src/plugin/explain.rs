//! `kubectl keyloan explain`: why a request or loan is where it is, and who can do something about it.

use clap::ValueEnum;
use jiff::Timestamp;
use kube::ResourceExt as _;
use serde_json::json;

use crate::api::{
    AccessDecision, AccessGrant, AccessGrantStatus, AgreedGroup, AgreedPerson, ApprovalMode,
    Decision, Identity, LinkStatus, PersonKind, Time,
};
use crate::cluster::person::Scope;
use crate::plan::alike::Alike;
use crate::plan::people::{receives, same_person};

use super::arguments::GrantName;
use super::decision::has_counted;
use super::failure::{Exit, Failure};
use super::identity::{is_named, waits_for_approval};
use super::output::{Format, Text, document, facts, lasts, put, say, sections, table, when};
use super::session::Session;
use super::terms;
use super::waiting::where_it_is;

/// Say why a request or loan is where it is: its conditions, the flows that were considered, who can still decide, the decisions and
/// the links.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    grant: GrantName,
    /// Print the grant and its decisions for programs.
    #[arg(long, short, value_name = "FORMAT")]
    output: Option<Structured>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Structured {
    /// As JSON.
    Json,
    /// As YAML.
    Yaml,
}

impl From<Structured> for Format {
    fn from(structured: Structured) -> Self {
        match structured {
            Structured::Json => Self::Json,
            Structured::Yaml => Self::Yaml,
        }
    }
}

pub async fn run(session: &Session, arguments: &Arguments) -> Result<Exit, Failure> {
    let mut grant = session.grant(&arguments.grant.name).await?;
    let uid = grant.uid().unwrap_or_default();
    let scope = Scope::Namespace(session.namespace().to_owned());
    let about = format!("spec.grantUid={uid}");
    let decisions = session.decisions(&scope, &about).await?;
    match arguments.output {
        Some(format) => {
            grant.metadata.managed_fields = None;
            let both = json!({ "grant": grant, "decisions": decisions });
            put(document(&both, format.into())?.trim_end())?;
        }
        None => {
            // Who one is only helps to understand the rest.
            let me = session.me().await.ok();
            say(explained(&grant, &decisions, me.as_ref(), session.now()))?;
        }
    }
    Ok(Exit::Done)
}

fn explained(
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
            me.map(|me| who_you_are(me, &status)).unwrap_or_default(),
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
    match status.conditions.is_empty() {
        true => Text::default(),
        false => table(&["TYPE", "STATUS", "REASON", "SINCE", "MESSAGE"], rows),
    }
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
    let terms = status.terms.as_ref();
    let Some(approval) = terms.and_then(|t| t.approval.as_ref()) else {
        return Text::default();
    };
    let how = match approval.mode {
        ApprovalMode::AnyOf => "any one of these groups",
        ApprovalMode::AllOf | ApprovalMode::None => "all of these groups",
    };
    let waits = waits_for_approval(grant);
    let rows = approval.groups.iter().map(|group| {
        let agreed = agreed(group, status);
        let still = waits && agreed.len() < usize::try_from(group.required).unwrap_or(usize::MAX);
        vec![
            group.name.clone(),
            format!("{} of {}", agreed.len(), group.required),
            if still {
                can_still(group, grant, status)
            } else {
                String::new()
            },
        ]
    });
    let groups = table(&["GROUP", "AGREED", "CAN STILL DECIDE"], rows);
    let owners: Vec<_> = terms
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
fn who_you_are(me: &Identity, status: &AccessGrantStatus) -> Text {
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
    let approval = status
        .terms
        .iter()
        .filter_map(|terms| terms.approval.as_ref());
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

fn agreed<'a>(group: &AgreedGroup, status: &'a AccessGrantStatus) -> Vec<&'a str> {
    let of_this_group = status
        .decisions
        .iter()
        .filter(|d| d.decision == Decision::Approve && d.group.as_ref() == Some(&group.name));
    of_this_group.map(|d| d.user.as_str()).collect()
}

/// Who of a group is not known to be left out: of those whom the rules name, who asks, who receives the link and who has approved already
/// cannot approve.
fn can_still(group: &AgreedGroup, grant: &AccessGrant, status: &AccessGrantStatus) -> String {
    let agreed = status.terms.as_ref();
    let recipients = agreed.map_or(&[][..], |terms| &terms.recipients);
    let named = |username: &String| Identity {
        username: username.clone(),
        ..Identity::default()
    };
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
    let left = group.approvers.iter().filter(|p| !is_left_out(p));
    let names: Vec<_> = left.map(terms::person).collect();
    names.join(" or ")
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
    match status.decisions.is_empty() {
        true => Text::default(),
        false => table(&["WHO", "DECISION", "FOR GROUP", "WHEN", "REASON"], rows),
    }
}

fn ignored(status: &AccessGrantStatus) -> Text {
    let rows = status
        .ignored_decisions
        .iter()
        .map(|d| vec![d.name.clone(), d.user.clone(), d.reason.clone()]);
    match status.ignored_decisions.is_empty() {
        true => Text::default(),
        false => table(&["NAME", "WHO", "WHY"], rows),
    }
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
    let rows: Vec<_> = open
        .map(|d| {
            let by = d.spec.approver.as_ref();
            let made = d.creation_timestamp();
            vec![
                d.name_any(),
                by.map_or_else(String::new, |who| who.username.clone()),
                format!("{:?}", d.spec.decision),
                made.map_or_else(String::new, |t| when(t.0, now)),
            ]
        })
        .collect();
    match rows.is_empty() {
        true => Text::default(),
        false => table(&["NAME", "WHO", "DECISION", "WHEN"], rows),
    }
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

    use super::super::samples;
    use super::*;
    use crate::api::PrincipalName;

    fn shown(grant: &AccessGrant, decisions: &[AccessDecision]) -> Text {
        explained(grant, decisions, Some(&samples::bob()), samples::now())
    }

    #[test]
    fn a_request_that_waits_says_who_can_still_decide_and_which_decisions_counted() {
        let decisions = [samples::approval_by(samples::bob())];
        insta::assert_snapshot!(shown(&samples::half_approved(), &decisions));
    }

    #[test]
    fn a_second_decision_of_somebody_whose_first_one_counted_is_not_looked_at_yet() {
        let status = samples::half_approved().status.unwrap();
        let mut by_carol = samples::approval_by(samples::bob());
        by_carol.spec.approver.as_mut().unwrap().username = "carol@example.com".into();
        let still_open = open(&status, from_ref(&by_carol), samples::now());
        assert!(!still_open.is_empty(), "she made it after the first one");
        by_carol.spec.reason = status.decisions[1].reason.clone();
        by_carol.metadata.creation_timestamp = Some(status.decisions[1].at.clone());
        let still_open = open(&status, from_ref(&by_carol), samples::now());
        assert!(still_open.is_empty(), "it is the first one");
    }

    #[test]
    fn who_is_named_in_another_spelling_reads_so() {
        let mut me = samples::erin();
        let status = samples::half_approved().status.unwrap();
        let group = status
            .terms
            .as_ref()
            .unwrap()
            .approval
            .as_ref()
            .unwrap()
            .groups
            .iter();
        let named = group
            .flat_map(|group| &group.approvers)
            .find(|who| who.kind == PersonKind::Group);
        me.groups.push(PrincipalName(format!(
            "/{}",
            named.unwrap().name.to_uppercase()
        )));
        insta::assert_snapshot!(who_you_are(&me, &status));
    }

    #[test]
    fn a_loan_says_how_long_it_and_its_link_last() {
        insta::assert_snapshot!(shown(&samples::active(), &[]));
    }

    #[test]
    fn a_loan_that_is_over_says_until_when_a_link_may_still_open() {
        insta::assert_snapshot!(shown(&samples::ending(), &[]));
    }

    #[test]
    fn a_request_that_nobody_has_looked_at_says_so() {
        insta::assert_snapshot!(shown(&samples::new(), &[]));
    }

    #[test]
    fn nothing_of_what_people_write_looks_like_a_section_of_its_own() {
        let (grant, decisions) = samples::hostile();
        let lines = shown(&grant, &decisions).lines(Some(80));
        insta::assert_snapshot!(lines.join("\n"));
        let ours = [
            "Denied: ",
            "Request",
            "Conditions",
            "Flows",
            "Who decides",
            "You",
            "Decisions",
        ];
        for line in lines.iter().filter(|line| !line.starts_with(' ')) {
            let begins = line.is_empty() || ours.iter().any(|our| line.starts_with(our));
            assert!(begins, "{line}");
        }
    }
}
