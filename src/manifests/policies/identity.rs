//! Who made a grant or a decision: stamped into the object, and refused where it is false.

use serde_json::{Value, json};

use super::{
    Boundary,
    policy::{Policy, Rule, Scope, list_literal},
};
use crate::api::{EMAIL_PATTERN, GROUP, VERSION};

/// Where an object says who made it.
struct Signature {
    policy: &'static str,
    resource: &'static [&'static str],
    /// The member of the spec, an `api::Identity`.
    field: &'static str,
}

const GRANT: Signature = Signature {
    policy: "keyloan-grant-identity",
    resource: &["accessgrants"],
    field: "requester",
};

const DECISION: Signature = Signature {
    policy: "keyloan-decision-identity",
    resource: &["accessdecisions"],
    field: "approver",
};

/// Refuse a grant or a decision that names anybody but the one who makes it, and deletion of a grant by others.
pub fn validating(boundary: &Boundary) -> Vec<Policy> {
    let mut grant = signed_by_its_maker(&GRANT, boundary);
    grant.rules.push(Rule {
        expression: "!variables.isServiceAccount || has(object.spec.notAfter)".into(),
        message: "keyloan-identity: a request by a ServiceAccount must say after which time it is \
                  void, because a pipeline may make it again at any time: set spec.notAfter, such \
                  as 2027-01-31T12:00:00Z"
            .into(),
        message_expression: None,
    });
    let mut decision = signed_by_its_maker(&DECISION, boundary);
    decision.rules.push(Rule {
        expression: "!variables.isServiceAccount".into(),
        message: "keyloan-identity: ServiceAccounts never decide: a person has to make this \
                  decision, under their own name"
            .into(),
        message_expression: None,
    });
    vec![grant, decision, deletion_of_grants(boundary)]
}

/// Write who makes a grant or a decision into it, whatever it says; and keep that when it is updated.
pub fn mutating(boundary: &Boundary) -> Vec<Value> {
    [GRANT, DECISION]
        .iter()
        .flat_map(|signature| stamp(signature, boundary))
        .collect()
}

fn signed_by_its_maker(signature: &Signature, boundary: &Boundary) -> Policy {
    let field = signature.field;
    let signed = format!("has(object.spec.{field})");
    let mut variables = identity_variables(boundary);
    variables.push((
        "claimedGroups",
        format!("{signed} && has(object.spec.{field}.groups) ? object.spec.{field}.groups : []"),
    ));
    variables.push((
        "isServiceAccount",
        "request.userInfo.username.startsWith('system:serviceaccount:')".into(),
    ));
    Policy {
        name: signature.policy,
        scope: Scope::Ours(signature.resource),
        operations: &["CREATE"],
        variables,
        rules: vec![
            Rule {
                expression: format!(
                    "{signed} && object.spec.{field}.username == request.userInfo.username"
                ),
                message: format!(
                    "keyloan-identity: spec.{field}.username must be your own username"
                ),
                message_expression: Some(format!(
                    "'keyloan-identity: spec.{field}.username must be your own username: '\n\
                     + 'set it to \"' + request.userInfo.username + '\"'"
                )),
            },
            Rule {
                expression: "variables.claimedGroups.all(g, g in variables.groups)\n&& \
                             variables.groups.all(g, g in variables.claimedGroups)"
                    .into(),
                message: format!(
                    "keyloan-identity: spec.{field}.groups must be your own groups, all of them, \
                     without those of the system (system:...)"
                ),
                message_expression: Some(format!(
                    "'keyloan-identity: spec.{field}.groups must be your own groups, all of them, '\n\
                     + 'without those of the system (system:...): '\n\
                     + (variables.groups.size() == 0\n\
                     ? 'you are in none, leave it out'\n\
                     : 'set it to [\"' + variables.groups.join('\", \"') + '\"]')"
                )),
            },
            Rule {
                expression: format!(
                    "!{signed} || !has(object.spec.{field}.email)\n|| \
                     variables.emails == [object.spec.{field}.email]"
                ),
                message: format!(
                    "keyloan-identity: spec.{field}.email must be the address that this cluster \
                     knows you by, or be left out"
                ),
                message_expression: Some(format!(
                    "'keyloan-identity: spec.{field}.email must be the address that this cluster knows you by: '\n\
                     + (variables.emails.size() == 0\n\
                     ? 'it knows none, leave it out'\n\
                     : 'set it to \"' + variables.emails[0] + '\", or leave it out')"
                )),
            },
        ],
    }
}

fn deletion_of_grants(boundary: &Boundary) -> Policy {
    let deleters = boundary.operators.iter().chain(&boundary.deleters);
    Policy {
        name: "keyloan-grant-deletion",
        scope: Scope::Ours(&["accessgrants"]),
        operations: &["DELETE"],
        variables: vec![("deleters", list_literal(deleters))],
        rules: vec![Rule {
            expression: format!(
                "request.userInfo.username in variables.deleters\n\
                 || (has(oldObject.spec.requester) && oldObject.spec.requester.username == request.userInfo.username)\n\
                 || authorizer.group('{GROUP}').resource('accessgrants').namespace(request.namespace)\
                 .name(oldObject.metadata.name).check('revoke').allowed()"
            ),
            message:
                "keyloan-identity: only its requester, or who holds the verb 'revoke' on it, can \
                      delete a grant; to end somebody else's loan, make an AccessDecision with \
                      decision: Revoke"
                    .into(),
            message_expression: None,
        }],
    }
}

fn stamp(signature: &Signature, boundary: &Boundary) -> [Value; 2] {
    let field = signature.field;
    let mut variables: Vec<_> = identity_variables(boundary)
        .into_iter()
        .map(|(name, expression)| json!({ "name": name, "expression": expression }))
        .collect();
    variables.push(json!({
        "name": "identity",
        "expression": format!(
            "request.operation == 'UPDATE' ? dyn(oldObject.spec.{field})\n\
             : variables.emails.size() == 0\n\
             ? dyn({{'username': dyn(request.userInfo.username), 'groups': dyn(variables.groups)}})\n\
             : dyn({{'username': dyn(request.userInfo.username), 'groups': dyn(variables.groups), \
             'email': dyn(variables.emails[0])}})"
        ),
    }));
    let policy = json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingAdmissionPolicy",
        "metadata": { "name": signature.policy },
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": { "resourceRules": [{
                "apiGroups": [GROUP],
                "apiVersions": [VERSION],
                "operations": ["CREATE", "UPDATE"],
                "resources": signature.resource,
            }] },
            // What has no spec is refused by the schema, with a better message than a patch can give.
            "matchConditions": [{
                "name": "there-is-something-to-sign",
                "expression": format!(
                    "has(object.spec) && (request.operation == 'CREATE' || has(oldObject.spec.{field}))"
                ),
            }],
            "variables": variables,
            // A JSON patch replaces the whole member; an apply configuration would merge forged groups with real ones.
            "mutations": [{
                "patchType": "JSONPatch",
                "jsonPatch": { "expression": format!(
                    "[JSONPatch{{op: 'add', path: '/spec/{field}', value: variables.identity}}]"
                ) },
            }],
            // Stamp again after whatever other policies and webhooks have changed.
            "reinvocationPolicy": "IfNeeded",
        },
    });
    let binding = json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingAdmissionPolicyBinding",
        "metadata": { "name": signature.policy },
        "spec": { "policyName": signature.policy },
    });
    [policy, binding]
}

/// What the API server knows of the one who makes the request.
fn identity_variables(boundary: &Boundary) -> Vec<(&'static str, String)> {
    vec![
        (
            "groups",
            "has(request.userInfo.groups)\n\
             ? request.userInfo.groups.filter(g, !g.startsWith('system:'))\n: []"
                .into(),
        ),
        // None or one: an optional value in a form that every rule can read.
        (
            "emails",
            format!(
                "[{}]\n.filter(e, e.size() <= 254 && e.matches(r\"{EMAIL_PATTERN}\"))",
                boundary.email
            ),
        ),
    ]
}
