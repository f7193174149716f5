//! The maker of a grant or a decision: stamped into the object, and refused if it is false.

use serde_json::{Value, json};

use super::{
    boundary::Boundary,
    policy::{Policy, Rule, Scope},
};
use crate::api::{
    ADDRESS_TOLD, EMAIL_PATTERN, END_TOLD, GROUP, LONGEST_GROUP, MOST_GROUPS, VERSION,
};

/// The field of an object that names its maker.
struct Signature {
    policy: &'static str,
    resource: &'static [&'static str],
    /// The field of the spec, an `api::Identity`.
    field: &'static str,
}

/// The validating policies that refuse a false identity.
pub const IDENTITY_POLICIES: [&str; 2] = ["keyloan-grant-identity", "keyloan-decision-identity"];

const GRANT: Signature = Signature {
    policy: IDENTITY_POLICIES[0],
    resource: &["accessgrants"],
    field: "requester",
};

const DECISION: Signature = Signature {
    policy: IDENTITY_POLICIES[1],
    resource: &["accessdecisions"],
    field: "approver",
};

/// Refuses grants and decisions that do not name their maker, and the deletion of a grant by
/// others.
pub fn validating(boundary: &Boundary) -> Vec<Policy> {
    let mut grant = signed_by_its_maker(&GRANT, boundary);
    grant.rules.push(
        // Dry runs are refused as well: the operator learns from this refusal that the policy is
        // enforced, even if its name has been stamped.
        Rule::new(
            "!(request.userInfo.username in variables.operators)",
            "keyloan-identity: Keyloan's operator cannot request items: make the request as the \
                  person who needs the item",
        ),
    );
    grant.rules.push(// A user without a mailbox is a machine, however it signs in.
Rule::new(
"has(object.spec.notAfter)\n\
                     || (variables.emails.size() > 0 && !variables.isServiceAccount)",
format!(
            "keyloan-identity: {END_TOLD} ServiceAccounts and of all others whose e-mail address \
             this cluster does not know, because a tool may repeat a request at any time: set it \
             to the time after which the request is void, such as 2027-01-31T12:00:00Z. If you \
             are a person, check the values email and emailDomain of the chart keyloan-crds, \
             which determine your address"
        ),
));
    let mut decision = signed_by_its_maker(&DECISION, boundary);
    decision.rules.push(Rule::new(
        "!(request.userInfo.username in variables.operators)",
        "keyloan-identity: Keyloan's operator cannot decide on requests: a person must make \
                  this decision as themselves",
    ));
    decision.rules.push(Rule::new(
        "!variables.isServiceAccount",
        "keyloan-identity: ServiceAccounts cannot decide on requests: a person must make this \
                  decision as themselves",
    ));
    decision.rules.push(Rule::new(
        format!(
            "!has(object.spec.mayRevoke) || !object.spec.mayRevoke\n|| {}",
            may_revoke("object.spec.grant")
        ),
        "keyloan-identity: spec.mayRevoke claims the verb 'revoke' on this grant, which \
                  you do not have: leave it out, or ask for that right",
    ));
    vec![grant, decision, deletion_of_grants(boundary)]
}

/// Writes the maker into a grant or a decision, whatever it says, and preserves that in updates.
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
    variables.push(boundary.operators_variable());
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
        audit: None,
        scope: Scope::Ours(signature.resource),
        operations: &["CREATE"],
        variables,
        rules: vec![
            // This rule comes first, because checking this many groups would exceed the API
            // server's cost limit.
            Rule::new(
                format!("variables.groups.size() <= {MOST_GROUPS}"),
                format!(
                    "keyloan-identity: you are in more than {MOST_GROUPS} groups, which is the \
                     limit of an identity: configure your identity provider to send only the \
                     groups that this cluster uses"
                ),
            ),
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
                    "keyloan-identity: spec.{field}.groups must list all your groups, except \
                     system groups (system:...)"
                ),
                message_expression: Some(format!(
                    "'keyloan-identity: spec.{field}.groups must list all your groups, '\n\
                     + 'except system groups (system:...): '\n\
                     + (variables.groups.size() == 0\n\
                     ? 'you are in none, so leave it out'\n\
                     : 'set it to [\"' + variables.groups.join('\", \"') + '\"]')"
                )),
            },
            Rule {
                expression: format!(
                    "!{signed}\n|| variables.emails == (has(object.spec.{field}.email) ? \
                     [object.spec.{field}.email] : [])"
                ),
                message: format!(
                    "keyloan-identity: spec.{field}.email must be the address that this \
                     cluster knows you by"
                ),
                message_expression: Some(format!(
                    "variables.emails.size() == 0\n\
                     ? 'keyloan-identity: spec.{field}.email must be left out: this cluster does not know your address'\n\
                     : 'keyloan-identity: spec.{field}.{ADDRESS_TOLD}\"' + variables.emails[0] + '\"'"
                )),
            },
        ],
    }
}

fn deletion_of_grants(boundary: &Boundary) -> Policy {
    Policy {
        name: "keyloan-grant-deletion",
        audit: Some((
            "deleted",
            "request.userInfo.username + ' deleted the request with uid ' + oldObject.metadata.uid\n\
             + (has(oldObject.status) && has(oldObject.status.phase)\n\
             ? ', which was ' + oldObject.status.phase : '')",
        )),
        scope: Scope::Ours(&["accessgrants"]),
        operations: &["DELETE"],
        variables: vec![boundary.operators_variable(), boundary.deleters_variable()],
        rules: vec![Rule::new(
            format!(
                "request.userInfo.username in variables.operators\n\
                 || request.userInfo.username in variables.deleters\n\
                 || (has(oldObject.spec.requester) && oldObject.spec.requester.username == request.userInfo.username)\n\
                 || {}",
                may_revoke("oldObject.metadata.name")
            ),
            "keyloan-identity: only the requester, or someone with the verb 'revoke' on the \
                      grant, can delete a grant; to end another person's loan, create an \
                      AccessDecision with decision: Revoke",
        )],
    }
}

/// Whether the caller has the verb `revoke` on the grant that a CEL expression names.
pub(super) fn may_revoke(grant: &str) -> String {
    format!(
        "authorizer.group('{GROUP}').resource('accessgrants').namespace(request.namespace)\
         .name({grant}).check('revoke').allowed()"
    )
}

fn stamp(signature: &Signature, boundary: &Boundary) -> [Value; 2] {
    let field = signature.field;
    let mut variables: Vec<_> = identity_variables(boundary)
        .into_iter()
        .map(|(name, expression)| json!({ "name": name, "expression": expression }))
        .collect();
    // Leaves out more groups than the schema accepts, so that the validating policy reports the
    // problem, instead of the schema.
    variables.push(json!({
        "name": "stampedGroups",
        "expression": format!("variables.groups.size() <= {MOST_GROUPS} ? variables.groups : []"),
    }));
    variables.push(json!({
        "name": "identity",
        "expression": format!(
            "request.operation == 'UPDATE' ? dyn(oldObject.spec.{field})\n\
             : variables.emails.size() == 0\n\
             ? dyn({{'username': dyn(request.userInfo.username), 'groups': dyn(variables.stampedGroups)}})\n\
             : dyn({{'username': dyn(request.userInfo.username), 'groups': dyn(variables.stampedGroups), \
             'email': dyn(variables.emails[0])}})"
        ),
    }));
    let mut patch =
        format!("[JSONPatch{{op: 'add', path: '/spec/{field}', value: variables.identity}}]");
    if signature.policy == DECISION.policy {
        // A list of none or one. A field that does not apply is removed.
        variables.push(json!({
            "name": "mayRevoke",
            "expression": format!(
                "request.operation == 'UPDATE'\n\
                 ? (has(oldObject.spec.mayRevoke) ? [dyn(oldObject.spec.mayRevoke)] : [])\n\
                 : has(object.spec.decision) && object.spec.decision == 'Revoke' && has(object.spec.grant)\n\
                 ? [dyn({})]\n: []",
                may_revoke("object.spec.grant")
            ),
        }));
        patch.push_str(
            "\n+ (variables.mayRevoke.size() == 1\n\
             ? [JSONPatch{op: 'add', path: '/spec/mayRevoke', value: variables.mayRevoke[0]}]\n\
             : has(object.spec.mayRevoke) ? [JSONPatch{op: 'remove', path: '/spec/mayRevoke'}] : [])",
        );
    }
    let policy = json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingAdmissionPolicy",
        "metadata": { "name": signature.policy },
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {
                "matchPolicy": "Equivalent",
                "namespaceSelector": {},
                "objectSelector": {},
                "resourceRules": [{
                    "apiGroups": [GROUP],
                    "apiVersions": [VERSION],
                    "operations": ["CREATE", "UPDATE"],
                    "resources": signature.resource,
                    "scope": "*",
                }],
            },
            // The schema refuses an object without a spec with a better message than a patch could.
            "matchConditions": [{
                "name": "there-is-something-to-sign",
                "expression": format!(
                    "has(object.spec) && (request.operation == 'CREATE' || has(oldObject.spec.{field}))"
                ),
            }],
            "variables": variables,
            // A JSON patch replaces the whole field; an apply configuration would merge forged
            // groups with real ones.
            "mutations": [{
                "patchType": "JSONPatch",
                "jsonPatch": { "expression": patch },
            }],
            // Stamps again after changes by other policies and webhooks.
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

/// What the API server knows about the caller.
fn identity_variables(boundary: &Boundary) -> Vec<(&'static str, String)> {
    let [email, domain] = boundary.email_variables();
    // What may precede the @: the beginning of the pattern.
    let bare = EMAIL_PATTERN.split('@').next().unwrap_or_default();
    vec![
        (
            "groups",
            format!(
                "has(request.userInfo.groups)\n\
                 ? request.userInfo.groups.filter(g, g != '' && g.size() <= {LONGEST_GROUP} && !g.startsWith('system:'))\n: []"
            ),
        ),
        email,
        domain,
        // A list of none or one: an optional value in a form that every rule can read.
        (
            "emails",
            format!(
                "[variables.email.lowerAscii()]\n\
                 .map(e, variables.emailDomain != '' && e.matches(r\"{bare}$\") ? e + '@' + variables.emailDomain : e)\n\
                 .filter(e, e.size() <= 254 && e.matches(r\"{EMAIL_PATTERN}\"))"
            ),
        ),
    ]
}
