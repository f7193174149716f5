//! Lists of requests and loans: which grants belong to a list, its columns, and a row for each
//! grant.

use jiff::Timestamp;
use kube::ResourceExt as _;

use crate::api::{AccessDecision, AccessGrant, Identity};

use super::approvers::waits_for;
use super::selector::equals;
use super::standing::{cause_or_end, state};
use super::terms;
use super::text::{Text, table};
use super::times::age;

/// Whose requests and loans a list shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// The person's own.
    Own,
    /// The requests that wait for the person's decision.
    ForMe,
    /// Everyone's.
    Everyones,
}

/// A list that a person asks for.
#[derive(Clone, Debug)]
pub struct View {
    /// The person.
    pub me: Identity,
    /// Whose requests and loans it shows.
    pub whose: Whose,
    /// The namespace; `None` for all.
    pub namespace: Option<String>,
    /// Whether it has all columns.
    pub wide: bool,
}

impl View {
    /// The field selector, with which the API server leaves out other people's requests.
    pub fn selector(&self) -> String {
        match self.whose {
            Whose::Own => equals("spec.requester.username", &self.me.username),
            Whose::ForMe | Whose::Everyones => String::new(),
        }
    }

    /// Whether the list depends on the decisions in its namespaces.
    pub fn needs_decisions(&self) -> bool {
        self.whose == Whose::ForMe
    }

    /// Whether the list shows a grant that the API server has selected.
    pub fn wants(&self, grant: &AccessGrant, decisions: &[AccessDecision]) -> bool {
        self.whose != Whose::ForMe || waits_for(&self.me, grant, decisions)
    }

    /// The grants to list, the newest first.
    pub fn chosen(
        &self,
        mut grants: Vec<AccessGrant>,
        decisions: &[AccessDecision],
    ) -> Vec<AccessGrant> {
        grants.retain(|grant| self.wants(grant, decisions));
        grants.sort_by_key(|g| {
            let made = g.creation_timestamp().map(|t| t.0);
            (std::cmp::Reverse(made), g.namespace(), g.name_any())
        });
        grants
    }

    /// The columns.
    pub fn columns(&self) -> Vec<Column> {
        let is_shown = |column: &Column| match column {
            Column::Namespace => self.namespace.is_none(),
            Column::Requester => self.whose != Whose::Own,
            Column::Integration | Column::Flow | Column::Duration => self.wide,
            _ => true,
        };
        Column::ALL.into_iter().filter(is_shown).collect()
    }

    /// The rows in the list's columns, below their headings.
    pub fn table(&self, rows: &[Row]) -> Text {
        let columns = self.columns();
        let heading: Vec<_> = columns.iter().map(|column| column.heading()).collect();
        let row = |row: &Row| columns.iter().map(|c| c.cell(row).clone()).collect();
        table(&heading, rows.iter().map(row).collect())
    }

    /// The name of a grant, with its namespace where the list has several.
    pub fn called(&self, grant: &AccessGrant) -> String {
        match (&self.namespace, grant.namespace()) {
            (None, Some(namespace)) => format!("{namespace}/{}", grant.name_any()),
            _ => grant.name_any(),
        }
    }

    /// Says that the list is empty.
    pub fn nothing(&self) -> String {
        let place = match &self.namespace {
            Some(namespace) => format!("in {namespace}"),
            None => "in any namespace".into(),
        };
        match self.whose {
            Whose::ForMe => format!("No requests wait for your decision {place}."),
            Whose::Everyones => format!("There are no requests {place}."),
            Whose::Own => format!("You have no requests {place}."),
        }
    }

    /// Says that a grant has left the list, which happens only in [`Whose::ForMe`].
    pub fn left(&self, grant: &AccessGrant) -> String {
        let (called, state) = (self.called(grant), state(grant));
        format!("{called} no longer waits for your decision. It {state}")
    }

    /// Says that a listed grant was deleted.
    pub fn deleted(&self, grant: &AccessGrant) -> String {
        format!("{} was deleted.", self.called(grant))
    }
}

/// A column of a list; each shows one field of a [`Row`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields of a row say what they are")]
pub enum Column {
    Namespace,
    Name,
    Requester,
    Item,
    Phase,
    Age,
    Integration,
    Flow,
    Duration,
    Standing,
}

impl Column {
    /// All columns, in their order.
    const ALL: [Self; 10] = [
        Self::Namespace,
        Self::Name,
        Self::Requester,
        Self::Item,
        Self::Phase,
        Self::Age,
        Self::Integration,
        Self::Flow,
        Self::Duration,
        Self::Standing,
    ];

    /// Its heading.
    fn heading(self) -> &'static str {
        match self {
            Self::Namespace => "NAMESPACE",
            Self::Name => "NAME",
            Self::Requester => "REQUESTER",
            Self::Item => "ITEM",
            Self::Phase => "PHASE",
            Self::Age => "AGE",
            Self::Integration => "INTEGRATION",
            Self::Flow => "FLOW",
            Self::Duration => "DURATION",
            Self::Standing => "STATUS",
        }
    }

    fn cell(self, row: &Row) -> &String {
        match self {
            Self::Namespace => &row.namespace,
            Self::Name => &row.name,
            Self::Requester => &row.requester,
            Self::Item => &row.item,
            Self::Phase => &row.phase,
            Self::Age => &row.age,
            Self::Integration => &row.integration,
            Self::Flow => &row.flow,
            Self::Duration => &row.duration,
            Self::Standing => &row.standing,
        }
    }
}

/// The row of a grant in a list. Unknown values are empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The requester's username.
    pub requester: String,
    /// The item and its vault.
    pub item: String,
    /// Its phase.
    pub phase: String,
    /// Its age.
    pub age: String,
    /// The integration.
    pub integration: String,
    /// The chosen flow.
    pub flow: String,
    /// The duration of the loan.
    pub duration: String,
    /// The cause of its phase, or the time at which it ends.
    pub standing: String,
}

impl Row {
    /// The row of a grant.
    pub fn of(grant: &AccessGrant, now: Timestamp) -> Self {
        let (spec, status) = (&grant.spec, grant.status.as_ref());
        let phase = status.and_then(|s| s.phase).unwrap_or_default();
        let requester = spec.requester.as_ref();
        let agreed = status.and_then(|s| s.terms.as_ref()).map(|t| &t.duration);
        let duration = agreed.or(spec.duration.as_ref());
        Self {
            namespace: grant.namespace().unwrap_or_default(),
            name: grant.name_any(),
            requester: requester.map_or_else(String::new, |who| who.username.clone()),
            item: terms::item(grant),
            phase: format!("{phase:?}"),
            age: age(grant.creation_timestamp().map(|t| t.0), now),
            integration: spec.integration.name.0.clone(),
            flow: status.and_then(|s| s.flow.clone()).unwrap_or_default(),
            duration: duration.map_or_else(String::new, |d| d.0.clone()),
            standing: cause_or_end(grant, now),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desk::samples;

    fn view(me: Identity, whose: Whose) -> View {
        View {
            me,
            whose,
            namespace: Some("team-a".into()),
            wide: false,
        }
    }

    #[rstest::rstest]
    #[case("alice@example.com", "alice@example.com")]
    #[case(r"CORP\alice", r"CORP\\alice")]
    #[case("CN=alice,O=engineering", r"CN\=alice\,O\=engineering")]
    fn ones_own_requests_are_found_whatever_is_in_ones_name(
        #[case] username: &str,
        #[case] selected: &str,
    ) {
        let me = Identity {
            username: username.into(),
            ..Identity::default()
        };
        let selector = view(me, Whose::Own).selector();
        assert_eq!(selector, format!("spec.requester.username={selected}"));
    }

    #[test]
    fn a_list_has_a_column_for_what_differs_between_its_rows() {
        let has = |view: &View, column| view.columns().contains(&column);
        let own = view(samples::alice(), Whose::Own);
        assert!(!has(&own, Column::Namespace) && !has(&own, Column::Requester));
        let everywhere = View {
            namespace: None,
            ..view(samples::alice(), Whose::Everyones)
        };
        assert!(has(&everywhere, Column::Namespace) && has(&everywhere, Column::Requester));
        let wide = View { wide: true, ..own };
        assert!(has(&wide, Column::Duration) && !has(&everywhere, Column::Duration));
    }

    #[rstest::rstest]
    #[case(Whose::Own, Some("team-a"), "You have no requests in team-a.")]
    #[case(Whose::Everyones, None, "There are no requests in any namespace.")]
    #[case(
        Whose::ForMe,
        Some("team-a"),
        "No requests wait for your decision in team-a."
    )]
    fn an_empty_list_says_what_it_would_show_and_from_where(
        #[case] whose: Whose,
        #[case] namespace: Option<&str>,
        #[case] told: &str,
    ) {
        let view = View {
            namespace: namespace.map(Into::into),
            ..view(samples::alice(), whose)
        };
        assert_eq!(view.nothing(), told);
    }

    #[test]
    fn a_request_waits_for_whoever_can_decide_and_has_not() {
        let waits = |me: Identity, decisions: &[AccessDecision]| {
            let all = samples::all();
            let view = view(me, Whose::ForMe);
            view.chosen(all, decisions).len()
        };
        assert_eq!(waits(samples::bob(), &[]), 1);
        assert_eq!(
            waits(samples::alice(), &[]),
            0,
            "requesters cannot approve their own request"
        );
        assert_eq!(
            waits(samples::erin(), &[]),
            0,
            "she is in no group that decides"
        );
        let mut decision = samples::approval_by(samples::bob());
        assert_eq!(
            waits(samples::bob(), &[decision.clone()]),
            0,
            "he has decided"
        );
        decision.spec.digest = Some("sha256:other".into());
        assert_eq!(
            waits(samples::bob(), &[decision]),
            1,
            "the terms have changed since"
        );
    }
}
