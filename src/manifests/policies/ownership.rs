//! Only the requester may change a grant's metadata, and nobody may change that of a decision or a
//! record. None of it may be large.
//!
//! A foreign owner lets the garbage collector delete an object, a finalizer blocks its deletion,
//! and an object full of labels has no room left for its status.

use super::{
    boundary::Boundary,
    identity::may_revoke,
    policy::{Policy, Rule, Scope, all_same},
};
use crate::api::RENEW_ANNOTATION;

/// The largest total size of the labels, annotations, owners and finalizers of an object that
/// people create, in characters. The schema bounds the rest of the object, so that its status
/// always fits into the 1.5 MB that the API server accepts.
const LARGEST_METADATA: usize = 16 * 1024;
/// The largest number of labels, annotations, owners and finalizers each. Their sizes are added up
/// only below this number, because the API server bounds the cost of an expression.
const MOST_ENTRIES: usize = 64;
/// The largest number of entries in an object's managed fields after somebody else has written it
/// unchanged, such as a person who applies a whole folder. The requester's own entries always find
/// room beyond them.
const MOST_MANAGERS: usize = 16;
/// The largest total size of these entries, in characters.
const LARGEST_MANAGERS: usize = 32 * 1024;
/// `kubectl apply` stores the object itself in it. The API server bounds the total size of
/// annotations.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The metadata that people write.
const METADATA: [&str; 4] = [
    "metadata.labels",
    "metadata.annotations",
    "metadata.ownerReferences",
    "metadata.finalizers",
];

/// Refuses changes of other people's metadata.
pub fn policies(boundary: &Boundary) -> Vec<Policy> {
    vec![grants(boundary), decisions(boundary)]
}

fn grants(boundary: &Boundary) -> Policy {
    let mut variables = variables(boundary);
    variables.extend([
        (
            "isRequester",
            "has(oldObject.spec.requester) && oldObject.spec.requester.username == request.userInfo.username"
                .into(),
        ),
        ("asked", annotation("object")),
        ("askedBefore", annotation("oldObject")),
    ]);
    Policy {
        name: "keyloan-grant-ownership",
        audit: None,
        scope: Scope::Ours(&["accessgrants"]),
        operations: &["CREATE", "UPDATE"],
        variables,
        rules: vec![
            no_new_finalizers(),
            is_small(),
            Rule::new(
                "request.operation == 'CREATE' || variables.asked == variables.askedBefore\n\
                             || request.userInfo.username in variables.operators\n\
                             || variables.isRequester",
                format!(
                    "keyloan-ownership: only the requester can ask for the next link of a loan: \
                     leave the annotation {RENEW_ANNOTATION} unchanged"
                ),
            ),
            Rule::new(
                format!(
                    "request.operation == 'CREATE' || variables.isUntouched\n\
                     || variables.isMachinery || variables.isRequester\n|| {}",
                    may_revoke("oldObject.metadata.name")
                ),
                "keyloan-ownership: only the requester, or someone with the verb 'revoke' on \
                          the grant, can change the metadata of a grant: leave its labels, \
                          annotations, owners, finalizers and managed fields unchanged",
            ),
        ],
    }
}

fn decisions(boundary: &Boundary) -> Policy {
    Policy {
        name: "keyloan-decision-ownership",
        audit: None,
        scope: Scope::Ours(&["accessdecisions"]),
        operations: &["CREATE", "UPDATE"],
        variables: variables(boundary),
        rules: vec![
            no_new_finalizers(),
            is_small(),
            no_new_owners(
                "keyloan-ownership: a decision cannot have owners, because it outlives its \
                 request: leave metadata.ownerReferences out",
            ),
            Rule::new(
                "request.operation == 'CREATE' || variables.isUntouched || variables.isFreed\n\
                             || variables.isMachinery",
                "keyloan-ownership: nobody can change the metadata of a decision: leave its \
                          labels, annotations, owners, finalizers and managed fields unchanged",
            ),
        ],
    }
}

fn variables(boundary: &Boundary) -> Vec<(&'static str, String)> {
    let mut variables = vec![boundary.operators_variable(), boundary.deleters_variable()];
    variables.extend(written_as_it_is());
    variables.extend([
        (
            "isUntouched",
            format!("variables.sameMetadata\n&& ({})", few_managers()),
        ),
        (
            "isMachinery",
            "request.userInfo.username in variables.operators\n\
             || request.userInfo.username in variables.deleters"
                .into(),
        ),
        ("isSmall", small_metadata()),
    ]);
    variables
}

/// Variables about an unchanged write: `sameMetadata`; `isFreed` (it only removes finalizers from a
/// deleted object); and the earlier values, `ownersBefore` and `finalizersBefore`.
pub(super) fn written_as_it_is() -> Vec<(&'static str, String)> {
    let before = |member: &str| {
        format!(
            "request.operation == 'UPDATE' && has(oldObject.metadata.{member}) ? oldObject.metadata.{member} : []"
        )
    };
    let but_finalizers = &METADATA[..3];
    vec![
        ("ownersBefore", before("ownerReferences")),
        ("finalizersBefore", before("finalizers")),
        ("sameMetadata", all_same(&METADATA)),
        (
            "isFreed",
            format!(
                "has(oldObject.metadata.deletionTimestamp)\n&& {}\n\
                 && (!has(object.metadata.finalizers)\n\
                 || object.metadata.finalizers.all(f, f in variables.finalizersBefore))",
                all_same(but_finalizers)
            ),
        ),
    ]
}

/// An object that is kept keeps its namespace. The API server itself adds the finalizers of
/// foreground deletion and the like.
pub(super) fn no_new_finalizers() -> Rule {
    Rule::new(
        "!has(object.metadata.finalizers)\n\
             || object.metadata.finalizers.all(f, f in variables.finalizersBefore)",
        "keyloan-ownership: leave metadata.finalizers out: a finalizer must not block the \
                  deletion of a request, a decision or a record",
    )
}

pub(super) fn no_new_owners(message: &str) -> Rule {
    Rule::new(
        "!has(object.metadata.ownerReferences)\n\
             || object.metadata.ownerReferences.all(o, o in variables.ownersBefore)",
        message,
    )
}

/// Metadata that exceeded the limits before this rule may stay unchanged, and may be removed.
fn is_small() -> Rule {
    Rule::new(
        "variables.isSmall || (request.operation == 'UPDATE'\n\
             && (variables.sameMetadata || variables.isMachinery))",
        format!(
            "keyloan-ownership: metadata is too large: use at most {MOST_ENTRIES} labels, \
             annotations, owners and finalizers each, and {LARGEST_METADATA} characters in total"
        ),
    )
}

fn small_metadata() -> String {
    let few = METADATA.map(|member| {
        format!("(!has(object.{member}) || object.{member}.size() <= {MOST_ENTRIES})")
    });
    let sizes = [
        (
            "labels",
            "m.size() + object.metadata.labels[m].size()".to_owned(),
        ),
        (
            "annotations",
            format!("m == '{LAST_APPLIED}' ? 0 : m.size() + object.metadata.annotations[m].size()"),
        ),
        (
            "ownerReferences",
            "m.apiVersion.size() + m.kind.size() + m.name.size() + m.uid.size()".to_owned(),
        ),
        ("finalizers", "m.size()".to_owned()),
    ];
    let sizes = sizes.map(|(member, size)| {
        format!(
            "(has(object.metadata.{member}) ? object.metadata.{member}.map(m, {size}).sum() : 0)"
        )
    });
    format!(
        "{}\n&& {} <= {LARGEST_METADATA}",
        few.join("\n&& "),
        sizes.join("\n+ ")
    )
}

/// Otherwise an unchanged write could still claim any managed fields.
fn few_managers() -> String {
    let known = "object.metadata.managedFields.all(m, has(oldObject.metadata.managedFields)\n\
         && oldObject.metadata.managedFields.exists(o, o.manager == m.manager\n\
         && has(o.fieldsV1) == has(m.fieldsV1) && (!has(o.fieldsV1) || o.fieldsV1 == m.fieldsV1)))";
    format!(
        "!has(object.metadata.managedFields) || {known}\n\
         || (object.metadata.managedFields.size() <= {MOST_MANAGERS}\n\
         && object.metadata.managedFields.map(m, has(m.fieldsV1) ? '%s'.format([dyn(m.fieldsV1)]).size() : 0).sum() <= {LARGEST_MANAGERS})"
    )
}

/// The request for the next link, in a form that can be compared if there is none.
fn annotation(object: &str) -> String {
    format!(
        "has({object}.metadata.annotations) && '{RENEW_ANNOTATION}' in {object}.metadata.annotations\n\
         ? [{object}.metadata.annotations['{RENEW_ANNOTATION}']] : []"
    )
}
