//! A notice: what one person or one channel is told about one step of a request or a loan. It never
//! contains a link's URL, a token or a field of an item.

use jiff::Timestamp;

use crate::api::{Decision, NoticeEvent, Terms};
pub use crate::plan::notifier::Audience;
use crate::plan::record::ending;
use crate::plan::timeline::{Step, Subject};

use super::times::minute_in_utc;
use super::visible::visible;

/// A notice, in words. All of it is text to be shown as it is: a sender escapes it for its channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Identifies the step: a receiver that gets the same id twice has the notice already.
    pub id: String,
    /// The step.
    pub event: NoticeEvent,
    /// The time of the step.
    pub at: Timestamp,
    /// What happened, in one line without markup, such as `alice@example.com asks for Infra/db`.
    pub subject: String,
    /// What there is to know, each with a label of one or two words.
    pub facts: Vec<Fact>,
    /// What the reader can do next, in sentences.
    pub next: Vec<Next>,
    /// The page to which the notice leads.
    pub page: Option<String>,
}

/// A fact with its label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// The label, such as `Item`.
    pub label: &'static str,
    /// The value, in one line.
    pub value: String,
}

/// Something that the reader can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Next {
    /// The sentence, such as `To approve, run`.
    pub sentence: String,
    /// The command, if there is one.
    pub command: Option<String>,
}

impl Notice {
    /// The notice of a step, for these readers. `page` is the address of a page on requests, in
    /// which `{namespace}`, `{name}` and `{uid}` stand for this one's.
    pub fn of(
        subject: &Subject<'_>,
        step: &Step<'_>,
        audience: Audience,
        page: Option<&str>,
    ) -> Self {
        let words = Words::of(subject, step);
        let grant = subject.identity();
        let page = page
            .filter(|_| audience != Audience::Recipient)
            .map(|page| {
                page.replace("{namespace}", &grant.namespace)
                    .replace("{name}", &grant.name)
                    .replace("{uid}", &grant.uid)
            });
        let facts = match audience {
            Audience::Recipient => words.facts_of_recipient(),
            _ => words.facts(),
        };
        Self {
            id: step.id.clone(),
            event: step.event,
            at: step.at,
            subject: words.subject(audience),
            facts: facts
                .into_iter()
                .filter(|fact| !fact.value.is_empty())
                .collect(),
            next: words.next(audience),
            page,
        }
    }
}

/// The words about one step.
struct Words<'a> {
    subject: &'a Subject<'a>,
    step: &'a Step<'a>,
    terms: Option<&'a Terms>,
    item: String,
    requester: String,
}

impl<'a> Words<'a> {
    fn of(subject: &'a Subject<'a>, step: &'a Step<'a>) -> Self {
        let terms = subject.terms();
        let item = terms.map(|terms| format!("{}/{}", terms.vault.title, terms.item.title));
        let requester = subject.requester().map(|by| visible(&by.username));
        Self {
            subject,
            step,
            terms,
            item: visible(&item.unwrap_or_default()),
            requester: requester.unwrap_or_default(),
        }
    }

    fn subject(&self, audience: Audience) -> String {
        let (item, who) = (&self.item, &self.requester);
        if audience == Audience::Recipient {
            return format!("{who} borrowed {item} for you");
        }
        let request = match audience {
            Audience::Requester => format!("Your request for {item}"),
            _ => format!("The request of {who} for {item}"),
        };
        let loan = match audience {
            Audience::Requester => format!("Your loan of {item}"),
            _ => format!("The loan of {item} to {who}"),
        };
        match self.step.event {
            NoticeEvent::Requested => format!("{who} asks for {item}"),
            NoticeEvent::Reminder => format!("{who} still waits for {item}"),
            NoticeEvent::Decided => format!("{request} was {}", self.decided()),
            NoticeEvent::Approved => format!("{request} is approved"),
            NoticeEvent::Denied => format!("{request} was denied"),
            NoticeEvent::TakenBack => format!("{request} was taken back"),
            NoticeEvent::Lapsed => format!("{request} was not granted in time"),
            NoticeEvent::Failed => format!("{request} cannot be granted"),
            NoticeEvent::LinkIssued if audience == Audience::Requester => {
                format!("{item} is ready for you")
            }
            NoticeEvent::LinkIssued => format!("{who} has borrowed {item}"),
            NoticeEvent::LinkRenewed => format!("{loan} has a new link"),
            NoticeEvent::LinkLost => format!("A link of the loan of {item} to {who} was lost"),
            NoticeEvent::EndsSoon => format!("{loan} ends in 10 minutes"),
            NoticeEvent::Ended => format!("{loan} has ended"),
            NoticeEvent::LinksOver => format!("No link to {item} opens any longer"),
        }
    }

    fn decided(&self) -> String {
        let Some(decision) = self.step.decision else {
            return "decided".into();
        };
        let verb = match decision.decision {
            Decision::Approve => "approved",
            Decision::Deny => "denied",
            Decision::Revoke => "ended",
        };
        format!("{verb} by {}", visible(&decision.user))
    }

    fn facts(&self) -> Vec<Fact> {
        let (subject, event) = (self.subject, self.step.event);
        let mut facts = vec![
            self.item(),
            fact("Requester", &self.requester),
            fact("Reason", subject.justification().unwrap_or_default()),
        ];
        if let Some(terms) = self.terms {
            let recipients = terms.recipients.iter().map(|address| address.0.as_str());
            facts.push(fact("Duration", &terms.duration.0));
            facts.push(fact(
                "Recipients",
                &recipients.collect::<Vec<_>>().join(", "),
            ));
            facts.push(fact("Flow", &terms.flow.name));
        }
        if matches!(event, NoticeEvent::Requested | NoticeEvent::Reminder) {
            facts.push(fact(
                "Waiting for",
                subject.waiting_for().unwrap_or_default(),
            ));
            facts.push(fact("Denied before", &self.denied_before()));
        }
        if let Some(decision) = self.step.decision {
            facts.push(fact("Decided by", &decision.user));
            facts.push(fact(
                "Answer",
                decision.reason.as_deref().unwrap_or_default(),
            ));
        }
        if matches!(event, NoticeEvent::Failed | NoticeEvent::Lapsed) {
            facts.push(fact("Cause", self.cause()));
        }
        facts.extend(self.ends());
        let grant = subject.identity();
        let request = format!("{} in namespace {}", grant.name, grant.namespace);
        facts.push(fact("Request", &request));
        facts
    }

    fn facts_of_recipient(&self) -> Vec<Fact> {
        let mut facts = vec![self.item(), fact("From", &self.requester)];
        facts.extend(self.ends());
        facts
    }

    fn item(&self) -> Fact {
        fact("Item", &self.item)
    }

    fn cause(&self) -> &str {
        let condition = self.subject.why_not().map(|c| c.message.as_str());
        let by_record = || Some(ending(self.subject.end()?.reason).1);
        condition.or_else(by_record).unwrap_or_default()
    }

    /// The times of the loan that matter at this step.
    fn ends(&self) -> Vec<Fact> {
        let loan = self.subject.loan();
        let ends = loan.and_then(|loan| loan.expires_at.as_ref());
        let link = self.step.link.and_then(|link| link.expires_at.as_ref());
        match self.step.event {
            NoticeEvent::LinkIssued | NoticeEvent::LinkRenewed => vec![
                time("Link opens until", link.map(|at| at.0)),
                time("Loan ends", ends.map(|at| at.0)),
            ],
            NoticeEvent::EndsSoon => vec![time("Loan ends", ends.map(|at| at.0))],
            NoticeEvent::LinkLost => {
                let latest = self.step.link.map(|link| link.latest_end.0);
                vec![time("May open until", latest)]
            }
            NoticeEvent::Ended => {
                let Some(end) = self.subject.end() else {
                    return Vec::new();
                };
                let until = self
                    .subject
                    .residual_until()
                    .filter(|until| *until > end.at.0);
                vec![
                    fact("Ended because", ending(end.reason).1),
                    fact("Ended by", end.by.as_deref().unwrap_or_default()),
                    time("Links may open until", until),
                ]
            }
            _ => Vec::new(),
        }
    }

    fn denied_before(&self) -> String {
        let status = self.subject.grant.and_then(|grant| grant.status.as_ref());
        let earlier = status.iter().flat_map(|status| &status.earlier_denials);
        let dates: Vec<_> = earlier.map(|denial| minute_in_utc(denial.at.0)).collect();
        dates.join(", ")
    }

    fn next(&self, audience: Audience) -> Vec<Next> {
        let grant = self.subject.identity();
        let command = |sentence: &str, verb: &str| Next {
            sentence: sentence.into(),
            command: Some(format!(
                "kubectl keyloan {verb} {} --namespace {}",
                grant.name, grant.namespace
            )),
        };
        let plain = |sentence: String| Next {
            sentence,
            command: None,
        };
        match (audience, self.step.event) {
            (Audience::Recipient, _) => vec![plain(format!(
                "{} has the link and can send it to you. When you open it, 1Password sends a code \
                 to this address.",
                self.requester
            ))],
            (Audience::Approvers, NoticeEvent::Requested | NoticeEvent::Reminder) => vec![
                command("To approve, run", "approve"),
                command("To deny, run", "deny"),
            ],
            (Audience::Requester, NoticeEvent::LinkIssued | NoticeEvent::LinkRenewed) => {
                vec![
                    command("To open it, run", "open"),
                    command("To give it back early, run", "revoke"),
                ]
            }
            (Audience::Requester, NoticeEvent::Failed) => {
                vec![command("To see what to do, run", "explain")]
            }
            (Audience::Requester, NoticeEvent::Lapsed) => {
                vec![plain("Request it again if you still need it.".into())]
            }
            (Audience::Requester | Audience::Observers, NoticeEvent::LinkLost) => vec![plain(
                "Nobody has this link. If it must not open, change the secret in 1Password.".into(),
            )],
            (Audience::Observers, NoticeEvent::Requested | NoticeEvent::Reminder) => {
                vec![command("To see who can decide, run", "explain")]
            }
            _ => Vec::new(),
        }
    }
}

fn fact(label: &'static str, value: &str) -> Fact {
    Fact {
        label,
        value: visible(value),
    }
}

fn time(label: &'static str, at: Option<Timestamp>) -> Fact {
    fact(label, &at.map(minute_in_utc).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::{AccessGrant, AccessRecordSpec};
    use crate::desk::samples::{self, lent};

    fn ended() -> AccessRecordSpec {
        let end =
            json!({ "reason": "Revoked", "by": "bob@example.com", "at": "2026-11-24T10:50:00Z" });
        AccessRecordSpec {
            end: Some(serde_json::from_value(end).expect("an end")),
            residual_until: lent().links[0]
                .expires_at
                .clone()
                .or(Some(lent().links[0].latest_end.clone())),
            ..lent()
        }
    }

    /// All notices to these readers about a request or a loan, as plain text.
    fn read(
        grant: Option<&AccessGrant>,
        record: Option<&AccessRecordSpec>,
        audience: Audience,
    ) -> String {
        let subject = Subject { grant, record };
        let now = "2026-11-24T14:25:00Z".parse().expect("a time");
        let page = Some("https://keyloan.example.com/{namespace}/{name}");
        let steps = subject.steps(None, now);
        let notices = steps.iter().map(|step| {
            let notice = Notice::of(&subject, step, audience, page);
            let facts = notice.facts.iter();
            let facts: Vec<_> = facts
                .map(|fact| format!("  {}: {}", fact.label, fact.value))
                .collect();
            let next = notice.next.iter().map(|next| match &next.command {
                Some(command) => format!("  {}: {command}", next.sentence),
                None => format!("  {}", next.sentence),
            });
            let next: Vec<_> = next
                .chain(notice.page.map(|page| format!("  -> {page}")))
                .collect();
            format!(
                "{:?}: {}\n{}\n{}",
                notice.event,
                notice.subject,
                facts.join("\n"),
                next.join("\n")
            )
        });
        notices.collect::<Vec<_>>().join("\n\n")
    }

    #[test]
    fn approvers_read_who_asks_for_what_and_how_to_answer() {
        insta::assert_snapshot!(read(
            Some(&samples::waiting_again()),
            None,
            Audience::Approvers
        ));
    }

    #[test]
    fn whoever_asked_reads_how_it_went() {
        let denied = read(Some(&samples::denied()), None, Audience::Requester);
        let lent = read(None, Some(&lent()), Audience::Requester);
        let ended = read(None, Some(&ended()), Audience::Requester);
        insta::assert_snapshot!([denied, lent, ended].join("\n\n---\n\n"));
    }

    #[test]
    fn observers_read_about_others() {
        insta::assert_snapshot!(read(None, Some(&ended()), Audience::Observers));
    }

    /// A person who only receives a link reads nothing that somebody could make up for them.
    #[test]
    fn a_recipient_reads_no_words_of_others_and_gets_no_link() {
        let told = read(None, Some(&lent()), Audience::Recipient);
        assert!(
            !told.contains("INC-1234") && !told.contains("https://"),
            "{told}"
        );
        insta::assert_snapshot!(told);
    }

    #[test]
    fn text_that_tries_to_mislead_stays_in_its_line() {
        let (grant, _) = samples::hostile();
        for audience in [
            Audience::Approvers,
            Audience::Requester,
            Audience::Observers,
        ] {
            let subject = Subject {
                grant: Some(&grant),
                record: None,
            };
            for step in subject.steps(None, samples::present()) {
                let notice = Notice::of(&subject, &step, audience, None);
                let texts = notice.facts.iter().map(|fact| &fact.value);
                for text in texts.chain([&notice.subject]) {
                    assert!(!text.chars().any(char::is_control), "{text:?}");
                }
            }
        }
    }
}
