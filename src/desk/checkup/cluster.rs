//! The cluster's side: its version, its clock, the kinds, the admission policies, and whether they
//! act.

use jiff::SignedDuration;
use serde_json::Value;

use super::{Finding, Read};
use crate::api::Identity;
use crate::desk::failed_call::Refused;
use crate::plan::boundary::{Fields, PoliciesSeen, Shipped, fields_served, misfit};

/// The oldest minor version of Kubernetes on which Keyloan runs.
const OLDEST: u32 = 33;
/// The first minor version that stamps identities itself.
const STAMPS: u32 = 36;
/// A clock that differs by less is right: the API server gives its time in whole seconds.
const TOLERATED: SignedDuration = SignedDuration::from_secs(5);

/// The version of Kubernetes, such as `v1.37.2`.
pub fn kubernetes(version: Read<&str>) -> Finding {
    let check = "Kubernetes";
    let version = match version {
        Ok(version) => version,
        Err(why) => return Finding::unknown(check, why),
    };
    let mut numbers = version.trim_start_matches('v').split(['.', '+', '-']);
    let major = numbers.next().and_then(|number| number.parse::<u32>().ok());
    let minor = numbers.next().and_then(|number| number.parse::<u32>().ok());
    match (major, minor) {
        (Some(1), Some(minor)) if minor < OLDEST => Finding::problem(
            check,
            format!("{version} is too old: Keyloan needs 1.{OLDEST} or later"),
        ),
        (Some(1), Some(minor)) if minor < STAMPS => Finding::note(
            check,
            format!(
                "{version} does not stamp identities: people who use kubectl alone write \
                 spec.requester and spec.approver themselves, and the policies check them"
            ),
        ),
        (Some(_), Some(_)) => Finding::ok(check, version),
        _ => Finding::unknown(check, format!("cannot read the version {version:?}")),
    }
}

/// This machine's clock, which is ahead of the API server's by `ahead`.
pub fn clock(ahead: Read<SignedDuration>) -> Finding {
    let check = "clock";
    match ahead {
        Err(why) => Finding::unknown(check, why),
        Ok(ahead) if ahead.abs() <= TOLERATED => {
            Finding::ok(check, "this machine and the API server agree")
        }
        Ok(ahead) => {
            let direction = if ahead.is_positive() {
                "ahead of"
            } else {
                "behind"
            };
            let seconds = ahead.abs().as_secs();
            Finding::note(
                check,
                format!(
                    "this machine is {seconds} s {direction} the API server: times that this \
                     command prints are wrong by that much; correct the clock that is wrong"
                ),
            )
        }
    }
}

/// The kinds that the API server serves, by its schemas, and those of this release.
pub fn kinds(ours: &Fields, schemas: Read<Option<&Value>>) -> Finding {
    let check = "kinds";
    match schemas {
        Err(why) => Finding::unknown(check, why),
        Ok(schemas) => {
            let served = schemas.map(fields_served).unwrap_or_default();
            match misfit(ours, &served) {
                Some(why) => Finding::problem(check, why),
                None => Finding::ok(check, "the kinds of this release are installed"),
            }
        }
    }
}

/// The stored admission policies.
pub fn policies(shipped: &Shipped, seen: Read<&PoliciesSeen>, operators: &[String]) -> Finding {
    let check = "policies";
    let seen = match seen {
        Ok(seen) => seen,
        Err(why) => return Finding::unknown(check, why),
    };
    match shipped.flaw(seen, &[]) {
        Some(why) => Finding::problem(check, why),
        None if operators.is_empty() => Finding::problem(
            check,
            "the policies know no operator: set the value operators (helm upgrade keyloan-crds)",
        ),
        None => Finding::ok(
            check,
            format!("as shipped; operators: {}", operators.join(", ")),
        ),
    }
}

/// The API server's response to a request under a false name that was only tried.
pub fn probe(me: &Identity, response: Result<Option<&Identity>, &Refused>) -> Finding {
    let check = "identity";
    let acts = "the policies refuse or correct a false name";
    match response {
        Ok(Some(requester)) if requester.username == me.username => Finding::ok(check, acts),
        Err(Refused::Policy(words)) if words.starts_with("keyloan-identity: ") => {
            Finding::ok(check, acts)
        }
        Ok(_) => Finding::problem(
            check,
            "the API server accepts a request under a false name: check that its admission plugin \
             ValidatingAdmissionPolicy is enabled, and that the policies are as shipped",
        ),
        Err(refused) => Finding::unknown(
            check,
            format!(
                "a request under a false name was refused for another reason: {}",
                refused.message()
            ),
        ),
    }
}

/// The releases of this command and of the operator, as the operator's objects show it.
pub fn releases(own: &str, operators: &[String]) -> Finding {
    let check = "releases";
    let others: Vec<_> = operators.iter().filter(|version| *version != own).collect();
    match (operators.is_empty(), others.first()) {
        (true, _) => Finding::unknown(check, "no integration shows the operator's release yet"),
        (false, None) => Finding::ok(check, format!("this command and the operator are {own}")),
        (false, Some(other)) => Finding::note(
            check,
            format!(
                "this command is {own}, the operator {other}: kinds and policies are compared \
                 with those of {own}; use the same release for both"
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;
    use crate::desk::samples;

    #[rstest::rstest]
    #[case("v1.32.9", State::Problem)]
    #[case("v1.33.0", State::Note)]
    #[case("v1.35.4-eks-1234", State::Note)]
    #[case("v1.36.0+k3s1", State::Ok)]
    #[case("v1.37.2", State::Ok)]
    #[case("v2.0.0", State::Ok)]
    #[case("newest", State::Unknown)]
    fn versions(#[case] version: &str, #[case] state: State) {
        assert_eq!(kubernetes(Ok(version)).state, state);
    }

    #[rstest::rstest]
    #[case(0, State::Ok)]
    #[case(-5, State::Ok)]
    #[case(6, State::Note)]
    #[case(-3600, State::Note)]
    fn clocks(#[case] ahead: i64, #[case] state: State) {
        assert_eq!(clock(Ok(SignedDuration::from_secs(ahead))).state, state);
    }

    #[test]
    fn a_false_name_that_passes_is_a_problem() {
        let (me, other) = (samples::bob(), samples::erin());
        assert_eq!(probe(&me, Ok(Some(&me))).state, State::Ok);
        assert_eq!(probe(&me, Ok(Some(&other))).state, State::Problem);
        assert_eq!(probe(&me, Ok(None)).state, State::Problem);
        let ours = Refused::Policy("keyloan-identity: spec.requester must be you".into());
        assert_eq!(probe(&me, Err(&ours)).state, State::Ok);
        for other in [
            Refused::Policy("labels are missing".into()),
            Refused::NoRight("no".into()),
            Refused::Timeout,
        ] {
            assert_eq!(probe(&me, Err(&other)).state, State::Unknown);
        }
    }

    #[test]
    fn one_release_is_compared_with_another() {
        let found = |operators: &[&str]| {
            let operators: Vec<_> = operators.iter().map(|v| (*v).to_owned()).collect();
            releases("0.2.0", &operators).state
        };
        assert_eq!(found(&[]), State::Unknown);
        assert_eq!(found(&["0.2.0", "0.2.0"]), State::Ok);
        assert_eq!(found(&["0.2.0", "0.1.0"]), State::Note);
    }
}
