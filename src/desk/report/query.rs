//! The records that a report covers: by field selectors, as far as the API server can select them,
//! and by what remains to be compared.

use jiff::{SignedDuration, Timestamp};

use crate::api::{AccessRecord, EndReason, RequestOutcome};
use crate::desk::selector::{differs, equals};
use crate::plan::delivery::links::Links;
use crate::plan::record::{is_of_a_loan, restored_by};

use super::period::days;
use super::row::{Status, ended_late, lost, opens, requested};

/// The maximum number of days for which each day is listed on its own.
const LISTED_DAYS: usize = 8;

/// The records that somebody asks for. What is `None` is not asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// The beginning of the time of the request.
    pub since: Option<Timestamp>,
    /// The end of the time of the request, which is not included.
    pub until: Option<Timestamp>,
    /// The name of the integration.
    pub integration: Option<String>,
    /// The name of the flow.
    pub flow: Option<String>,
    /// The requester's username.
    pub requester: Option<String>,
    /// The address of a recipient.
    pub recipient: Option<String>,
    /// The username of a person whose decision counted.
    pub approver: Option<String>,
    /// The title or the id of the item.
    pub item: Option<String>,
    /// The name of the grant, after its namespace and a slash if that is given.
    pub grant: Option<String>,
    /// The outcome of the request.
    pub outcome: Option<RequestOutcome>,
    /// The reason of the end.
    pub end: Option<EndReason>,
    /// A link could open between these times.
    pub open_between: Option<(Timestamp, Timestamp)>,
    /// What is special about the record.
    pub special: Option<Special>,
}

/// What can be special about a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Special {
    /// The loan runs.
    Running,
    /// A link may still open.
    Open,
    /// The loan ended, or is still running, more than a minute after its time was over.
    Late,
    /// A link was lost: it may exist, and nobody has it.
    Lost,
    /// The item was lent without approval.
    Unapproved,
    /// A decision had no effect.
    Ignored,
    /// The record was restored from a backup.
    Restored,
}

impl Query {
    /// The field selectors of the lists that together contain everything that the query covers. No
    /// record is in two of them.
    pub fn selectors(&self, now: Timestamp) -> Vec<String> {
        let mut common = Vec::new();
        let mut is = |field: &str, value: &Option<String>| {
            common.extend(value.iter().map(|value| equals(field, value)));
        };
        is("spec.requester.username", &self.requester);
        is("spec.terms.integration.name", &self.integration);
        let (namespace, name) = self.grant_parts();
        is("spec.grant.namespace", &namespace);
        is("spec.grant.name", &name);
        common.extend(self.outcome.iter().flat_map(|outcome| of_outcome(*outcome)));
        let items = self
            .item
            .as_ref()
            .map_or_else(|| vec![String::new()], |item| of_item(item));
        let narrow = self.requester.is_some() || self.item.is_some() || self.grant.is_some();
        let days = match narrow {
            true => vec![String::new()],
            false => self.of_days(now),
        };
        let joined = |item: &String, day: &String| {
            let parts = common.iter().chain([item, day]);
            let parts: Vec<_> = parts
                .filter(|part| !part.is_empty())
                .map(String::as_str)
                .collect();
            parts.join(",")
        };
        let of_item = |item| days.iter().map(move |day| (item, day));
        let all = items.iter().flat_map(of_item);
        all.map(|(item, day)| joined(item, day)).collect()
    }

    /// The namespace and the name of the grant.
    fn grant_parts(&self) -> (Option<String>, Option<String>) {
        match self
            .grant
            .as_ref()
            .map(|grant| (grant, grant.split_once('/')))
        {
            Some((_, Some((namespace, name)))) => (Some(namespace.into()), Some(name.into())),
            Some((name, None)) => (None, Some(name.clone())),
            None => (None, None),
        }
    }

    /// One selector for each of a few days, and one for the records of older releases, which have no
    /// day. A single empty selector if there are too many days.
    fn of_days(&self, now: Timestamp) -> Vec<String> {
        let all = || vec![String::new()];
        let Some(since) = self.since else {
            return all();
        };
        // Another clock may be ahead of this one.
        let tomorrow = now.saturating_add(SignedDuration::from_hours(24));
        let until = self.until.or(tomorrow.ok()).unwrap_or(now);
        match days(since, until, LISTED_DAYS) {
            Some(days) => {
                let days = days.iter().map(String::as_str).chain([""]);
                days.map(|day| equals("spec.requestedOn", day)).collect()
            }
            None => all(),
        }
    }

    /// Whether the query covers a record of one of these lists.
    pub fn covers(&self, record: &AccessRecord, now: Timestamp) -> bool {
        let (spec, terms) = (&record.spec, &record.spec.terms);
        let is = |wanted: &Option<String>, value: &str| {
            wanted.as_deref().is_none_or(|wanted| wanted == value)
        };
        let at = requested(record);
        let in_time = self
            .since
            .is_none_or(|since| at.is_some_and(|at| at >= since))
            && self
                .until
                .is_none_or(|until| at.is_some_and(|at| at < until));
        let (namespace, name) = self.grant_parts();
        let outcome = spec.outcome.unwrap_or(RequestOutcome::Lent);
        in_time
            && is(&self.integration, &terms.integration.name)
            && is(&self.flow, &terms.flow.name)
            && is(&self.requester, &spec.requester.username)
            && (is(&self.item, &terms.item.title) || is(&self.item, &terms.item.id))
            && is(&namespace, &spec.grant.namespace)
            && is(&name, &spec.grant.name)
            && self.outcome.is_none_or(|wanted| wanted == outcome)
            && self
                .end
                .is_none_or(|wanted| spec.end.as_ref().is_some_and(|end| end.reason == wanted))
            && self.recipient.as_ref().is_none_or(|wanted| {
                terms
                    .recipients
                    .iter()
                    .any(|to| to.0.eq_ignore_ascii_case(wanted))
            })
            && self.approver.as_ref().is_none_or(|wanted| {
                spec.decisions
                    .iter()
                    .any(|decision| decision.user == *wanted)
            })
            && self.open_between.is_none_or(|(from, until)| {
                opens(record)
                    .iter()
                    .any(|&(opened, closed)| opened < until && from < closed)
            })
            && self
                .special
                .is_none_or(|special| special.is_of(record, now))
    }
}

impl Special {
    fn is_of(self, record: &AccessRecord, now: Timestamp) -> bool {
        let spec = &record.spec;
        let lent = is_of_a_loan(spec);
        match self {
            Self::Running => matches!(Status::of(record, now), Status::Issuing | Status::Active),
            Self::Open => lent && Links::of(spec).residual(now).is_some(),
            Self::Late => ended_late(record, now),
            Self::Lost => lost(record) > 0,
            Self::Unapproved => lent && spec.terms.approval.is_none(),
            Self::Ignored => !spec.ignored_decisions.is_empty(),
            Self::Restored => restored_by(record).is_some(),
        }
    }
}

/// A title may look like an id. A record that has it as both is in the first list.
fn of_item(item: &str) -> Vec<String> {
    let (id, title) = ("spec.terms.item.id", "spec.terms.item.title");
    vec![
        equals(id, item),
        format!("{},{}", equals(title, item), differs(id, item)),
    ]
}

/// Records of older releases have no outcome and are loans.
fn of_outcome(outcome: RequestOutcome) -> Vec<String> {
    let others = [
        RequestOutcome::Denied,
        RequestOutcome::TakenBack,
        RequestOutcome::Lapsed,
        RequestOutcome::Failed,
    ];
    match outcome {
        RequestOutcome::Lent => others
            .map(|other| format!("spec.outcome!={other:?}"))
            .into(),
        outcome => vec![format!("spec.outcome={outcome:?}")],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-11-24T11:00:00Z".parse().unwrap()
    }

    fn lists(query: &Query) -> String {
        query.selectors(now()).join("\n")
    }

    #[test]
    fn the_api_server_selects_by_what_it_can_select_by() {
        assert_eq!(lists(&Query::default()), "");
        let query = Query {
            requester: Some("CN=alice,O=dev".into()),
            integration: Some("prod".into()),
            grant: Some("team-a/db".into()),
            outcome: Some(RequestOutcome::Denied),
            since: Some("2026-11-23T00:00:00Z".parse().unwrap()),
            ..Query::default()
        };
        insta::assert_snapshot!(lists(&query), @r"spec.requester.username=CN\=alice\,O\=dev,spec.terms.integration.name=prod,spec.grant.namespace=team-a,spec.grant.name=db,spec.outcome=Denied");
    }

    #[test]
    fn an_item_is_found_by_its_id_and_by_its_title() {
        let query = Query {
            item: Some("db password".into()),
            outcome: Some(RequestOutcome::Lent),
            ..Query::default()
        };
        insta::assert_snapshot!(lists(&query), @r"
        spec.outcome!=Denied,spec.outcome!=TakenBack,spec.outcome!=Lapsed,spec.outcome!=Failed,spec.terms.item.id=db password
        spec.outcome!=Denied,spec.outcome!=TakenBack,spec.outcome!=Lapsed,spec.outcome!=Failed,spec.terms.item.title=db password,spec.terms.item.id!=db password
        ");
    }

    #[test]
    fn a_few_days_are_lists_of_their_own_and_many_are_one() {
        let since = |since: &str| Query {
            since: Some(since.parse().unwrap()),
            ..Query::default()
        };
        insta::assert_snapshot!(lists(&since("2026-11-23T12:00:00Z")), @r"
        spec.requestedOn=2026-11-23
        spec.requestedOn=2026-11-24
        spec.requestedOn=2026-11-25
        spec.requestedOn=
        ");
        assert_eq!(lists(&since("2026-10-24T11:00:00Z")), "");
    }
}
