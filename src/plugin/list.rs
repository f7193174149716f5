//! `kubectl keyloan list`: a person's own requests and loans, everyone's, or those that wait for
//! the person's decision; once, or with each change until Ctrl-C.

use std::pin::pin;

use clap::ValueEnum;
use futures::StreamExt as _;

use crate::api::{AccessDecision, AccessGrant};
use crate::cluster::person::{Change, Scope};
use crate::desk::list::{Row, View, Whose};
use crate::desk::watched_list::{News, Watched};

use super::arguments::Namespaces;
use super::failure::{Exit, Failure};
use super::output::{Format, objects, print_object, remark, say, say_last_row};
use super::session::Session;

/// List your requests and loans, or the requests that wait for your decision.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    namespaces: Namespaces,
    /// List the requests that wait for your decision.
    #[arg(long, conflicts_with = "everyone")]
    for_me: bool,
    /// List everyone's requests and loans.
    #[arg(long)]
    everyone: bool,
    /// Keep running and print each change, until Ctrl-C.
    #[arg(long, short)]
    watch: bool,
    /// Print more columns, or print in this format.
    #[arg(long, short, value_name = "FORMAT")]
    output: Option<ListFormat>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ListFormat {
    /// A table with more columns.
    Wide,
    /// A JSON list.
    Json,
    /// A YAML list.
    Yaml,
    /// Only the names.
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
        whose: match (arguments.for_me, arguments.everyone) {
            (true, _) => Whose::ForMe,
            (_, true) => Whose::Everyones,
            _ => Whose::Own,
        },
        namespace: arguments.namespaces.chosen(session.namespace()),
        wide: arguments.output == Some(ListFormat::Wide),
    };
    let format = arguments.output.and_then(ListFormat::for_programs);
    if arguments.watch {
        return watch(session, &view, format).await;
    }
    let grants = session.person.list(&scope(&view), &view.selector()).await?;
    let decisions = decisions(session, &view).await?;
    let chosen = view.chosen(grants, &decisions);
    match format {
        Some(format) => objects(&chosen, format)?,
        None if chosen.is_empty() => remark(nothing(&view)),
        None => say(view.table(&rows(&chosen, session)))?,
    }
    Ok(Exit::Done)
}

async fn watch(session: &Session, view: &View, format: Option<Format>) -> Result<Exit, Failure> {
    let (scope, selector) = (scope(view), view.selector());
    let mut changes = pin!(session.person.watch::<AccessGrant>(&scope, &selector));
    let mut watched = Watched::default();
    let mut told = false;
    while let Some(change) = changes.next().await {
        match change? {
            Change::Seen(grant) => {
                let news = watched.see(&grant);
                if told && news {
                    let decisions = decisions(session, view).await?;
                    let wanted = view.wants(&grant, &decisions);
                    match (watched.list(&grant, wanted), format) {
                        (News::None, _) => {}
                        (News::Row, Some(format)) => print_object(&grant, format)?,
                        (News::Row, None) => {
                            let rows = watched.rows_up_to(&grant, session.now());
                            say_last_row(&view.table(&rows))?;
                        }
                        (News::Left, Some(_)) => remark(view.left(&grant)),
                        (News::Left, None) => say(view.left(&grant))?,
                    }
                }
            }
            Change::Gone(grant) => {
                if watched.forget(&grant) {
                    remark(view.deleted(&grant));
                }
            }
            Change::AllSeen if !told => {
                told = true;
                let decisions = decisions(session, view).await?;
                let chosen = view.chosen(watched.known().cloned().collect(), &decisions);
                for grant in &chosen {
                    watched.list(grant, true);
                }
                match format {
                    Some(format) => chosen.iter().try_for_each(|g| print_object(g, format))?,
                    None => say(view.table(&rows(&chosen, session)))?,
                }
            }
            Change::AllSeen => {}
        }
    }
    Ok(Exit::Done)
}

fn rows(grants: &[AccessGrant], session: &Session) -> Vec<Row> {
    let now = session.now();
    grants.iter().map(|grant| Row::of(grant, now)).collect()
}

fn scope(view: &View) -> Scope {
    let namespace = view.namespace.clone();
    namespace.map_or(Scope::All, Scope::Namespace)
}

fn nothing(view: &View) -> String {
    let nothing = view.nothing();
    match view.namespace {
        Some(_) => format!("{nothing} Use -A to search all namespaces."),
        None => nothing,
    }
}

/// The decisions about the listed grants, needed only for the requests that wait for one.
async fn decisions(session: &Session, view: &View) -> Result<Vec<AccessDecision>, Failure> {
    match view.needs_decisions() {
        true => session.decisions(&scope(view), "").await,
        false => Ok(Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Identity;
    use crate::desk::samples;
    use crate::plugin::output::{last_row, lines};

    fn view(me: Identity) -> View {
        View {
            me,
            whose: Whose::Own,
            namespace: Some("team-a".into()),
            wide: false,
        }
    }

    fn shown(view: &View) -> String {
        let all = samples::all();
        let rows: Vec<_> = all.iter().map(|g| Row::of(g, samples::present())).collect();
        lines(&view.table(&rows), None).join("\n")
    }

    #[test]
    fn a_list_tells_how_each_request_stands() {
        let view = view(samples::alice());
        insta::assert_snapshot!(shown(&view));
    }

    #[test]
    fn a_wide_list_of_all_namespaces_tells_more() {
        let view = View {
            whose: Whose::Everyones,
            namespace: None,
            wide: true,
            ..view(samples::alice())
        };
        insta::assert_snapshot!(shown(&view));
    }

    #[test]
    fn a_change_is_one_row_whatever_is_in_it() {
        let (hostile, _) = samples::hostile();
        let mut watched = Watched::default();
        watched.see(&hostile);
        watched.list(&hostile, true);
        let view = view(samples::bob());
        let table = view.table(&watched.rows_up_to(&hostile, samples::present()));
        let row = |width| last_row(&table, width);
        assert_eq!(row(None).len(), 1);
        assert!(row(None)[0].starts_with("alice-db  db ⏎ alice-db Active x"));
        let shown = row(Some(100));
        insta::assert_snapshot!(shown.join("\n"));
        let begins = shown.iter().filter(|line| !line.starts_with(' '));
        assert_eq!(begins.count(), 1);
    }
}
