//! Waiting for a grant to reach a state, with one line that shows its current state.

use std::io::IsTerminal as _;
use std::pin::pin;
use std::time::Duration;

use futures::StreamExt as _;
use indicatif::{ProgressBar, ProgressStyle};
use kube::ResourceExt as _;

use crate::api::AccessGrant;
use crate::cluster::person::{Change, Scope};
use crate::desk::standing::phase_and_cause;
use crate::desk::visible::visible;

use super::failure::Failure;
use super::output::remark;
use super::session::Session;

/// How often the spinner moves.
const TICK: Duration = Duration::from_millis(120);

/// The result of waiting.
#[derive(Debug)]
pub enum Waited<T> {
    /// The state was reached.
    There(T),
    /// The grant was deleted, or another one has its name.
    Gone,
    /// The state was not reached in time.
    TimedOut,
}

/// Waits until `wanted` returns a value for the grant, at most for `timeout`.
pub async fn until<T>(
    session: &Session,
    grant: &AccessGrant,
    timeout: Duration,
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
                    progress.say(&phase_and_cause(&now));
                }
                Change::AllSeen if seen => {}
                Change::Seen(_) | Change::Gone(_) | Change::AllSeen => return Ok(Waited::Gone),
            }
        }
        Ok(Waited::TimedOut)
    };
    match tokio::time::timeout(timeout, follow).await {
        Ok(ended) => ended,
        Err(_) => Ok(Waited::TimedOut),
    }
}

/// One line with a spinner on a terminal; elsewhere a line for each change.
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

    fn say(&self, what: &str) {
        let what = visible(what);
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
