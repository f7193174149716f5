//! `kubectl keyloan report`: the ledger as a table, as CSV for spreadsheets, or as JSON.

use clap::ValueEnum;
use jiff::Timestamp;

use crate::api::{AccessRecord, EndReason, RequestOutcome};
use crate::desk::report::{
    HEADINGS, Moment, Query, Row, Special, TABLE_ROWS, as_table, keep_newest,
};

use super::arguments::Namespaces;
use super::failure::{Exit, Failure};
use super::ledger::{each_record, nothing};
use super::output::{Array, put_csv, remark, say};
use super::session::Session;

/// Print the ledger: a row for each loan, and for each request that a flow covered and that was not
/// granted.
///
/// Records are in the namespaces of integrations. The role keyloan-auditor reads them.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    namespaces: Namespaces,
    /// Only requests made since then: how long ago (30d), a day in UTC (2026-11-24), or a time.
    #[arg(long, value_name = "TIME")]
    since: Option<Moment>,
    /// Only requests made until then. A day is included.
    #[arg(long, value_name = "TIME")]
    until: Option<Moment>,
    /// Only this integration.
    #[arg(long, value_name = "NAME")]
    integration: Option<String>,
    /// Only this flow.
    #[arg(long, value_name = "NAME")]
    flow: Option<String>,
    /// Only requests by the person with this username.
    #[arg(long, value_name = "USERNAME")]
    requester: Option<String>,
    /// Only what this address could open.
    #[arg(long, value_name = "ADDRESS")]
    recipient: Option<String>,
    /// Only what the person with this username decided about.
    #[arg(long, value_name = "USERNAME")]
    approver: Option<String>,
    /// Only the item with this title or id.
    #[arg(long, value_name = "ITEM")]
    item: Option<String>,
    /// Only the grant with this name, in this namespace if it is given.
    #[arg(long, value_name = "[NAMESPACE/]NAME")]
    grant: Option<String>,
    /// Only requests with this outcome.
    #[arg(long, value_name = "OUTCOME", ignore_case = true)]
    outcome: Option<Outcome>,
    /// Only loans and requests that ended for this reason.
    #[arg(long, value_name = "REASON", ignore_case = true)]
    end: Option<End>,
    /// Only loans with a link that could open at that time: how long ago (1h), a day in UTC (2026-11-24), or a time.
    #[arg(long, value_name = "TIME")]
    open_on: Option<Moment>,
    /// Only records that are special in this way.
    #[arg(long, value_name = "WHAT")]
    only: Option<Only>,
    /// Print in this format.
    #[arg(long, short, value_name = "FORMAT", default_value = "table")]
    output: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// A table with the columns that people look for, the newest request first.
    Table,
    /// CSV with all columns, safe for spreadsheets.
    Csv,
    /// A JSON array with all columns.
    Json,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "PascalCase")]
enum Outcome {
    /// The request became a loan.
    Lent,
    /// An approver or owner denied the request.
    Denied,
    /// The requester withdrew the request, or it was deleted while it waited.
    TakenBack,
    /// The request was not approved or started in time.
    Lapsed,
    /// The request could not be granted.
    Failed,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "PascalCase")]
enum End {
    /// The loan's time was over.
    Expired,
    /// Someone revoked the loan.
    Revoked,
    /// The grant was deleted.
    Deleted,
    /// The item changed.
    ItemChanged,
    /// The requester or a recipient was blocked.
    Blocked,
    /// The loan's only link ended.
    LinkEnded,
    /// The first link could not be issued.
    NotIssued,
    /// The record was restored from a backup before the loan had ended.
    Restored,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Only {
    /// Loans that run.
    Running,
    /// Loans with a link that may still open, even a lost one.
    Open,
    /// Loans that ended, or still run, more than a minute after their time was over.
    Late,
    /// Loans with a link that was lost.
    Lost,
    /// Loans without approval.
    Unapproved,
    /// Records with decisions that had no effect.
    Ignored,
    /// Records that were restored from a backup.
    Restored,
}

impl From<Outcome> for RequestOutcome {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Lent => Self::Lent,
            Outcome::Denied => Self::Denied,
            Outcome::TakenBack => Self::TakenBack,
            Outcome::Lapsed => Self::Lapsed,
            Outcome::Failed => Self::Failed,
        }
    }
}

impl From<End> for EndReason {
    fn from(end: End) -> Self {
        match end {
            End::Expired => Self::Expired,
            End::Revoked => Self::Revoked,
            End::Deleted => Self::Deleted,
            End::ItemChanged => Self::ItemChanged,
            End::Blocked => Self::Blocked,
            End::LinkEnded => Self::LinkEnded,
            End::NotIssued => Self::NotIssued,
            End::Restored => Self::Restored,
        }
    }
}

impl From<Only> for Special {
    fn from(only: Only) -> Self {
        match only {
            Only::Running => Self::Running,
            Only::Open => Self::Open,
            Only::Late => Self::Late,
            Only::Lost => Self::Lost,
            Only::Unapproved => Self::Unapproved,
            Only::Ignored => Self::Ignored,
            Only::Restored => Self::Restored,
        }
    }
}

impl Arguments {
    /// The records that are asked for.
    pub(super) fn query(&self, now: Timestamp) -> Query {
        Query {
            since: self.since.map(|since| since.start(now)),
            until: self.until.map(|until| until.end(now)),
            integration: self.integration.clone(),
            flow: self.flow.clone(),
            requester: self.requester.clone(),
            recipient: self.recipient.clone(),
            approver: self.approver.clone(),
            item: self.item.clone(),
            grant: self.grant.clone(),
            outcome: self.outcome.map(Into::into),
            end: self.end.map(Into::into),
            open_between: self.open_on.map(|on| on.span(now)),
            special: self.only.map(Into::into),
        }
    }
}

pub async fn run(session: &Session, arguments: &Arguments) -> Result<Exit, Failure> {
    let now = session.now();
    let query = arguments.query(now);
    let scope = arguments.namespaces.scope(session.namespace());
    let mut report = Report::begin(arguments.output)?;
    each_record(session, &scope, &query.selectors(now), |record| {
        report.add_if_asked_for(&record, &query, now)
    })
    .await?;
    if !report.end()? {
        remark(nothing(&scope));
    }
    Ok(Exit::Done)
}

/// A report in the course of being printed. Only the table holds its rows, whose widths it needs.
enum Report {
    Table { rows: Vec<Row>, dropped: bool },
    Csv { some: bool },
    Json { array: Array },
}

impl Report {
    fn begin(format: Format) -> Result<Self, Failure> {
        Ok(match format {
            Format::Table => Self::Table {
                rows: Vec::new(),
                dropped: false,
            },
            Format::Csv => {
                put_csv(&HEADINGS)?;
                Self::Csv { some: false }
            }
            Format::Json => Self::Json {
                array: Array::default(),
            },
        })
    }

    fn add_if_asked_for(
        &mut self,
        record: &AccessRecord,
        query: &Query,
        now: Timestamp,
    ) -> Result<(), Failure> {
        if !query.covers(record, now) {
            return Ok(());
        }
        let row = Row::of(record, now);
        match self {
            Self::Table { rows, dropped } => {
                rows.push(row);
                // Sorting only now and then keeps it cheap.
                if rows.len() > 2 * TABLE_ROWS {
                    *dropped |= keep_newest(rows);
                }
                Ok(())
            }
            Self::Csv { some } => {
                *some = true;
                put_csv(&row.cells())
            }
            Self::Json { array } => array.push(&row),
        }
    }

    /// Prints what is left. Returns whether there was any row.
    fn end(self) -> Result<bool, Failure> {
        match self {
            Self::Table { mut rows, dropped } => {
                if keep_newest(&mut rows) || dropped {
                    remark(format_args!(
                        "note: these are the newest {TABLE_ROWS} rows; use -o csv or -o json for all"
                    ));
                }
                let some = !rows.is_empty();
                if some {
                    say(as_table(rows))?;
                }
                Ok(some)
            }
            Self::Csv { some } => Ok(some),
            Self::Json { array } => array.end(),
        }
    }
}
