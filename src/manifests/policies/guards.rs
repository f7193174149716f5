//! Guards status, records, tokens and metadata: who may write them, and what they may contain.

use super::{
    boundary::Boundary,
    ownership::{no_new_finalizers, no_new_owners, written_as_it_is},
    policy::{Policy, Rule, Scope},
};
use crate::api::{RESTORE_LABELS, SECRET_LABEL};

/// Only the operator writes status, because people and programs trust it as the operator's word.
pub fn status(boundary: &Boundary) -> Policy {
    Policy {
        name: "keyloan-status",
        audit: None,
        scope: Scope::Ours(&[
            "accessflows/status",
            "accessgrants/status",
            "accessnotifiers/status",
            "onepasswordintegrations/status",
        ]),
        operations: &["UPDATE"],
        variables: vec![boundary.operators_variable()],
        rules: vec![Rule::new(
            "request.userInfo.username in variables.operators",
            "keyloan-status: only Keyloan's operator can write status; change the spec or \
                      create an AccessDecision, and the operator updates the status",
        )],
    }
}

/// Only the operator writes records, and those who restore a backup create them, with a label that
/// tells them from the operator's. Nobody else deletes them, directly or through the garbage
/// collector.
pub fn records(boundary: &Boundary) -> Vec<Policy> {
    let who = || vec![boundary.operators_variable(), boundary.deleters_variable()];
    let mut writing = who();
    writing.push(boundary.restorers_variable());
    writing.extend(written_as_it_is());
    writing.push((
        "isRestored",
        "request.operation == 'CREATE' && request.userInfo.username in variables.restorers\n\
         && !(request.userInfo.username in variables.operators)"
            .into(),
    ));
    let labels = RESTORE_LABELS.map(|label| format!("'{label}' in object.metadata.labels"));
    vec![
        Policy {
            name: "keyloan-records",
            audit: None,
            scope: Scope::Ours(&["accessrecords"]),
            operations: &["CREATE", "UPDATE"],
            variables: writing,
            rules: vec![
                no_new_finalizers(),
                no_new_owners(
                    "keyloan-records: a record cannot have owners, because it outlives the request that \
                     it describes: leave metadata.ownerReferences out",
                ),
                // Tools that migrate or re-encrypt stored objects write each object unchanged.
                // The garbage collector removes its own finalizer, and owners that are gone.
                Rule::new(
                    "request.userInfo.username in variables.operators || variables.isRestored\n\
                                 || (request.operation == 'UPDATE' && object.spec == oldObject.spec\n\
                                 && (variables.sameMetadata || variables.isFreed\n\
                                 || request.userInfo.username in variables.deleters))",
                    "keyloan-records: only Keyloan's operator can write records; create an \
                              AccessGrant to request an item, or an AccessDecision to decide",
                ),
                // The operator lends nothing by a record with such a label.
                Rule::new(
                    format!(
                        "!variables.isRestored\n\
                         || (has(object.metadata.labels) && ({}))",
                        labels.join(" || ")
                    ),
                    format!(
                        "keyloan-records: a record that is restored from a backup needs the label \
                         {} or {} with the name of the restore: add it, so that nothing is lent by \
                         the record",
                        RESTORE_LABELS[0], RESTORE_LABELS[1]
                    ),
                ),
                Rule::new(
                    "!variables.isRestored || object.metadata.name == object.spec.grant.uid",
                    "keyloan-records: the name of a record is the uid of its request: restore it \
                     under the name that it had",
                ),
                // A record ends the loan of its request: in another namespace, that would be the
                // loan of another integration's owners.
                Rule::new(
                    "!variables.isRestored\n\
                     || request.namespace == object.spec.terms.integration.namespace",
                    "keyloan-records: the namespace of a record is that of its integration: \
                     restore it in the namespace in spec.terms.integration",
                ),
            ],
        },
        Policy {
            name: "keyloan-records-deletion",
            audit: None,
            scope: Scope::Ours(&["accessdecisions", "accessrecords"]),
            operations: &["DELETE"],
            variables: who(),
            rules: vec![Rule::new(
                "request.userInfo.username in variables.operators\n\
                             || request.userInfo.username in variables.deleters",
                "keyloan-records: only Keyloan's operator can delete decisions and records; \
                          you cannot withdraw an approval, but an AccessDecision \
                          with decision: Revoke ends the whole request or loan",
            )],
        },
    ]
}

/// Every object has to stay readable: an unreadable one would hide the whole list that contains it
/// from the operator. The API server sets all other times, or the schemas bound them, but a client
/// may claim any time in an object's `managedFields`, even one that no client can parse.
pub fn metadata() -> Vec<Policy> {
    let rule = || {
        Rule::new(
            "!has(object.metadata.managedFields) || object.metadata.managedFields.all(entry,\n\
                     !has(entry.time) || string(entry.time).matches('^2[0-9]{3}-'))",
            "keyloan-metadata: the times in metadata.managedFields must be in the years \
                  2000 to 2999; leave metadata.managedFields to the API server",
        )
    };
    vec![
        Policy {
            name: "keyloan-metadata",
            audit: None,
            scope: Scope::Ours(&[
                "accessdecisions",
                "accessflows",
                "accessgrants",
                "accessnotifiers",
                "accessrecords",
                "onepasswordintegrations",
            ]),
            operations: &["CREATE", "UPDATE"],
            variables: vec![],
            rules: vec![rule()],
        },
        Policy {
            name: "keyloan-secret-metadata",
            audit: None,
            scope: Scope::SecretsWithLabel(SECRET_LABEL),
            operations: &["CREATE", "UPDATE"],
            variables: vec![],
            rules: vec![rule()],
        },
    ]
}

/// A person who points an integration at a token must be allowed to read that token anyway.
pub fn token() -> Policy {
    Policy {
        name: "keyloan-token",
        audit: None,
        scope: Scope::Ours(&["onepasswordintegrations"]),
        operations: &["CREATE", "UPDATE"],
        variables: vec![(
            "secret",
            "has(object.spec.auth.serviceAccountToken) ? \
             object.spec.auth.serviceAccountToken.secretRef.name : ''"
                .into(),
        )],
        rules: vec![Rule {
            expression: "(request.operation == 'UPDATE' && object.spec == oldObject.spec)\n\
                         || variables.secret == ''\n\
                         || authorizer.group('').resource('secrets').namespace(request.namespace)\
                         .name(variables.secret).check('get').allowed()"
                .into(),
            message: "keyloan-token: to create or change an integration, you must be allowed to get \
                      the Secret with its token; ask for that right, or ask someone who has it"
                .into(),
            message_expression: Some(
                "'keyloan-token: to create or change an integration, you must be allowed to get the Secret '\n\
                 + 'with its token: ask for the right to get the Secret \"' + variables.secret\n\
                 + '\" in namespace \"' + request.namespace + '\", or ask someone who has it'"
                    .into(),
            ),
        }],
    }
}

/// A person who points a notifier at a Secret must be allowed to read it anyway.
pub fn notifier() -> Policy {
    Policy {
        name: "keyloan-notifier",
        audit: None,
        scope: Scope::Ours(&["accessnotifiers"]),
        operations: &["CREATE", "UPDATE"],
        variables: vec![(
            "secret",
            "has(object.spec.secretRef) ? object.spec.secretRef.name : ''".into(),
        )],
        rules: vec![Rule::new(
            "(request.operation == 'UPDATE' && object.spec == oldObject.spec)\n\
             || variables.secret == ''\n\
             || authorizer.group('').resource('secrets').namespace(request.namespace)\n\
             .name(variables.secret).check('get').allowed()",
            "keyloan-notifier: to create or change a notifier, you must be allowed to get its \
             Secret; ask for that right, or ask someone who has it",
        )],
    }
}
