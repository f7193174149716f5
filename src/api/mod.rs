//! The kinds of the API group `keyloan.dev` and their parts: data, schemas and rules, no behavior.

#![allow(
    clippy::duplicated_attributes,
    reason = "kube's attributes repeat themselves: a column is not another column's duplicate"
)]

mod conditions;
mod decision;
mod flow;
mod grant;
mod identity;
mod integration;
mod names;
mod notifier;
mod record;
mod terms;
mod values;

pub use conditions::*;
pub use decision::*;
pub use flow::*;
pub use grant::*;
pub use identity::*;
pub use integration::*;
pub use names::*;
pub use notifier::*;
pub use record::*;
pub use terms::*;
pub use values::*;
