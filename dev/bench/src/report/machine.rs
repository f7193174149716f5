//! The machine of the benchmark, as far as it affects times.

use std::fmt;
use std::fs;

use serde::Serialize;

/// A machine.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Machine {
    /// The processor's name.
    pub processor: String,
    /// How many processors the process may use.
    pub cores: usize,
    /// The operating system.
    pub system: String,
    /// The load average over a minute before the run: the other work of the machine.
    pub load: String,
    /// The same after the run; this includes the load of the run itself.
    pub load_after: String,
}

impl Machine {
    /// The current machine, now.
    pub fn this() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let processor = read("/proc/cpuinfo")
            .lines()
            .find_map(|line| {
                Some(
                    line.strip_prefix("model name")?
                        .split_once(':')?
                        .1
                        .trim()
                        .to_owned(),
                )
            })
            .unwrap_or_else(|| std::env::consts::ARCH.to_owned());
        let system = format!(
            "{} {}",
            std::env::consts::OS,
            read("/proc/sys/kernel/osrelease").trim()
        );
        Self {
            processor,
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            system,
            load: load_average(),
            load_after: String::new(),
        }
    }

    /// The same machine after the run.
    pub fn after_the_run(self) -> Self {
        Self {
            load_after: load_average(),
            ..self
        }
    }
}

fn load_average() -> String {
    let averages = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let of_a_minute = averages.split(' ').next();
    of_a_minute.unwrap_or_default().to_owned()
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            processor,
            cores,
            system,
            load,
            load_after,
        } = self;
        write!(
            f,
            "on {processor}, {cores} cores, {system}, load average before the run {load}, after it {load_after}"
        )
    }
}
