//! The real promtool, which Prometheus' developers ship. It is built when something first needs it;
//! only the tests of metrics, alerts and the dashboard do.

use std::path::PathBuf;

use crate::built::{BinariesError, Set};
use crate::go_programs::{PROMETHEUS_VERSION, PROMTOOL};

/// The path of promtool. Builds it if it is not in the cache, which takes some minutes.
pub async fn promtool() -> Result<PathBuf, BinariesError> {
    Ok(set().find().await?.join("promtool"))
}

pub(crate) fn set() -> Set {
    Set {
        place: "promtool",
        version: PROMETHEUS_VERSION.to_owned(),
        title: format!("promtool {PROMETHEUS_VERSION}"),
        programs: &PROMTOOL,
        prebuilt: true,
    }
}
