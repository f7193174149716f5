//! What fuzzing reaches of the plugin: the last step before a terminal. In no program.

pub use super::output::{Structured, document, lines};
