//! What ties a grant or a decision to other objects, and what asks for its next link: not for others to change.
//!
//! A foreign owner lets the garbage collector delete an object, and a finalizer keeps one that should go.

use super::{
    Boundary,
    identity::may_revoke,
    policy::{Policy, Rule, Scope, same},
};
use crate::api::{GROUP, RENEW_ANNOTATION};

/// Refuse changes of what others own.
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
        scope: Scope::Ours(&["accessgrants"]),
        operations: &["CREATE", "UPDATE"],
        conditions: vec![],
        variables,
        rules: vec![
            no_finalizers(),
            Rule {
                expression: format!(
                    "request.operation == 'CREATE' || variables.sameTies\n\
                     || request.userInfo.username in variables.operators\n\
                     || request.userInfo.username in variables.deleters\n\
                     || variables.isRequester\n|| {}",
                    may_revoke("oldObject.metadata.name")
                ),
                message:
                    "keyloan-ownership: only its requester, or who holds the verb 'revoke' on \
                          it, can change the owners and finalizers of a grant: leave \
                          metadata.ownerReferences and metadata.finalizers as they are"
                        .into(),
                message_expression: None,
            },
            Rule {
                expression:
                    "request.operation == 'CREATE' || variables.asked == variables.askedBefore\n\
                             || request.userInfo.username in variables.operators\n\
                             || variables.isRequester"
                        .into(),
                message: format!(
                    "keyloan-ownership: only its requester can ask for the next link of a loan: \
                     leave the annotation {RENEW_ANNOTATION} as it is"
                ),
                message_expression: None,
            },
        ],
    }
}

fn decisions(boundary: &Boundary) -> Policy {
    Policy {
        name: "keyloan-decision-ownership",
        scope: Scope::Ours(&["accessdecisions"]),
        operations: &["CREATE", "UPDATE"],
        conditions: vec![],
        variables: variables(boundary),
        rules: vec![
            no_finalizers(),
            Rule {
                expression: format!(
                    "request.operation == 'UPDATE' || !has(object.metadata.ownerReferences)\n\
                     || (object.metadata.ownerReferences.size() <= 1\n\
                     && object.metadata.ownerReferences.all(owner, owner.kind == 'AccessGrant'\n\
                     && owner.apiVersion.startsWith('{GROUP}/')\n\
                     && owner.name == object.spec.grant && owner.uid == object.spec.grantUid))"
                ),
                message: "keyloan-ownership: nothing but the grant that it names may own a \
                          decision: leave metadata.ownerReferences out"
                    .into(),
                message_expression: None,
            },
            Rule {
                expression: "request.operation == 'CREATE' || variables.sameTies\n\
                             || request.userInfo.username in variables.operators\n\
                             || request.userInfo.username in variables.deleters"
                    .into(),
                message: "keyloan-ownership: nobody can change the owners and finalizers of a \
                          decision: leave metadata.ownerReferences and metadata.finalizers as they \
                          are"
                .into(),
                message_expression: None,
            },
        ],
    }
}

fn variables(boundary: &Boundary) -> Vec<(&'static str, String)> {
    let same_ties = ["metadata.ownerReferences", "metadata.finalizers"].map(same);
    vec![
        boundary.operators_variable(),
        boundary.deleters_variable(),
        ("sameTies", same_ties.join("\n&& ")),
    ]
}

fn no_finalizers() -> Rule {
    Rule {
        expression: "request.operation == 'UPDATE' || !has(object.metadata.finalizers)\n\
                     || object.metadata.finalizers.size() == 0"
            .into(),
        message: "keyloan-ownership: leave metadata.finalizers out: nothing may keep a request or \
                  a decision that is over"
            .into(),
        message_expression: None,
    }
}

/// The wish for another link, in a form that can be compared where there is none.
fn annotation(object: &str) -> String {
    format!(
        "has({object}.metadata.annotations) && '{RENEW_ANNOTATION}' in {object}.metadata.annotations\n\
         ? [{object}.metadata.annotations['{RENEW_ANNOTATION}']] : []"
    )
}
