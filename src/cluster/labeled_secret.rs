//! Reads the Secrets of integrations and notifiers: first the metadata, whose labels say whose a
//! Secret is, and then the contents.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;
use zeroize::Zeroizing;

use super::errors::ApiError;
use super::key::Key;
use super::{Cluster, SecretMetadata};

/// The contents of a Secret, by key; overwritten when dropped.
pub type SecretValues = BTreeMap<String, Zeroizing<Vec<u8>>>;

impl Cluster {
    /// A Secret's metadata: from the watch or, if that has no Secret with Keyloan's label, from the
    /// API server.
    pub async fn secret_metadata(
        &self,
        key: &Key,
    ) -> Result<Option<Arc<SecretMetadata>>, ApiError> {
        match self.secrets.get(key) {
            Some(mark) => Ok(Some(mark)),
            None => Ok(self.verbs.get_metadata(key).await?.map(Arc::new)),
        }
    }

    /// A Secret as it is now, and its contents taken out of it. It may have been replaced since the
    /// watch reported it: check its labels again.
    pub async fn secret(&self, key: &Key) -> Result<Option<(Secret, SecretValues)>, ApiError> {
        let read = self.verbs.get::<Secret, Secret>(key).await?;
        Ok(read.map(|mut secret| {
            let values = take_values(&mut secret);
            (secret, values)
        }))
    }
}

/// Takes all contents out of a Secret, including those that nobody asks for.
fn take_values(secret: &mut Secret) -> SecretValues {
    let data = secret.data.take().into_iter().flatten();
    data.map(|(key, value)| (key, Zeroizing::new(value.0)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::ByteString;

    #[test]
    fn what_a_secret_holds_is_taken_out_of_it_and_not_copied() {
        let token = b"ops_planted".to_vec();
        let (place, other) = (token.as_ptr(), ByteString(b"other".to_vec()));
        let data = [
            ("token".to_owned(), ByteString(token)),
            ("more".to_owned(), other),
        ];
        let mut secret = Secret {
            data: Some(data.into()),
            ..Secret::default()
        };
        let values = take_values(&mut secret);
        assert_eq!(secret.data, None);
        assert_eq!(values["token"].as_ptr(), place);
        assert_eq!(values["more"].as_slice(), b"other");
    }
}
