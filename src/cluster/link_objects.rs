//! The three objects of a link, all in the install's links namespace: the Secret with the URL, and
//! the Role and RoleBinding that let only the requester read it.
//!
//! The Role is created first and owns the other two. The Secret's annotations hold what later
//! passes need to know about the link, so that they can watch it without reading its data.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::rbac::v1::{PolicyRule, Role, RoleBinding, RoleRef, Subject};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Resource;
use kube::api::ObjectMeta;
use serde_json::{Value, json};

use super::install::Install;
use super::wiped::Wiped;
use crate::api::{
    ACCESS_DETAILS_KEY, EXPIRES_AT_KEY, GRANT_UID_LABEL, INSTALL_LABEL, Identity, LINK_TYPE,
    SECRET_LABEL, SEQUENCE_KEY, URL_KEY, link_name,
};
use crate::plan::delivery::steps::LinkFacts;
use crate::plan::observed::LinkSeen;

const SEQUENCE: &str = "keyloan.dev/sequence";
const ISSUED_AT: &str = "keyloan.dev/issued-at";
const EXPIRES_AT: &str = "keyloan.dev/expires-at";
const ITEM_VERSION: &str = "keyloan.dev/item-version";
/// What a link's Secret says about the link besides its data.
pub(super) const ANNOTATIONS: [&str; 4] = [SEQUENCE, ISSUED_AT, EXPIRES_AT, ITEM_VERSION];

/// Labels with which common backup tools skip an object: a backup would keep the URL after the
/// loan. Velero: <https://velero.io/docs/main/resource-filtering/>,
/// "velero.io/exclude-from-backup".
const NOT_BACKED_UP: [(&str, &str); 1] = [("velero.io/exclude-from-backup", "true")];

/// What a link's Secret delivers, and the key under which it is stored. It cannot be printed.
#[derive(Clone, Copy)]
pub struct Content<'a> {
    /// The key.
    pub key: &'static str,
    /// The text, such as the link's URL.
    pub text: &'a str,
}

/// Replaces the URL when the operator tries whether a link can be stored: as long as 1Password's
/// URLs, and without any meaning.
pub const NO_URL: Content<'static> = Content {
    key: URL_KEY,
    text: "-----------------------------------------------------------------------------------------------------------------",
};

/// The Secret with a loan's first link.
pub fn secret(
    install: &Install,
    grant_uid: &str,
    role_uid: &str,
    content: Content<'_>,
    facts: &LinkFacts,
) -> Wiped<Secret> {
    let (annotations, data) = contents(content, facts);
    let mut metadata = meta(install, grant_uid);
    let labels = metadata.labels.get_or_insert_default();
    labels.extend(NOT_BACKED_UP.map(|(k, v)| (k.to_owned(), v.to_owned())));
    Wiped::new(Secret {
        metadata: ObjectMeta {
            annotations: Some(annotations),
            owner_references: Some(vec![role_reference(grant_uid, role_uid)]),
            ..metadata
        },
        type_: Some(LINK_TYPE.into()),
        string_data: Some(data),
        ..Secret::default()
    })
}

/// One version of a Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretVersion {
    uid: Option<String>,
    resource_version: Option<String>,
}

impl SecretVersion {
    /// The version with this metadata.
    pub fn of(meta: &ObjectMeta) -> Self {
        Self {
            uid: meta.uid.clone(),
            resource_version: meta.resource_version.clone(),
        }
    }
}

/// The patch that stores another link in this version of a Secret, and in no later one.
pub fn secret_patch(
    grant_uid: &str,
    role_uid: &str,
    version: &SecretVersion,
    content: Content<'_>,
    facts: &LinkFacts,
) -> Wiped<Value> {
    let (annotations, data) = contents(content, facts);
    // The Role may have been created again since.
    let owners = [role_reference(grant_uid, role_uid)];
    let mut patch = json!({ "metadata": {
        "uid": version.uid, "resourceVersion": version.resource_version,
        "annotations": annotations, "ownerReferences": owners,
    } });
    // Moved, because `json!` would leave a copy behind.
    let data = data
        .into_iter()
        .map(|(key, text)| (key, Value::String(text)));
    patch["stringData"] = Value::Object(data.collect());
    Wiped::new(patch)
}

fn contents(
    content: Content<'_>,
    facts: &LinkFacts,
) -> (BTreeMap<String, String>, BTreeMap<String, String>) {
    let expires_at = format!("{:.0}", facts.expires_at);
    let annotations = [
        (SEQUENCE, facts.sequence.to_string()),
        (ISSUED_AT, facts.issued_at.to_string()),
        (EXPIRES_AT, facts.expires_at.to_string()),
        (ITEM_VERSION, facts.item_version.to_string()),
    ];
    let details = facts.access_details.as_ref();
    let mut data = vec![
        (content.key, content.text.to_owned()),
        (EXPIRES_AT_KEY, expires_at),
        (SEQUENCE_KEY, facts.sequence.to_string()),
    ];
    data.extend(details.map(|details| (ACCESS_DETAILS_KEY, details.0.clone())));
    let own = |(key, value): (&str, String)| (key.to_owned(), value);
    (
        annotations.into_iter().map(own).collect(),
        data.into_iter().map(own).collect(),
    )
}

/// The Role that allows reading one link's Secret and nothing else.
pub fn role(install: &Install, grant_uid: &str) -> Role {
    Role {
        metadata: meta(install, grant_uid),
        rules: Some(vec![PolicyRule {
            api_groups: Some(vec![String::new()]),
            resources: Some(vec!["secrets".into()]),
            resource_names: Some(vec![link_name(grant_uid)]),
            verbs: vec!["get".into()],
            ..PolicyRule::default()
        }]),
    }
}

/// The RoleBinding that gives the Role with this uid to the requester.
pub fn role_binding(
    install: &Install,
    grant_uid: &str,
    role_uid: &str,
    requester: &Identity,
) -> RoleBinding {
    RoleBinding {
        metadata: ObjectMeta {
            owner_references: Some(vec![role_reference(grant_uid, role_uid)]),
            ..meta(install, grant_uid)
        },
        role_ref: RoleRef {
            api_group: "rbac.authorization.k8s.io".into(),
            kind: "Role".into(),
            name: link_name(grant_uid),
        },
        subjects: Some(vec![subject(&requester.username)]),
    }
}

/// Whether an existing Role is exactly the wanted one: without owners, with this rule and no other.
pub fn is_same_role(there: &Role, wanted: &Role) -> bool {
    is_same(&there.metadata, &wanted.metadata) && there.rules == wanted.rules
}

/// Whether an existing RoleBinding is exactly the wanted one.
pub fn is_same_binding(there: &RoleBinding, wanted: &RoleBinding) -> bool {
    is_same(&there.metadata, &wanted.metadata)
        && there.role_ref == wanted.role_ref
        && there.subjects == wanted.subjects
}

/// An object with another owner is deleted together with it, too early; the sweep does not find an
/// object without our labels.
fn is_same(there: &ObjectMeta, wanted: &ObjectMeta) -> bool {
    let owners = |meta: &ObjectMeta| meta.owner_references.clone().unwrap_or_default();
    let label = |key: &str| there.labels.as_ref().and_then(|labels| labels.get(key));
    let mut labels = wanted.labels.iter().flatten();
    owners(there) == owners(wanted)
        && labels.all(|(key, value)| label(key) == Some(value))
        && there.deletion_timestamp.is_none()
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

/// Whether this install made an object for the link of the grant with this uid.
pub fn is_ours(meta: &ObjectMeta, install: &Install, grant_uid: &str) -> bool {
    let has = |key: &str, value: &str| {
        let labels = meta.labels.as_ref();
        labels
            .and_then(|labels| labels.get(key))
            .is_some_and(|v| v == value)
    };
    meta.name.as_deref() == Some(&link_name(grant_uid))
        && has(GRANT_UID_LABEL, grant_uid)
        && has(INSTALL_LABEL, &install.name)
}

/// The uid of the grant whose link an object carries, if this install made the object.
pub fn grant_uid<'a>(meta: &'a ObjectMeta, install: &Install) -> Option<&'a str> {
    let uid = meta.labels.as_ref()?.get(GRANT_UID_LABEL)?;
    is_ours(meta, install, uid).then_some(uid)
}

/// The label selector of all link objects of this install.
pub fn selector(install: &Install) -> String {
    format!("{SECRET_LABEL}=link,{INSTALL_LABEL}={}", install.name)
}

/// What a Secret with the link's name is to the grant with this uid, according to its metadata.
pub fn seen(meta: &ObjectMeta, install: &Install, grant_uid: &str) -> LinkSeen {
    if !is_ours(meta, install, grant_uid) {
        return LinkSeen::Foreign;
    }
    // The operator can do nothing about a Secret that is being deleted: somebody's finalizer must
    // not keep the loan from ending.
    if meta.deletion_timestamp.is_some() {
        return LinkSeen::Kept;
    }
    let annotation = |key| meta.annotations.as_ref().and_then(|a| a.get(key));
    let time = |key| annotation(key).and_then(|t| t.parse::<Timestamp>().ok());
    let number = |key| annotation(key).and_then(|n| n.parse::<u32>().ok());
    LinkSeen::Present {
        // If somebody has changed the annotations of our Secret, no link is known to be in it.
        sequence: number(SEQUENCE).unwrap_or(0),
        issued_at: time(ISSUED_AT).unwrap_or(Timestamp::UNIX_EPOCH),
        item_version: number(ITEM_VERSION).unwrap_or(0),
    }
}

fn meta(install: &Install, grant_uid: &str) -> ObjectMeta {
    let ours = [
        (SECRET_LABEL, "link"),
        (GRANT_UID_LABEL, grant_uid),
        (INSTALL_LABEL, &install.name),
    ];
    let mut labels = install.link_labels.clone();
    labels.extend(ours.map(|(key, value)| (key.to_owned(), value.to_owned())));
    ObjectMeta {
        name: Some(link_name(grant_uid)),
        namespace: Some(install.links_namespace.clone()),
        labels: Some(labels),
        ..ObjectMeta::default()
    }
}

fn role_reference(grant_uid: &str, role_uid: &str) -> OwnerReference {
    OwnerReference {
        api_version: Role::api_version(&()).into(),
        kind: Role::kind(&()).into(),
        name: link_name(grant_uid),
        uid: role_uid.into(),
        controller: Some(true),
        block_owner_deletion: Some(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: Content<'static> = Content {
        key: URL_KEY,
        text: "https://share.example/s#key",
    };

    fn install() -> Install {
        Install::default()
    }

    fn link_secret() -> Wiped<Secret> {
        secret(&install(), "u-1", "r-1", URL, &facts())
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
        let secret = link_secret();
        let LinkFacts {
            sequence,
            issued_at,
            item_version,
            ..
        } = facts;
        assert_eq!(
            seen(&secret.metadata, &install(), "u-1"),
            LinkSeen::Present {
                sequence,
                issued_at,
                item_version
            }
        );
    }

    #[test]
    fn the_secret_is_labelled_as_a_link_that_backups_leave_out() {
        let secret = link_secret();
        let labels = secret.metadata.labels.as_ref().unwrap();
        let expected = [
            ("keyloan.dev/grant-uid", "u-1"),
            ("keyloan.dev/install", "keyloan"),
            ("keyloan.dev/secret", "link"),
            ("velero.io/exclude-from-backup", "true"),
        ];
        assert!(labels.iter().map(|(k, v)| (&**k, &**v)).eq(expected));
    }

    #[test]
    fn a_patch_puts_the_next_link_into_just_this_version_of_this_secret() {
        let there = ObjectMeta {
            uid: Some("s-1".into()),
            resource_version: Some("7".into()),
            ..ObjectMeta::default()
        };
        let version = SecretVersion::of(&there);
        let patch = secret_patch("u-1", "r-1", &version, URL, &facts());
        let annotations = json!({
            "keyloan.dev/sequence": "2", "keyloan.dev/item-version": "7",
            "keyloan.dev/issued-at": "2026-11-23T10:00:00.25Z",
            "keyloan.dev/expires-at": "2026-11-23T11:00:00.25Z",
        });
        let data = json!({
            "url": "https://share.example/s#key", "sequence": "2", "expiresAt": "2026-11-23T11:00:00Z",
        });
        let owner = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "name": "keyloan-link-u-1", "uid": "r-1",
            "controller": true, "blockOwnerDeletion": false,
        });
        let metadata = json!({
            "uid": "s-1", "resourceVersion": "7", "annotations": annotations,
            "ownerReferences": [owner],
        });
        let expected = json!({ "metadata": metadata, "stringData": data });
        assert_eq!(*patch, expected);
    }

    #[test]
    fn a_secret_of_another_grant_or_install_or_of_nobody_is_foreign() {
        let secret = link_secret();
        let mut metadata = secret.metadata.clone();
        assert_eq!(seen(&metadata, &install(), "u-2"), LinkSeen::Foreign);
        let other = Install {
            name: "other".into(),
            ..install()
        };
        assert_eq!(seen(&metadata, &other, "u-1"), LinkSeen::Foreign);
        assert_eq!(grant_uid(&metadata, &install()), Some("u-1"));
        assert_eq!(grant_uid(&metadata, &other), None);
        metadata.labels = None;
        assert_eq!(seen(&metadata, &install(), "u-1"), LinkSeen::Foreign);
        assert_eq!(grant_uid(&metadata, &install()), None);
    }

    #[test]
    fn what_tries_a_place_differs_from_what_takes_it_by_the_url_alone() {
        let (real, tried) = (
            link_secret(),
            secret(&install(), "u-1", "r-1", NO_URL, &facts()),
        );
        assert_eq!(real.metadata, tried.metadata);
        let keys = |secret: &Secret| {
            let data = secret.string_data.clone().unwrap_or_default();
            Vec::from_iter(data.into_keys())
        };
        assert_eq!(keys(&real), keys(&tried));
        let tried = serde_json::to_string(&*tried).unwrap();
        assert!(!tried.contains("share.example"), "{tried}");
    }

    #[test]
    fn each_object_has_the_labels_that_the_clusters_policies_ask_for_and_none_of_ours_is_replaced()
    {
        let asked_for = [("team", "platform"), ("keyloan.dev/install", "spoilt")];
        let install = Install {
            link_labels: asked_for.map(|(k, v)| (k.into(), v.into())).into(),
            ..install()
        };
        let alice = alice();
        for labels in [
            secret(&install, "u-1", "r-1", URL, &facts())
                .metadata
                .labels
                .clone(),
            role(&install, "u-1").metadata.labels,
            role_binding(&install, "u-1", "r-1", &alice).metadata.labels,
        ] {
            let labels = labels.unwrap();
            assert_eq!(labels["team"], "platform");
            assert_eq!(labels["keyloan.dev/install"], "keyloan");
        }
    }

    #[test]
    fn a_secret_that_a_finalizer_keeps_is_nothing_to_wait_for() {
        let secret = link_secret();
        let mut metadata = secret.metadata.clone();
        metadata.deletion_timestamp = Some(crate::api::Time(Timestamp::UNIX_EPOCH));
        assert_eq!(seen(&metadata, &install(), "u-1"), LinkSeen::Kept);
    }

    #[test]
    fn the_role_reads_one_secret_and_is_bound_to_one_person() {
        let role = role(&install(), "u-1");
        let rule = &role.rules.unwrap()[0];
        assert_eq!(rule.verbs, ["get"]);
        assert_eq!(
            rule.resource_names.as_deref(),
            Some(&["keyloan-link-u-1".to_owned()][..])
        );
        let subjects = role_binding(&install(), "u-1", "r-1", &alice())
            .subjects
            .unwrap();
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
    #[case::with_a_label_of_somebodys_own(|r: &mut Role| { r.metadata.labels.as_mut().unwrap().insert("team".into(), "db".into()); }, true)]
    #[case::of_another_install(|r: &mut Role| { r.metadata.labels.as_mut().unwrap().insert("keyloan.dev/install".into(), "other".into()); }, false)]
    #[case::without_our_labels(|r: &mut Role| r.metadata.labels = None, false)]
    #[case::of_somebody_else(|r: &mut Role| r.metadata.owner_references = Some(vec![OwnerReference::default()]), false)]
    #[case::on_its_way_out(|r: &mut Role| r.metadata.deletion_timestamp = Some(crate::api::Time(Timestamp::UNIX_EPOCH)), false)]
    #[case::which_allows_nothing(|r: &mut Role| r.rules = None, false)]
    #[case::which_allows_more(|r: &mut Role| r.rules.as_mut().unwrap()[0].verbs.push("list".into()), false)]
    #[case::which_allows_it_for_all_secrets(|r: &mut Role| r.rules.as_mut().unwrap()[0].resource_names = None, false)]
    fn a_role_counts_only_if_it_is_just_this_links(
        #[case] change: fn(&mut Role),
        #[case] counts: bool,
    ) {
        let wanted = role(&install(), "u-1");
        let mut there = wanted.clone();
        there.metadata.uid = Some("r-1".into());
        there.metadata.resource_version = Some("17".into());
        change(&mut there);
        assert_eq!(is_same_role(&there, &wanted), counts);
    }

    #[rstest::rstest]
    #[case::as_we_made_it(|_: &mut RoleBinding| {}, true)]
    #[case::of_a_former_role(|b: &mut RoleBinding| b.metadata = role_binding(&install(), "u-1", "r-0", &alice()).metadata, false)]
    #[case::of_nobody(|b: &mut RoleBinding| b.metadata.owner_references = None, false)]
    #[case::for_another_role(|b: &mut RoleBinding| b.role_ref.name = "admin".into(), false)]
    #[case::for_nobody(|b: &mut RoleBinding| b.subjects = None, false)]
    #[case::for_somebody_else(|b: &mut RoleBinding| b.subjects = Some(vec![subject("mallory")]), false)]
    #[case::for_somebody_else_too(|b: &mut RoleBinding| b.subjects.as_mut().unwrap().push(subject("mallory")), false)]
    fn a_binding_counts_only_if_it_is_just_this_links(
        #[case] change: fn(&mut RoleBinding),
        #[case] counts: bool,
    ) {
        let wanted = role_binding(&install(), "u-1", "r-1", &alice());
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
