//! The manifests that docs/install.md tells people to apply: a real API server accepts all of them.

use std::path::Path;

use keyloan_cluster::{ControlPlane, Options, apply_yaml};

const PAGE: &str = include_str!("../../../../docs/install.md");

/// The manifests in the fenced blocks of the page; other YAML there is values.
fn blocks() -> impl Iterator<Item = String> {
    let blocks = PAGE.split("```yaml\n").skip(1);
    let blocks = blocks.map(|rest| rest.split("```").next().unwrap().to_owned());
    blocks.filter(|text| text.contains("apiVersion:"))
}

/// The files that the page applies, by their paths in the repository.
fn files() -> impl Iterator<Item = String> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let paths = PAGE
        .lines()
        .filter_map(|line| line.strip_prefix("kubectl apply -f "));
    paths.map(move |path| std::fs::read_to_string(repository.join(path)).expect(path))
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
    let manifests: Vec<_> = files().chain(blocks()).collect();
    assert_eq!(manifests.len(), 4, "two files, and two of the page's own");
    for manifest in manifests {
        let applied = apply_yaml(&admin, &manifest).await;
        assert!(
            applied.as_ref().is_ok_and(|objects| !objects.is_empty()),
            "{applied:?}:\n{manifest}"
        );
    }
    cluster.shutdown().await;
}
