//! Checks Keyloan's assumptions about 1Password against a real account: `cargo xtask live`.
//!
//! It uses the operator's own port to 1Password. Without further arguments it only reads.

mod assumptions;
mod judge;
mod visit;

use std::env;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Parser;
use jiff::Timestamp;
use keyloan::onepassword::core::{CoreAccounts, CoreOptions, artifact};
use keyloan::onepassword::{AllowedOrigins, Origin, Recipients, ServiceAccountToken};

use judge::Verdict;
use visit::{Seen, Wishes};

const TOKEN: &str = "KEYLOAN_LIVE_TOKEN";
const REVOKED_TOKEN: &str = "KEYLOAN_LIVE_REVOKED_TOKEN";

const NO_TOKEN: &str = "\
There is no service account token in KEYLOAN_LIVE_TOKEN, so nothing was checked.
Create a 1Password service account with the rights to read and share in a vault that holds nothing of value, then:

    read -rs KEYLOAN_LIVE_TOKEN && export KEYLOAN_LIVE_TOKEN     # paste the token; it is not shown
    cargo xtask live

docs/assumptions.md lists the assumptions that are checked.";

/// Checks Keyloan's assumptions about 1Password against a real account, with the token in
/// KEYLOAN_LIVE_TOKEN.
///
/// The command signs in, lists vaults and items and reads the share policy. It prints no field of
/// an item, and changes nothing unless you tell it to share one.
#[derive(Parser)]
#[command(name = "cargo xtask live", bin_name = "cargo xtask live")]
struct Arguments {
    /// Also fetch this item (into the sandbox), by titles or ids
    #[arg(long, value_name = "VAULT/ITEM")]
    item: Option<String>,
    /// Also share that item with this address, for one hour; you cannot take back such a link
    #[arg(long, value_name = "ADDRESS", requires = "item", requires = "yes")]
    share_with: Option<String>,
    /// Confirm that the command may make that link
    #[arg(long)]
    yes: bool,
    /// Print the titles of vaults and items, not only their numbers
    #[arg(long)]
    show: bool,
    /// Accept a token for an origin other than 1Password's, such as a simulator's
    #[arg(long, value_name = "ORIGIN")]
    allow_origin: Vec<Origin>,
    /// Print docs/assumptions.md instead, and check nothing
    #[arg(long, exclusive = true)]
    markdown: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(io::stderr(), "cargo xtask live: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// 0: nothing differs. 1: something does. 2: there is no token.
async fn run(arguments: Arguments) -> Result<ExitCode> {
    let mut out = io::stdout();
    if arguments.markdown {
        out.write_all(assumptions::markdown().as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    let allowed = AllowedOrigins::with(arguments.allow_origin);
    let Some(token) = token_in(TOKEN, &allowed)? else {
        writeln!(io::stderr(), "{NO_TOKEN}")?;
        return Ok(ExitCode::from(2));
    };
    let item = arguments.item.as_deref().map(split).transpose()?;
    let share_with = arguments
        .share_with
        .map(|address| Recipients::new([address]));
    let wishes = Wishes {
        item,
        share_with: share_with.transpose()?,
        revoked: token_in(REVOKED_TOKEN, &allowed)?,
    };
    writeln!(out, "signing in at {}", token.origin())?;
    let seen = visit::visit(&accounts().await?, token, wishes).await?;
    show_account(&mut out, &seen, arguments.show)?;
    show_verdicts(&mut out, &seen)
}

fn token_in(variable: &str, allowed: &AllowedOrigins) -> Result<Option<ServiceAccountToken>> {
    let Some(text) = env::var_os(variable).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let token = ServiceAccountToken::parse(text.as_encoded_bytes(), allowed);
    token
        .map(Some)
        .with_context(|| format!("cannot use {variable}"))
}

fn split(item: &str) -> Result<(String, String)> {
    let (vault, item) = item
        .split_once('/')
        .context("--item takes VAULT/ITEM; if a title contains a slash, use ids")?;
    Ok((vault.to_owned(), item.to_owned()))
}

async fn accounts() -> Result<CoreAccounts> {
    // If another provider was installed before, it serves as well.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let core = artifact::load(&keyloan_core::compiled_core().await?)?;
    Ok(CoreAccounts::new(
        &core,
        CoreOptions::default(),
        Arc::new(Timestamp::now),
    )?)
}

fn show_account(out: &mut impl Write, seen: &Seen, titles: bool) -> Result<()> {
    writeln!(out, "vaults: {}", seen.vaults.len())?;
    for (n, (vault, items)) in seen.vaults.iter().enumerate() {
        let name = if titles {
            vault.title.clone()
        } else {
            format!("vault {}", n + 1)
        };
        match items {
            Some(items) => writeln!(out, "  {name}: {} items", items.len())?,
            None => writeln!(out, "  {name}: not listed")?,
        }
        for item in items.iter().flatten().filter(|_| titles) {
            writeln!(out, "    {}", item.title)?;
        }
    }
    Ok(())
}

fn show_verdicts(out: &mut impl Write, seen: &Seen) -> Result<ExitCode> {
    let verdicts = judge::judge(seen);
    writeln!(out)?;
    for (assumption, verdict) in &verdicts {
        let (word, found) = match verdict {
            Verdict::Confirmed(found) => ("confirmed", found),
            Verdict::Differs(found) => ("DIFFERS", found),
            Verdict::NotChecked(why) => ("not checked", why),
        };
        writeln!(out, "{word:<12} {:<16} {found}", assumption.id)?;
    }
    let differing = verdicts
        .iter()
        .filter(|(_, verdict)| matches!(verdict, Verdict::Differs(_)));
    let differing: Vec<_> = differing.collect();
    for (assumption, _) in &differing {
        writeln!(
            out,
            "\n{}: Keyloan assumes: {}.\n  If this is wrong: {}.",
            assumption.id, assumption.claim, assumption.otherwise
        )?;
    }
    let count = |wanted: fn(&Verdict) -> bool| {
        verdicts
            .iter()
            .filter(|(_, verdict)| wanted(verdict))
            .count()
    };
    let sent = seen.calls.iter().flat_map(|call| &call.exchanges);
    writeln!(
        out,
        "\n{} confirmed, {} differ, {} not checked; {} requests\n\
         A person has to check {} more: docs/assumptions.md",
        count(|verdict| matches!(verdict, Verdict::Confirmed(_))),
        differing.len(),
        count(|verdict| matches!(verdict, Verdict::NotChecked(_))),
        sent.filter(|exchange| exchange.was_sent()).count(),
        assumptions::ALL.len() - verdicts.len(),
    )?;
    Ok(if differing.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
