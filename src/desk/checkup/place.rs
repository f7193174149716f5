//! The links namespace: whether it is there, known to people, and has room for another link.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ResourceQuota;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::ResourceExt as _;

use super::{Finding, Read};

/// The objects of each loan, as quotas count them.
const COUNTED: [&str; 4] = [
    "secrets",
    "count/secrets",
    "count/roles.rbac.authorization.k8s.io",
    "count/rolebindings.rbac.authorization.k8s.io",
];

/// The links namespace of the operator, whether it exists, and those that are published.
pub fn links_namespace(name: &str, exists: Read<bool>, published: Read<&[String]>) -> Finding {
    let check = "links namespace";
    match (exists, published) {
        (Err(why), _) | (_, Err(why)) => Finding::unknown(check, why),
        (Ok(false), _) => Finding::problem(
            check,
            format!(
                "namespace {name} does not exist: create it, or set links.create (helm upgrade keyloan)"
            ),
        ),
        (Ok(true), Ok(published)) if !published.iter().any(|other| other == name) => {
            Finding::problem(
                check,
                format!(
                    "no ConfigMap in kube-public names {name}: restore it (helm upgrade keyloan)"
                ),
            )
        }
        (Ok(true), Ok(_)) => Finding::ok(check, name),
    }
}

/// The quotas of the links namespace.
pub fn quotas(namespace: &str, read: Read<&[ResourceQuota]>) -> Finding {
    let check = "room for links";
    let quotas = match read {
        Ok(quotas) => quotas,
        Err(why) => return Finding::unknown(check, why),
    };
    let counts = quotas.iter().flat_map(|quota| {
        let status = quota.status.clone().unwrap_or_default();
        let (used, hard) = (
            status.used.unwrap_or_default(),
            status.hard.unwrap_or_default(),
        );
        let of = |counted| Some((counted, number(&used, counted)?, number(&hard, counted)?));
        let counts: Vec<_> = COUNTED.into_iter().filter_map(of).collect();
        let name = quota.name_any();
        counts.into_iter().map(move |count| (name.clone(), count))
    });
    let share = |used: u64, hard: u64| used.saturating_mul(100).checked_div(hard);
    let fullest = counts.max_by_key(|(_, (_, used, hard))| share(*used, *hard).unwrap_or(u64::MAX));
    let Some((quota, (counted, used, hard))) = fullest else {
        return Finding::ok(check, format!("no quota limits {namespace}"));
    };
    let told = format!("{used} of {hard} {counted} in {namespace} (ResourceQuota {quota})");
    if used >= hard {
        Finding::problem(
            check,
            format!("no further link can be stored: {told}; raise the quota"),
        )
    } else if used.saturating_mul(10) >= hard.saturating_mul(9) {
        Finding::note(
            check,
            format!("{told}: raise the quota before it is used up"),
        )
    } else {
        Finding::ok(check, told)
    }
}

/// A count in a quota; `None` if it is not counted.
fn number(counts: &BTreeMap<String, Quantity>, of: &str) -> Option<u64> {
    counts.get(of)?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;
    use serde_json::json;

    #[rstest::rstest]
    #[case("10", "100", State::Ok)]
    #[case("90", "100", State::Note)]
    #[case("100", "100", State::Problem)]
    #[case("0", "0", State::Problem)]
    fn room(#[case] used: &str, #[case] hard: &str, #[case] state: State) {
        let quota = json!({
            "metadata": {"name": "objects"},
            "status": {
                "hard": {"secrets": hard, "count/secrets": "1000", "cpu": "2"},
                "used": {"secrets": used, "count/secrets": "1", "cpu": "2"},
            },
        });
        let quota: ResourceQuota = serde_json::from_value(quota).unwrap();
        assert_eq!(quotas("links", Ok(&[quota])).state, state);
    }

    #[test]
    fn people_have_to_be_told_of_the_namespace() {
        let found = |exists, published: &[&str]| {
            let published: Vec<_> = published.iter().map(|name| (*name).to_owned()).collect();
            links_namespace("links", Ok(exists), Ok(&published)).state
        };
        assert_eq!(found(true, &["others", "links"]), State::Ok);
        assert_eq!(found(true, &["others"]), State::Problem);
        assert_eq!(found(false, &["links"]), State::Problem);
    }
}
