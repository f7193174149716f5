//! Objects with a link's URL, which overwrite it when they are dropped.
//!
//! This covers only our own copies. The client frees the body of its request without overwriting
//! it.

use std::ops::Deref;

use k8s_openapi::api::core::v1::Secret;
use serde_json::Value;
use zeroize::Zeroize as _;

/// An object to write. It cannot be printed, and overwrites its texts when it is dropped.
pub struct Wiped<T: Wipe>(T);

/// Can overwrite the secrets in it.
pub trait Wipe {
    /// Overwrites them.
    fn wipe(&mut self);
}

impl<T: Wipe> Wiped<T> {
    pub(super) fn new(object: T) -> Self {
        Self(object)
    }
}

impl<T: Wipe> Deref for Wiped<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Wipe> Drop for Wiped<T> {
    fn drop(&mut self) {
        self.0.wipe();
    }
}

impl Wipe for Secret {
    fn wipe(&mut self) {
        let data = self.data.iter_mut().flat_map(|data| data.values_mut());
        data.for_each(|value| value.0.zeroize());
        let texts = self.string_data.iter_mut();
        texts
            .flat_map(|texts| texts.values_mut())
            .for_each(|text| text.zeroize());
    }
}

impl Wipe for Value {
    fn wipe(&mut self) {
        match self {
            Self::String(text) => text.zeroize(),
            Self::Array(values) => values.iter_mut().for_each(Wipe::wipe),
            Self::Object(values) => values.values_mut().for_each(Wipe::wipe),
            Self::Null | Self::Bool(_) | Self::Number(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::ByteString;
    use serde_json::json;

    #[test]
    fn nothing_is_left_of_what_an_object_said() {
        let own = |key: &str| (key.to_owned(), "planted".to_owned());
        let mut secret = Secret {
            string_data: Some([own("url")].into()),
            data: Some([("url".to_owned(), ByteString(b"planted".to_vec()))].into()),
            ..Secret::default()
        };
        let mut patch = json!({ "stringData": { "url": "planted", "more": [{ "a": "planted" }] } });
        secret.wipe();
        patch.wipe();
        let left = format!("{:?} {:?} {patch}", secret.data, secret.string_data);
        assert!(!left.contains("planted"), "{left}");
        let bytes = &secret.data.expect("kept")["url"].0;
        assert!(bytes.is_empty(), "{bytes:?}");
    }
}
