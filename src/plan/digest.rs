//! The digest of terms: what an approval refers to.

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

use crate::api::Terms;

/// A digest over a grant's uid and its terms; any other terms, and the same terms of any other grant, have another one.
pub fn digest(grant_uid: &str, terms: &Terms) -> String {
    // A struct's fields are written in the order of their declaration, so equal terms have equal JSON.
    let terms = serde_json::to_vec(terms).unwrap_or_default();
    let mut hash = Sha256::new();
    hash.update(grant_uid.as_bytes());
    hash.update([0]);
    hash.update(&terms);
    format!("sha256:{}", HEXLOWER.encode(&hash.finalize()))
}
