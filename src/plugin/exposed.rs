//! `kubectl keyloan exposed`: the items that somebody could see since they were last changed.

use std::collections::BTreeSet;

use clap::ValueEnum;

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
    /// Whether an item of the whole ledger is asked for.
    #[cfg(test)]
    pub(super) fn asks_for(&self, item: &crate::desk::exposed::Exposed) -> bool {
        let asked = self.item.as_ref();
        asked.is_none_or(|asked| [&item.item, &item.item_id].contains(&asked))
    }
}

pub async fn run(session: &Session, arguments: &Arguments) -> Result<Exit, Failure> {
    let scope = arguments.namespaces.scope(session.namespace());
    let mut exposures = Exposures::default();
    let mut ids = BTreeSet::new();
    let mut lists = vec![String::new()];
    if let Some(item) = &arguments.item {
        let named = Query {
            item: Some(item.clone()),
            ..Query::default()
        };
        each_record(session, &scope, &named.selectors(session.now()), |record| {
            ids.insert(record.spec.terms.item.id);
            Ok(())
        })
        .await?;
        // Another record may show the item under another title, and that it was changed.
        if ids.len() <= LISTED_ITEMS {
            lists = ids
                .iter()
                .map(|id| equals("spec.terms.item.id", id))
                .collect();
        }
    }
    each_record(session, &scope, &lists, |record| {
        if arguments.item.is_none() || ids.contains(&record.spec.terms.item.id) {
            exposures.add(&record);
        }
        Ok(())
    })
    .await?;
    let listed = exposures.listed();
    match arguments.output {
        Format::Json => print_value(&listed, Structured::Json)?,
        Format::Table if listed.is_empty() => remark(nothing(&scope)),
        Format::Table => say(as_table(&listed))?,
    }
    Ok(Exit::Done)
}
