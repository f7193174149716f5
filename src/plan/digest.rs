//! The digest of terms, to which approvals refer. It covers the effects of the terms, not the
//! wording of the flow's rules.

use super::canonical::Canonical;
use crate::api::{
    AgreedApproval, AgreedGroup, AgreedPerson, ApprovalMode, LinkLifetime, PersonKind, Renewal,
    Terms, WithoutAddress,
};

/// An earlier version of the digest: its name and its way of writing terms; `None` if it cannot
/// express all their effects.
type Earlier = (&'static str, fn(&str, &Terms) -> Option<String>);

/// The previous version. It keeps approvals valid that are given while the operator is upgraded.
/// There is none yet.
const EARLIER: Option<Earlier> = None;

/// The digest over the effects of a request's terms. Terms with another effect have another digest,
/// and so do the same terms of another request.
///
/// `shown` is the digest that the request shows now: its version is kept as long as it can express
/// the terms.
pub fn digest(grant_uid: &str, terms: &Terms, shown: Option<&str>) -> String {
    choose(EARLIER, grant_uid, terms, shown)
}

fn choose(earlier: Option<Earlier>, grant_uid: &str, terms: &Terms, shown: Option<&str>) -> String {
    let version = shown.and_then(|digest| digest.split_once(':'));
    earlier
        .filter(|(name, _)| version.is_some_and(|(shown, _)| shown == *name))
        .and_then(|(_, write)| write(grant_uid, terms))
        .unwrap_or_else(|| v1(grant_uid, terms))
}

fn v1(grant_uid: &str, terms: &Terms) -> String {
    // A new field does not compile before someone decides whether it is an effect. Approvers'
    // reasons and deadlines are checked for each approval separately.
    let Terms {
        integration,
        account,
        flow,
        flow_generation: _,
        vault,
        item,
        item_updated_at,
        resource_owner: _,
        recipients,
        duration,
        view_once,
        link_lifetime,
        renewal,
        access_details,
        approval,
        owners: _,
    } = terms;
    let mut sent_to: Vec<_> = recipients.iter().map(|recipient| &recipient.0).collect();
    sent_to.sort();
    let duration = match duration.parse() {
        Some(duration) => duration.as_secs().to_string(),
        None => duration.0.clone(),
    };
    // Objects store times in whole seconds.
    let updated_at = item_updated_at.0.as_second().to_string();
    let mut hash = Canonical::default();
    hash.field("grant", [grant_uid])
        .field("integration", [&integration.uid])
        .field("account", [account])
        .field("flow", [&flow.uid])
        .field("item", [&vault.id, &item.id, &updated_at])
        .field("recipients", sent_to)
        .field("duration", [duration])
        .field("viewOnce", [view_once.to_string()])
        .field("linkLifetime", [lifetime(*link_lifetime)])
        .field("renewal", [renewed(*renewal)])
        .field("accessDetails", access_details.iter().map(|text| &text.0));
    if let Some(approval) = approval {
        approved(&mut hash, approval);
    }
    format!("v1:{}", hash.finish())
}

fn approved(hash: &mut Canonical, approval: &AgreedApproval) {
    let AgreedApproval {
        mode,
        groups,
        without_address,
        timeout: _,
        reason: _,
    } = approval;
    let mode = match mode {
        ApprovalMode::None => "None",
        ApprovalMode::AnyOf => "AnyOf",
        ApprovalMode::AllOf => "AllOf",
    };
    let without_address = match without_address {
        WithoutAddress::Ignored => "Ignored",
        WithoutAddress::Allowed => "Allowed",
    };
    hash.field("mode", [mode])
        .field("withoutAddress", [without_address]);
    let mut groups: Vec<_> = groups.iter().map(members).collect();
    groups.sort();
    for group in groups {
        hash.field("group", group);
    }
}

/// The approvers of a group and the required number. A group's name is only for display.
fn members(group: &AgreedGroup) -> Vec<String> {
    let AgreedGroup {
        name: _,
        required,
        approvers,
    } = group;
    let mut members: Vec<_> = approvers.iter().map(person).collect();
    members.sort();
    members.dedup();
    members.insert(0, required.to_string());
    members
}

fn person(person: &AgreedPerson) -> String {
    let kind = match person.kind {
        PersonKind::User => "User",
        PersonKind::Group => "Group",
    };
    format!("{kind}:{}", person.name)
}

fn lifetime(lifetime: LinkLifetime) -> &'static str {
    match lifetime {
        LinkLifetime::OneHour => "1h",
        LinkLifetime::OneDay => "1d",
        LinkLifetime::SevenDays => "7d",
        LinkLifetime::FourteenDays => "14d",
        LinkLifetime::ThirtyDays => "30d",
    }
}

fn renewed(renewal: Renewal) -> &'static str {
    match renewal {
        Renewal::OnRequest => "OnRequest",
        Renewal::Never => "Never",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::AccessDetails;
    use serde_json::json;

    fn terms() -> Terms {
        let object = |name: &str| json!({ "namespace": "keyloan", "name": name, "uid": name });
        let terms = json!({
            "integration": object("prod"), "account": "sa@1password.com", "flow": object("oncall"), "flowGeneration": 1,
            "vault": { "id": "v", "title": "Infra" }, "item": { "id": "i", "title": "db" },
            "itemUpdatedAt": "2026-11-23T10:00:00Z", "recipients": ["alice@example.com"], "duration": "4h",
            "viewOnce": false, "linkLifetime": "1h", "renewal": "OnRequest",
        });
        serde_json::from_value(terms).expect("terms")
    }

    #[test]
    fn a_digest_is_the_same_in_every_release_that_knows_its_version() {
        let kept = "v1:sha256:fd2ca59f83276086c4a27b33a0be16f5776b923df1a8080637a73ecd4eb9d0ea";
        assert_eq!(digest("6f2c", &terms(), None), kept);
    }

    #[test]
    fn a_request_keeps_the_version_of_its_digest_while_that_can_express_its_terms() {
        // A version that does not know access details.
        let v0: Earlier = ("v0", |uid, terms| {
            let plain = terms.access_details.is_none();
            plain.then(|| format!("v0:{uid} {}", terms.item.id))
        });
        let chosen = |terms: &Terms, shown| choose(Some(v0), "6f2c", terms, shown);
        let current = digest("6f2c", &terms(), None);
        assert_eq!(chosen(&terms(), Some("v0:before")), "v0:6f2c i");
        assert_eq!(chosen(&terms(), Some(&current)), current);
        for unknown in [None, Some("sha256:1"), Some("v9:sha256:1"), Some("v0")] {
            assert_eq!(chosen(&terms(), unknown), current, "{unknown:?}");
        }
        let mut more = terms();
        more.access_details = Some(AccessDetails("use the bastion".into()));
        let current = digest("6f2c", &more, None);
        assert_eq!(chosen(&more, Some("v0:before")), current);
    }
}
