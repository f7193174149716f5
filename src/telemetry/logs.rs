//! Logs: one line for each event, as text or JSON, on standard error.

use std::io;
use std::str::FromStr as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};

/// The format of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// Plain text.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// The settings of logging.
#[derive(Clone, Debug, Default)]
pub struct LogSettings {
    /// The format of lines.
    pub format: LogFormat,
    /// A level, or directives such as `info,keyloan::controllers=debug`.
    pub level: String,
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The level is invalid.
    #[error(
        "invalid log level {level:?}: use error, warn, info, debug or trace, or directives such as info,keyloan=debug ({error})"
    )]
    Level {
        /// The invalid text.
        level: String,
        /// Why it is invalid.
        error: tracing_subscriber::filter::ParseError,
    },
    /// Logging is already set up.
    #[error("logging is already set up: {0}")]
    Twice(#[from] TryInitError),
}

/// Starts logging for the whole process, panics included.
///
/// Only the location of a panic is logged, because its message may quote a value.
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
    // The Kubernetes client quotes responses that it cannot parse, and a response may be a Secret.
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
