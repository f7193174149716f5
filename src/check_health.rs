//! `keyloan check-health`: asks a running operator whether it is ready. The image has no shell and no
//! other program, so the chart's test uses this command.

use std::io::Write as _;
use std::time::Duration;

use anyhow::{Context as _, bail};
use backon::{ConstantBuilder, Retryable as _};
use clap::Args;
use keyloan::cluster::install_tls;
use reqwest::{Client, StatusCode};
use url::Url;

/// How long the operator may take for one answer.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);
/// How long to wait before asking again.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
pub struct CheckHealthArgs {
    /// The address at which the operator says whether it is ready, such as http://keyloan.keyloan-system.svc:8080/readyz.
    url: Url,
    /// How many times to ask, once a second, before giving up.
    #[arg(long, value_name = "NUMBER", default_value_t = 30)]
    tries: usize,
}

/// Asks until the operator is ready.
pub fn check_health(args: &CheckHealthArgs) -> anyhow::Result<()> {
    install_tls();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the async runtime")?;
    // The operator is in the cluster, where no proxy leads.
    let client = Client::builder()
        .no_proxy()
        .timeout(ANSWERS_WITHIN)
        .build()?;
    let again = ConstantBuilder::new()
        .with_delay(AGAIN_AFTER)
        .with_max_times(args.tries.saturating_sub(1));
    runtime.block_on((|| ask(&client, &args.url)).retry(again))?;
    writeln!(std::io::stdout(), "the operator at {} is ready", args.url)?;
    Ok(())
}

async fn ask(client: &Client, url: &Url) -> anyhow::Result<()> {
    let answer = client.get(url.clone()).send().await;
    let unreachable =
        || format!("no operator answers at {url}: look at its pods, such as with kubectl describe");
    let answer = answer
        .map_err(reqwest::Error::without_url)
        .with_context(unreachable)?;
    let status = answer.status();
    let said = answer
        .text()
        .await
        .map_err(reqwest::Error::without_url)
        .with_context(unreachable)?;
    if status != StatusCode::OK {
        bail!("the operator at {url} is not ready ({status}): {said}");
    }
    Ok(())
}
