//! Every constraint in `crds/`, enumerated, so that none can be added without an object that it refuses.

use std::fmt;

use serde_json::Value;

/// Schemas of Kubernetes' own that ours embed: theirs to test.
const NOT_OURS: [&str; 1] = ["AccessFlow.spec.namespaces.selector"];

/// A step from a schema to one below it.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// To the property of this name.
    Property(String),
    /// To the items of a list.
    Item,
}

/// What a schema demands of a value.
#[derive(Clone, Debug, PartialEq)]
pub enum Demand {
    MinLength(usize),
    MaxLength(usize),
    MinItems(usize),
    MaxItems(usize),
    Minimum(i64),
    Maximum(i64),
    Enum,
    /// The form of a text: a CEL rule that is a pattern, by its message.
    Form(String),
    Time,
    Required(String),
    /// No item twice: neither as a whole, nor by its key.
    Unique,
    /// A CEL rule, by its message.
    Rule(String),
}

/// One demand at one place of one kind.
#[derive(Clone, Debug)]
pub struct Constraint {
    pub kind: String,
    pub path: Vec<Step>,
    pub demand: Demand,
}

impl Constraint {
    /// Whether it binds what the operator writes through the status subresource.
    pub fn is_about_status(&self) -> bool {
        self.path.first() == Some(&Step::Property("status".into()))
    }
}

/// Such as `AccessGrant.spec.recipients[] MaxLength(254)`.
impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", place(&self.kind, &self.path))?;
        match &self.demand {
            Demand::Rule(message) => write!(f, ": {message}"),
            demand => write!(f, " {demand:?}"),
        }
    }
}

/// All constraints of one CRD.
pub fn constraints(crd: &Value) -> Vec<Constraint> {
    let kind = crd["spec"]["names"]["kind"].as_str().unwrap();
    let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    let mut found = Vec::new();
    walk(kind, &mut Vec::new(), schema, &mut found);
    found
}

/// The paths below a schema's property that may be left out, such as `spec.requester.email`.
pub fn optional_fields(crd: &Value, below: &str) -> Vec<Vec<Step>> {
    let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    let mut found = Vec::new();
    let mut path = vec![Step::Property(below.into())];
    walk_optional(&mut path, &schema["properties"][below], &mut found);
    found
}

fn walk(kind: &str, path: &mut Vec<Step>, schema: &Value, found: &mut Vec<Constraint>) {
    if NOT_OURS.contains(&place(kind, path).as_str()) {
        return;
    }
    for demand in demands(schema) {
        found.push(Constraint {
            kind: kind.into(),
            path: path.clone(),
            demand,
        });
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        path.push(Step::Property(name.clone()));
        walk(kind, path, property, found);
        path.pop();
    }
    if schema["items"].is_object() {
        path.push(Step::Item);
        walk(kind, path, &schema["items"], found);
        path.pop();
    }
}

/// Every keyword that can refuse a value is here, or this panics: none is passed over in silence.
fn demands(schema: &Value) -> Vec<Demand> {
    let size = |value: &Value| usize::try_from(value.as_u64().unwrap()).unwrap();
    let texts = |value: &Value| -> Vec<String> {
        value
            .as_array()
            .unwrap()
            .iter()
            .map(|text| text.as_str().unwrap().into())
            .collect()
    };
    let mut demands = Vec::new();
    for (keyword, value) in schema.as_object().unwrap() {
        match keyword.as_str() {
            "minLength" => demands.push(Demand::MinLength(size(value))),
            "maxLength" => demands.push(Demand::MaxLength(size(value))),
            "minItems" => demands.push(Demand::MinItems(size(value))),
            "maxItems" => demands.push(Demand::MaxItems(size(value))),
            "minimum" => demands.push(Demand::Minimum(value.as_i64().unwrap())),
            "maximum" => demands.push(Demand::Maximum(value.as_i64().unwrap())),
            "enum" => demands.push(Demand::Enum),
            "pattern" => panic!("the pattern {value} would speak for itself: say it in words"),
            "format" if value == "date-time" => demands.push(Demand::Time),
            "required" => demands.extend(texts(value).into_iter().map(Demand::Required)),
            "x-kubernetes-list-type" if value != "atomic" => demands.push(Demand::Unique),
            "x-kubernetes-validations" => {
                demands.extend(value.as_array().unwrap().iter().map(|rule| {
                    let message = rule["message"].as_str().expect("a rule has a message");
                    match rule["rule"].as_str().unwrap().starts_with("self.matches(r") {
                        true => Demand::Form(message.into()),
                        false => Demand::Rule(message.into()),
                    }
                }));
            }
            "type"
            | "description"
            | "default"
            | "properties"
            | "items"
            | "format"
            | "x-kubernetes-list-type"
            | "x-kubernetes-list-map-keys" => {}
            other => panic!("{other} is a keyword that these tests do not know"),
        }
    }
    demands
}

fn walk_optional(path: &mut Vec<Step>, schema: &Value, found: &mut Vec<Vec<Step>>) {
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        path.push(Step::Property(name.clone()));
        if !required.contains(&Value::String(name.clone())) && property["default"].is_null() {
            found.push(path.clone());
        }
        walk_optional(path, property, found);
        path.pop();
    }
}

/// Such as `AccessGrant.spec.recipients[]`.
pub fn place(kind: &str, path: &[Step]) -> String {
    path.iter().fold(kind.to_owned(), |place, step| match step {
        Step::Property(name) => format!("{place}.{name}"),
        Step::Item => format!("{place}[]"),
    })
}
