//! The operator's log: shown when a test fails, and heard by a test that asks what was told.
//!
//! There is one log for the whole program. With one for each test, a line that another test's thread writes first is
//! switched off for all of them where that thread has no log.

use std::cell::RefCell;
use std::io::{self, Write};

use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

thread_local! {
    /// The lines of this thread since somebody began to listen.
    static HEARD: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

/// Begins the log, once for all tests, before any line is written.
pub fn write() {
    let filter = || EnvFilter::new("info,keyloan=debug,kube_client=off");
    let shown = tracing_subscriber::fmt::layer()
        .with_test_writer()
        .with_filter(filter());
    let heard = tracing_subscriber::fmt::layer()
        .with_writer(|| Ear)
        .without_time()
        .with_target(false)
        .with_ansi(false)
        .with_filter(filter());
    tracing_subscriber::registry()
        .with(shown)
        .with(heard)
        .try_init()
        .ok();
}

/// Listens to what this thread writes from now on.
pub fn listen() -> Listener {
    HEARD.set(Some(Vec::new()));
    Listener
}

/// Listens to its thread.
pub struct Listener;

impl Listener {
    /// The lines since it began to listen, each with its level first.
    pub fn heard(self) -> Vec<String> {
        let text = String::from_utf8(HEARD.take().expect("one listens")).expect("text");
        text.lines()
            .map(|line| line.trim_start().to_owned())
            .collect()
    }
}

/// Writes to who listens on this thread.
struct Ear;

impl Write for Ear {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        HEARD.with_borrow_mut(|heard| {
            if let Some(heard) = heard {
                heard.extend_from_slice(bytes);
            }
        });
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
