//! `kubectl keyloan exposed`: the items that somebody could see since they were last changed.

use std::collections::BTreeSet;

use clap::ValueEnum;

use crate::api::AccessRecord;
use crate::cluster::person::Scope;
use crate::desk::exposed::{Exposures, as_table};
use crate::desk::report::Query;
use crate::desk::selector::equals;

use super::arguments::Namespaces;
use super::failure::{Exit, Failure};
use super::ledger::{each_record, nothing};
use super::output::{Structured, print_value, remark, say};
use super::session::Session;

/// The maximum number of items for which each is listed on its own.
const LISTED_ITEMS: usize = 20;

/// List the items that somebody could see since they were last changed, with the people, and until
/// when a link may open: what to rotate.
///
/// Keyloan knows only of changes that later records show. It does not know which field was changed.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    namespaces: Namespaces,
    /// Only the item with this title or id.
    #[arg(long, value_name = "ITEM")]
    item: Option<String>,
    /// Print in this format.
    #[arg(long, short, value_name = "FORMAT", default_value = "table")]
    output: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// A table.
    Table,
    /// A JSON array, with the times of each person.
    Json,
}

impl Arguments {
    /// The records that name the item, if one is asked for.
    pub(super) fn query(&self) -> Option<Query> {
        let item = self.item.clone()?;
        Some(Query {
            item: Some(item),
            ..Query::default()
        })
    }

    /// Says that nothing is exposed, though there are records.
    fn nothing(&self, scope: &Scope) -> String {
        let place = match scope {
            Scope::Namespace(namespace) => format!("in {namespace}"),
            Scope::All => "in any namespace".into(),
        };
        match &self.item {
            Some(item) => format!("No item {place} with the title or id {item:?} is exposed."),
            None => format!("No item {place} is exposed."),
        }
    }
}

/// The items that are asked for.
pub(super) enum Asked {
    All,
    /// Those with these ids. Another record may show the item under another title, and that it was
    /// changed.
    Ids(BTreeSet<String>),
}

impl Asked {
    /// The field selectors of the lists that together contain all records of the items.
    fn selectors(&self) -> Vec<String> {
        match self {
            Self::Ids(ids) if ids.len() <= LISTED_ITEMS => ids
                .iter()
                .map(|id| equals("spec.terms.item.id", id))
                .collect(),
            _ => vec![String::new()],
        }
    }

    /// Whether a record of one of these lists is of such an item.
    pub(super) fn covers(&self, record: &AccessRecord) -> bool {
        match self {
            Self::All => true,
            Self::Ids(ids) => ids.contains(&record.spec.terms.item.id),
        }
    }
}

pub async fn run(session: &Session, arguments: &Arguments) -> Result<Exit, Failure> {
    let scope = arguments.namespaces.scope(session.namespace());
    let asked = asked(session, &scope, arguments).await?;
    let (mut exposures, mut some) = (Exposures::default(), false);
    each_record(session, &scope, &asked.selectors(), |record| {
        if asked.covers(&record) {
            some = true;
            exposures.add(&record);
        }
        Ok(())
    })
    .await?;
    let listed = exposures.listed();
    match arguments.output {
        Format::Json => print_value(&listed, Structured::Json)?,
        Format::Table if !some => remark(nothing(&scope)),
        Format::Table if listed.is_empty() => remark(arguments.nothing(&scope)),
        Format::Table => say(as_table(&listed))?,
    }
    Ok(Exit::Done)
}

async fn asked(session: &Session, scope: &Scope, arguments: &Arguments) -> Result<Asked, Failure> {
    let Some(named) = arguments.query() else {
        return Ok(Asked::All);
    };
    let mut ids = BTreeSet::new();
    each_record(session, scope, &named.selectors(session.now()), |record| {
        ids.insert(record.spec.terms.item.id);
        Ok(())
    })
    .await?;
    Ok(Asked::Ids(ids))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case(None, Scope::All, "No item in any namespace is exposed.")]
    #[case(
        Some("db password"),
        Scope::Namespace("keyloan".into()),
        "No item in keyloan with the title or id \"db password\" is exposed."
    )]
    fn whoever_finds_nothing_to_rotate_reads_that_nothing_is_exposed(
        #[case] item: Option<&str>,
        #[case] scope: Scope,
        #[case] told: &str,
    ) {
        let arguments = Arguments {
            namespaces: Namespaces {
                all_namespaces: false,
            },
            item: item.map(str::to_owned),
            output: Format::Table,
        };
        assert_eq!(arguments.nothing(&scope), told);
    }

    #[test]
    fn the_records_of_a_few_items_are_listed_by_their_ids_and_of_many_all() {
        let ids = |number: usize| Asked::Ids((0..number).map(|id| format!("id{id:02}")).collect());
        let few = ["spec.terms.item.id=id00", "spec.terms.item.id=id01"];
        assert_eq!(ids(2).selectors(), few);
        assert_eq!(ids(LISTED_ITEMS + 1).selectors(), [""]);
        assert_eq!(Asked::All.selectors(), [""]);
        assert_eq!(ids(0).selectors(), [""; 0]);
    }
}
