//! The recipes as the page has them: under the heading of each platform one block of chart values, or none where the default is right.

use keyloan::manifests::Boundary;
use serde::Deserialize;

const PAGE: &str = include_str!("../../../docs/identity.md");

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Values {
    email: Option<String>,
    email_domain: Option<String>,
}

/// Each platform with what the chart's policies know there.
pub fn recipes() -> Vec<(String, Boundary)> {
    let (_, platforms) = PAGE.split_once("\n## Platforms\n").unwrap();
    let sections = platforms.split("\n### ").skip(1);
    sections.map(recipe).collect()
}

/// EKS where people have bare names in IAM Identity Center: the change that the page describes.
pub fn eks_with_bare_names() -> Boundary {
    let (_, section) = PAGE.split_once("\n### EKS\n").unwrap();
    let section = section.split("\n### ").next().unwrap();
    let (_, change) = section.split_once("\nwrite `").unwrap();
    let mut quoted = change.split('`').step_by(2);
    let (bare, address) = (quoted.next().unwrap(), quoted.next().unwrap());
    assert_eq!(quoted.next(), Some("emailDomain"));
    let (_, boundary) = recipe(&format!("EKS\n{section}"));
    assert!(boundary.email.contains(address), "{address}");
    Boundary {
        email: boundary.email.replace(address, bare),
        email_domain: Some("example.com".into()),
        ..boundary
    }
}

fn recipe(section: &str) -> (String, Boundary) {
    let name = section.lines().next().unwrap().to_owned();
    let mut blocks = section.split("```yaml\n").skip(1);
    let values = blocks.next().map(|block| {
        let text = block.split("```").next().unwrap();
        serde_saphyr::from_str::<Values>(text).unwrap()
    });
    assert!(blocks.next().is_none(), "{name} has one block of values");
    let default = Boundary::default();
    let boundary = match values {
        Some(values) => Boundary {
            email: values.email.unwrap_or(default.email.clone()),
            email_domain: values.email_domain,
            ..default
        },
        None => default,
    };
    (name, boundary)
}
