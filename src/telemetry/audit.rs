//! The audit log: one line of JSON for each step, on standard output, apart from the logs.

use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

/// The name by which a line is known among other output of the container.
const TARGET: &str = "keyloan::audit";

/// Where the lines go. Clones write to the same place.
#[derive(Clone)]
pub struct Audit(Arc<Mutex<Box<dyn Write + Send>>>);

#[derive(Serialize)]
struct Line<'a, E> {
    target: &'static str,
    #[serde(flatten)]
    event: &'a E,
}

impl Audit {
    /// To standard output.
    pub fn to_stdout() -> Self {
        Self::to(io::stdout())
    }

    /// Nowhere.
    pub fn to_nowhere() -> Self {
        Self::to(io::sink())
    }

    /// To this writer.
    pub fn to(writer: impl Write + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(Box::new(writer))))
    }

    /// Writes a line. An output that nobody reads any longer must not stop the operator.
    pub fn write(&self, event: &impl Serialize) {
        let target = TARGET;
        let Ok(mut line) = serde_json::to_vec(&Line { target, event }) else {
            return;
        };
        line.push(b'\n');
        let mut writer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        writer.write_all(&line).and_then(|()| writer.flush()).ok();
    }
}

impl Default for Audit {
    fn default() -> Self {
        Self::to_nowhere()
    }
}

impl fmt::Debug for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Audit")
    }
}
