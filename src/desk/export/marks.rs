//! The labels and annotations that tools write on the objects that they manage. Exported, they would
//! claim that the tool still manages the object.

use serde_json::{Map, Value};

/// Every label and annotation with one of these prefixes is a tool's.
const PREFIXES: [&str; 4] = [
    "meta.helm.sh/",
    "argocd.argoproj.io/",
    "kustomize.toolkit.fluxcd.io/",
    "helm.toolkit.fluxcd.io/",
];

/// Labels and annotations that only tools write.
const KEYS: [&str; 3] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    "applyset.kubernetes.io/part-of",
    CHART,
];

const CHART: &str = "helm.sh/chart";
const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
const INSTANCE: &str = "app.kubernetes.io/instance";
const NAME: &str = "app.kubernetes.io/name";
const VERSION: &str = "app.kubernetes.io/version";

/// Values of the label `managed-by` that name a tool. A hyphen and more may follow, such as the
/// version that Kustomize appends.
const TOOLS: [&str; 7] = [
    "helm",
    "argocd",
    "argo-cd",
    "flux",
    "fluxcd",
    "kustomize",
    "terraform",
];

/// Removes the labels and annotations of tools from an object's metadata, and the maps that are then
/// empty.
pub fn remove(metadata: &mut Map<String, Value>) {
    let manager = Manager::of(metadata);
    for place in ["labels", "annotations"] {
        let Some(entries) = metadata.get_mut(place).and_then(Value::as_object_mut) else {
            continue;
        };
        entries.retain(|key, value| !manager.wrote(key, value));
        if entries.is_empty() {
            metadata.remove(place);
        }
    }
}

/// The evidence in the metadata for the tool that manages the object.
struct Manager {
    /// The object comes from a Helm chart.
    chart: bool,
    /// Helm or Argo CD manages the object. Both write the label `instance`, and so do people.
    instance: bool,
}

impl Manager {
    fn of(metadata: &Map<String, Value>) -> Self {
        let keys = ["labels", "annotations"]
            .iter()
            .filter_map(|place| metadata.get(*place)?.as_object())
            .flat_map(Map::keys);
        let keys: Vec<&str> = keys.map(String::as_str).collect();
        let by_key = keys.iter().any(|key| {
            *key == CHART
                || [
                    "meta.helm.sh/",
                    "helm.toolkit.fluxcd.io/",
                    "argocd.argoproj.io/",
                ]
                .iter()
                .any(|prefix| key.starts_with(prefix))
        });
        let by_label = metadata
            .get("labels")
            .and_then(|labels| labels.get(MANAGED_BY))
            .is_some_and(|tool| tool == "Helm");
        Self {
            chart: keys.contains(&CHART),
            instance: by_key || by_label || applied_by_argo_cd(metadata),
        }
    }

    fn wrote(&self, key: &str, value: &Value) -> bool {
        match key {
            MANAGED_BY => value.as_str().is_some_and(names_a_tool),
            INSTANCE => self.instance,
            NAME | VERSION => self.chart,
            _ => KEYS.contains(&key) || PREFIXES.iter().any(|prefix| key.starts_with(prefix)),
        }
    }
}

/// Whether Argo CD has applied the object. Where it tracks objects by a label, its field manager is
/// the only other trace: `argocd-controller` or `argocd-application-controller`.
fn applied_by_argo_cd(metadata: &Map<String, Value>) -> bool {
    let fields = metadata.get("managedFields").and_then(Value::as_array);
    let mut managers = fields
        .into_iter()
        .flatten()
        .filter_map(|entry| entry["manager"].as_str());
    managers.any(|manager| manager.starts_with("argocd"))
}

fn names_a_tool(value: &str) -> bool {
    let value = value.to_lowercase();
    TOOLS.iter().any(|tool| {
        let rest = value.strip_prefix(tool);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("-v"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn left(mut metadata: Value) -> Value {
        remove(metadata.as_object_mut().unwrap());
        metadata
    }

    #[rstest::rstest]
    #[case::flux_kustomization(
        json!({ "labels": {
            "kustomize.toolkit.fluxcd.io/name": "platform",
            "kustomize.toolkit.fluxcd.io/namespace": "flux-system",
        } }),
    )]
    #[case::flux_helm_release(
        json!({
            "labels": {
                "helm.toolkit.fluxcd.io/name": "config",
                "helm.toolkit.fluxcd.io/namespace": "flux-system",
                "app.kubernetes.io/managed-by": "Helm",
                "app.kubernetes.io/instance": "config",
            },
            "annotations": {
                "meta.helm.sh/release-name": "config",
                "meta.helm.sh/release-namespace": "keyloan",
            },
        }),
    )]
    #[case::helm_template(
        json!({ "labels": {
            "helm.sh/chart": "keyloan-config-0.1.0",
            "app.kubernetes.io/name": "keyloan-config",
            "app.kubernetes.io/version": "0.1.0",
            "app.kubernetes.io/instance": "config",
            "app.kubernetes.io/managed-by": "Helm",
        } }),
    )]
    #[case::argo_cd_by_annotation(
        json!({ "annotations": {
            "argocd.argoproj.io/tracking-id": "platform:keyloan.dev/AccessFlow:keyloan/databases",
            "argocd.argoproj.io/sync-wave": "2",
            "kubectl.kubernetes.io/last-applied-configuration": "{}",
        } }),
    )]
    #[case::argo_cd_by_annotation_and_label(
        json!({
            "labels": { "app.kubernetes.io/instance": "platform" },
            "annotations": { "argocd.argoproj.io/tracking-id": "platform:keyloan.dev/AccessFlow:keyloan/databases" },
        }),
    )]
    #[case::argo_cd_by_its_own_label(json!({ "labels": { "argocd.argoproj.io/instance": "platform" } }))]
    #[case::kustomize(json!({ "labels": { "app.kubernetes.io/managed-by": "kustomize-v5.7.1" } }))]
    #[case::kubectl(json!({ "labels": { "applyset.kubernetes.io/part-of": "applyset-x-v1" } }))]
    fn nothing_of_a_tool_is_left(#[case] metadata: Value) {
        assert_eq!(left(metadata), json!({}));
    }

    #[rstest::rstest]
    #[case("argocd-controller")]
    #[case("argocd-application-controller")]
    fn where_argo_cd_tracks_by_label_its_field_manager_tells(#[case] manager: &str) {
        let fields = json!([{ "manager": manager, "operation": "Update" }]);
        let labels = json!({ "app.kubernetes.io/instance": "platform", "team": "data" });
        let left = left(json!({ "labels": labels, "managedFields": fields }));
        assert_eq!(left["labels"], json!({ "team": "data" }));
    }

    #[rstest::rstest]
    #[case(json!({ "labels": {
        "team": "data",
        "app.kubernetes.io/instance": "databases",
        "app.kubernetes.io/name": "lending",
        "app.kubernetes.io/version": "7",
        "app.kubernetes.io/part-of": "platform",
        "app.kubernetes.io/managed-by": "platform-team",
    }, "managedFields": [{ "manager": "kubectl-client-side-apply", "operation": "Update" }] }))]
    #[case::beside_flux(json!({ "labels": { "app.kubernetes.io/managed-by": "fluxteam" } }))]
    #[case(json!({ "annotations": { "example.com/ticket": "INC-7", "helm.sh/resource-policy": "keep" } }))]
    #[case(json!({ "name": "databases", "namespace": "keyloan" }))]
    fn what_people_wrote_stays(#[case] metadata: Value) {
        assert_eq!(left(metadata.clone()), metadata);
    }

    #[test]
    fn a_label_of_a_person_beside_the_marks_of_a_tool_stays() {
        let left = left(json!({
            "labels": {
                "kustomize.toolkit.fluxcd.io/name": "platform",
                "app.kubernetes.io/instance": "databases",
                "app.kubernetes.io/managed-by": "platform-team",
                "team": "data",
            },
            "annotations": { "kustomize.toolkit.fluxcd.io/prune": "disabled", "example.com/ticket": "INC-7" },
        }));
        let labels = json!({
            "app.kubernetes.io/instance": "databases",
            "app.kubernetes.io/managed-by": "platform-team",
            "team": "data",
        });
        let annotations = json!({ "example.com/ticket": "INC-7" });
        assert_eq!(
            left,
            json!({ "labels": labels, "annotations": annotations })
        );
    }
}
