//! `kubectl keyloan list`: a person's own requests and loans, everyone's, or those that wait for
//! the person's decision; once, or with each change until Ctrl-C.

use std::pin::pin;

use clap::ValueEnum;
use futures::StreamExt as _;
use kube::ResourceExt as _;

use crate::api::{AccessDecision, AccessGrant, Identity};
use crate::cluster::person::{Change, Scope};
use crate::desk::list::{self, News, Row, Watched, Whose};
use crate::desk::text::{Text, table};

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
        scope: arguments.namespaces.scope(session.namespace()),
        whose: match (arguments.for_me, arguments.everyone) {
            (true, _) => Whose::ForMe,
            (_, true) => Whose::Everyones,
            _ => Whose::Own,
        },
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
        None => say(view.table(&rows(&chosen, session)))?,
    }
    Ok(Exit::Done)
}

async fn watch(session: &Session, view: &View, format: Option<Format>) -> Result<Exit, Failure> {
    let fields = view.fields();
    let mut changes = pin!(session.person.watch::<AccessGrant>(&view.scope, &fields));
    let mut watched = Watched::default();
    let mut told = false;
    while let Some(change) = changes.next().await {
        match change? {
            Change::Seen(grant) => {
                let news = watched.see(&grant);
                if told && news {
                    let decisions = decisions(session, view).await?;
                    let wanted = view.wants(&grant, &decisions);
                    let left = || list::left(view.called(&grant), &grant);
                    match (watched.list(&grant, wanted), format) {
                        (News::None, _) => {}
                        (News::Row, Some(format)) => print_object(&grant, format)?,
                        (News::Row, None) => {
                            let rows = watched.rows_up_to(&grant, session.now());
                            say_last_row(&view.table(&rows))?;
                        }
                        (News::Left, Some(_)) => remark(left()),
                        (News::Left, None) => say(left())?,
                    }
                }
            }
            Change::Gone(grant) => {
                if watched.forget(&grant) {
                    remark(format_args!("{} was deleted.", view.called(&grant)));
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

/// The grants to list, and the columns.
struct View {
    me: Identity,
    scope: Scope,
    whose: Whose,
    wide: bool,
}

impl View {
    /// The field selector, with which the API server leaves out other people's requests.
    fn fields(&self) -> String {
        match self.whose {
            Whose::Own => format!("spec.requester.username={}", escaped(&self.me.username)),
            Whose::ForMe | Whose::Everyones => String::new(),
        }
    }

    fn wants(&self, grant: &AccessGrant, decisions: &[AccessDecision]) -> bool {
        list::is_wanted(self.whose, &self.me, grant, decisions)
    }

    /// The grants to list, in their order.
    fn chosen(&self, grants: Vec<AccessGrant>, decisions: &[AccessDecision]) -> Vec<AccessGrant> {
        let wanted = |grant: &AccessGrant| self.wants(grant, decisions);
        let mut chosen: Vec<_> = grants.into_iter().filter(wanted).collect();
        list::sort(&mut chosen);
        chosen
    }

    fn table(&self, rows: &[Row]) -> Text {
        type Cell = fn(&Row) -> &String;
        let all: [(&str, bool, Cell); 10] = [
            ("NAMESPACE", self.scope == Scope::All, |row| &row.namespace),
            ("NAME", true, |row| &row.name),
            ("REQUESTER", self.whose != Whose::Own, |row| &row.requester),
            ("ITEM", true, |row| &row.item),
            ("PHASE", true, |row| &row.phase),
            ("AGE", true, |row| &row.age),
            ("INTEGRATION", self.wide, |row| &row.integration),
            ("FLOW", self.wide, |row| &row.flow),
            ("DURATION", self.wide, |row| &row.duration),
            ("STATUS", true, |row| &row.standing),
        ];
        let shown = all.into_iter().filter(|(_, is_shown, _)| *is_shown);
        let (heading, cells): (Vec<_>, Vec<_>) = shown.map(|(name, _, cell)| (name, cell)).unzip();
        let row = |row: &Row| cells.iter().map(|cell| cell(row).clone()).collect();
        table(&heading, rows.iter().map(row).collect())
    }

    fn called(&self, grant: &AccessGrant) -> String {
        match (&self.scope, grant.namespace()) {
            (Scope::All, Some(namespace)) => format!("{namespace}/{}", grant.name_any()),
            _ => grant.name_any(),
        }
    }

    fn nothing(&self) -> String {
        let place = match &self.scope {
            Scope::Namespace(namespace) => {
                format!("in {namespace}. Use -A to search all namespaces")
            }
            Scope::All => "in any namespace".into(),
        };
        match self.whose {
            Whose::ForMe => format!("No requests wait for your decision {place}."),
            Whose::Everyones => format!("There are no requests {place}."),
            Whose::Own => format!("You have no requests {place}."),
        }
    }
}

/// Escapes a value for a field selector, like `EscapeValue` of Kubernetes' `fields` package.
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

/// The decisions about the listed grants, needed only for the requests that wait for one.
async fn decisions(session: &Session, view: &View) -> Result<Vec<AccessDecision>, Failure> {
    match view.whose {
        Whose::ForMe => session.decisions(&view.scope, "").await,
        Whose::Own | Whose::Everyones => Ok(Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desk::samples;
    use crate::plugin::output::{last_row, lines};

    fn view(me: Identity) -> View {
        View {
            me,
            scope: Scope::Namespace("team-a".into()),
            whose: Whose::Own,
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
            scope: Scope::All,
            whose: Whose::Everyones,
            wide: true,
            ..view(samples::alice())
        };
        insta::assert_snapshot!(shown(&view));
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
