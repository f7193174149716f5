//! `kubectl keyloan list`: one's own requests and loans, or those that wait for one's decision.

mod watch;

use clap::ValueEnum;
use jiff::Timestamp;
use kube::ResourceExt as _;

use crate::api::{AccessDecision, AccessGrant, Identity, Phase};
use crate::cluster::person::Scope;
use crate::plugin::arguments::Namespaces;
use crate::plugin::failure::{Exit, Failure};
use crate::plugin::identity::waits_for;
use crate::plugin::output::{Format, Text, age, lasts, objects, remark, say, table, when};
use crate::plugin::session::Session;
use crate::plugin::terms;
use crate::plugin::waiting::{where_it_is, why_over};
use watch::watch;

/// List your requests and loans, or those that wait for your decision.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    namespaces: Namespaces,
    /// Those that wait for your decision, whoever made them.
    #[arg(long, conflicts_with = "everyone")]
    for_me: bool,
    /// Those of all people.
    #[arg(long)]
    everyone: bool,
    /// Go on, and print what changes, until Ctrl-C.
    #[arg(long, short)]
    watch: bool,
    /// Print more columns, or print for programs.
    #[arg(long, short, value_name = "FORMAT")]
    output: Option<ListFormat>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ListFormat {
    /// A table with more columns.
    Wide,
    /// A list as JSON.
    Json,
    /// A list as YAML.
    Yaml,
    /// Just the names.
    Name,
}

impl ListFormat {
    fn for_programs(self) -> Option<Format> {
        match self {
            Self::Wide => None,
            Self::Json => Some(Format::Json),
            Self::Yaml => Some(Format::Yaml),
            Self::Name => Some(Format::Name),
        }
    }
}

pub async fn run(session: &Session, arguments: &Arguments) -> Result<Exit, Failure> {
    let view = View {
        me: session.me().await?,
        scope: arguments.namespaces.scope(session.namespace()),
        for_me: arguments.for_me,
        everyone: arguments.everyone,
        wide: arguments.output == Some(ListFormat::Wide),
    };
    let format = arguments.output.and_then(ListFormat::for_programs);
    if arguments.watch {
        return watch(session, &view, format).await;
    }
    let grants = session.person.list(&view.scope, &view.fields()).await?;
    let decisions = decisions(session, &view).await?;
    let chosen = view.chosen(grants, &decisions);
    match format {
        Some(format) => objects(&chosen, format)?,
        None if chosen.is_empty() => remark(view.nothing()),
        None => say(view.table(&chosen, session.now()))?,
    }
    Ok(Exit::Done)
}

/// What is listed, and how.
struct View {
    me: Identity,
    scope: Scope,
    for_me: bool,
    everyone: bool,
    wide: bool,
}

impl View {
    /// The API server itself leaves out other people's requests.
    fn fields(&self) -> String {
        match self.for_me || self.everyone {
            true => String::new(),
            false => format!("spec.requester.username={}", escaped(&self.me.username)),
        }
    }

    fn wants(&self, grant: &AccessGrant, decisions: &[AccessDecision]) -> bool {
        !self.for_me || waits_for(&self.me, grant, decisions)
    }

    /// Those that are wanted, the youngest first.
    fn chosen(&self, grants: Vec<AccessGrant>, decisions: &[AccessDecision]) -> Vec<AccessGrant> {
        let wanted = |grant: &AccessGrant| self.wants(grant, decisions);
        let mut chosen: Vec<_> = grants.into_iter().filter(wanted).collect();
        chosen.sort_by_key(|g| {
            let made = g.creation_timestamp().map(|t| t.0);
            (std::cmp::Reverse(made), g.namespace(), g.name_any())
        });
        chosen
    }

    fn table(&self, grants: &[AccessGrant], now: Timestamp) -> Text {
        let mut heading = vec!["NAME", "ITEM", "PHASE", "AGE", "STATUS"];
        if self.for_me || self.everyone {
            heading.insert(1, "REQUESTER");
        }
        if self.scope == Scope::All {
            heading.insert(0, "NAMESPACE");
        }
        if self.wide {
            let wide = ["INTEGRATION", "FLOW", "DURATION"];
            heading.splice(heading.len() - 1..heading.len() - 1, wide);
        }
        let row = |grant: &AccessGrant| {
            let cell = |column: &&str| cell(column, grant, now);
            heading.iter().map(cell).collect()
        };
        table(&heading, grants.iter().map(row).collect::<Vec<_>>())
    }

    fn nothing(&self) -> String {
        let place = match &self.scope {
            Scope::Namespace(namespace) => format!("in {namespace}; -A looks in all namespaces"),
            Scope::All => "in any namespace".into(),
        };
        match (self.for_me, self.everyone) {
            (true, _) => format!("Nothing waits for your decision {place}."),
            (_, true) => format!("There are no requests {place}."),
            _ => format!("You have no requests {place}."),
        }
    }
}

/// A value in a field selector, in which these three have a meaning; as the `EscapeValue` of Kubernetes' `fields` package does it.
fn escaped(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for c in value.chars() {
        if matches!(c, '\\' | ',' | '=') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

fn cell(column: &str, grant: &AccessGrant, now: Timestamp) -> String {
    let status = grant.status.as_ref();
    let spec = &grant.spec;
    match column {
        "NAMESPACE" => grant.namespace().unwrap_or_default(),
        "NAME" => grant.name_any(),
        "REQUESTER" => {
            let who = spec.requester.as_ref();
            who.map_or_else(String::new, |who| who.username.clone())
        }
        "ITEM" => terms::item(grant),
        "PHASE" => {
            let phase = status.and_then(|s| s.phase).unwrap_or_default();
            format!("{phase:?}")
        }
        "AGE" => age(grant.creation_timestamp().map(|t| t.0), now),
        "INTEGRATION" => spec.integration.name.0.clone(),
        "FLOW" => status.and_then(|s| s.flow.clone()).unwrap_or_default(),
        "DURATION" => {
            let agreed = status.and_then(|s| s.terms.as_ref()).map(|t| &t.duration);
            let duration = agreed.or(spec.duration.as_ref());
            duration.map_or_else(String::new, |d| d.0.clone())
        }
        _ => standing(grant, now),
    }
}

/// How a grant stands, with its next time.
fn standing(grant: &AccessGrant, now: Timestamp) -> String {
    let Some(status) = &grant.status else {
        return where_it_is(grant);
    };
    let time = |word: &str, at: &Option<crate::api::Time>| {
        at.as_ref().map(|t| format!("{word} {}", when(t.0, now)))
    };
    let told = match status.phase {
        Some(Phase::Active) => time("ends", &status.expires_at),
        Some(Phase::Ended) => time("ended", &status.ended_at),
        Some(Phase::Ending) => {
            let residual = status.residual_until.as_ref();
            residual.map(|t| format!("over; a link may open {}", lasts(t.0, now)))
        }
        Some(Phase::Denied | Phase::Lapsed | Phase::Failed) => why_over(grant),
        Some(Phase::Pending | Phase::Issuing) | None => None,
    };
    let first_word_is_in_its_own_column = || {
        let told = where_it_is(grant);
        told.split_once(": ")
            .map_or(String::new(), |(_, why)| why.to_owned())
    };
    told.unwrap_or_else(first_word_is_in_its_own_column)
}

/// The decisions that people made; they matter only to whoever decides.
async fn decisions(session: &Session, view: &View) -> Result<Vec<AccessDecision>, Failure> {
    match view.for_me {
        true => session.decisions(&view.scope, "").await,
        false => Ok(Vec::new()),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::plugin::samples;

    pub(super) fn view(me: Identity) -> View {
        View {
            me,
            scope: Scope::Namespace("team-a".into()),
            for_me: false,
            everyone: false,
            wide: false,
        }
    }

    #[test]
    fn a_list_tells_how_each_request_stands() {
        let view = view(samples::alice());
        insta::assert_snapshot!(view.table(&samples::all(), samples::now()));
    }

    #[test]
    fn a_wide_list_of_all_namespaces_tells_more() {
        let view = View {
            scope: Scope::All,
            everyone: true,
            wide: true,
            ..view(samples::alice())
        };
        insta::assert_snapshot!(view.table(&samples::all(), samples::now()));
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
        let fields = view(me).fields();
        assert_eq!(fields, format!("spec.requester.username={selected}"));
    }

    #[test]
    fn a_request_waits_for_whoever_can_decide_and_has_not() {
        let waits = |me: Identity, decisions: &[AccessDecision]| {
            let view = View {
                for_me: true,
                ..view(me)
            };
            view.chosen(samples::all(), decisions).len()
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
