//! Manifests are in force when applying them returns.

use k8s_openapi::api::core::v1::ConfigMap;
use keyloan_cluster::{ControlPlane, ManifestError, Options, apply_yaml};
use kube::Api;
use kube::api::PostParams;
use kube::core::ObjectMeta;

/// A kind, and right after it an object of that kind.
const KIND_AND_OBJECT: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: gadgets.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {kind: Gadget, plural: gadgets}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {size: {type: integer}}}}}}
---
apiVersion: example.com/v1
kind: Gadget
metadata: {name: first, namespace: default}
spec: {size: 3}
";

/// Two policies: one refuses ConfigMaps called `forbidden`, the other stamps all other ConfigMaps.
const POLICIES: &str = r#"
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: refuse}
spec:
  matchConstraints: {resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [configmaps]}]}
  validations: [{expression: "object.metadata.name != 'forbidden'", message: this name is forbidden}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: refuse}
spec: {policyName: refuse, validationActions: [Deny]}
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {name: stamp}
spec:
  matchConstraints: {resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [configmaps]}]}
  reinvocationPolicy: Never
  mutations: [{patchType: JSONPatch, jsonPatch: {expression: '[JSONPatch{op: "add", path: "/data", value: {"by": request.userInfo.username}}]'}}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: {name: stamp}
spec: {policyName: stamp}
"#;

#[tokio::test]
async fn an_object_may_follow_the_crd_of_its_kind() {
    let cluster = ControlPlane::start(Options::default()).await.unwrap();
    let admin = cluster.client("admin").await.unwrap();
    let applied = apply_yaml(&admin, KIND_AND_OBJECT).await.unwrap();
    assert_eq!(applied[1].data["spec"]["size"], 3);
    assert!(applied[1].metadata.uid.is_some());
    let again = apply_yaml(&admin, KIND_AND_OBJECT).await.unwrap();
    assert_eq!(
        again[1].metadata.uid, applied[1].metadata.uid,
        "applying twice changes nothing"
    );

    let wrong = KIND_AND_OBJECT.replace("size: 3", "size: big");
    let error = apply_yaml(&admin, &wrong).await.unwrap_err();
    assert!(matches!(error, ManifestError::Refused { .. }));
    assert!(
        error.to_string().starts_with("cannot apply Gadget first: "),
        "{error}"
    );
}

#[tokio::test]
async fn policies_act_when_applying_them_returns() {
    let options = Options {
        mutating_policies: true,
        ..Options::default()
    };
    let cluster = ControlPlane::start(options).await.unwrap();
    let admin = cluster.client("admin").await.unwrap();
    let config_maps: Api<ConfigMap> = Api::namespaced(admin.clone(), "default");
    let create = async |name: &str| {
        let metadata = ObjectMeta {
            name: Some(name.to_owned()),
            ..ObjectMeta::default()
        };
        let config_map = ConfigMap {
            metadata,
            ..ConfigMap::default()
        };
        config_maps
            .create(&PostParams::default(), &config_map)
            .await
    };
    assert_eq!(create("before").await.unwrap().data, None);
    apply_yaml(&admin, POLICIES).await.unwrap();
    assert!(
        create("forbidden")
            .await
            .unwrap_err()
            .to_string()
            .contains("this name is forbidden")
    );
    assert_eq!(create("after").await.unwrap().data.unwrap()["by"], "admin");
}
