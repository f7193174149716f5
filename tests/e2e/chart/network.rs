//! The operator's network: what its policy lets through, and what is mounted for the way out of the cluster.

use keyloan_cluster::{Chart, Helm};
use serde_json::{Value, json};

use crate::chart::rendering::{IMAGE, find, render};

/// In YAML that is no manifest.
#[tokio::test]
async fn the_values_on_the_pages_are_taken() {
    let pages = [
        include_str!("../../../docs/install.md"),
        include_str!("../../../docs/platforms.md"),
    ];
    let blocks = pages
        .iter()
        .flat_map(|page| page.split("```yaml\n").skip(1));
    let blocks = blocks.filter_map(|rest| rest.split("```").next());
    let values: Vec<_> = blocks
        .filter(|text| !text.contains("apiVersion:"))
        .collect();
    assert_eq!(
        values.len(),
        2,
        "the proxy and the authorities, on any platform and on OpenShift"
    );
    let helm = Helm::find().await.unwrap();
    for text in values {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let values = format!("--values={}", file.path().display());
        let rendered = render(&helm, Chart::Operator, &[IMAGE, &values]).await;
        assert!(rendered.is_ok(), "{rendered:?}:\n{text}");
    }
}

#[tokio::test]
async fn the_network_lets_the_operator_reach_what_the_values_name_and_nothing_else() {
    let helm = Helm::find().await.unwrap();
    let elsewhere = [
        "--set=allowOrigins={https://op.example:8443,http://op.example,https://op.example,https://[fd00::1]:9443}",
        "--set=networkPolicy.dnsPorts={53,1053}",
        "--set=networkPolicy.apiServerPorts={16443}",
    ];
    let proxy = |url| [url, "--set=networkPolicy.enabled=true"];
    let usual_proxy = proxy("--set=egress.proxy.url=http://proxy.example.com:3128/");
    let proxy_without_port = proxy("--set=egress.proxy.url=http://proxy.example.com");
    for (values, expected) in [
        (
            &[][..],
            &[
                "UDP 53", "TCP 53", "UDP 5353", "TCP 5353", "TCP 443", "TCP 6443",
            ][..],
        ),
        (
            &usual_proxy[..],
            &[
                "UDP 53", "TCP 53", "UDP 5353", "TCP 5353", "TCP 443", "TCP 3128", "TCP 6443",
            ][..],
        ),
        (
            &proxy_without_port[..],
            &[
                "UDP 53", "TCP 53", "UDP 5353", "TCP 5353", "TCP 443", "TCP 80", "TCP 6443",
            ][..],
        ),
        (
            &elsewhere[..],
            &[
                "UDP 53",
                "TCP 53",
                "UDP 1053",
                "TCP 1053",
                "TCP 443",
                "TCP 8443",
                "TCP 80",
                "TCP 9443",
                "TCP 16443",
            ][..],
        ),
    ] {
        let arguments = [&[IMAGE], values].concat();
        let rendered = render(&helm, Chart::Operator, &arguments).await.unwrap();
        let policy = find(&rendered, "NetworkPolicy").expect("on by default");
        let spec = &policy["spec"];
        assert_eq!(spec["policyTypes"], json!(["Ingress", "Egress"]));
        let ports: Vec<_> = spec["egress"][0]["ports"]
            .as_array()
            .unwrap()
            .iter()
            .map(|port| format!("{} {}", port["protocol"].as_str().unwrap(), port["port"]))
            .collect();
        assert_eq!(ports, expected);
    }
    let prometheus = "--set-json=networkPolicy.metricsFrom=[{\"namespaceSelector\":{}}]";
    let rendered = render(&helm, Chart::Operator, &[IMAGE, prometheus])
        .await
        .unwrap();
    let ingress = find(&rendered, "NetworkPolicy").expect("one")["spec"]["ingress"].clone();
    assert_eq!(ingress[0]["ports"][0]["port"], "health");
    assert_eq!(ingress[0]["from"], json!(null), "nodes have no selector");
    assert_eq!(ingress[1]["ports"][0]["port"], "metrics");
    assert_eq!(ingress[1]["from"], json!([{ "namespaceSelector": {} }]));
    let deployment = find(&rendered, "Deployment").expect("one");
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    let names: Vec<_> = container["ports"].as_array().unwrap().iter().collect();
    assert_eq!(names[0]["name"], "health");
    assert_eq!(names[1]["name"], "metrics");
}

#[tokio::test]
async fn nothing_is_mounted_for_a_way_out_that_needs_no_file() {
    let helm = Helm::find().await.unwrap();
    for (values, volumes, arguments) in [
        (&[][..], json!(null), &[][..]),
        (
            &[
                "--set=egress.proxy.url=http://proxy:3128",
                "--set=egress.proxy.noProxy={a.b,10.0.0.0/8}",
            ],
            json!(null),
            &[
                "--proxy=http://proxy:3128",
                "--no-proxy=a.b",
                "--no-proxy=10.0.0.0/8",
            ],
        ),
        (
            &[
                "--set=egress.caBundle.secret.name=ca",
                "--set=egress.caBundle.secret.key=tls.crt",
            ],
            json!([{
                "name": "ca-bundle",
                "secret": { "secretName": "ca", "items": [{ "key": "tls.crt", "path": "ca.crt" }] },
            }]),
            &["--ca-bundle=/etc/keyloan/ca/ca.crt"],
        ),
    ] {
        let all = [&[IMAGE], values].concat();
        let rendered = render(&helm, Chart::Operator, &all).await.unwrap();
        let deployment = find(&rendered, "Deployment").expect("one");
        let pod = &deployment["spec"]["template"]["spec"];
        assert_eq!(pod["volumes"], volumes);
        let told = pod["containers"][0]["args"].as_array().unwrap();
        let of_egress = |argument: &&Value| {
            let argument = argument.as_str().unwrap_or_default();
            ["--proxy", "--no-proxy", "--ca-bundle"]
                .iter()
                .any(|flag| argument.starts_with(flag))
        };
        let told: Vec<_> = told.iter().filter(of_egress).collect();
        assert_eq!(told, arguments);
    }
}
