//! Waiting for a grant to get somewhere, with one line that says where it is.

use std::io::IsTerminal as _;
use std::pin::pin;
use std::time::Duration;

use futures::StreamExt as _;
use indicatif::{ProgressBar, ProgressStyle};
use kube::ResourceExt as _;

use crate::api::{AccessGrant, Phase};
use crate::cluster::person::{Change, Scope};

use super::failure::Failure;
use super::output::{remark, visible};
use super::session::Session;

/// How often the line moves while nothing happens.
const TICK: Duration = Duration::from_millis(120);

/// How waiting ended.
#[derive(Debug)]
pub enum Waited<T> {
    /// It got there.
    There(T),
    /// It was deleted, or another one has its name now.
    Gone,
    /// It did not get there in time.
    TimedOut,
}

/// Waits until a grant is as it should be, or the patience is over.
pub async fn until<T>(
    session: &Session,
    grant: &AccessGrant,
    patience: Duration,
    line: impl Fn(&AccessGrant) -> String,
    wanted: impl Fn(&AccessGrant) -> Option<T>,
) -> Result<Waited<T>, Failure> {
    let namespace = grant.namespace().unwrap_or_default();
    let fields = format!("metadata.name={}", grant.name_any());
    let scope = Scope::Namespace(namespace);
    let mut changes = pin!(session.person.watch::<AccessGrant>(&scope, &fields));
    let progress = Progress::start();
    let follow = async {
        let mut seen = false;
        while let Some(change) = changes.next().await {
            match change? {
                Change::Seen(now) if now.uid() == grant.uid() => {
                    seen = true;
                    if let Some(there) = wanted(&now) {
                        return Ok(Waited::There(there));
                    }
                    progress.say(line(&now));
                }
                Change::AllSeen if seen => {}
                Change::Seen(_) | Change::Gone(_) | Change::AllSeen => return Ok(Waited::Gone),
            }
        }
        Ok(Waited::TimedOut)
    };
    match tokio::time::timeout(patience, follow).await {
        Ok(ended) => ended,
        Err(_) => Ok(Waited::TimedOut),
    }
}

/// Where a request or loan is, in one line.
pub fn where_it_is(grant: &AccessGrant) -> String {
    let Some(status) = &grant.status else {
        return "nobody has looked at it yet".into();
    };
    let Some(phase) = status.phase else {
        return "nobody has looked at it yet".into();
    };
    let why = match phase {
        Phase::Pending | Phase::Issuing | Phase::Active => status
            .waiting_for
            .clone()
            .or_else(|| not_yet(grant))
            .unwrap_or_default(),
        _ => why_over(grant).unwrap_or_default(),
    };
    match why.is_empty() {
        true => format!("{phase:?}"),
        false => format!("{phase:?}: {why}"),
    }
}

/// The message of the first condition that is in the way.
fn not_yet(grant: &AccessGrant) -> Option<String> {
    use crate::api::{ACCEPTED, ACTIVE, APPROVED};
    let conditions = &grant.status.as_ref()?.conditions;
    [ACCEPTED, APPROVED, ACTIVE].iter().find_map(|type_| {
        let condition = conditions.iter().find(|c| c.type_ == *type_)?;
        (condition.status != "True").then(|| condition.message.clone())
    })
}

/// Why a request or loan is over.
pub fn why_over(grant: &AccessGrant) -> Option<String> {
    use crate::api::{ACCEPTED, APPROVED, ENDED, STALLED};
    let conditions = &grant.status.as_ref()?.conditions;
    let message = |type_: &str, status: &str| {
        let condition = conditions.iter().find(|c| c.type_ == type_)?;
        (condition.status == status).then(|| condition.message.clone())
    };
    message(STALLED, "True")
        .or_else(|| message(ENDED, "True"))
        .or_else(|| message(ACCEPTED, "False"))
        .or_else(|| message(APPROVED, "False"))
        .or_else(|| message(ENDED, "False"))
}

/// Whether a request has come to an end without a loan, or a loan to its own.
pub fn is_over(grant: &AccessGrant) -> bool {
    matches!(
        grant.status.as_ref().and_then(|s| s.phase),
        Some(Phase::Denied | Phase::Lapsed | Phase::Failed | Phase::Ending | Phase::Ended)
    )
}

/// Whether a condition of a grant is true.
pub fn holds(grant: &AccessGrant, type_: &str) -> bool {
    let conditions = grant.status.iter().flat_map(|s| &s.conditions);
    conditions
        .into_iter()
        .any(|c| c.type_ == type_ && c.status == "True")
}

/// One moving line on a terminal; elsewhere a line for each thing that happens.
struct Progress {
    line: ProgressBar,
    terminal: bool,
}

impl Progress {
    fn start() -> Self {
        let line = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg} ({elapsed})") {
            line.set_style(style);
        }
        line.enable_steady_tick(TICK);
        Self {
            line,
            terminal: std::io::stderr().is_terminal(),
        }
    }

    fn say(&self, what: String) {
        let what = visible(&what);
        if !self.terminal && self.line.message() != what {
            remark(what.as_str());
        }
        self.line.set_message(what);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.line.finish_and_clear();
    }
}
