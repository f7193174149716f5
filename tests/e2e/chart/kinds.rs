//! The chart of the kinds and policies: what it renders is what the generator writes, and it goes by the version of the cluster.

use std::collections::BTreeMap;

use keyloan::manifests::{Boundary, Operator, files};
use keyloan_cluster::{Chart, Helm};
use serde_json::{Value, json};

use crate::chart::rendering::{by_name, objects, render};

const NEW: &str = "--kube-version=1.37.0";
const OLD: &str = "--kube-version=1.35.4";

/// The objects that the generator writes for such an installation.
fn generated(boundary: &Boundary) -> BTreeMap<String, Value> {
    by_name(
        files(boundary)
            .unwrap()
            .into_iter()
            .flat_map(|file| file.objects),
    )
}

/// The objects that the chart renders, less the annotation that keeps them when the chart goes.
fn kept(rendered: &str) -> BTreeMap<String, Value> {
    let less = |mut object: Value| {
        let metadata = &mut object["metadata"];
        let annotations = metadata["annotations"].as_object_mut().unwrap();
        let keep = annotations.remove("helm.sh/resource-policy");
        assert_eq!(keep, Some(json!("keep")), "{}", metadata["name"]);
        object
    };
    by_name(objects(rendered).into_iter().map(less))
}

#[tokio::test]
async fn the_kinds_and_policies_are_those_of_the_generator() {
    let helm = Helm::find().await.unwrap();
    let rendered = render(&helm, Chart::Crds, &[NEW]).await.unwrap();
    assert_eq!(kept(&rendered), generated(&Boundary::default()));

    // Names that would end their literals, and an expression of several lines.
    let usernames = ["system:serviceaccount:a:b", r"it's\n", "{{ .Values }}"];
    let operators =
        usernames.map(|username| json!({ "username": username, "linksNamespace": "links" }));
    let email = "has(request.userInfo.extra)\n&& 'mail' in request.userInfo.extra\n? \"<\" : ''";
    let values = json!({ "operators": operators, "deleters": ["x"], "restorers": ["y"], "email": email, "emailDomain": "example.com" });
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), values.to_string()).unwrap();
    let values = format!("--values={}", file.path().display());
    let rendered = render(&helm, Chart::Crds, &[NEW, &values]).await.unwrap();
    let boundary = Boundary {
        operators: usernames
            .map(|username| Operator {
                username: username.into(),
                links_namespace: "links".into(),
            })
            .into(),
        deleters: vec!["x".into()],
        restorers: vec!["y".into()],
        email: email.into(),
        email_domain: Some("example.com".into()),
    };
    assert_eq!(kept(&rendered), generated(&boundary));

    // Nobody has an address.
    let rendered = render(&helm, Chart::Crds, &[NEW, "--set=email="])
        .await
        .unwrap();
    let boundary = Boundary {
        email: String::new(),
        ..Boundary::default()
    };
    assert_eq!(kept(&rendered), generated(&boundary));
}

#[tokio::test]
async fn the_mutating_policies_go_by_the_version_of_the_cluster() {
    let helm = Helm::find().await.unwrap();
    let mutating = async |arguments: &[&str]| {
        let rendered = render(&helm, Chart::Crds, arguments).await?;
        Ok::<_, String>(rendered.contains("kind: MutatingAdmissionPolicy"))
    };
    assert_eq!(mutating(&[NEW]).await, Ok(true));
    assert_eq!(
        mutating(&["--kube-version=v1.36.0-eks-a1b2"]).await,
        Ok(true)
    );
    assert_eq!(mutating(&[OLD]).await, Ok(false));
    assert_eq!(
        mutating(&[NEW, "--set=mutatingPolicies=off"]).await,
        Ok(false)
    );
    assert_eq!(
        mutating(&[NEW, "--set=mutatingPolicies=on"]).await,
        Ok(true)
    );
    // As YAML reads on and off.
    for (known, wanted) in [("true", true), ("false", false)] {
        let set = format!("--set-json=mutatingPolicies={known}");
        assert_eq!(mutating(&[NEW, &set]).await, Ok(wanted));
    }
    let said = mutating(&[OLD, "--set=mutatingPolicies=on"])
        .await
        .unwrap_err();
    assert!(
        said.contains("Kubernetes v1.35.4 has no MutatingAdmissionPolicy"),
        "{said}"
    );
    let said = mutating(&["--kube-version=1.32.0"]).await.unwrap_err();
    assert!(
        said.contains("1.32.0") && said.contains(">=1.33.0-0"),
        "{said}"
    );
}
