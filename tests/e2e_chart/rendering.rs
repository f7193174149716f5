//! What the charts render with which values, and which values they refuse.

use std::collections::BTreeMap;

use keyloan::manifests::{Boundary, files};
use keyloan_cluster::{Chart, Helm, chart_rights};
use serde_json::{Value, json};

/// The one value that has to be set.
pub const IMAGE: &str = "--set=image.repository=registry.example.com/keyloan";
const NEW: &str = "--kube-version=1.37.0";
const OLD: &str = "--kube-version=1.35.4";

/// What helm renders offline, or says.
pub async fn render(helm: &Helm, chart: Chart, arguments: &[&str]) -> Result<String, String> {
    let folder = chart.folder().display().to_string();
    let mut all = vec!["template", chart.name(), &folder, "--namespace=keyloan"];
    all.extend(arguments);
    helm.run(&all).await.map_err(|error| error.to_string())
}

/// The objects in what was rendered.
pub fn objects(rendered: &str) -> Vec<Value> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(rendered).unwrap();
    documents.into_iter().filter(Value::is_object).collect()
}

fn by_name(objects: impl IntoIterator<Item = Value>) -> BTreeMap<String, Value> {
    let named = |object: Value| {
        let (kind, metadata) = (object["kind"].as_str(), &object["metadata"]);
        let place = [
            kind,
            metadata["namespace"].as_str(),
            metadata["name"].as_str(),
        ];
        (
            place.into_iter().flatten().collect::<Vec<_>>().join(" "),
            object,
        )
    };
    objects.into_iter().map(named).collect()
}

/// What the generator writes for such an installation.
fn generated(boundary: &Boundary) -> BTreeMap<String, Value> {
    by_name(
        files(boundary)
            .unwrap()
            .into_iter()
            .flat_map(|file| file.objects),
    )
}

/// What the chart renders, less what keeps it when the chart goes.
fn kept(rendered: &str) -> BTreeMap<String, Value> {
    let less = |mut object: Value| {
        let metadata = object["metadata"].as_object_mut().unwrap();
        let annotations = metadata.remove("annotations");
        let keep = json!({ "helm.sh/resource-policy": "keep" });
        assert_eq!(annotations, Some(keep), "{}", metadata["name"]);
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
    let operators = ["system:serviceaccount:a:b", r"it's\n", "{{ .Values }}"];
    let email = "has(request.userInfo.extra)\n&& 'mail' in request.userInfo.extra\n? \"<\" : ''";
    let values = json!({ "operators": operators, "deleters": ["x"], "email": email, "emailDomain": "example.com" });
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), values.to_string()).unwrap();
    let values = format!("--values={}", file.path().display());
    let rendered = render(&helm, Chart::Crds, &[NEW, &values]).await.unwrap();
    let boundary = Boundary {
        operators: operators.map(Into::into).into(),
        deleters: vec!["x".into()],
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
    let said = mutating(&["--kube-version=1.29.0"]).await.unwrap_err();
    assert!(
        said.contains("1.29.0") && said.contains(">=1.30.0-0"),
        "{said}"
    );
}

#[tokio::test]
async fn both_charts_are_what_helm_calls_clean() {
    let helm = Helm::find().await.unwrap();
    for chart in Chart::ALL {
        let folder = chart.folder().display().to_string();
        let mut arguments = vec!["lint", "--strict", &folder];
        arguments.extend((chart == Chart::Operator).then_some(IMAGE));
        let linted = helm.run(&arguments).await;
        linted.unwrap_or_else(|error| panic!("{error}"));
    }
}

#[tokio::test]
async fn values_that_cannot_be_are_refused_and_named() {
    let helm = Helm::find().await.unwrap();
    for (chart, value, says) in [
        (
            Chart::Crds,
            "mutatingPolicies=maybe",
            "'/mutatingPolicies': value must be one of",
        ),
        (
            Chart::Crds,
            "operators=null",
            "missing property 'operators'",
        ),
        (
            Chart::Crds,
            "emailDomain=@example.com",
            "'/emailDomain': '@example.com' does not match pattern",
        ),
        (
            Chart::Crds,
            "deleter=x",
            "additional properties 'deleter' not allowed",
        ),
        (
            Chart::Operator,
            "replicas=0",
            "'/replicas': minimum: got 0, want 1",
        ),
        (
            Chart::Operator,
            "namespaces={Team A}",
            "'/namespaces/0': 'Team A' does not match",
        ),
        (
            Chart::Operator,
            "integrationNamespaces={platform}",
            "name in namespaces those in which people ask",
        ),
        (
            Chart::Operator,
            "log.format=xml",
            "'/log/format': value must be one of",
        ),
        (
            Chart::Operator,
            "allowOrigins={onepassword.example}",
            "does not match pattern",
        ),
        (
            Chart::Operator,
            "image.repositry=x",
            "additional properties 'repositry' not allowed",
        ),
        (
            Chart::Operator,
            "image.repository=",
            "image.repository is empty: no image of Keyloan",
        ),
    ] {
        let set = format!("--set={value}");
        let arguments = match chart {
            Chart::Crds => vec![set.as_str()],
            Chart::Operator => vec![IMAGE, &set],
        };
        let said = render(&helm, chart, &arguments).await.err();
        let said = said.unwrap_or_else(|| panic!("{value} is accepted"));
        assert!(said.contains(says), "{value}: {said}");
    }
}

#[tokio::test]
async fn a_pod_writes_to_no_disk_and_is_bounded() {
    let helm = Helm::find().await.unwrap();
    let rendered = render(&helm, Chart::Operator, &[IMAGE]).await.unwrap();
    let deployment = find(&rendered, "Deployment").expect("one");
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
    for bound in ["/requests/cpu", "/requests/memory", "/limits/memory"] {
        assert!(container["resources"].pointer(bound).is_some(), "{bound}");
    }
}

#[tokio::test]
async fn what_is_switched_on_is_rendered_and_nothing_else() {
    let helm = Helm::find().await.unwrap();
    for (kind, on, off) in [
        (
            "NetworkPolicy",
            "networkPolicy.enabled=true",
            "networkPolicy.enabled=false",
        ),
        (
            "ServiceMonitor",
            "serviceMonitor.enabled=true",
            "serviceMonitor.enabled=false",
        ),
        ("PodDisruptionBudget", "replicas=2", "replicas=1"),
    ] {
        for (value, there) in [(on, true), (off, false)] {
            let value = format!("--set={value}");
            let rendered = render(&helm, Chart::Operator, &[IMAGE, &value])
                .await
                .unwrap();
            assert_eq!(find(&rendered, kind).is_some(), there, "{kind}, {value}");
        }
    }
}

#[tokio::test]
async fn a_monitor_finds_the_service_and_its_port() {
    let helm = Helm::find().await.unwrap();
    let monitored = [IMAGE, "--set=serviceMonitor.enabled=true"];
    let rendered = render(&helm, Chart::Operator, &monitored).await.unwrap();
    let monitor = find(&rendered, "ServiceMonitor").expect("one");
    let service = find(&rendered, "Service").expect("one");
    let selector = monitor["spec"]["selector"]["matchLabels"]
        .as_object()
        .unwrap();
    assert!(!selector.is_empty());
    for (label, value) in selector {
        assert_eq!(&service["metadata"]["labels"][label], value, "{label}");
    }
    let ports = service["spec"]["ports"].as_array().unwrap();
    let scraped = &monitor["spec"]["endpoints"][0]["port"];
    assert!(ports.iter().any(|port| port["name"] == *scraped));
}

#[tokio::test]
async fn in_enrolled_namespaces_alone_may_the_operator_touch_secrets() {
    let helm = Helm::find().await.unwrap();
    let everywhere = touches_secrets(&helm, &[]).await;
    assert_eq!(everywhere, ["ClusterRoleBinding keyloan-enrolled"]);
    let some = touches_secrets(&helm, &["--set=namespaces={platform,team-a}"]).await;
    let expected = [
        "RoleBinding platform keyloan-enrolled",
        "RoleBinding team-a keyloan-enrolled",
    ];
    assert_eq!(some, expected);
    let lent_elsewhere = [
        "--set=namespaces={team-a,team-b}",
        "--set=integrationNamespaces={platform}",
    ];
    let expected = [
        "RoleBinding platform keyloan-tokens",
        "RoleBinding team-a keyloan-enrolled",
        "RoleBinding team-b keyloan-enrolled",
    ];
    assert_eq!(touches_secrets(&helm, &lent_elsewhere).await, expected);

    let arguments = [&[IMAGE], &lent_elsewhere[..]].concat();
    let rendered = render(&helm, Chart::Operator, &arguments).await.unwrap();
    let roles = by_name(objects(&rendered));
    let rules = &roles["ClusterRole keyloan-tokens"]["rules"];
    let read =
        json!([{ "apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list", "watch"] }]);
    assert_eq!(rules, &read);
    let args = find(&rendered, "Deployment").expect("one")["spec"]["template"]["spec"]
        ["containers"][0]["args"]
        .to_string();
    for told in [
        "--namespaces=team-a",
        "--namespaces=team-b",
        "--integration-namespaces=platform",
    ] {
        assert!(args.contains(&format!("{told:?}")), "{told}: {args}");
    }
}

/// Through what the operator is given rights on Secrets with these values.
async fn touches_secrets(helm: &Helm, values: &[&str]) -> Vec<String> {
    let arguments = [&[IMAGE], values].concat();
    let rendered = render(helm, Chart::Operator, &arguments).await.unwrap();
    let all = by_name(objects(&rendered));
    let secretive = |binding: &Value| {
        let role = binding["roleRef"]["name"].as_str()?;
        let role = all.get(&format!("ClusterRole {role}"))?;
        role.to_string().contains("secrets").then_some(role)
    };
    let named = |binding: &Value| {
        let (kind, role) = (&binding["kind"], &binding["roleRef"]["name"]);
        let place = [kind, &binding["metadata"]["namespace"], role];
        let words: Vec<_> = place.iter().filter_map(|word| word.as_str()).collect();
        words.join(" ")
    };
    let bindings = all.values().filter(|object| secretive(object).is_some());
    let mut bindings: Vec<_> = bindings.map(named).collect();
    bindings.sort();
    bindings
}

#[tokio::test]
async fn no_role_has_a_wildcard_or_hands_on_what_it_has_not_or_joins_another() {
    let helm = Helm::find().await.unwrap();
    let rendered = render(&helm, Chart::Operator, &[IMAGE]).await.unwrap();
    let roles: Vec<_> = objects(&rendered)
        .into_iter()
        .filter(|o| o["kind"] == "ClusterRole" || o["kind"] == "Role")
        .collect();
    let names: Vec<_> = roles
        .iter()
        .map(|o| o["metadata"]["name"].clone())
        .collect();
    for name in ["keyloan-requester", "keyloan-approver", "keyloan-admin"] {
        assert!(names.contains(&json!(name)), "{names:?}");
    }
    for role in roles {
        let text = role["rules"].to_string();
        for word in ["\"*\"", "\"escalate\"", "\"bind\"", "\"impersonate\""] {
            assert!(!text.contains(word), "{word}: {role}");
        }
        assert!(
            !role["metadata"].to_string().contains("aggregate"),
            "{role}"
        );
        assert!(role["aggregationRule"].is_null(), "{role}");
        let revoke = text.contains("\"revoke\"");
        assert_eq!(
            revoke,
            role["metadata"]["name"] == "keyloan-admin",
            "{role}"
        );
    }
}

#[tokio::test]
async fn the_launcher_gives_the_operator_the_rights_that_the_chart_gives() {
    let helm = Helm::find().await.unwrap();
    assert!(
        chart_rights(&helm).await.unwrap() == include_str!("../../dev/cluster/operator-rbac.yaml"),
        "dev/cluster/operator-rbac.yaml is out of date: run `cargo xtask rights`"
    );
}

fn find(rendered: &str, kind: &str) -> Option<Value> {
    objects(rendered).into_iter().find(|o| o["kind"] == kind)
}

#[tokio::test]
async fn under_other_names_the_charts_say_what_to_tell_each_other() {
    let helm = Helm::find().await.unwrap();
    let notes = async |chart: Chart, arguments: &[&str]| {
        let folder = chart.folder().display().to_string();
        let mut all = vec!["install", chart.name(), &folder, "--dry-run=client"];
        all.extend(arguments);
        let said = helm.run(&all).await.unwrap();
        said.split_once("NOTES:\n").unwrap().1.to_owned()
    };
    let named = "operators={system:serviceaccount:lending:lender}";
    let said = notes(Chart::Crds, &["--set", named]).await;
    let install = said
        .lines()
        .find_map(|l| l.split_once("helm install keyloan "));
    let (_, install) = install.unwrap();
    let line: Vec<&str> = install
        .split(' ')
        .filter(|word| *word != "./charts/keyloan")
        .collect();
    let said = notes(Chart::Operator, &line).await;
    assert!(
        said.contains("* It runs as system:serviceaccount:lending:lender.\n"),
        "{said}"
    );
    assert!(said.contains(&format!("--set '{named}'")), "{said}");
    let said = notes(Chart::Operator, &[IMAGE, "--namespace=keyloan"]).await;
    assert!(!said.contains("--set 'operators"), "{said}");
}
