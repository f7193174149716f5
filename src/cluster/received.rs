//! Objects as the API server sends them: in watches, lists and responses. Only the metadata that is
//! kept is decoded, and an object that cannot be decoded hides no other one.
//!
//! Otherwise a person who may write an object could put something into it that no client can parse,
//! such as a time in the year 9999, and so keep the operator from reading a whole list, or a change
//! of this object.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{OwnerReference, Time};
use kube::Resource;
use kube::api::ObjectMeta;
use serde::de::{
    DeserializeSeed, Deserializer, IgnoredAny, IntoDeserializer as _, MapAccess, Visitor,
};
use serde::{Deserialize, de};

use super::key::Key;
use super::metadata_filter::{MetadataFilter, Part, Watched};

/// The largest total size of the labels kept of one object: the API server bounds only each single
/// label, and a person who may label a namespace could add a hundred thousand labels. An object
/// with more labels is treated as undecodable.
const LARGEST_TEXTS: usize = 16 * 1024;

/// An object as received.
#[derive(Clone, Debug)]
pub(super) struct Received<K> {
    meta: ObjectMeta,
    content: Result<K, String>,
}

/// An object that cannot be decoded: it is treated as missing.
#[derive(Debug, thiserror::Error)]
#[error("cannot decode {key} ({why}); Keyloan ignores it: fix or delete it")]
pub(super) struct Undecodable {
    pub(super) key: Key,
    pub(super) why: String,
}

impl<K: Watched> Received<K> {
    /// Whether it could be decoded.
    pub(super) fn is_decoded(&self) -> bool {
        self.content.is_ok()
    }

    /// The object with its filtered metadata.
    pub(super) fn decoded(self) -> Result<K, Undecodable> {
        let Self { meta, content } = self;
        match content {
            Ok(mut object) => {
                *object.meta_mut() = meta;
                Ok(object)
            }
            Err(why) => Err(Undecodable {
                key: Key::new(
                    meta.namespace.unwrap_or_default(),
                    meta.name.unwrap_or_default(),
                ),
                why,
            }),
        }
    }
}

/// The same as the kind itself.
impl<K: Watched> Resource for Received<K> {
    type DynamicType = ();
    type Scope = K::Scope;

    fn metadata_api() -> bool {
        K::metadata_api()
    }

    fn kind((): &()) -> Cow<'_, str> {
        K::kind(&())
    }

    fn group((): &()) -> Cow<'_, str> {
        K::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        K::version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        K::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.meta
    }
}

impl<'de, K: Watched> Deserialize<'de> for Received<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ReceivedVisitor(PhantomData))
    }
}

struct ReceivedVisitor<K>(PhantomData<K>);

impl<'de, K: Watched> Visitor<'de> for ReceivedVisitor<K> {
    type Value = Received<K>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a Kubernetes object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Received<K>, A::Error> {
        let mut meta = MetaReceived::default();
        let mut rest = Vec::from(br#"{"metadata":{}"#);
        while let Some(member) = members.next_key::<String>()? {
            if member == "metadata" {
                meta = members.next_value_seed(MetaSeed(K::FILTER))?;
            } else if K::metadata_api() {
                members.next_value::<IgnoredAny>()?;
            } else {
                rest.push(b',');
                TextSeed(&mut rest).deserialize(member.into_deserializer())?;
                rest.push(b':');
                members.next_value_seed(TextSeed(&mut rest))?;
            }
        }
        rest.push(b'}');
        let content = match meta.problem {
            Some(problem) => Err(problem),
            None => serde_json::from_slice(&rest).map_err(in_short),
        };
        let meta = meta.meta;
        Ok(Received { meta, content })
    }
}

/// Copies a value of any type as text: whether it can be decoded is not known yet.
struct TextSeed<'a>(&'a mut Vec<u8>);

impl<'de> DeserializeSeed<'de> for TextSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let mut text = serde_json::Serializer::new(self.0);
        serde_transcode::transcode(deserializer, &mut text).map_err(de::Error::custom)
    }
}

/// The error may quote what somebody wrote.
fn in_short(error: serde_json::Error) -> String {
    error.to_string().chars().take(200).collect()
}

/// Metadata, and the first problem in it.
#[derive(Default)]
struct MetaReceived {
    meta: ObjectMeta,
    problem: Option<String>,
}

struct MetaSeed(MetadataFilter);

impl<'de> DeserializeSeed<'de> for MetaSeed {
    type Value = MetaReceived;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<MetaReceived, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for MetaSeed {
    type Value = MetaReceived;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the metadata of an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<MetaReceived, A::Error> {
        let Self(keeps) = self;
        let mut told = MetaReceived::default();
        while let Some(member) = members.next_key::<String>()? {
            match member.as_str() {
                "name" => told.meta.name = members.next_value()?,
                "namespace" => told.meta.namespace = members.next_value()?,
                "uid" => told.meta.uid = members.next_value()?,
                "resourceVersion" => told.meta.resource_version = members.next_value()?,
                "generation" => told.meta.generation = members.next_value()?,
                "creationTimestamp" => {
                    let time = members.next_value()?;
                    told.meta.creation_timestamp = told.time(&member, time);
                }
                "deletionTimestamp" => {
                    let time = members.next_value()?;
                    told.meta.deletion_timestamp = told.time(&member, time);
                }
                "labels" => {
                    let labels = members.next_value_seed(TextsSeed(keeps, Part::Labels))?;
                    told.meta.labels = told.texts(&member, labels);
                }
                "annotations" => {
                    let texts = members.next_value_seed(TextsSeed(keeps, Part::Annotations))?;
                    told.meta.annotations = told.texts(&member, texts);
                }
                "ownerReferences" if keeps.owners() => {
                    let mut owners: Vec<OwnerReference> =
                        members.next_value::<Option<_>>()?.unwrap_or_default();
                    owners.retain(MetadataFilter::keeps_owner);
                    told.meta.owner_references = Some(owners).filter(|owners| !owners.is_empty());
                }
                _ => {
                    members.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(told)
    }
}

impl MetaReceived {
    /// The API server's own times.
    fn time(&mut self, member: &str, text: Option<String>) -> Option<Time> {
        match text?.parse() {
            Ok(time) => Some(Time(time)),
            Err(_) => {
                self.doubt(format!("metadata.{member} is not a valid time"));
                None
            }
        }
    }

    fn texts(&mut self, member: &str, texts: Option<Texts>) -> Option<Texts> {
        if texts.is_none() {
            self.doubt(format!("metadata.{member} exceeds {LARGEST_TEXTS} bytes"));
        }
        texts.filter(|texts| !texts.is_empty())
    }

    fn doubt(&mut self, problem: String) {
        self.problem.get_or_insert(problem);
    }
}

/// Labels or annotations.
type Texts = BTreeMap<String, String>;

/// Decodes the texts that are kept; `None` if they are too large.
struct TextsSeed(MetadataFilter, Part);

impl<'de> DeserializeSeed<'de> for TextsSeed {
    type Value = Option<Texts>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for TextsSeed {
    type Value = Option<Texts>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of strings")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(Some(Texts::new()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let Self(keeps, part) = self;
        let mut texts = Texts::new();
        let mut size = 0;
        while let Some(key) = entries.next_key::<String>()? {
            if size > LARGEST_TEXTS || !keeps.wants(part, &key) {
                entries.next_value::<IgnoredAny>()?;
                continue;
            }
            let value: String = entries.next_value()?;
            if keeps.fits(part, &value) {
                size += key.len() + value.len();
                texts.insert(key, value);
            }
        }
        Ok((size <= LARGEST_TEXTS).then_some(texts))
    }
}

#[cfg(test)]
impl<K: Resource> From<K> for Received<K> {
    fn from(object: K) -> Self {
        Self {
            meta: object.meta().clone(),
            content: Ok(object),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::AccessGrant;
    use crate::cluster::SecretMetadata;
    use k8s_openapi::api::core::v1::Namespace;
    use kube::ResourceExt as _;
    use kube::core::{ObjectList, PartialObjectMeta, WatchEvent};
    use serde_json::{Map, Value, json};

    type NamespaceMark = PartialObjectMeta<Namespace>;

    /// An object as large as people can make it.
    fn fat(spec: &Value) -> Value {
        let many = |size: usize| -> Map<String, Value> {
            (0..20_000)
                .map(|n| (format!("example.com/{n}"), json!("x".repeat(size))))
                .collect()
        };
        let mut annotations = many(10);
        annotations.insert(
            "keyloan.dev/renew-requested-at".into(),
            json!("x".repeat(100_000)),
        );
        annotations.insert("keyloan.dev/sequence".into(), json!("x".repeat(100_000)));
        let owner = |kind: &str, name: String| json!({ "apiVersion": "keyloan.dev/v1alpha1", "kind": kind, "name": name, "uid": "o" });
        json!({
            "apiVersion": "v1", "kind": "Any",
            "metadata": {
                "name": "a", "namespace": "ns", "uid": "u", "resourceVersion": "7",
                "labels": many(60),
                "annotations": annotations,
                "ownerReferences": [owner("Nope", "x".repeat(1_300_000)), owner("AccessGrant", "x".repeat(1_300_000))],
                "finalizers": ["example.com/".to_owned() + &"x".repeat(100_000)],
                "managedFields": [{ "time": "9999-12-31T23:59:59Z", "fieldsV1": many(60) }],
                "selfLink": "x".repeat(100_000),
            },
            "spec": spec,
            "data": many(60),
        })
    }

    fn told<K: Watched>(object: Value) -> Received<K> {
        serde_json::from_value(object).expect("an object of Kubernetes")
    }

    fn request() -> Value {
        json!({ "integration": { "name": "prod" }, "item": { "vault": "v", "item": "i" } })
    }

    #[test]
    fn of_an_object_as_large_as_it_can_be_next_to_nothing_is_kept() {
        let size = |meta: &ObjectMeta| serde_json::to_string(meta).expect("JSON").len();
        let grant = told::<AccessGrant>(fat(&request()))
            .decoded()
            .expect("a grant");
        assert!(size(&grant.metadata) < 1_000, "{:?}", grant.metadata);
        let secret = told::<SecretMetadata>(fat(&Value::Null))
            .decoded()
            .expect("a Secret");
        assert!(size(&secret.metadata) < 1_000, "{:?}", secret.metadata);
        // Flows select namespaces by any label.
        let namespace = told::<NamespaceMark>(fat(&Value::Null));
        assert!(size(&namespace.meta) < 1_000, "{:?}", namespace.meta);
        let doubted = namespace
            .decoded()
            .expect_err("it is not believed")
            .to_string();
        assert_eq!(
            doubted,
            "cannot decode ns/a (metadata.labels exceeds 16384 bytes); Keyloan ignores it: fix or delete it"
        );
    }

    #[test]
    fn a_time_that_no_client_can_read_hides_nothing() {
        let frozen = json!({
            "metadata": {
                "name": "a", "uid": "u", "resourceVersion": "8", "labels": { "lends": "no" },
                "managedFields": [{ "manager": "m", "time": "9999-12-31T23:59:59Z" }],
            },
        });
        let namespace = told::<NamespaceMark>(frozen)
            .decoded()
            .expect("a namespace");
        assert_eq!(namespace.labels()["lends"], "no");
    }

    #[test]
    fn what_cannot_be_read_keeps_nothing_else_of_its_list_from_being_read() {
        let object = |name: &str, spec: Value| {
            json!({
                "apiVersion": "keyloan.dev/v1alpha1", "kind": "AccessGrant",
                "metadata": { "name": name, "namespace": "ns", "resourceVersion": "7" },
                "spec": spec,
            })
        };
        let mut undated = object("undated", request());
        undated["metadata"]["creationTimestamp"] = json!("9999-12-31T23:59:59Z");
        let list = json!({
            "apiVersion": "keyloan.dev/v1alpha1", "kind": "AccessGrantList", "metadata": { "resourceVersion": "9" },
            "items": [object("fine", request()), object("odd", json!({ "item": 7 })), undated],
        });
        let list: ObjectList<Received<AccessGrant>> =
            serde_json::from_str(&list.to_string()).expect("a list");
        let read: Vec<_> = list
            .items
            .into_iter()
            .map(|told| told.decoded().map(|grant| grant.name_any()))
            .map(|read| read.map_err(|undecodable| undecodable.key.to_string()))
            .collect();
        let expected = [
            Ok("fine".to_owned()),
            Err("ns/odd".to_owned()),
            Err("ns/undated".to_owned()),
        ];
        assert_eq!(read, expected);

        let event = json!({ "type": "MODIFIED", "object": object("odd", json!({})) });
        let event: WatchEvent<Received<AccessGrant>> =
            serde_json::from_str(&event.to_string()).expect("an event");
        let WatchEvent::Modified(odd) = event else {
            panic!("{event:?}")
        };
        assert_eq!(odd.resource_version().as_deref(), Some("7"));
        assert!(odd.decoded().is_err());
    }
}
