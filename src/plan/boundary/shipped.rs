//! The policies as they were shipped, and their differences from the cluster.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{PoliciesSeen, PolicyKey, PolicyKind};

/// An entry for this operator that the policies must contain: a text in one of their lists, and the
/// message if it is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnEntry {
    /// The variable that holds the list.
    pub list: &'static str,
    /// The text.
    pub text: String,
    /// What a policy without the entry does not know, as the end of a sentence that begins with
    /// `does not know`.
    pub what: String,
}

/// The actions that a binding makes the API server take when a rule is broken.
const ACTIONS: &str = "validationActions";
const REFUSE: &str = "Deny";
/// Differing values are shown up to this length.
const SHORT: usize = 80;

/// The policies and bindings of this release and of earlier ones that still count as in force.
#[derive(Clone, Debug)]
pub struct Shipped {
    current: Release,
    earlier: Vec<Release>,
    /// The installation's variables that are lists of plain texts.
    lists: Vec<String>,
    /// All variables that belong to an installation.
    pub(super) installation: Vec<String>,
}

/// The specs without the parts that belong to an installation, each as the API server stores it.
type Release = BTreeMap<PolicyKey, Value>;

impl Shipped {
    /// The objects as they are installed. The expressions of the variables in `lists` and
    /// `expressions` belong to the installation and may differ, but a list must still consist of
    /// plain texts.
    pub fn new(
        current: &[Value],
        earlier: &[Vec<Value>],
        lists: &[&str],
        expressions: &[&str],
    ) -> Self {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let mut shipped = Self {
            current: Release::new(),
            earlier: Vec::new(),
            lists: names(lists),
            installation: names(&[lists, expressions].concat()),
        };
        shipped.current = shipped.release(current);
        shipped.earlier = earlier
            .iter()
            .map(|objects| shipped.release(objects))
            .collect();
        shipped
    }

    fn release(&self, objects: &[Value]) -> Release {
        let of_object = |object: &Value| {
            let mut kinds = PolicyKind::ALL.into_iter();
            let kind = kinds.find(|kind| object["kind"] == kind.name())?;
            let name = object["metadata"]["name"].as_str()?.to_owned();
            Some(((kind, name), self.comparable(&object["spec"])))
        };
        objects.iter().filter_map(of_object).collect()
    }

    /// All policies and bindings of these releases.
    pub fn keys(&self) -> impl Iterator<Item = &PolicyKey> {
        self.releases().flat_map(BTreeMap::keys)
    }

    fn releases(&self) -> impl Iterator<Item = &Release> {
        std::iter::once(&self.current).chain(&self.earlier)
    }

    /// Whether a release has this spec under this key.
    pub(super) fn ships(&self, key: &PolicyKey, is_it: impl Fn(&Value) -> bool) -> bool {
        self.releases()
            .any(|release| release.get(key).is_some_and(&is_it))
    }

    /// The first difference from the cluster, and what to do; `None` if the policies of one release
    /// are all in place and contain these entries of the operator.
    pub fn flaw(&self, seen: &PoliciesSeen, own: &[OwnEntry]) -> Option<String> {
        let flaw = self.flaw_of(&self.current, seen, own)?;
        let kept = |release| self.flaw_of(release, seen, own).is_none();
        (!self.earlier.iter().any(kept)).then_some(flaw)
    }

    /// The texts in one of the installation's lists, in the first policy that has it.
    pub fn listed(&self, seen: &PoliciesSeen, list: &str) -> Vec<String> {
        let mut lists = seen
            .values()
            .filter_map(|policy| variable(&policy.spec, list));
        lists.find_map(literals).unwrap_or_default()
    }

    fn flaw_of(&self, release: &Release, seen: &PoliciesSeen, own: &[OwnEntry]) -> Option<String> {
        release.iter().find_map(|(key, shipped)| {
            let (kind, name) = (key.0.name(), &key.1);
            let Some(policy) = seen.get(key) else {
                return (!key.0.is_optional()).then(|| {
                    format!("the {kind} {name} is missing: install this release's admission policies (helm upgrade keyloan-crds)")
                });
            };
            if let Some(difference) = difference(shipped, &self.comparable(&policy.spec)) {
                return Some(format!(
                    "the {kind} {name} differs from the shipped one ({difference}): restore this \
                     release's admission policies (helm upgrade keyloan-crds)"
                ));
            }
            self.lists.iter().find_map(|list| {
                match literals(variable(&policy.spec, list)?) {
                    None => Some(format!(
                        "the {kind} {name} differs from the shipped one (its variable {list} is \
                         not a list of usernames): correct it (helm upgrade keyloan-crds)"
                    )),
                    Some(names) => own
                        .iter()
                        .find(|entry| entry.list == list && !names.contains(&entry.text))
                        .map(|entry| {
                            format!(
                                "the {kind} {name} does not know {}: add it to the value operators \
                                     (helm upgrade keyloan-crds)",
                                entry.what
                            )
                        }),
                }
            })
        })
    }

    /// A spec without the parts that belong to an installation.
    pub(super) fn comparable(&self, spec: &Value) -> Value {
        let mut spec = spec.clone();
        // A binding that refuses may also audit: applying the shipped binding over one that was set
        // to Audit results in both actions.
        if let Some(actions) = spec.get_mut(ACTIONS).and_then(Value::as_array_mut)
            && actions.iter().any(|action| action == REFUSE)
        {
            actions.retain(|action| action == REFUSE);
        }
        let variables = spec.get_mut("variables").and_then(Value::as_array_mut);
        for variable in variables.into_iter().flatten() {
            if self.installation.iter().any(|own| variable["name"] == *own) {
                variable["expression"] = Value::Null;
            }
        }
        spec
    }
}

/// The first member of a spec that differs.
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
pub(super) fn variable<'a>(spec: &'a Value, name: &str) -> Option<&'a str> {
    let variables = spec["variables"].as_array()?;
    let variable = variables.iter().find(|variable| variable["name"] == name)?;
    variable["expression"].as_str()
}

/// The texts of a CEL list that consists only of literals in single or double quotes; `None` for
/// any other expression.
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

/// The text before the closing quote, and the rest.
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
