//! The manifests that docs/install.md has people apply: a real API server takes all of them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use keyloan_cluster::{ControlPlane, Options, apply_yaml};

/// The YAML in the fenced blocks of the page.
fn blocks() -> Vec<&'static str> {
    let page = include_str!("../../../docs/install.md");
    let blocks = page.split("```yaml\n").skip(1);
    blocks
        .map(|rest| rest.split("```").next().unwrap())
        .collect()
}

#[tokio::test]
async fn an_api_server_takes_what_the_install_page_applies() {
    let options = Options::default().with_keyloan().unwrap();
    let cluster = ControlPlane::start(options).await.unwrap();
    let admin = cluster.client("admin").await.unwrap();
    let namespaces = ["keyloan", "team-a"].map(|name| {
        format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {name}}}}}\n---\n")
    });
    apply_yaml(&admin, &namespaces.concat()).await.unwrap();
    let integration = include_str!("../../../examples/integration.yaml");
    let flow = include_str!("../../../examples/flow-automatic.yaml");
    let mut manifests = vec![integration, flow];
    manifests.extend(blocks());
    assert_eq!(manifests.len(), 4, "the page has two manifests of its own");
    for manifest in manifests {
        let applied = apply_yaml(&admin, manifest).await;
        assert!(
            applied.as_ref().is_ok_and(|objects| !objects.is_empty()),
            "{applied:?}:\n{manifest}"
        );
    }
    cluster.shutdown().await;
}
