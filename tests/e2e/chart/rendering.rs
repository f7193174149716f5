//! What the charts render with which values, and which values they refuse.

use std::collections::BTreeMap;

use keyloan_cluster::{Chart, Helm};
use serde_json::Value;

/// The one value that has to be set.
pub const IMAGE: &str = "--set=image.repository=registry.example.com/keyloan";

/// What helm renders offline, or says.
pub async fn render(helm: &Helm, chart: Chart, arguments: &[&str]) -> Result<String, String> {
    let folder = chart.folder().display().to_string();
    let mut all = vec![
        "template",
        chart.name(),
        &folder,
        "--namespace=keyloan-system",
    ];
    all.extend(arguments);
    helm.run(&all).await.map_err(|error| error.to_string())
}

/// The objects in what was rendered.
pub fn objects(rendered: &str) -> Vec<Value> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(rendered).unwrap();
    documents.into_iter().filter(Value::is_object).collect()
}

/// By kind, namespace and name.
pub fn by_name(objects: impl IntoIterator<Item = Value>) -> BTreeMap<String, Value> {
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

#[tokio::test]
async fn the_charts_are_what_helm_calls_clean() {
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
            Chart::Crds,
            "operators={system:serviceaccount:keyloan:keyloan}",
            "write its username and its links namespace, such as {username: system:serviceaccount:keyloan:keyloan,",
        ),
        (
            Chart::Crds,
            "operators[0].username=a",
            "missing property 'linksNamespace'",
        ),
        (
            Chart::Operator,
            "namespaces={team-a}",
            "the value namespaces no longer exists: Keyloan keeps links in one namespace (links.namespace)",
        ),
        (
            Chart::Operator,
            "integrationNamespaces={Team A}",
            "'/integrationNamespaces/0': 'Team A' does not match",
        ),
        (
            Chart::Operator,
            "integrationNamespaces=null",
            "integrationNamespaces is empty: name the namespaces of your integrations",
        ),
        (
            Chart::Operator,
            "links.namespace=keyloan",
            "which is also in integrationNamespaces",
        ),
        (
            Chart::Operator,
            "links.namespace=keyloan-system",
            "the operator's own namespace",
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
            "egress.proxy.url=http://user:s3cret@proxy.example.com:3128",
            "'/egress/proxy/url': 'http://user:s3cret@proxy.example.com:3128' does not match pattern",
        ),
        (
            Chart::Operator,
            "egress.proxy.noProxy={example.com}",
            "egress.proxy.noProxy needs egress.proxy.url",
        ),
        (
            Chart::Operator,
            "egress.caBundle.configMap.name=a,egress.caBundle.secret.name=b",
            "names both a ConfigMap and a Secret",
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
            Chart::Crds | Chart::Config => vec![set.as_str()],
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
async fn the_links_namespace_is_made_unless_it_is_there_and_stays() {
    let helm = Helm::find().await.unwrap();
    let labelled = [
        IMAGE,
        "--set=links.labels.team=platform",
        "--set=links.objectLabels.cost=security",
    ];
    let rendered = render(&helm, Chart::Operator, &labelled).await.unwrap();
    let namespace = find(&rendered, "Namespace").expect("one");
    assert_eq!(namespace["metadata"]["name"], "keyloan-system-links");
    let annotations = &namespace["metadata"]["annotations"];
    assert_eq!(annotations["helm.sh/resource-policy"], "keep");
    let labels = &namespace["metadata"]["labels"];
    assert_eq!(labels["team"], "platform");
    assert_eq!(labels["pod-security.kubernetes.io/enforce"], "restricted");
    assert!(
        rendered.contains("--link-label=cost=security"),
        "{rendered}"
    );
    let here = by_name(objects(&rendered));
    let mut here: Vec<_> = here
        .iter()
        .filter(|(name, _)| name.contains(" keyloan-system-links "))
        .collect();
    here.retain(|(_, object)| object["metadata"]["labels"]["cost"] == "security");
    assert_eq!(here.len(), 2, "its Role and its RoleBinding: {here:?}");

    let there = [IMAGE, "--set=links.create=false"];
    let rendered = render(&helm, Chart::Operator, &there).await.unwrap();
    assert_eq!(find(&rendered, "Namespace"), None);
}

#[tokio::test]
async fn two_installs_share_no_name_in_the_cluster_or_in_kube_public() {
    let helm = Helm::find().await.unwrap();
    let shared = async |namespace: &str| {
        let namespace = format!("--namespace={namespace}");
        let arguments = [IMAGE, &namespace, "--set=peopleRoles=false"];
        let rendered = render(&helm, Chart::Operator, &arguments).await.unwrap();
        let names = by_name(objects(&rendered)).into_keys();
        let in_common = |name: &String| {
            let is_bound = name.split(' ').count() == 3;
            !is_bound || name.contains(" kube-public ")
        };
        names.filter(in_common).collect::<Vec<_>>()
    };
    let (one, other) = (shared("one").await, shared("two").await);
    assert_eq!(one.len(), other.len());
    assert!(one.len() >= 6, "{one:?}");
    for name in &one {
        assert!(!other.contains(name), "{name} is of both");
    }
    // With which the links namespace has as long a name as a namespace can have.
    let long = "n".repeat(57);
    let install = shared(&long).await;
    let role = install
        .iter()
        .find_map(|name| name.strip_prefix("ClusterRole "))
        .expect("one");
    assert!(role.len() <= 63, "{role} becomes a label");
}

/// The first object of a kind.
pub fn find(rendered: &str, kind: &str) -> Option<Value> {
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
    let named = "operators[0].username=system:serviceaccount:lending:lender,operators[0].linksNamespace=handed-out";
    let said = notes(Chart::Crds, &["--set", named]).await;
    let install = said
        .lines()
        .find_map(|l| l.split_once("helm install keyloan "));
    let (_, install) = install.unwrap();
    let line: Vec<&str> = install
        .split(' ')
        .filter(|word| !["CHART", "--create-namespace"].contains(word))
        .collect();
    let said = notes(Chart::Operator, &line).await;
    assert!(
        said.contains("* It runs as system:serviceaccount:lending:lender.\n"),
        "{said}"
    );
    assert!(
        said.contains("* It keeps links in the namespace handed-out.\n"),
        "{said}"
    );
    assert!(said.contains(&format!("--set '{named}'")), "{said}");
    let said = notes(Chart::Operator, &[IMAGE, "--namespace=keyloan-system"]).await;
    assert!(!said.contains("--set 'operators"), "{said}");
}
