//! What the rendered chart grants, to whom and where.

use keyloan_cluster::{Chart, Helm, chart_rights};
use serde_json::json;

use crate::chart::rendering::{IMAGE, by_name, find, objects, render};

#[tokio::test]
async fn secrets_roles_and_bindings_are_touched_where_integrations_and_links_are_and_nowhere_else()
{
    let helm = Helm::find().await.unwrap();
    let usual = [
        "Role keyloan-system-links keyloan-links: leases, rolebindings, roles, secrets",
        "Role keyloan keyloan-tokens: secrets",
    ];
    assert_eq!(touches_what_is_secret(&helm, &[]).await, usual);
    let others = [
        "--set=integrationNamespaces={platform,team-b}",
        "--set=links.namespace=elsewhere",
    ];
    let expected = [
        "Role elsewhere keyloan-links: leases, rolebindings, roles, secrets",
        "Role platform keyloan-tokens: secrets",
        "Role team-b keyloan-tokens: secrets",
    ];
    assert_eq!(touches_what_is_secret(&helm, &others).await, expected);

    let arguments = [&[IMAGE], &others[..]].concat();
    let rendered = render(&helm, Chart::Operator, &arguments).await.unwrap();
    let all = by_name(objects(&rendered));
    let rules = &all["Role platform keyloan-tokens"]["rules"];
    let read =
        json!([{ "apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list", "watch"] }]);
    assert_eq!(rules, &read);
    let args = find(&rendered, "Deployment").expect("one")["spec"]["template"]["spec"]
        ["containers"][0]["args"]
        .to_string();
    for told in [
        "--integration-namespaces=platform",
        "--integration-namespaces=team-b",
        "--links-namespace=elsewhere",
        "--install=keyloan-system.keyloan",
    ] {
        assert!(args.contains(&format!("{told:?}")), "{told}: {args}");
    }
    let published = &all["ConfigMap kube-public keyloan-system.keyloan"];
    assert_eq!(published["data"], json!({ "linksNamespace": "elsewhere" }));
}

/// The roles of the operator that list Secrets, Roles, RoleBindings or leases of links, each with its namespace; a binding of a
/// ClusterRole that does would show without one.
async fn touches_what_is_secret(helm: &Helm, values: &[&str]) -> Vec<String> {
    let arguments = [&[IMAGE], values].concat();
    let rendered = render(helm, Chart::Operator, &arguments).await.unwrap();
    let all = by_name(objects(&rendered));
    let mut found = Vec::new();
    for binding in all.values() {
        let to_operator = binding["subjects"].as_array().into_iter().flatten();
        if to_operator
            .filter(|s| s["kind"] == "ServiceAccount")
            .count()
            == 0
        {
            continue;
        }
        let role = &binding["roleRef"];
        let place = binding["metadata"]["namespace"].as_str();
        let kind = role["kind"].as_str().unwrap();
        let name = role["name"].as_str().unwrap();
        let place = if kind == "Role" { place } else { None };
        let words: Vec<_> = [Some(kind), place, Some(name)]
            .into_iter()
            .flatten()
            .collect();
        let key = words.join(" ");
        let mut listed = Vec::new();
        for rule in all[&key]["rules"].as_array().unwrap() {
            let resources = rule["resources"].as_array().unwrap();
            listed.extend(resources.iter().map(|r| r.as_str().unwrap().to_owned()));
        }
        listed.sort();
        if ["secrets", "roles", "rolebindings"]
            .iter()
            .any(|secret| listed.iter().any(|l| l == secret))
        {
            found.push(format!("{key}: {}", listed.join(", ")));
        }
    }
    found.sort_by_key(|line| !line.contains("links"));
    found
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
        chart_rights(&helm).await.unwrap()
            == include_str!("../../../dev/cluster/operator-rbac.yaml"),
        "dev/cluster/operator-rbac.yaml is out of date: run `cargo xtask rights`"
    );
}
