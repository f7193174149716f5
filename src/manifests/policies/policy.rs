//! The form of all validating policies: they apply to the whole cluster, and fail closed.

use k8s_openapi::api::admissionregistration::v1::{
    AuditAnnotation, MatchResources, NamedRuleWithOperations, ValidatingAdmissionPolicy,
    ValidatingAdmissionPolicyBinding, ValidatingAdmissionPolicyBindingSpec,
    ValidatingAdmissionPolicySpec, Validation, Variable,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use kube::api::ObjectMeta;
use serde_json::Value;

use crate::api::{GROUP, VERSION};
use crate::manifests::error::ManifestError;

/// One validating policy.
pub struct Policy {
    /// The name of the policy and of its binding.
    pub name: &'static str,
    /// What the API server's audit log says of each object that it checks: a key, and a CEL
    /// expression for the text.
    pub audit: Option<(&'static str, &'static str)>,
    /// The objects that it checks.
    pub scope: Scope,
    /// The operations that it checks.
    pub operations: &'static [&'static str],
    /// Expressions for the rules, by name.
    pub variables: Vec<(&'static str, String)>,
    /// The rules.
    pub rules: Vec<Rule>,
}

/// The objects that a policy checks.
pub enum Scope {
    /// These resources of ours, such as `accessgrants` or `accessgrants/status`.
    Ours(&'static [&'static str]),
    /// These resources of Kubernetes, of version v1, by API group.
    Kubernetes(&'static [(&'static str, &'static [&'static str])]),
    /// Secrets that have or had this label.
    SecretsWithLabel(&'static str),
}

/// One rule.
pub struct Rule {
    /// The CEL expression.
    pub expression: String,
    /// The refusal: what is wrong, and what to do.
    pub message: String,
    /// A CEL expression that returns a more precise refusal.
    pub message_expression: Option<String>,
}

impl Policy {
    /// The policy and its binding as Kubernetes objects.
    pub fn with_binding(&self) -> Result<Vec<Value>, ManifestError> {
        let build = |error: serde_json::Error| ManifestError::Build {
            what: self.name.into(),
            why: error.to_string(),
        };
        let policy = serde_json::to_value(self.policy()).map_err(build)?;
        let binding = serde_json::to_value(self.binding()).map_err(build)?;
        Ok(vec![policy, binding])
    }

    fn policy(&self) -> ValidatingAdmissionPolicy {
        ValidatingAdmissionPolicy {
            metadata: self.metadata(),
            spec: Some(ValidatingAdmissionPolicySpec {
                failure_policy: Some("Fail".into()),
                match_constraints: Some(self.scope.matching(self.operations)),
                variables: (!self.variables.is_empty())
                    .then(|| self.variables.iter().map(variable).collect()),
                audit_annotations: self.audit.map(|audit| vec![annotation(audit)]),
                validations: Some(self.rules.iter().map(Rule::validation).collect()),
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    fn binding(&self) -> ValidatingAdmissionPolicyBinding {
        ValidatingAdmissionPolicyBinding {
            metadata: self.metadata(),
            spec: Some(ValidatingAdmissionPolicyBindingSpec {
                policy_name: Some(self.name.into()),
                validation_actions: Some(vec!["Deny".into()]),
                ..Default::default()
            }),
        }
    }

    fn metadata(&self) -> ObjectMeta {
        ObjectMeta {
            name: Some(self.name.into()),
            ..Default::default()
        }
    }
}

impl Scope {
    fn matching(&self, operations: &[&str]) -> MatchResources {
        const SECRETS: &[(&str, &[&str])] = &[("", &["secrets"])];
        let (version, groups, label) = match *self {
            Self::Ours(resources) => (VERSION, vec![(GROUP, resources)], None),
            Self::Kubernetes(groups) => ("v1", groups.to_vec(), None),
            Self::SecretsWithLabel(label) => ("v1", SECRETS.to_vec(), Some(label)),
        };
        let rule = |(group, resources): (&str, &[&str])| NamedRuleWithOperations {
            api_groups: Some(vec![group.into()]),
            api_versions: Some(vec![version.into()]),
            operations: Some(texts(operations)),
            resources: Some(texts(resources)),
            scope: Some("*".into()),
            ..Default::default()
        };
        let has_label = |label: &str| LabelSelector {
            match_expressions: Some(vec![LabelSelectorRequirement {
                key: label.into(),
                operator: "Exists".into(),
                values: None,
            }]),
            ..Default::default()
        };
        // Includes the API server's defaults, so that the operator can compare it with the stored
        // object for equality.
        MatchResources {
            match_policy: Some("Equivalent".into()),
            namespace_selector: Some(LabelSelector::default()),
            object_selector: Some(label.map(has_label).unwrap_or_default()),
            resource_rules: Some(groups.into_iter().map(rule).collect()),
            ..Default::default()
        }
    }
}

impl Rule {
    /// A rule whose refusal is always the same.
    pub fn new(expression: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            expression: expression.into(),
            message: message.into(),
            message_expression: None,
        }
    }

    fn validation(&self) -> Validation {
        Validation {
            expression: self.expression.clone(),
            message: Some(self.message.clone()),
            message_expression: self.message_expression.clone(),
            reason: Some("Forbidden".into()),
        }
    }
}

fn annotation((key, expression): (&str, &str)) -> AuditAnnotation {
    AuditAnnotation {
        key: key.into(),
        value_expression: expression.into(),
    }
}

fn variable((name, expression): &(&'static str, String)) -> Variable {
    Variable {
        name: (*name).into(),
        expression: expression.clone(),
    }
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).into()).collect()
}

/// A CEL expression: a field, such as `metadata.finalizers`, is unchanged or still absent.
pub fn same(member: &str) -> String {
    let of = |object| format!("(has({object}.{member}) ? [{object}.{member}] : [])");
    format!("{} == {}", of("object"), of("oldObject"))
}

/// A CEL expression: all of these fields are unchanged or still absent.
pub fn all_same(members: &[&str]) -> String {
    let members: Vec<_> = members.iter().map(|member| same(member)).collect();
    members.join("\n&& ")
}

/// A list of texts as a CEL literal.
pub fn list_literal<'a>(texts: impl IntoIterator<Item = &'a String>) -> String {
    let quoted: Vec<_> = texts.into_iter().map(|text| string_literal(text)).collect();
    format!("[{}]", quoted.join(", "))
}

/// A text as a CEL literal.
pub fn string_literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', r"\\").replace('\'', r"\'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_end_its_literal() {
        assert_eq!(
            list_literal(&[r"a'b\".to_owned(), "c".into()]),
            r"['a\'b\\', 'c']"
        );
    }
}
