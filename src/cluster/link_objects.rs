//! The three objects that carry a link: the Secret with the URL, and the Role and RoleBinding that let just the requester read it.
//!
//! The grant owns the Secret and the Secret owns the other two, so that one delete ends all three. What a later pass needs to know of a link
//! stands in the Secret's annotations, which can be watched without reading its data.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::rbac::v1::{PolicyRule, Role, RoleBinding, RoleRef, Subject};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Resource;
use kube::api::ObjectMeta;
use serde_json::{Value, json};

use super::wiped::Wiped;
use crate::api::{
    AccessDetails, AccessGrant, GRANT_UID_LABEL, Identity, ObjectIdentity, SECRET_LABEL, link_name,
};
use crate::plan::observed::LinkSeen;

const SEQUENCE: &str = "keyloan.dev/sequence";
const ISSUED_AT: &str = "keyloan.dev/issued-at";
const EXPIRES_AT: &str = "keyloan.dev/expires-at";
const ITEM_VERSION: &str = "keyloan.dev/item-version";
/// What a link's Secret says of it besides its data.
pub(super) const ANNOTATIONS: [&str; 4] = [SEQUENCE, ISSUED_AT, EXPIRES_AT, ITEM_VERSION];

/// Labels by which common backup tools leave an object out: a backup would keep the URL beyond the loan.
/// Velero: <https://velero.io/docs/main/resource-filtering/>, "velero.io/exclude-from-backup".
const NOT_BACKED_UP: [(&str, &str); 1] = [("velero.io/exclude-from-backup", "true")];

/// What the Secret says of its link besides the URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkFacts {
    /// Which link of the loan.
    pub sequence: u32,
    /// When the answer with it arrived.
    pub issued_at: Timestamp,
    /// Until when it opens.
    pub expires_at: Timestamp,
    /// The item's version.
    pub item_version: u32,
    /// How to use what was lent.
    pub access_details: Option<AccessDetails>,
}

/// The Secret with a loan's first link.
pub fn secret(grant: &ObjectIdentity, url: &str, facts: &LinkFacts) -> Wiped<Secret> {
    let (annotations, data) = contents(url, facts);
    let mut labels = labels(&grant.uid);
    labels.extend(NOT_BACKED_UP.map(|(k, v)| (k.to_owned(), v.to_owned())));
    Wiped::new(Secret {
        metadata: ObjectMeta {
            labels: Some(labels),
            annotations: Some(annotations),
            ..meta(grant, grant_reference(grant))
        },
        type_: Some("keyloan.dev/link".into()),
        string_data: Some(data),
        ..Secret::default()
    })
}

/// The patch that puts another link into the Secret with this uid.
pub fn secret_patch(secret_uid: &str, url: &str, facts: &LinkFacts) -> Wiped<Value> {
    let (annotations, data) = contents(url, facts);
    let mut patch = json!({ "metadata": { "uid": secret_uid, "annotations": annotations } });
    // Moved: `json!` would leave a copy behind.
    let data = data
        .into_iter()
        .map(|(key, text)| (key, Value::String(text)));
    patch["stringData"] = Value::Object(data.collect());
    Wiped::new(patch)
}

fn contents(url: &str, facts: &LinkFacts) -> (BTreeMap<String, String>, BTreeMap<String, String>) {
    let expires_at = format!("{:.0}", facts.expires_at);
    let annotations = [
        (SEQUENCE, facts.sequence.to_string()),
        (ISSUED_AT, facts.issued_at.to_string()),
        (EXPIRES_AT, facts.expires_at.to_string()),
        (ITEM_VERSION, facts.item_version.to_string()),
    ];
    let mut data = vec![
        ("url", url.to_owned()),
        ("expiresAt", expires_at),
        ("sequence", facts.sequence.to_string()),
    ];
    if let Some(details) = &facts.access_details {
        data.push(("accessDetails", details.0.clone()));
    }
    let own = |(key, value): (&str, String)| (key.to_owned(), value);
    (
        annotations.into_iter().map(own).collect(),
        data.into_iter().map(own).collect(),
    )
}

/// The Role that allows to read one link's Secret and nothing else.
pub fn role(grant: &ObjectIdentity, secret_uid: &str) -> Role {
    Role {
        metadata: meta(grant, secret_reference(grant, secret_uid)),
        rules: Some(vec![PolicyRule {
            api_groups: Some(vec![String::new()]),
            resources: Some(vec!["secrets".into()]),
            resource_names: Some(vec![link_name(&grant.uid)]),
            verbs: vec!["get".into()],
            ..PolicyRule::default()
        }]),
    }
}

/// The RoleBinding that gives that Role to the requester.
pub fn role_binding(grant: &ObjectIdentity, secret_uid: &str, requester: &Identity) -> RoleBinding {
    RoleBinding {
        metadata: meta(grant, secret_reference(grant, secret_uid)),
        role_ref: RoleRef {
            api_group: "rbac.authorization.k8s.io".into(),
            kind: "Role".into(),
            name: link_name(&grant.uid),
        },
        subjects: Some(vec![subject(&requester.username)]),
    }
}

/// Whether a Role that is there is just the one that is wanted: owned by this very Secret, with this rule and no other.
pub fn is_same_role(there: &Role, wanted: &Role) -> bool {
    is_same_child(&there.metadata, &wanted.metadata) && there.rules == wanted.rules
}

/// Whether a RoleBinding that is there is just the one that is wanted.
pub fn is_same_binding(there: &RoleBinding, wanted: &RoleBinding) -> bool {
    is_same_child(&there.metadata, &wanted.metadata)
        && there.role_ref == wanted.role_ref
        && there.subjects == wanted.subjects
}

/// One whose owner is another Secret goes with that one, too early; one without an owner stays for ever.
fn is_same_child(there: &ObjectMeta, wanted: &ObjectMeta) -> bool {
    there.owner_references == wanted.owner_references && there.deletion_timestamp.is_none()
}

fn subject(username: &str) -> Subject {
    let account = username
        .strip_prefix("system:serviceaccount:")
        .and_then(|rest| rest.split_once(':'));
    match account {
        Some((namespace, name)) => Subject {
            kind: "ServiceAccount".into(),
            name: name.into(),
            namespace: Some(namespace.into()),
            api_group: None,
        },
        None => Subject {
            kind: "User".into(),
            name: username.into(),
            namespace: None,
            api_group: Some("rbac.authorization.k8s.io".into()),
        },
    }
}

/// What a Secret of the link's name is to the grant with this uid, by its metadata alone.
pub fn seen(meta: &ObjectMeta, grant_uid: &str) -> LinkSeen {
    let ours = meta
        .owner_references
        .iter()
        .flatten()
        .any(|owner| owner.uid == grant_uid);
    if !ours {
        return LinkSeen::Foreign;
    }
    // One that is on its way out is out of our hands: somebody's finalizer must not keep the loan from ending.
    if meta.deletion_timestamp.is_some() {
        return LinkSeen::Kept;
    }
    let annotation = |key| meta.annotations.as_ref().and_then(|a| a.get(key));
    let time = |key| annotation(key).and_then(|t| t.parse::<Timestamp>().ok());
    let number = |key| annotation(key).and_then(|n| n.parse::<u32>().ok());
    LinkSeen::Present {
        // A Secret of ours whose annotations somebody has spoilt holds no link that is known.
        sequence: number(SEQUENCE).unwrap_or(0),
        issued_at: time(ISSUED_AT).unwrap_or(Timestamp::UNIX_EPOCH),
        item_version: number(ITEM_VERSION).unwrap_or(0),
    }
}

fn meta(grant: &ObjectIdentity, owner: OwnerReference) -> ObjectMeta {
    ObjectMeta {
        name: Some(link_name(&grant.uid)),
        namespace: Some(grant.namespace.clone()),
        labels: Some(labels(&grant.uid)),
        owner_references: Some(vec![owner]),
        ..ObjectMeta::default()
    }
}

fn labels(grant_uid: &str) -> BTreeMap<String, String> {
    [(SECRET_LABEL, "link"), (GRANT_UID_LABEL, grant_uid)]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

fn grant_reference(grant: &ObjectIdentity) -> OwnerReference {
    OwnerReference {
        api_version: AccessGrant::api_version(&()).into(),
        kind: AccessGrant::kind(&()).into(),
        name: grant.name.clone(),
        uid: grant.uid.clone(),
        controller: Some(true),
        block_owner_deletion: Some(false),
    }
}

fn secret_reference(grant: &ObjectIdentity, secret_uid: &str) -> OwnerReference {
    OwnerReference {
        api_version: "v1".into(),
        kind: "Secret".into(),
        name: link_name(&grant.uid),
        uid: secret_uid.into(),
        controller: Some(true),
        block_owner_deletion: Some(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant() -> ObjectIdentity {
        ObjectIdentity {
            namespace: "team-a".into(),
            name: "alice-db".into(),
            uid: "u-1".into(),
        }
    }

    fn facts() -> LinkFacts {
        LinkFacts {
            sequence: 2,
            issued_at: "2026-11-23T10:00:00.25Z".parse().unwrap(),
            expires_at: "2026-11-23T11:00:00.25Z".parse().unwrap(),
            item_version: 7,
            access_details: None,
        }
    }

    #[test]
    fn a_secret_tells_a_later_pass_what_it_holds_without_its_data() {
        let facts = facts();
        let secret = secret(&grant(), "https://share.example/s#key", &facts);
        let LinkFacts {
            sequence,
            issued_at,
            item_version,
            ..
        } = facts;
        assert_eq!(
            seen(&secret.metadata, "u-1"),
            LinkSeen::Present {
                sequence,
                issued_at,
                item_version
            }
        );
    }

    #[test]
    fn the_secret_is_labelled_as_a_link_that_backups_leave_out() {
        let secret = secret(&grant(), "https://share.example/s#key", &facts());
        let labels = secret.metadata.labels.as_ref().unwrap();
        let expected = [
            ("keyloan.dev/grant-uid", "u-1"),
            ("keyloan.dev/secret", "link"),
            ("velero.io/exclude-from-backup", "true"),
        ];
        assert!(labels.iter().map(|(k, v)| (&**k, &**v)).eq(expected));
    }

    #[test]
    fn a_patch_puts_the_next_link_into_just_this_secret() {
        let patch = secret_patch("s-1", "https://share.example/s#key", &facts());
        let annotations = json!({
            "keyloan.dev/sequence": "2", "keyloan.dev/item-version": "7",
            "keyloan.dev/issued-at": "2026-11-23T10:00:00.25Z",
            "keyloan.dev/expires-at": "2026-11-23T11:00:00.25Z",
        });
        let data = json!({
            "url": "https://share.example/s#key", "sequence": "2", "expiresAt": "2026-11-23T11:00:00Z",
        });
        let metadata = json!({ "uid": "s-1", "annotations": annotations });
        let expected = json!({ "metadata": metadata, "stringData": data });
        assert_eq!(*patch, expected);
    }

    #[test]
    fn a_secret_of_another_grant_or_of_nobody_is_foreign() {
        let secret = secret(&grant(), "https://share.example/s#key", &facts());
        let mut metadata = secret.metadata.clone();
        assert_eq!(seen(&metadata, "u-2"), LinkSeen::Foreign);
        metadata.owner_references = None;
        assert_eq!(seen(&metadata, "u-1"), LinkSeen::Foreign);
    }

    #[test]
    fn a_secret_that_a_finalizer_keeps_is_nothing_to_wait_for() {
        let secret = secret(&grant(), "https://share.example/s#key", &facts());
        let mut metadata = secret.metadata.clone();
        metadata.deletion_timestamp = Some(crate::api::Time(Timestamp::UNIX_EPOCH));
        assert_eq!(seen(&metadata, "u-1"), LinkSeen::Kept);
    }

    #[test]
    fn the_role_reads_one_secret_and_is_bound_to_one_person() {
        let role = role(&grant(), "s-1");
        let rule = &role.rules.unwrap()[0];
        assert_eq!(rule.verbs, ["get"]);
        assert_eq!(
            rule.resource_names.as_deref(),
            Some(&["keyloan-link-u-1".to_owned()][..])
        );
        let subjects = role_binding(&grant(), "s-1", &alice()).subjects.unwrap();
        assert_eq!((subjects.len(), subjects[0].kind.as_str()), (1, "User"));
    }

    fn alice() -> Identity {
        Identity {
            username: "alice@example.com".into(),
            ..Identity::default()
        }
    }

    #[rstest::rstest]
    #[case::as_we_made_it(|_: &mut Role| {}, true)]
    #[case::of_a_former_secret(|r: &mut Role| r.metadata = role(&grant(), "s-0").metadata, false)]
    #[case::of_nobody(|r: &mut Role| r.metadata.owner_references = None, false)]
    #[case::of_somebody_else_too(|r: &mut Role| r.metadata.owner_references.as_mut().unwrap().push(OwnerReference::default()), false)]
    #[case::on_its_way_out(|r: &mut Role| r.metadata.deletion_timestamp = Some(crate::api::Time(Timestamp::UNIX_EPOCH)), false)]
    #[case::which_allows_nothing(|r: &mut Role| r.rules = None, false)]
    #[case::which_allows_more(|r: &mut Role| r.rules.as_mut().unwrap()[0].verbs.push("list".into()), false)]
    #[case::which_allows_it_for_all_secrets(|r: &mut Role| r.rules.as_mut().unwrap()[0].resource_names = None, false)]
    fn a_role_counts_only_if_it_is_just_this_secrets(
        #[case] change: fn(&mut Role),
        #[case] counts: bool,
    ) {
        let wanted = role(&grant(), "s-1");
        let mut there = wanted.clone();
        there.metadata.uid = Some("r-1".into());
        there.metadata.resource_version = Some("17".into());
        change(&mut there);
        assert_eq!(is_same_role(&there, &wanted), counts);
    }

    #[rstest::rstest]
    #[case::as_we_made_it(|_: &mut RoleBinding| {}, true)]
    #[case::of_a_former_secret(|b: &mut RoleBinding| b.metadata = role(&grant(), "s-0").metadata, false)]
    #[case::for_another_role(|b: &mut RoleBinding| b.role_ref.name = "admin".into(), false)]
    #[case::for_nobody(|b: &mut RoleBinding| b.subjects = None, false)]
    #[case::for_somebody_else(|b: &mut RoleBinding| b.subjects = Some(vec![subject("mallory")]), false)]
    #[case::for_somebody_else_too(|b: &mut RoleBinding| b.subjects.as_mut().unwrap().push(subject("mallory")), false)]
    fn a_binding_counts_only_if_it_is_just_this_secrets(
        #[case] change: fn(&mut RoleBinding),
        #[case] counts: bool,
    ) {
        let wanted = role_binding(&grant(), "s-1", &alice());
        let mut there = wanted.clone();
        change(&mut there);
        assert_eq!(is_same_binding(&there, &wanted), counts);
    }

    #[test]
    fn a_service_account_is_bound_as_one() {
        let subject = subject("system:serviceaccount:ci:deployer");
        assert_eq!(
            (subject.kind.as_str(), subject.name.as_str()),
            ("ServiceAccount", "deployer")
        );
        assert_eq!(subject.namespace.as_deref(), Some("ci"));
    }
}
