//! The kinds and policies are written as the API server stores them, so that a tool that compares
//! them with Git finds no difference, whichever way it applies and compares.

use std::collections::BTreeSet;

use crate::support::cluster::Cluster;
use crate::support::objects::yaml_files;

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_adds_nothing_to_the_kinds_and_policies() {
    let cluster = Cluster::start().await;
    let admin = cluster.person("admin").await;
    let mut kinds = BTreeSet::new();
    for (file, object) in yaml_files("crds") {
        let stored = admin.dry_run_apply(&object).await;
        let stored = stored.unwrap_or_else(|refusal| panic!("{file}: {refusal:?}"));
        assert!(stored["metadata"]["uid"].is_string(), "it was answered");
        assert_eq!(stored["spec"], object["spec"], "{file}");
        let (sent, back) = (&object["metadata"], &stored["metadata"]);
        assert_eq!(back["annotations"], sent["annotations"], "{file}");
        kinds.insert(object["kind"].as_str().unwrap().to_owned());

        // The check can fail.
        if object["kind"] == "MutatingAdmissionPolicy" {
            let mut shorter = object.clone();
            let constraints = shorter["spec"]["matchConstraints"].as_object_mut();
            constraints.unwrap().remove("matchPolicy");
            let stored = admin.dry_run_apply(&shorter).await.unwrap();
            assert_ne!(stored["spec"], shorter["spec"]);
        }
    }
    assert_eq!(
        kinds.iter().map(String::as_str).collect::<Vec<_>>(),
        [
            "CustomResourceDefinition",
            "MutatingAdmissionPolicy",
            "MutatingAdmissionPolicyBinding",
            "ValidatingAdmissionPolicy",
            "ValidatingAdmissionPolicyBinding",
        ]
    );
    cluster.shutdown().await;
}
