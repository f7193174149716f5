//! Lists of everything that is in a program or an image (SBOM), in the format of CycloneDX 1.6.
//!
//! The crates come from cargo, with the features of the one program. `cargo cyclonedx` would list
//! the crates of all programs of the workspace, because cargo tells it only those.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use jiff::Timestamp;
use keyloan_artifact::{
    Crate, Part, Program, Target, VERSION, Zig, crate_named, crates_of, parts_of, revision, sha256,
    time,
};
use keyloan_cluster::{CORE_MODULE, CORE_SHA256, CORE_VERSION};
use serde_json::{Value, json};

/// The crate with the certificate authorities that the image contains as a file.
const CERTIFICATE_AUTHORITIES: &str = "webpki-root-certs";

/// What a list is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The operator's image.
    Image,
    /// `kubectl keyloan`.
    Plugin,
}

impl Subject {
    /// The name of the list's file.
    pub fn file_name(self) -> String {
        format!("{}-{VERSION}.cdx.json", self.name())
    }

    fn name(self) -> &'static str {
        match self {
            Self::Image => "keyloan-image",
            Self::Plugin => "kubectl-keyloan",
        }
    }

    fn kind(self) -> &'static str {
        match self {
            Self::Image => "container",
            Self::Plugin => "application",
        }
    }
}

/// The list for a subject on some targets. What is not on all of them says where it is.
pub async fn list(
    subject: Subject,
    program: &Program,
    targets: &[Target],
    source: Option<&str>,
    zig: &Zig,
) -> Result<String> {
    let mut contents = Contents::default();
    let authorities = crate_named(CERTIFICATE_AUTHORITIES).await?;
    for target in targets {
        contents.add_crates(&crates_of(program, *target).await?, *target);
        for part in parts_of(*target, zig).await? {
            contents.add(part_as_component(&part), *target);
        }
        if subject == Subject::Image {
            contents.add(core(), *target);
            contents.add(crate_as_component(&authorities), *target);
        }
    }
    let document = document(subject, source, time()?, contents, targets);
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

/// The list as a document of CycloneDX.
fn document(
    subject: Subject,
    source: Option<&str>,
    time: Timestamp,
    contents: Contents,
    targets: &[Target],
) -> Value {
    let (components, dependencies) = contents.listed(subject, targets);
    let mut document = json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": time.to_string(),
            "lifecycles": [{ "phase": "build" }],
            "tools": { "components": [
                { "type": "application", "name": "cargo xtask release", "version": VERSION },
            ] },
            "component": described(subject, source),
        },
        "components": components,
        "dependencies": dependencies,
    });
    // The same list has the same number.
    document["serialNumber"] = json!(format!("urn:uuid:{}", uuid(&document.to_string())));
    document
}

/// The subject itself.
fn described(subject: Subject, source: Option<&str>) -> Value {
    let mut component = json!({
        "type": subject.kind(),
        "bom-ref": subject.name(),
        "name": subject.name(),
        "version": VERSION,
        "licenses": [{ "expression": env!("CARGO_PKG_LICENSE") }],
    });
    if let Some(source) = source {
        component["externalReferences"] = json!([{ "type": "vcs", "url": source }]);
    }
    if let Some(revision) = revision() {
        component["properties"] = json!([{ "name": "keyloan:revision", "value": revision }]);
    }
    component
}

/// Components by their references, with what each uses and where it is.
#[derive(Default)]
struct Contents {
    components: BTreeMap<String, (Value, BTreeSet<String>, BTreeSet<Target>)>,
    /// What the subject itself uses.
    direct: BTreeSet<String>,
}

impl Contents {
    /// Adds a part of the subject itself.
    fn add(&mut self, component: Value, target: Target) {
        let reference = self.add_below(component, BTreeSet::new(), target);
        self.direct.insert(reference);
    }

    /// Adds a component that uses others, which may be a part of another component.
    fn add_below(&mut self, component: Value, uses: BTreeSet<String>, target: Target) -> String {
        let reference = component["bom-ref"].as_str().unwrap_or_default();
        let reference = reference.to_owned();
        let new = (component, BTreeSet::new(), BTreeSet::new());
        let (_, used, targets) = self.components.entry(reference.clone()).or_insert(new);
        used.extend(uses);
        targets.insert(target);
        reference
    }

    /// Adds the crates of a program. The program's own is the subject.
    fn add_crates(&mut self, crates: &[Crate], target: Target) {
        let urls: BTreeMap<_, _> = crates.iter().map(|of| (of.id(), package_url(of))).collect();
        for known in crates {
            let uses = known.uses.iter().filter_map(|id| urls.get(id).cloned());
            match known.checksum {
                Some(_) => {
                    self.add_below(crate_as_component(known), uses.collect(), target);
                }
                None => self.direct.extend(uses),
            }
        }
    }

    /// The components, and who uses which.
    fn listed(self, subject: Subject, targets: &[Target]) -> (Value, Value) {
        let direct = json!({ "ref": subject.name(), "dependsOn": self.direct });
        let (mut components, mut dependencies) = (Vec::new(), vec![direct]);
        for (reference, (mut component, uses, on)) in self.components {
            if on.len() < targets.len() {
                let on: Vec<_> = on.iter().map(Target::to_string).collect();
                let property = json!({ "name": "keyloan:targets", "value": on.join(", ") });
                component["properties"] = json!([property]);
            }
            components.push(component);
            dependencies.push(json!({ "ref": reference, "dependsOn": uses }));
        }
        (json!(components), json!(dependencies))
    }
}

fn crate_as_component(known: &Crate) -> Value {
    let url = package_url(known);
    let mut component = json!({
        "type": "library",
        "bom-ref": url,
        "name": known.name,
        "version": known.version,
        "purl": url,
    });
    if let Some(checksum) = &known.checksum {
        component["hashes"] = json!([{ "alg": "SHA-256", "content": checksum }]);
    }
    if let Some(license) = &known.license {
        // Older crates separate the licenses that one can choose from by slashes.
        let expression = license.replace('/', " OR ");
        component["licenses"] = json!([{ "expression": expression }]);
    }
    component
}

/// Names of crates have no character that a package URL would escape. Versions may have a plus sign.
fn package_url(known: &Crate) -> String {
    let version = known.version.replace('+', "%2B");
    format!("pkg:cargo/{}@{version}", known.name)
}

fn part_as_component(part: &Part) -> Value {
    let mut component = json!({
        "type": "library",
        "bom-ref": part.name,
        "name": part.name,
        "licenses": [{ "expression": part.license }],
    });
    if let Some(version) = &part.version {
        component["version"] = json!(version);
    }
    component
}

/// 1Password's SDK core, which the image contains in compiled form.
fn core() -> Value {
    json!({
        "type": "library",
        "bom-ref": "onepassword-sdk-core",
        "name": "onepassword-sdk-core",
        "version": CORE_VERSION,
        "description": "core.wasm of 1Password's SDK for Go, unmodified, compiled for the processor. The hash is that of core.wasm",
        "licenses": [{ "expression": "MIT" }],
        "hashes": [{ "alg": "SHA-256", "content": CORE_SHA256 }],
        "purl": format!("pkg:golang/{CORE_MODULE}@{CORE_VERSION}#internal/wasm/core.wasm"),
    })
}

/// The UUID of a text (version 8 of RFC 9562).
fn uuid(text: &str) -> String {
    let digits = sha256(text.as_bytes());
    let part = |range| &digits[range];
    format!(
        "{}-{}-8{}-8{}-{}",
        part(0..8),
        part(8..12),
        part(12..15),
        part(15..18),
        part(18..30)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use boon::{Compiler, SchemaIndex, Schemas};
    use keyloan_artifact::{OPERATOR, PLUGIN};

    /// CycloneDX' own schemas, as they are in its repository (schema/, commit e02a34ae).
    const SCHEMAS: [(&str, &str); 3] = [
        ("bom-1.6", include_str!("../cyclonedx/bom-1.6.schema.json")),
        ("spdx", include_str!("../cyclonedx/spdx.schema.json")),
        (
            "jsf-0.82",
            include_str!("../cyclonedx/jsf-0.82.schema.json"),
        ),
    ];

    fn schema() -> (Schemas, SchemaIndex) {
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        let address = |name: &str| format!("http://cyclonedx.org/schema/{name}.schema.json");
        for (name, text) in SCHEMAS {
            let schema = serde_json::from_str(text).unwrap();
            compiler.add_resource(&address(name), schema).unwrap();
        }
        let index = compiler.compile(&address("bom-1.6"), &mut schemas).unwrap();
        (schemas, index)
    }

    async fn made(subject: Subject, program: &Program, targets: &[Target]) -> Value {
        let mut contents = Contents::default();
        let musl = Part {
            name: "musl",
            version: Some("1.2.5".to_owned()),
            license: "MIT",
            notice: "c-library.txt",
            text: std::path::PathBuf::new(),
        };
        for target in targets {
            contents.add_crates(&crates_of(program, *target).await.unwrap(), *target);
            contents.add(part_as_component(&musl), *target);
            contents.add(core(), *target);
        }
        let source = Some("https://example.com/keyloan");
        document(subject, source, Timestamp::UNIX_EPOCH, contents, targets)
    }

    #[tokio::test]
    async fn a_list_is_valid_and_a_broken_one_is_not() {
        let (schemas, index) = schema();
        let targets = [Target::LinuxAmd64, Target::LinuxArm64];
        let mut list = made(Subject::Image, &OPERATOR, &targets).await;
        if let Err(error) = schemas.validate(&list, index) {
            panic!("{error:#}");
        }
        list["components"][0]["type"] = json!("a type that is none");
        assert!(schemas.validate(&list, index).is_err());
    }

    #[tokio::test]
    async fn every_crate_has_its_checksum_and_is_used_by_something_in_the_list() {
        let list = made(Subject::Plugin, &PLUGIN, &Target::ALL).await;
        let texts = |list: &Value, key: &str| -> BTreeSet<String> {
            let items = list.as_array().unwrap().iter();
            items
                .map(|item| item[key].as_str().unwrap().to_owned())
                .collect()
        };
        let mut known = texts(&list["components"], "bom-ref");
        known.insert("kubectl-keyloan".to_owned());
        assert_eq!(texts(&list["dependencies"], "ref"), known);
        let mut used = BTreeSet::from(["kubectl-keyloan".to_owned()]);
        for dependency in list["dependencies"].as_array().unwrap() {
            let uses = dependency["dependsOn"].as_array().unwrap().iter();
            used.extend(uses.map(|of| of.as_str().unwrap().to_owned()));
        }
        assert_eq!(used, known);
        for component in list["components"].as_array().unwrap() {
            let is_crate = component["bom-ref"]
                .as_str()
                .unwrap()
                .starts_with("pkg:cargo/");
            let sum = component["hashes"][0]["content"].as_str();
            assert!(
                !is_crate || sum.is_some_and(|sum| sum.len() == 64),
                "{component}"
            );
        }
    }

    #[tokio::test]
    async fn what_is_only_on_some_systems_says_where() {
        let list = made(Subject::Plugin, &PLUGIN, &Target::ALL).await;
        let on = |name: &str| {
            let components = list["components"].as_array().unwrap();
            let component = components.iter().find(|of| of["name"] == name).unwrap();
            component["properties"][0]["value"]
                .as_str()
                .map(str::to_owned)
        };
        assert_eq!(
            on("security-framework").as_deref(),
            Some("darwin/amd64, darwin/arm64")
        );
        assert_eq!(on("kube"), None);
    }
}
