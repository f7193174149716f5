//! `keyloan check-health`: asks a running operator whether it is ready. The image has no shell and no
//! other program, so the chart's test uses this command.

use std::io::Write as _;
use std::time::Duration;

use anyhow::{Context as _, bail};
use backon::{ConstantBuilder, Retryable as _};
use clap::Args;
use http::{StatusCode, Uri};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

/// How long the operator may take for one answer.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);
/// The longest answer that is read, in bytes.
const LONGEST: usize = 64 * 1024;
/// How long to wait before asking again.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
pub struct CheckHealthArgs {
    /// The address at which the operator says whether it is ready, such as http://keyloan.keyloan-system.svc:8080/readyz.
    url: Uri,
    /// How many times to ask, once a second, before giving up.
    #[arg(long, value_name = "NUMBER", default_value_t = 30)]
    tries: usize,
}

/// Asks until the operator is ready.
pub fn check_health(args: &CheckHealthArgs) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the async runtime")?;
    let client = Client::builder(TokioExecutor::new()).build_http();
    let again = ConstantBuilder::new()
        .with_delay(AGAIN_AFTER)
        .with_max_times(args.tries.saturating_sub(1));
    let asking = (|| ask(&client, &args.url)).retry(again);
    runtime.block_on(async { asking.sleep(tokio::time::sleep).await })?;
    writeln!(std::io::stdout(), "the operator at {} is ready", args.url)?;
    Ok(())
}

async fn ask(client: &Client<HttpConnector, Empty<Bytes>>, url: &Uri) -> anyhow::Result<()> {
    let answer = tokio::time::timeout(ANSWERS_WITHIN, answer(client, url)).await;
    let unreachable =
        || format!("no operator answers at {url}: look at its pods, such as with kubectl describe");
    let (status, said) = answer
        .context("it did not answer in time")
        .flatten()
        .with_context(unreachable)?;
    if status != StatusCode::OK {
        bail!("the operator at {url} is not ready ({status}): {said}");
    }
    Ok(())
}

async fn answer(
    client: &Client<HttpConnector, Empty<Bytes>>,
    url: &Uri,
) -> anyhow::Result<(StatusCode, String)> {
    let answer = client.get(url.clone()).await?;
    let status = answer.status();
    let said = Limited::new(answer.into_body(), LONGEST).collect().await;
    let said = said.map_err(anyhow::Error::from_boxed)?.to_bytes();
    Ok((status, String::from_utf8_lossy(&said).into_owned()))
}
