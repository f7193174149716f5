//! A real HTTP proxy with a password, as companies have them in front of the internet. It is built
//! when something first needs it; only tests do.

use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;
use std::{fs, io};

use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::built::{BinariesError, Set};
use crate::go_programs::{FORWARD_PROXY, FORWARD_PROXY_SOURCE, GOPROXY_VERSION};
use crate::program::Program;
use crate::wait::{TimedOut, wait_until};

/// Only a failure takes so long.
const STARTS_WITHIN: Duration = Duration::from_secs(30);

/// The rules of a proxy. It makes tunnels only.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProxyRules<'a> {
    /// The user and the password; by default, none.
    pub user: Option<(&'a str, &'a str)>,
    /// Destinations (`HOST:PORT`), and the addresses to which their names lead, as in DNS.
    pub leads: &'a [(&'a str, &'a str)],
    /// Destinations that it forbids.
    pub denies: &'a [&'a str],
}

/// Why there is no proxy.
#[derive(Debug, thiserror::Error)]
pub enum ForwardProxyError {
    /// The program is not available.
    #[error(transparent)]
    Binaries(#[from] BinariesError),
    /// It cannot be started.
    #[error("cannot start the proxy: {0}")]
    Run(#[from] io::Error),
    /// It does not listen.
    #[error("{0}")]
    Silent(#[from] TimedOut),
}

/// A proxy that runs until it is dropped.
pub struct ForwardProxy {
    address: String,
    _program: Program,
    _folder: TempDir,
}

impl ForwardProxy {
    /// Starts a proxy on the loopback, at a free port.
    pub async fn start(rules: &ProxyRules<'_>) -> Result<Self, ForwardProxyError> {
        let program = set().find().await?.join("forwardproxy");
        let folder = tempfile::tempdir()?;
        let mut command = Command::new(program);
        if let Some((user, password)) = rules.user {
            command.arg(format!("-user={user}:{password}"));
        }
        for (name, address) in rules.leads {
            command.arg(format!("-lead={name}={address}"));
        }
        for name in rules.denies {
            command.arg(format!("-deny={name}"));
        }
        let log = folder.path().join("proxy.log");
        let program = Program::start(&command, &log)?;
        let listens = async || {
            let said = fs::read_to_string(&log).unwrap_or_default();
            let line = said.lines().find_map(|l| l.strip_prefix("listening on "));
            line.map(str::to_owned)
        };
        let address = wait_until("the proxy listens", STARTS_WITHIN, listens).await?;
        Ok(Self {
            address,
            _program: program,
            _folder: folder,
        })
    }

    /// Where it listens, as HOST:PORT.
    pub fn address(&self) -> &str {
        &self.address
    }
}

/// An address of the loopback, as HOST:PORT, at which nobody listens now.
pub fn free_address() -> io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    Ok(listener.local_addr()?.to_string())
}

pub(crate) fn set() -> Set {
    // Another source is another program.
    let source = Sha256::digest(FORWARD_PROXY_SOURCE);
    let source = data_encoding::HEXLOWER.encode(&source[..4]);
    Set {
        place: "forwardproxy",
        version: format!("goproxy-{GOPROXY_VERSION}-{source}"),
        title: format!("a forward proxy of goproxy {GOPROXY_VERSION}"),
        programs: &FORWARD_PROXY,
        prebuilt: true,
    }
}
