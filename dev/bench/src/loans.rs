//! Loans, each with the time from its request until its link and until it is Active.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::Result;
use futures::{StreamExt, TryStreamExt};
use keyloan::api::{AccessGrant, link_name};
use kube::ResourceExt;

use crate::latency::Latencies;
use crate::stage::{Stage, TEAM, create};
use crate::stopwatch::{self, Progress};

/// A loan that is Active.
#[derive(Clone, Debug)]
pub struct Loan {
    /// The grant's name.
    pub name: String,
    /// The grant's uid.
    pub uid: String,
    /// The number of its integration.
    pub integration: usize,
    /// From sending the request until a watcher sees the link Secret.
    pub to_link: Duration,
    /// From sending the request until a watcher sees `Active=True`.
    pub to_active: Duration,
}

/// Loans that were made in one batch.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The loans.
    pub loans: Vec<Loan>,
    /// The time that all of them took together.
    pub took: Duration,
}

/// The names of all objects of the loans.
pub fn names<'a>(loans: impl IntoIterator<Item = &'a Loan>) -> HashSet<String> {
    loans
        .into_iter()
        .flat_map(|loan| [loan.name.clone(), loan.uid.clone(), link_name(&loan.uid)])
        .collect()
}

impl Batch {
    /// From request to link Secret.
    pub fn to_link(&self) -> Latencies {
        self.loans.iter().map(|loan| loan.to_link).collect()
    }

    /// From request to Active.
    pub fn to_active(&self) -> Latencies {
        self.loans.iter().map(|loan| loan.to_active).collect()
    }

    /// Loans per second.
    pub fn rate(&self) -> f64 {
        self.loans.len() as f64 / self.took.as_secs_f64().max(f64::EPSILON)
    }
}

/// Makes loans, `at_a_time` of them concurrently.
pub async fn batch<L>(
    what: &str,
    numbers: std::ops::Range<usize>,
    at_a_time: usize,
    progress: &Progress,
    lend: impl Fn(usize) -> L,
) -> Result<Batch>
where
    L: Future<Output = Result<Loan>>,
{
    let count = progress.count(what, numbers.len());
    let began = stopwatch::now();
    let lend = |number| {
        let loan = lend(number);
        let count = &count;
        async move {
            let loan = loan.await?;
            count.one();
            anyhow::Ok(loan)
        }
    };
    let loans = futures::stream::iter(numbers.map(lend))
        .buffer_unordered(at_a_time)
        .try_collect()
        .await?;
    Ok(Batch {
        loans,
        took: began.elapsed(),
    })
}

/// Requests an item and waits until it is lent.
pub async fn lend(stage: &Stage, number: usize, integration: usize) -> Result<Loan> {
    let request = Stage::request(number, integration);
    let began = stopwatch::now();
    let grant = create::<AccessGrant>(&stage.alice, TEAM, request).await?;
    let uid = grant.uid().unwrap_or_default();
    let link = stage
        .arrivals
        .wait(&uid, "its link Secret is there", |seen| seen.secret)
        .await?;
    let active = stage
        .arrivals
        .wait(&uid, "it is Active", |seen| seen.active)
        .await?;
    Ok(Loan {
        name: grant.name_any(),
        uid,
        integration,
        to_link: link - began,
        to_active: active - began,
    })
}
