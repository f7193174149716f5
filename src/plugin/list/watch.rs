//! `kubectl keyloan list --watch`: what there is, and then a line for each change, until Ctrl-C.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;

use futures::StreamExt as _;
use jiff::Timestamp;
use kube::ResourceExt as _;

use super::{View, decisions};
use crate::api::AccessGrant;
use crate::cluster::person::{Change, Scope};
use crate::plugin::failure::{Exit, Failure};
use crate::plugin::output::{Format, Text, print_object, remark, say};
use crate::plugin::session::Session;
use crate::plugin::waiting::where_it_is;

pub async fn watch(
    session: &Session,
    view: &View,
    format: Option<Format>,
) -> Result<Exit, Failure> {
    let mut changes = pin!(
        session
            .person
            .watch::<AccessGrant>(&view.scope, &view.fields())
    );
    let mut watched = Watched::default();
    let mut told = false;
    while let Some(change) = changes.next().await {
        match change? {
            Change::Seen(grant) => {
                let news = watched.see(&grant);
                if told && news {
                    let decisions = decisions(session, view).await?;
                    let wanted = view.wants(&grant, &decisions);
                    match watched.list(&grant, wanted) {
                        Line::None => {}
                        Line::Row => match format {
                            Some(format) => print_object(&grant, format)?,
                            None => say(watched.row(view, &grant, session.now()))?,
                        },
                        Line::Over if format.is_some() => remark(over(view, &grant)),
                        Line::Over => say(over(view, &grant))?,
                    }
                }
            }
            Change::Gone(grant) => {
                if watched.forget(&grant) {
                    remark(format_args!("{} was deleted.", called(view, &grant)));
                }
            }
            Change::AllSeen if !told => {
                told = true;
                let decisions = decisions(session, view).await?;
                let chosen = view.chosen(watched.known.values().cloned().collect(), &decisions);
                for grant in &chosen {
                    watched.list(grant, true);
                }
                match format {
                    Some(format) => chosen.iter().try_for_each(|g| print_object(g, format))?,
                    None => say(view.table(&chosen, session.now()))?,
                }
            }
            Change::AllSeen => {}
        }
    }
    Ok(Exit::Done)
}

/// What has been seen, by uid, and what of it has been listed.
#[derive(Default)]
struct Watched {
    known: BTreeMap<String, AccessGrant>,
    listed: BTreeSet<String>,
}

/// The line that a change is worth.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    /// It is none of this list's.
    None,
    /// The grant as it is now.
    Row,
    /// That the grant belongs to this list no more.
    Over,
}

impl Watched {
    /// Whether a grant is another than it was.
    fn see(&mut self, grant: &AccessGrant) -> bool {
        let before = self.known.insert(uid(grant), grant.clone());
        before.is_none_or(|before| before != *grant)
    }

    fn list(&mut self, grant: &AccessGrant, wanted: bool) -> Line {
        match (wanted, self.listed.contains(&uid(grant))) {
            (true, _) => {
                self.listed.insert(uid(grant));
                Line::Row
            }
            (false, true) => {
                self.listed.remove(&uid(grant));
                Line::Over
            }
            (false, false) => Line::None,
        }
    }

    /// Whether a grant that is gone was listed.
    fn forget(&mut self, grant: &AccessGrant) -> bool {
        self.known.remove(&uid(grant));
        self.listed.remove(&uid(grant))
    }

    /// The row of a grant, in the columns of those above it.
    fn row(&self, view: &View, grant: &AccessGrant, now: Timestamp) -> Text {
        let listed = |(uid, other): &(&String, &AccessGrant)| {
            self.listed.contains(*uid) && other.uid() != grant.uid()
        };
        let others = self.known.iter().filter(listed).map(|(_, other)| other);
        let rows: Vec<_> = others.chain([grant]).cloned().collect();
        view.table(&rows, now).last_row()
    }
}

fn uid(grant: &AccessGrant) -> String {
    grant.uid().unwrap_or_default()
}

fn called(view: &View, grant: &AccessGrant) -> String {
    match (&view.scope, grant.namespace()) {
        (Scope::All, Some(namespace)) => format!("{namespace}/{}", grant.name_any()),
        _ => grant.name_any(),
    }
}

/// Only who looks at what waits for their decision sees something leave the list.
fn over(view: &View, grant: &AccessGrant) -> String {
    format!(
        "{} no longer waits for your decision. {}",
        called(view, grant),
        where_it_is(grant)
    )
}

#[cfg(test)]
mod tests {
    use super::super::tests::view;
    use super::*;
    use crate::plugin::samples;

    #[test]
    fn what_waits_is_listed_and_what_waits_no_more_is_told_once() {
        let (waiting, denied) = (samples::waiting(), samples::denied());
        let mut watched = Watched::default();
        assert!(watched.see(&waiting));
        assert!(!watched.see(&waiting), "it is the same");
        assert_eq!(watched.list(&waiting, true), Line::Row);
        assert!(watched.see(&denied));
        assert_eq!(watched.list(&denied, false), Line::Over);
        assert_eq!(watched.list(&denied, false), Line::None);
        assert!(!watched.forget(&denied), "nobody waits for it");
        let view = View {
            for_me: true,
            ..view(samples::bob())
        };
        assert_eq!(
            over(&view, &denied),
            "alice-root no longer waits for your decision. Denied: bob@example.com said no: use the replica"
        );
    }

    #[test]
    fn a_change_is_one_row_whatever_is_in_it() {
        let (hostile, _) = samples::hostile();
        let mut watched = Watched::default();
        watched.see(&hostile);
        watched.list(&hostile, true);
        let view = view(samples::bob());
        let row = |width| watched.row(&view, &hostile, samples::now()).lines(width);
        assert_eq!(row(None).len(), 1);
        assert!(row(None)[0].starts_with("alice-db  db ⏎ alice-db Active x"));
        let shown = row(Some(100));
        insta::assert_snapshot!(shown.join("\n"));
        let begins = shown.iter().filter(|line| !line.starts_with(' '));
        assert_eq!(begins.count(), 1);
    }
}
