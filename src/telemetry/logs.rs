//! Logs: one line for each thing that happened, as text for people or as JSON for machines, on standard error.

use std::io;
use std::str::FromStr as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// What is logged, and how.
#[derive(Clone, Debug, Default)]
pub struct LogSettings {
    /// How lines look.
    pub format: LogFormat,
    /// A level, or directives as `info,keyloan::controllers=debug`.
    pub level: String,
}

/// Why logging could not be started.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The level is none.
    #[error(
        "{level:?} is no log level: write error, warn, info, debug or trace, or directives such as info,keyloan=debug ({error})"
    )]
    Level {
        /// What was given.
        level: String,
        /// What is wrong with it.
        error: tracing_subscriber::filter::ParseError,
    },
    /// Somebody else logs already.
    #[error("logging was started twice: {0}")]
    Twice(#[from] TryInitError),
}

/// Starts logging for the whole process, panics included.
///
/// Of a panic only the place is logged: its message may quote a value.
pub fn start_logging(settings: &LogSettings) -> Result<(), LogError> {
    let level = if settings.level.is_empty() {
        "info"
    } else {
        &settings.level
    };
    let filter = EnvFilter::from_str(level).map_err(|error| LogError::Level {
        level: level.to_owned(),
        error,
    })?;
    // kube's client quotes an answer that it cannot read, and an answer may be a Secret.
    let silence = "kube_client::client=off".parse().ok();
    let filter = silence.into_iter().fold(filter, EnvFilter::add_directive);
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    let registry = tracing_subscriber::registry().with(filter);
    match settings.format {
        LogFormat::Text => registry.with(lines.with_ansi(false)).try_init()?,
        LogFormat::Json => registry.with(lines.json().flatten_event(true)).try_init()?,
    }
    std::panic::set_hook(Box::new(|panic| {
        let place = panic
            .location()
            .map(ToString::to_string)
            .unwrap_or_default();
        tracing::error!(%place, "panic: this is a bug in Keyloan, please report it with this line");
    }));
    Ok(())
}
