//! Waiting for a grant to get somewhere, with one line that says where it is.

use std::io::IsTerminal as _;
use std::pin::pin;
use std::time::Duration;

use futures::StreamExt as _;
use indicatif::{ProgressBar, ProgressStyle};
use kube::ResourceExt as _;

use crate::api::AccessGrant;
use crate::cluster::person::{Change, Scope};
use crate::desk::standing::where_it_is;
use crate::desk::visible::visible;

use super::failure::Failure;
use super::output::remark;
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
                    progress.say(&where_it_is(&now));
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
