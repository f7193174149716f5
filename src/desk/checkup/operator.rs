//! The operator: its Deployment, and the replica that leads.

use jiff::{SignedDuration, Timestamp};

use super::{Finding, Read};

/// A leader renews its lease every second; it leads no longer after ten.
const LEASE_ENDS: SignedDuration = SignedDuration::from_secs(10);

/// A Deployment that runs as the operator's ServiceAccount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployed {
    /// Its namespace and name.
    pub name: String,
    /// Its replicas that are ready.
    pub ready: i32,
    /// Its replicas as they should be.
    pub wanted: i32,
    /// The arguments of its container.
    pub arguments: Vec<String>,
}

impl Deployed {
    /// The values of an argument: of `--links-namespace=a`, `a`.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.arguments.iter().filter_map(move |argument| {
            let argument = argument.strip_prefix("--")?.strip_prefix(name)?;
            argument.strip_prefix('=')
        })
    }

    /// The value of an argument.
    pub fn value<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.values(name).next()
    }
}

/// A lease of the operator's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leader {
    /// The replica that holds it.
    pub holder: Option<String>,
    /// When it was last renewed.
    pub renewed_at: Option<Timestamp>,
}

/// The Deployments of the ServiceAccount `account`, in the form `namespace:name`.
pub fn deployment(account: &str, read: Read<&[Deployed]>) -> Finding {
    let check = "operator";
    let deployments = match read {
        Ok(deployments) => deployments,
        Err(why) => return Finding::unknown(check, why),
    };
    let Some(deployed) = deployments.first() else {
        return Finding::problem(
            check,
            format!(
                "no Deployment runs as {account}: install the chart keyloan, or correct the value \
                 operators of the chart keyloan-crds"
            ),
        );
    };
    let Deployed {
        name,
        ready,
        wanted,
        ..
    } = deployed;
    match (*ready, *wanted) {
        (_, 0) => Finding::problem(
            check,
            format!("Deployment {name} is scaled to 0: scale it up"),
        ),
        (0, _) => Finding::problem(
            check,
            format!(
                "no replica of Deployment {name} is ready: see its pods and their logs (kubectl \
                 describe pods, kubectl logs)"
            ),
        ),
        (ready, wanted) if ready < wanted => Finding::note(
            check,
            format!("{ready} of {wanted} replicas of Deployment {name} are ready"),
        ),
        (ready, _) => Finding::ok(check, format!("Deployment {name}, ready replicas: {ready}")),
    }
}

/// The replica that leads, by its lease.
pub fn leader(name: &str, read: Read<Option<&Leader>>, now: Timestamp) -> Finding {
    let check = "leader";
    let lease = match read {
        Ok(lease) => lease,
        Err(why) => return Finding::unknown(check, why),
    };
    let held = lease.and_then(|lease| Some((lease.holder.as_deref()?, lease.renewed_at?)));
    match held {
        None => Finding::problem(
            check,
            format!("no replica holds the lease {name}: see the operator's logs"),
        ),
        // The leader's clock may be a little ahead.
        Some((holder, at)) if now.duration_since(at) <= LEASE_ENDS => Finding::ok(check, holder),
        Some((holder, at)) => Finding::problem(
            check,
            format!(
                "no replica leads: {holder} renewed the lease {name} last at {at}; see the \
                 operator's logs"
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    fn deployed(ready: i32, wanted: i32) -> Deployed {
        Deployed {
            name: "keyloan-system/keyloan".into(),
            ready,
            wanted,
            arguments: vec!["run".into(), "--lease=a/b".into(), "--lease-time=1".into()],
        }
    }

    #[rstest::rstest]
    #[case(2, 2, State::Ok)]
    #[case(1, 2, State::Note)]
    #[case(0, 2, State::Problem)]
    #[case(0, 0, State::Problem)]
    fn replicas(#[case] ready: i32, #[case] wanted: i32, #[case] state: State) {
        let found = deployment("keyloan-system:keyloan", Ok(&[deployed(ready, wanted)]));
        assert_eq!(found.state, state);
    }

    #[test]
    fn an_argument_is_found_by_its_whole_name() {
        assert_eq!(deployed(1, 1).value("lease"), Some("a/b"));
        assert_eq!(deployed(1, 1).value("lea"), None);
    }

    #[rstest::rstest]
    #[case(Some("keyloan-0"), Some("2026-11-24T11:59:55Z"), State::Ok)]
    #[case(Some("keyloan-0"), Some("2026-11-24T12:00:02Z"), State::Ok)]
    #[case(Some("keyloan-0"), Some("2026-11-24T11:59:00Z"), State::Problem)]
    #[case(None, Some("2026-11-24T11:59:59Z"), State::Problem)]
    #[case(Some("keyloan-0"), None, State::Problem)]
    fn leaders(#[case] holder: Option<&str>, #[case] at: Option<&str>, #[case] state: State) {
        let lease = Leader {
            holder: holder.map(str::to_owned),
            renewed_at: at.map(|at| at.parse().unwrap()),
        };
        let now = "2026-11-24T12:00:00Z".parse().unwrap();
        assert_eq!(leader("a/b", Ok(Some(&lease)), now).state, state);
        assert_eq!(leader("a/b", Ok(None), now).state, State::Problem);
    }
}
