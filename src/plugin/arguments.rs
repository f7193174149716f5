//! Arguments that several commands take.

use std::time::Duration;

use clap::Args;
use jiff::SignedDuration;

use crate::cluster::person::Scope;

/// The grant that a command is about.
#[derive(Debug, Args)]
pub struct GrantName {
    /// The name of the AccessGrant.
    #[arg(value_name = "NAME")]
    pub name: String,
}

/// The namespaces that a command searches.
#[derive(Debug, Args)]
pub struct Namespaces {
    /// Search all namespaces.
    #[arg(long, short = 'A')]
    pub all_namespaces: bool,
}

impl Namespaces {
    /// Only this namespace, or `None` for all.
    pub fn chosen(&self, own: &str) -> Option<String> {
        (!self.all_namespaces).then(|| own.to_owned())
    }

    /// The same as a scope.
    pub fn scope(&self, own: &str) -> Scope {
        self.chosen(own).map_or(Scope::All, Scope::Namespace)
    }
}

/// Parses how long to wait: `30s`, `10m`, `1h30m`.
pub fn timeout(text: &str) -> Result<Duration, String> {
    let duration: SignedDuration = text
        .parse()
        .map_err(|_| "use hours, minutes and seconds, such as 30s or 10m".to_owned())?;
    Duration::try_from(duration).map_err(|_| "it cannot be negative".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("90s", Some(90))]
    #[case("1h30m", Some(5_400))]
    #[case("0s", Some(0))]
    #[case("-1m", None)]
    #[case("soon", None)]
    fn a_timeout_is_given_in_seconds_minutes_and_hours(
        #[case] text: &str,
        #[case] seconds: Option<u64>,
    ) {
        assert_eq!(timeout(text).ok().map(|d| d.as_secs()), seconds);
    }
}
