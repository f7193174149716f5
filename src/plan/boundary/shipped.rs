//! The policies as they were shipped, and what is different in the cluster.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{PoliciesSeen, PolicyKey, PolicyKind, Reading};

/// What the policies have to know of this operator: a text in one of their lists, and what to say where it is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnEntry {
    /// The variable that is the list.
    pub list: &'static str,
    /// The text.
    pub text: String,
    /// What a policy that lacks it does not know, as the end of a sentence that begins with `does not know`.
    pub what: String,
}

/// What a binding has the API server do with what breaks a rule.
const ACTIONS: &str = "validationActions";
const REFUSE: &str = "Deny";
/// Members that the API server fills in where they are absent, with what it fills in.
const DEFAULTS: [(&str, &str); 2] = [("matchPolicy", "Equivalent"), ("scope", "*")];
/// Values up to this length are shown where they differ.
const SHORT: usize = 80;

/// The policies and bindings of this release and, if it is kept, of the one before.
#[derive(Clone, Debug)]
pub struct Shipped {
    current: Release,
    earlier: Vec<Release>,
}

/// The specs in a form that can be compared.
type Release = BTreeMap<PolicyKey, Spec>;

#[derive(Clone, Debug)]
struct Spec {
    comparable: Value,
    /// The variables that hold what belongs to an installation: lists of usernames.
    lists: Vec<String>,
    /// All variables that belong to an installation.
    installation: Vec<String>,
}

impl Shipped {
    /// The objects as they are installed. The expressions of the `lists` and of `expressions`, both variables, belong to
    /// the installation and may differ; a list still has to be one of plain texts.
    pub fn new(
        current: &[Value],
        earlier: &[Vec<Value>],
        lists: &[&str],
        expressions: &[&str],
    ) -> Self {
        let release = |objects: &[Value]| -> Release {
            objects
                .iter()
                .filter_map(|object| {
                    let kind = PolicyKind::ALL
                        .into_iter()
                        .find(|kind| object["kind"] == kind.name())?;
                    let name = object["metadata"]["name"].as_str()?.to_owned();
                    Some(((kind, name), Spec::of(&object["spec"], lists, expressions)))
                })
                .collect()
        };
        Self {
            current: release(current),
            earlier: earlier.iter().map(|objects| release(objects)).collect(),
        }
    }

    /// Whether this one is among them.
    pub fn names(&self, kind: PolicyKind, name: &str) -> bool {
        let key = (kind, name.to_owned());
        let mut releases = std::iter::once(&self.current).chain(&self.earlier);
        releases.any(|release| release.contains_key(&key))
    }

    /// What is different in the cluster, and what to do; `None` if the policies of one release are all in place and know the
    /// operator by these entries.
    pub fn flaw(&self, seen: &PoliciesSeen, own: &[OwnEntry]) -> Option<String> {
        if let Some(unread) = PolicyKind::ALL
            .into_iter()
            .find_map(|kind| unread(kind, seen))
        {
            return Some(unread);
        }
        let flaw = flaw_of(&self.current, seen, own)?;
        let kept = |release| flaw_of(release, seen, own).is_none();
        (!self.earlier.iter().any(kept)).then_some(flaw)
    }
}

fn unread(kind: PolicyKind, seen: &PoliciesSeen) -> Option<String> {
    let name = kind.name();
    match seen.readings.get(&kind).unwrap_or(&Reading::Begun) {
        Reading::Done => None,
        Reading::Absent if kind.is_optional() => None,
        Reading::Absent => Some(format!(
            "this API server has no {name} of version v1, which guards who asks and who decides: Keyloan needs Kubernetes 1.30 or later"
        )),
        Reading::Begun => Some(format!(
            "the API server is still being asked for each {name}"
        )),
        Reading::Failed(why) => Some(format!(
            "the operator cannot read each {name}: give its role get, list and watch on the admission policies and their bindings, or wait until the API server answers ({why})"
        )),
    }
}

fn flaw_of(release: &Release, seen: &PoliciesSeen, own: &[OwnEntry]) -> Option<String> {
    release.iter().find_map(|(key, shipped)| {
        let (kind, name) = (key.0.name(), &key.1);
        let Some(policy) = seen.objects.get(key) else {
            return (!key.0.is_optional()).then(|| {
                format!("the {kind} {name} is missing: install this release's admission policies (helm upgrade keyloan-crds)")
            });
        };
        if let Some(difference) = difference(&shipped.comparable, &shipped.prepare(&policy.spec)) {
            return Some(format!(
                "the {kind} {name} is not as it was shipped, {difference}: put this release's admission policies back (helm upgrade keyloan-crds)"
            ));
        }
        shipped.lists.iter().find_map(|list| {
            let names = literals(variable(&policy.spec, list)?);
            match names {
                None => Some(format!(
                    "the {kind} {name} is not as it was shipped, its variable {list} is no list of usernames: correct it (helm upgrade keyloan-crds)"
                )),
                Some(names) => own
                    .iter()
                    .find(|entry| entry.list == list && !names.contains(&entry.text))
                    .map(|entry| {
                        format!(
                            "the {kind} {name} does not know {}: name it in the value operators (helm upgrade keyloan-crds)",
                            entry.what
                        )
                    }),
            }
        })
    })
}

impl Spec {
    fn of(spec: &Value, lists: &[&str], expressions: &[&str]) -> Self {
        let installation: Vec<String> = lists
            .iter()
            .chain(expressions)
            .map(|n| (*n).to_owned())
            .collect();
        let mut shipped = Self {
            comparable: Value::Null,
            lists: lists.iter().map(|n| (*n).to_owned()).collect(),
            installation,
        };
        shipped.comparable = shipped.prepare(spec);
        shipped
    }

    /// Without what the API server fills in, and without what belongs to an installation.
    fn prepare(&self, spec: &Value) -> Value {
        let mut spec = without_defaults(spec);
        // What refuses may note it down besides: who applies the shipped binding over one that was set to Audit gets both.
        if let Some(actions) = spec.get_mut(ACTIONS).and_then(Value::as_array_mut)
            && actions.iter().any(|action| action == REFUSE)
        {
            actions.retain(|action| action == REFUSE);
        }
        for variable in spec
            .get_mut("variables")
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
        {
            let own = variable["name"]
                .as_str()
                .is_some_and(|name| self.installation.iter().any(|n| n == name));
            if own {
                variable["expression"] = Value::Null;
            }
        }
        spec
    }
}

/// Absent, null and empty mean the same, here as to the API server; and space around an expression means nothing.
fn without_defaults(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let kept = members.iter().filter_map(|(key, value)| {
                let filled_in = DEFAULTS
                    .iter()
                    .any(|(name, default)| key == name && value == default);
                let value = without_defaults(value);
                (!filled_in && !is_empty(&value)).then(|| (key.clone(), value))
            });
            Value::Object(kept.collect::<Map<_, _>>())
        }
        Value::Array(items) => Value::Array(items.iter().map(without_defaults).collect()),
        Value::String(text) => Value::String(text.trim().to_owned()),
        scalar => scalar.clone(),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    }
}

/// The first member of a spec that is another one.
fn difference(shipped: &Value, seen: &Value) -> Option<String> {
    let none = Map::new();
    let (shipped, seen) = (
        shipped.as_object().unwrap_or(&none),
        seen.as_object().unwrap_or(&none),
    );
    let member = shipped
        .keys()
        .chain(seen.keys())
        .find(|key| shipped.get(*key) != seen.get(*key))?;
    let show = |value: Option<&Value>| value.map_or_else(|| "absent".to_owned(), Value::to_string);
    let (shipped, seen) = (show(shipped.get(member)), show(seen.get(member)));
    Some(match shipped.len().max(seen.len()) <= SHORT {
        true => format!("spec.{member} is {seen} instead of {shipped}"),
        false => format!("spec.{member} differs"),
    })
}

/// The expression of a variable.
fn variable<'a>(spec: &'a Value, name: &str) -> Option<&'a str> {
    let variables = spec["variables"].as_array()?;
    let variable = variables.iter().find(|variable| variable["name"] == name)?;
    variable["expression"].as_str()
}

/// The texts of a CEL list that holds nothing but literals, in single or double quotes; `None` for any other expression.
fn literals(expression: &str) -> Option<Vec<String>> {
    let mut rest = expression.trim().strip_prefix('[')?.trim_start();
    let mut texts = Vec::new();
    while let Some(quote) = rest.chars().next().filter(|c| matches!(c, '\'' | '"')) {
        let (text, after) = literal(&rest[1..], quote)?;
        texts.push(text);
        rest = after.trim_start();
        match rest.strip_prefix(',') {
            Some(after) => rest = after.trim_start(),
            None => break,
        }
    }
    (rest == "]").then_some(texts)
}

/// The text up to the closing quote, and what follows it.
fn literal(text: &str, quote: char) -> Option<(String, &str)> {
    let mut literal = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\\' => match letters.next()?.1 {
                escaped @ ('\\' | '\'' | '"') => literal.push(escaped),
                _ => return None,
            },
            letter if letter == quote => return Some((literal, &text[at + 1..])),
            letter => literal.push(letter),
        }
    }
    None
}
