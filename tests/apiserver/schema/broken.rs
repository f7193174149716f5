//! An object that breaks just one demand of its schema, made from one that breaks none.

use serde_json::{Value, json};

use super::constraints::{Constraint, Demand, Step};

/// The object with the constraint broken, and what the API server must say about it:
/// the field it must name and words that only this demand's refusal has.
pub struct Broken {
    pub object: Value,
    pub field: String,
    pub words: String,
}

/// Whether an object has what a constraint is about.
pub fn concerns(constraint: &Constraint, whole: &Value) -> bool {
    at(&mut whole.clone(), &constraint.path).is_some()
}

/// Break a constraint. Rules are broken by hand: `None`.
pub fn broken(constraint: &Constraint, whole: &Value) -> Option<Broken> {
    let mut object = whole.clone();
    let target = at(&mut object, &constraint.path)
        .unwrap_or_else(|| panic!("{constraint}: the full object lacks it, add it there"));
    let mut field = field(&constraint.path);
    let words = match &constraint.demand {
        Demand::MinLength(length) => {
            *target = json!("a".repeat(length - 1));
            format!("should be at least {length} chars long")
        }
        Demand::MaxLength(length) => {
            *target = json!("a".repeat(length + 1));
            format!("may not be more than {length}")
        }
        Demand::MinItems(items) => {
            target.as_array_mut().unwrap().truncate(items - 1);
            format!("should have at least {items} items")
        }
        Demand::MaxItems(items) => {
            let first = target[0].clone();
            *target = Value::Array(vec![first; items + 1]);
            format!("must have at most {items} items")
        }
        Demand::Minimum(minimum) => {
            *target = json!(minimum - 1);
            format!("should be greater than or equal to {minimum}")
        }
        Demand::Maximum(maximum) => {
            *target = json!(maximum + 1);
            format!("should be less than or equal to {maximum}")
        }
        Demand::Enum => {
            *target = json!("NoSuchValue");
            "supported values: ".into()
        }
        Demand::Form(sentence) => {
            // No form takes it, and it is long enough for every other demand.
            *target = json!("::");
            sentence.clone()
        }
        Demand::Time => {
            *target = json!("yesterday");
            "must be of type date-time".into()
        }
        Demand::Required(name) => {
            target
                .as_object_mut()
                .unwrap()
                .remove(name)
                .unwrap_or_else(|| {
                    panic!("{constraint}: the full object lacks it, add it there");
                });
            field = format!("{field}.{name}").trim_start_matches('.').into();
            "Required value".into()
        }
        Demand::Unique => {
            let items = target.as_array_mut().unwrap();
            items.push(items[0].clone());
            field = format!("{field}[{}]", items.len() - 1);
            "Duplicate value".into()
        }
        Demand::Rule(_) => return None,
    };
    Some(Broken {
        object,
        field,
        words,
    })
}

/// The value at a path; of a list, the first item.
pub fn at<'a>(object: &'a mut Value, path: &[Step]) -> Option<&'a mut Value> {
    path.iter().try_fold(object, |value, step| match step {
        Step::Property(name) => value.get_mut(name),
        Step::Item => value.get_mut(0),
    })
}

/// The path as the API server writes it: `spec.recipients[0]`.
fn field(path: &[Step]) -> String {
    let field = path.iter().fold(String::new(), |field, step| match step {
        Step::Property(name) => format!("{field}.{name}"),
        Step::Item => format!("{field}[0]"),
    });
    field.trim_start_matches('.').into()
}
