//! The metadata that a cache keeps of an object: only what somebody reads, and nothing that people
//! can make large.
//!
//! A person who may create a request may put hundreds of kilobytes into its annotations, labels and
//! owners, as often as they like. Never write a filtered object back as a whole.

use k8s_openapi::api::core::v1::{Namespace, Secret};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Resource;
use kube::api::ObjectMeta;
use kube::core::PartialObjectMeta;
use serde::de::DeserializeOwned;

use super::link_objects;
use crate::api::{
    AccessDecision, AccessFlow, AccessGrant, AccessNotifier, AccessRecord, GRANT_UID_LABEL,
    INSTALL_LABEL, INTEGRATION_LABEL, NOTIFIER_LABEL, OnePasswordIntegration, RENEW_ANNOTATION,
    RESTORE_LABELS, SECRET_LABEL,
};

/// The longest annotation that anybody reads: a time or a number.
const LONGEST: usize = 128;
/// The longest name.
const LONGEST_NAME: usize = 253;

/// What is kept besides names, versions and times.
#[derive(Clone, Copy, Debug)]
pub struct MetadataFilter {
    labels: Labels,
    annotations: &'static [&'static str],
    owners: bool,
}

#[derive(Clone, Copy, Debug)]
enum Labels {
    All,
    These(&'static [&'static str]),
}

/// A part of the metadata that maps names to texts.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part {
    /// The labels.
    Labels,
    /// The annotations.
    Annotations,
}

impl MetadataFilter {
    /// For our own kinds.
    pub(super) const OURS: Self = Self {
        labels: Labels::These(&[]),
        annotations: &[RENEW_ANNOTATION],
        owners: false,
    };
    /// For records: who restored them decides whether anything is lent by them.
    pub(super) const RECORDS: Self = Self {
        labels: Labels::These(&RESTORE_LABELS),
        ..Self::OURS
    };
    /// For Secrets and the other link objects.
    pub(super) const SECRETS: Self = Self {
        labels: Labels::These(&[
            SECRET_LABEL,
            INTEGRATION_LABEL,
            NOTIFIER_LABEL,
            GRANT_UID_LABEL,
            INSTALL_LABEL,
        ]),
        annotations: &link_objects::ANNOTATIONS,
        owners: true,
    };
    /// For namespaces: flows select them by any label.
    pub(super) const NAMESPACES: Self = Self {
        labels: Labels::All,
        annotations: &[],
        owners: false,
    };

    /// Whether the text with this name is kept.
    pub(super) fn wants(self, part: Part, key: &str) -> bool {
        match (part, self.labels) {
            (Part::Labels, Labels::All) => true,
            (Part::Labels, Labels::These(these)) => these.contains(&key),
            (Part::Annotations, _) => self.annotations.contains(&key),
        }
    }

    /// Whether a text is short enough to be one that somebody reads. The API server bounds labels
    /// itself.
    pub(super) fn fits(self, part: Part, value: &str) -> bool {
        matches!(part, Part::Labels) || value.len() <= LONGEST
    }

    /// Whether owners are kept.
    pub(super) fn owners(self) -> bool {
        self.owners
    }

    /// Only grants are kept as owners. The API server accepts owners with names of a megabyte.
    pub(super) fn keeps_owner(owner: &OwnerReference) -> bool {
        owner.kind == AccessGrant::kind(&())
            && owner.name.len() <= LONGEST_NAME
            && [&owner.api_version, &owner.uid]
                .iter()
                .all(|text| text.len() <= LONGEST)
    }

    /// Drops everything else.
    pub(super) fn prune(self, object: &mut impl Resource) {
        let all = std::mem::take(object.meta_mut());
        let mut annotations = all.annotations.unwrap_or_default();
        annotations.retain(|key, value| {
            self.wants(Part::Annotations, key) && self.fits(Part::Annotations, value)
        });
        let mut labels = all.labels.unwrap_or_default();
        labels.retain(|key, _| self.wants(Part::Labels, key));
        let mut owners = all.owner_references.filter(|_| self.owners);
        owners
            .iter_mut()
            .for_each(|owners| owners.retain(Self::keeps_owner));
        *object.meta_mut() = ObjectMeta {
            name: all.name,
            namespace: all.namespace,
            uid: all.uid,
            resource_version: all.resource_version,
            generation: all.generation,
            creation_timestamp: all.creation_timestamp,
            deletion_timestamp: all.deletion_timestamp,
            labels: Some(labels).filter(|labels| !labels.is_empty()),
            annotations: Some(annotations).filter(|annotations| !annotations.is_empty()),
            owner_references: owners.filter(|owners| !owners.is_empty()),
            ..ObjectMeta::default()
        };
    }
}

/// A kind with filtered metadata.
pub trait Watched: Resource<DynamicType = ()> + DeserializeOwned {
    /// The filter for its metadata.
    const FILTER: MetadataFilter;
}

impl Watched for OnePasswordIntegration {
    const FILTER: MetadataFilter = MetadataFilter::OURS;
}
impl Watched for AccessFlow {
    const FILTER: MetadataFilter = MetadataFilter::OURS;
}
impl Watched for AccessGrant {
    const FILTER: MetadataFilter = MetadataFilter::OURS;
}
impl Watched for AccessDecision {
    const FILTER: MetadataFilter = MetadataFilter::OURS;
}
impl Watched for AccessNotifier {
    const FILTER: MetadataFilter = MetadataFilter::OURS;
}

impl Watched for AccessRecord {
    const FILTER: MetadataFilter = MetadataFilter::RECORDS;
}
impl Watched for PartialObjectMeta<Secret> {
    const FILTER: MetadataFilter = MetadataFilter::SECRETS;
}
impl Watched for PartialObjectMeta<Role> {
    const FILTER: MetadataFilter = MetadataFilter::SECRETS;
}
impl Watched for PartialObjectMeta<RoleBinding> {
    const FILTER: MetadataFilter = MetadataFilter::SECRETS;
}
impl Watched for PartialObjectMeta<Namespace> {
    const FILTER: MetadataFilter = MetadataFilter::NAMESPACES;
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::ResourceExt as _;
    use serde_json::{Value, json};

    /// An object in which each part that people can write is set.
    fn full<K: DeserializeOwned>(spec: &Value) -> K {
        let object = json!({
            "metadata": {
                "name": "a", "namespace": "ns", "uid": "u", "resourceVersion": "7", "generation": 2,
                "creationTimestamp": "2026-11-23T10:00:00Z", "deletionTimestamp": "2026-11-23T11:00:00Z",
                "labels": {
                    "keyloan.dev/secret": "link", "keyloan.dev/integration": "prod",
                    "keyloan.dev/grant-uid": "g", "team": "db", "keyloan.dev/large": "x",
                },
                "annotations": {
                    "keyloan.dev/renew-requested-at": "2026-11-23T10:30:00Z", "keyloan.dev/sequence": "2",
                    "keyloan.dev/issued-at": "2026-11-23T10:00:00Z", "keyloan.dev/expires-at": "2026-11-23T11:00:00Z",
                    "keyloan.dev/item-version": "3", "keyloan.dev/large": "x", "mine": "x",
                    "kubectl.kubernetes.io/last-applied-configuration": "{}",
                },
                "ownerReferences": [
                    { "apiVersion": "v1", "kind": "Secret", "name": "o", "uid": "o" },
                    { "apiVersion": "keyloan.dev/v1alpha1", "kind": "AccessGrant", "name": "o", "uid": "g" },
                ],
                "finalizers": ["example.com/mine"],
                "managedFields": [{ "manager": "kubectl", "operation": "Update" }],
            },
            "spec": spec,
        });
        serde_json::from_value(object).expect("an object")
    }

    fn grant() -> AccessGrant {
        full(&json!({ "integration": { "name": "prod" }, "item": { "vault": "v", "item": "i" } }))
    }

    fn kept(keeps: MetadataFilter, mut object: impl Resource + Clone) -> Value {
        keeps.prune(&mut object);
        serde_json::to_value(object.meta()).expect("JSON")
    }

    /// The identity of an object, and some more.
    fn with(more: &Value) -> Value {
        let mut meta = json!({
            "name": "a", "namespace": "ns", "uid": "u", "resourceVersion": "7", "generation": 2,
            "creationTimestamp": "2026-11-23T10:00:00Z", "deletionTimestamp": "2026-11-23T11:00:00Z",
        });
        let more = more.as_object().expect("an object").clone();
        meta.as_object_mut().expect("an object").extend(more);
        meta
    }

    #[test]
    fn of_our_kinds_only_the_wish_for_the_next_link_is_kept() {
        let wish = json!({ "keyloan.dev/renew-requested-at": "2026-11-23T10:30:00Z" });
        assert_eq!(
            kept(MetadataFilter::OURS, grant()),
            with(&json!({ "annotations": wish }))
        );
    }

    #[test]
    fn of_records_what_tells_that_they_were_restored_is_kept() {
        let mut meta = grant().metadata;
        let labels = meta.labels.as_mut().expect("some");
        for label in RESTORE_LABELS {
            labels.insert(label.into(), "nightly".into());
        }
        let record = json!({ "metadata": meta, "spec": {} });
        let mut record: PartialObjectMeta<Secret> = serde_json::from_value(record).expect("one");
        MetadataFilter::RECORDS.prune(&mut record);
        let kept: Vec<_> = record.labels().keys().map(String::as_str).collect();
        assert_eq!(kept, ["keyloan.dev/restored", "velero.io/restore-name"]);
    }

    #[test]
    fn of_secrets_what_tells_whose_they_are_and_what_they_hold_is_kept() {
        let more = json!({
            "labels": { "keyloan.dev/secret": "link", "keyloan.dev/integration": "prod", "keyloan.dev/grant-uid": "g" },
            "annotations": {
                "keyloan.dev/sequence": "2", "keyloan.dev/issued-at": "2026-11-23T10:00:00Z",
                "keyloan.dev/expires-at": "2026-11-23T11:00:00Z", "keyloan.dev/item-version": "3",
            },
            "ownerReferences": [{ "apiVersion": "keyloan.dev/v1alpha1", "kind": "AccessGrant", "name": "o", "uid": "g" }],
        });
        let secret: Secret = full(&Value::Null);
        assert_eq!(kept(MetadataFilter::SECRETS, secret), with(&more));
    }

    #[test]
    fn of_namespaces_all_labels_are_kept() {
        let mut namespace: Namespace = full(&Value::Null);
        let labels = namespace.labels().clone();
        MetadataFilter::NAMESPACES.prune(&mut namespace);
        assert_eq!(*namespace.labels(), labels);
        assert!(namespace.annotations().is_empty());
    }

    #[test]
    fn a_wish_that_can_be_no_time_is_not_kept_either() {
        let mut grant = grant();
        let long = "x".repeat(LONGEST + 1);
        grant
            .annotations_mut()
            .insert(RENEW_ANNOTATION.into(), long);
        MetadataFilter::OURS.prune(&mut grant);
        assert!(grant.annotations().is_empty());
    }
}
