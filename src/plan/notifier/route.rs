//! Who is told of a step.

use std::collections::BTreeSet;

use crate::api::{AccessNotifierSpec, ChatChannel, Decision, Email, Mail, NoticeEvent, UrlKey};
use crate::plan::people::Mailbox;
use crate::plan::timeline::{Step, Subject};

/// The people for whom a message is worded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Audience {
    /// Those who can decide about the request.
    Approvers,
    /// The person who asked.
    Requester,
    /// A recipient who did not ask. They read nothing that another person wrote freely.
    Recipient,
    /// A channel or an archive, which reads about other people.
    Observers,
}

/// One message about a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// For whom it is worded.
    pub audience: Audience,
    /// Where it goes.
    pub to: Destination,
}

/// Where a message goes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Destination {
    /// To the URL with this key in the Secret.
    Url(UrlKey),
    /// To this address.
    Address(Email),
}

/// The events that people are told by default; programs are told all.
const FOR_PEOPLE: &[NoticeEvent] = &[
    NoticeEvent::Requested,
    NoticeEvent::Reminder,
    NoticeEvent::Approved,
    NoticeEvent::Denied,
    NoticeEvent::TakenBack,
    NoticeEvent::Lapsed,
    NoticeEvent::Failed,
    NoticeEvent::LinkIssued,
    NoticeEvent::LinkLost,
    NoticeEvent::EndsSoon,
    NoticeEvent::Ended,
];

/// For whom a step matters, besides the observers.
fn audiences(event: NoticeEvent) -> &'static [Audience] {
    use Audience::{Approvers, Recipient, Requester};
    match event {
        NoticeEvent::Requested | NoticeEvent::Reminder => &[Approvers],
        NoticeEvent::Denied | NoticeEvent::TakenBack | NoticeEvent::Lapsed => {
            &[Requester, Approvers]
        }
        NoticeEvent::LinkIssued | NoticeEvent::LinkRenewed => &[Requester, Recipient],
        NoticeEvent::Decided
        | NoticeEvent::Approved
        | NoticeEvent::Failed
        | NoticeEvent::LinkLost
        | NoticeEvent::EndsSoon
        | NoticeEvent::Ended
        | NoticeEvent::LinksOver => &[Requester],
    }
}

/// Whether a notifier in this namespace tells a step of this request or loan. A request that no flow
/// covers is told to nobody: the requester reads the answer at once.
pub fn tells(
    spec: &AccessNotifierSpec,
    namespace: &str,
    subject: &Subject<'_>,
    event: NoticeEvent,
) -> bool {
    let Some(terms) = subject.terms() else {
        return false;
    };
    let is_wanted = match (spec.events.is_empty(), &spec.webhook) {
        (false, _) => spec.events.contains(&event),
        (true, Some(_)) => true,
        (true, None) => FOR_PEOPLE.contains(&event),
    };
    is_wanted
        && terms.integration.namespace == namespace
        && (spec.flows.is_empty() || spec.flows.iter().any(|flow| flow.0 == terms.flow.name))
}

/// The messages by which a notifier tells a step: one for each receiver.
pub fn routes(spec: &AccessNotifierSpec, subject: &Subject<'_>, step: &Step<'_>) -> Vec<Route> {
    if let Some(webhook) = &spec.webhook {
        return vec![observers(&webhook.url_key)];
    }
    if let Some(mail) = &spec.email {
        return by_mail(mail, subject, step.event);
    }
    let chat = spec.slack.as_ref().or(spec.teams.as_ref());
    chat.map_or_else(Vec::new, |chat| by_chat(chat, subject, step.event))
}

fn observers(url: &UrlKey) -> Route {
    Route {
        audience: Audience::Observers,
        to: Destination::Url(url.clone()),
    }
}

/// What approvers have to act on goes to the channels of their groups.
fn by_chat(chat: &ChatChannel, subject: &Subject<'_>, event: NoticeEvent) -> Vec<Route> {
    let asks = matches!(event, NoticeEvent::Requested | NoticeEvent::Reminder);
    let wanted = wanted_groups(subject);
    let groups = chat
        .groups
        .iter()
        .filter(|group| wanted.contains(group.name.as_str()));
    let to_groups: Vec<_> = groups
        .filter(|_| asks)
        .map(|group| Route {
            audience: Audience::Approvers,
            to: Destination::Url(group.url_key.clone()),
        })
        .collect();
    match (to_groups.is_empty(), asks) {
        (false, _) => to_groups,
        (true, true) => vec![Route {
            audience: Audience::Approvers,
            ..observers(&chat.url_key)
        }],
        (true, false) => vec![observers(&chat.url_key)],
    }
}

fn by_mail(mail: &Mail, subject: &Subject<'_>, event: NoticeEvent) -> Vec<Route> {
    let mut told = BTreeSet::new();
    let mut routes = Vec::new();
    let mut tell = |audience, address: &Email| {
        // A person who is named twice is told once, in the first capacity.
        if told.insert(Mailbox::of(address)) {
            let to = Destination::Address(address.clone());
            routes.push(Route { audience, to });
        }
    };
    let requester = subject.requester().and_then(|by| by.email.as_ref());
    for audience in audiences(event) {
        match audience {
            Audience::Requester => {
                let requester = requester.filter(|_| mail.to.requester);
                requester.into_iter().for_each(|to| tell(*audience, to));
            }
            Audience::Recipient if mail.to.recipients => {
                let own = requester.map(Mailbox::of);
                let recipients = subject.terms().map_or(&[][..], |terms| &terms.recipients);
                let others = recipients.iter().filter(|to| Some(Mailbox::of(to)) != own);
                others.for_each(|to| tell(*audience, to));
            }
            Audience::Approvers => {
                let asks = matches!(event, NoticeEvent::Requested | NoticeEvent::Reminder);
                let groups = match asks {
                    true => wanted_groups(subject),
                    false => all_groups(subject),
                };
                let groups = mail
                    .to
                    .groups
                    .iter()
                    .filter(|g| groups.contains(g.name.as_str()));
                let addresses = groups.flat_map(|group| &group.addresses);
                addresses.for_each(|to| tell(*audience, to));
            }
            Audience::Recipient | Audience::Observers => {}
        }
    }
    let archives = mail.to.addresses.iter();
    archives.for_each(|to| tell(Audience::Observers, to));
    routes
}

/// The approver groups in the terms.
fn all_groups<'a>(subject: &Subject<'a>) -> BTreeSet<&'a str> {
    let approval = subject.terms().and_then(|terms| terms.approval.as_ref());
    let groups = approval.map_or(&[][..], |approval| &approval.groups);
    groups.iter().map(|group| group.name.as_str()).collect()
}

/// The approver groups whose approvals are missing.
fn wanted_groups<'a>(subject: &Subject<'a>) -> BTreeSet<&'a str> {
    let approval = subject.terms().and_then(|terms| terms.approval.as_ref());
    let groups = approval.map_or(&[][..], |approval| &approval.groups);
    let given = |name: &str| {
        let approvals = subject.decisions().iter();
        let of_group = approvals.filter(|decision| {
            decision.decision == Decision::Approve && decision.group.as_deref() == Some(name)
        });
        of_group.count()
    };
    let wanted = groups
        .iter()
        .filter(|group| given(&group.name) < usize::try_from(group.required).unwrap_or(usize::MAX));
    wanted.map(|group| group.name.as_str()).collect()
}
