//! The memory of a process, as Linux tells it.

use std::{fs, io};

/// The memory of a process, in megabytes (10^6 bytes).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Memory {
    /// The resident memory: `VmRSS`.
    pub resident: f64,
    /// The part of it that no file backs: `RssAnon`.
    pub anonymous: f64,
}

impl Memory {
    /// The memory of a process that runs. It is told on Linux only.
    pub fn of(process: u32) -> io::Result<Self> {
        let path = format!("/proc/{process}/status");
        let status = fs::read_to_string(&path)?;
        parsed(&status).ok_or_else(|| io::Error::other(format!("{path} does not tell the memory")))
    }
}

fn parsed(status: &str) -> Option<Memory> {
    let megabytes = |name: &str| {
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        let kibibytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kibibytes * 1024.0 / 1e6)
    };
    Some(Memory {
        resident: megabytes("VmRSS")?,
        anonymous: megabytes("RssAnon")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_in_the_kernels_kibibytes() {
        let status = "Name:\tkeyloan\nVmHWM:\t   99999 kB\nVmRSS:\t   40000 kB\nRssAnon:\t   15625 kB\nRssFile:\t  1 kB\n";
        let expected = Memory {
            resident: 40.96,
            anonymous: 16.0,
        };
        assert_eq!(parsed(status), Some(expected));
        assert_eq!(parsed("Name:\tkeyloan\n"), None);
    }
}
