//! Signs events as Standard Webhooks 1.0 defines: an HMAC-SHA256 over the id, the time of the
//! attempt and the body, one for each key.
//!
//! The specification: <https://github.com/standard-webhooks/standard-webhooks>.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;

use super::secrets::SigningKey;

/// The value of the header `webhook-signature`: `v1,` and the signature in base64, for each key,
/// separated by blanks. So a receiver that knows one of the keys accepts it.
pub(super) fn signatures(keys: &[SigningKey], id: &str, at: Timestamp, body: &[u8]) -> String {
    let signed = keys.iter().map(|key| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key.expose());
        let mut context = hmac::Context::with_key(&key);
        context.update(format!("{id}.{}.", at.as_second()).as_bytes());
        context.update(body);
        format!("v1,{}", STANDARD.encode(context.sign()))
    });
    signed.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification.
    #[test]
    fn the_example_of_the_specification_is_signed_alike() {
        let key = SigningKey::parse(b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let at = Timestamp::from_second(1_614_265_330).unwrap();
        let body = br#"{"test": 2432232314}"#;
        let signed = signatures(&[key], "msg_p5jXN8AQM9LWM0D4loKWxJek", at, body);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn each_key_signs() {
        let keys = [
            b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            b"whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        ];
        let keys = keys.map(|key| SigningKey::parse(key).unwrap());
        let at = Timestamp::UNIX_EPOCH;
        let both = signatures(&keys, "a", at, b"b");
        let [one, other] = keys.map(|key| signatures(&[key], "a", at, b"b"));
        assert_eq!(both, format!("{one} {other}"));
        assert_ne!(one, other);
    }
}
