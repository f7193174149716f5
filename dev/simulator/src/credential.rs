//! A service account's credential and the `ops_` token that carries it.

use num_bigint::BigUint;
use serde_json::json;

use crate::crypto::SymmetricKey;
use crate::encoding::{Seed, base64url};

/// The characters of secret keys: those that cannot be mistaken for one another.
const SECRET_KEY_ALPHABET: &[u8] = b"23456789ABCDEFGHJKLMNPQRSTVWXYZ";

/// The credential behind one token. A rotation replaces all of it.
pub struct Credential {
    /// The second group of the secret key. Together with the e-mail address it identifies the
    /// credential at sign-in.
    pub account_key_uuid: String,
    /// The salt, as sent at sign-in.
    pub salt: [u8; 16],
    /// The secret of the password proof.
    pub srp_x: BigUint,
    /// The key that wraps keysets: `muk` in the token.
    pub master: SymmetricKey,
    /// A revoked token can no longer sign in.
    pub revoked: bool,
    srp_x_bytes: [u8; 32],
    secret_key: String,
    throttle: ([u8; 32], String),
    device: String,
}

impl Credential {
    /// The `generation`-th credential of a service account.
    pub fn new(seed: &Seed, account: &str, generation: u32) -> Self {
        let of = |part: &str| format!("credential {generation} of {account}: {part}");
        let characters: String = [seed.bytes(&of("secret key")), seed.bytes(&of("rest of it"))]
            .concat()
            .iter()
            .map(|byte| {
                char::from(SECRET_KEY_ALPHABET[usize::from(*byte) % SECRET_KEY_ALPHABET.len()])
            })
            .collect();
        let groups = [0..6, 6..12, 12..17, 17..22, 22..27, 27..32].map(|group| &characters[group]);
        let srp_x_bytes = seed.bytes(&of("srp x"));
        Self {
            account_key_uuid: groups[0].to_owned(),
            salt: seed.half(&of("salt")),
            srp_x: BigUint::from_bytes_be(&srp_x_bytes),
            master: SymmetricKey::new("mp", seed.bytes(&of("master unlock key"))),
            revoked: false,
            srp_x_bytes,
            secret_key: format!("A3-{}", groups.join("-")),
            throttle: (
                seed.bytes(&of("throttle seed")),
                seed.uuid(&of("throttle id")),
            ),
            device: seed.uuid(&of("device")),
        }
    }

    /// The parameters of the password proof; part of the token and of the response to `auth/start`.
    pub fn user_auth(&self) -> serde_json::Value {
        json!({
            "method": "SRPg-4096", "alg": "PBES2g-HS256", "iterations": 650_000,
            "salt": base64url(&self.salt),
        })
    }

    /// The token's text.
    pub fn token(&self, email: &str, origin: &str) -> String {
        let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
        let token = json!({
            "signInAddress": origin,
            "userAuth": self.user_auth(),
            "email": email,
            "srpX": hex(&self.srp_x_bytes),
            "muk": self.master.jwk(),
            "secretKey": self.secret_key,
            "throttleSecret": { "seed": hex(&self.throttle.0), "uuid": self.throttle.1 },
            "deviceUuid": self.device,
        });
        format!("ops_{}", base64url(token.to_string().as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoding::from_base64url;

    #[test]
    fn a_token_is_unpadded_base64url_of_what_the_sdk_reads() {
        let credential = Credential::new(&Seed::new(None), "reader", 0);
        let token = credential.token("reader@example.com", "http://127.0.0.1:1");
        let json = from_base64url(token.strip_prefix("ops_").unwrap()).unwrap();
        let value: serde_json::Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(value["signInAddress"], "http://127.0.0.1:1");
        assert_eq!(value["srpX"].as_str().unwrap().len(), 64);
        let groups: Vec<_> = value["secretKey"].as_str().unwrap().split('-').collect();
        assert_eq!(
            groups.iter().map(|g| g.len()).collect::<Vec<_>>(),
            [2, 6, 6, 5, 5, 5, 5]
        );
        assert_eq!(groups[1], credential.account_key_uuid);
    }

    #[test]
    fn a_rotation_changes_everything_that_opens_something() {
        let seed = Seed::new(Some("seed"));
        let (old, new) = (
            Credential::new(&seed, "a", 0),
            Credential::new(&seed, "a", 1),
        );
        assert_ne!(old.account_key_uuid, new.account_key_uuid);
        assert_ne!(old.srp_x_bytes, new.srp_x_bytes);
        assert_ne!(old.master.jwk(), new.master.jwk());
    }
}
