//! What several targets share: JSON that changes as JSON does, and a loan as it is read from JSON.

pub mod json;
pub mod scene;
