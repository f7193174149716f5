//! The values of a notifier's Secrets, checked once and never shown: the URL of a receiver, the keys
//! that sign, and the name and password for a mail server.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};
use url::{Host, Url};
use zeroize::Zeroizing;

/// The beginning of a signing key.
const KEY_PREFIX: &str = "whsec_";

/// The sizes of a signing key in bytes that Standard Webhooks allows.
const KEY_SIZES: std::ops::RangeInclusive<usize> = 24..=64;

/// The longest URL, in bytes. Those of Slack have about 80, those of Teams about 300.
const LONGEST_URL: usize = 4096;

/// The longest name of a user, and the longest password, in bytes.
const LONGEST_CREDENTIAL: usize = 1024;

/// Why the value of a Secret cannot be used. No message repeats any part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// Not the URL of a receiver.
    #[error(
        "the value is not the URL of a receiver: {0}; copy the whole URL again, such as \
         https://hooks.example.com/services/..."
    )]
    Url(&'static str),
    /// Not a signing key.
    #[error(
        "the value is not a signing key: {0}; make one with: echo whsec_$(openssl rand -base64 32)"
    )]
    Key(&'static str),
    /// Not a name of a user or a password.
    #[error("the value is not a user's name or password for a mail server: {0}")]
    Credential(&'static str),
}

/// The `https` URL of a receiver. Anyone who knows it can write to the receiver.
#[derive(Clone)]
pub struct SecretUrl {
    text: SecretString,
    host: String,
}

/// A key that signs events.
#[derive(Clone)]
pub struct SigningKey(SecretSlice<u8>);

/// The name and the password with which to sign in to a mail server.
#[derive(Clone)]
pub struct Credentials {
    user: SecretString,
    password: SecretString,
}

impl SecretUrl {
    /// Reads the URL from a Secret's bytes. White space around it is ignored.
    pub fn parse(secret: &[u8]) -> Result<Self, SecretError> {
        let text = line(secret).map_err(SecretError::Url)?;
        if text.len() > LONGEST_URL {
            return Err(SecretError::Url("it is longer than 4096 bytes"));
        }
        // A URL may contain neither, and the parser would drop or repair them.
        if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(SecretError::Url("it contains blanks or line breaks"));
        }
        let url = Url::parse(text).map_err(|_| SecretError::Url("it is not a URL"))?;
        let host = host_of(&url).map_err(SecretError::Url);
        // The parser's own text is overwritten.
        let serialized = Zeroizing::new(String::from(url));
        Ok(Self {
            host: host?,
            text: SecretString::from(serialized.as_str()),
        })
    }

    /// The receiver's host. It is not secret.
    pub fn host(&self) -> &str {
        &self.host
    }

    pub(super) fn expose(&self) -> &str {
        self.text.expose_secret()
    }

    /// What is secret of it: the path and the query.
    pub(super) fn secret_part(&self) -> &str {
        let rest = self.expose().trim_start_matches("https://");
        rest.find('/').map_or("", |at| &rest[at..])
    }
}

fn host_of(url: &Url) -> Result<String, &'static str> {
    if url.scheme() != "https" {
        return Err("it does not begin with https://");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("it contains a user or a password before the host");
    }
    if url.fragment().is_some() {
        return Err("it has a part after #, which is never sent");
    }
    match url.host() {
        Some(Host::Ipv6(address)) => Ok(address.to_string()),
        Some(host) => Ok(host.to_string()),
        None => Err("it has no host"),
    }
}

impl SigningKey {
    /// Reads the key from a Secret's bytes, in the form of Standard Webhooks: `whsec_` and 24 to 64
    /// bytes in base64. White space around it is ignored.
    pub fn parse(secret: &[u8]) -> Result<Self, SecretError> {
        let text = line(secret).map_err(SecretError::Key)?;
        let encoded = text
            .strip_prefix(KEY_PREFIX)
            .ok_or(SecretError::Key("it does not begin with \"whsec_\""))?;
        let key = STANDARD.decode(encoded).map(Zeroizing::new);
        let key = key.map_err(|_| {
            SecretError::Key("the text after \"whsec_\" is not base64: was it cut off?")
        })?;
        match KEY_SIZES.contains(&key.len()) {
            true => Ok(Self(SecretSlice::from(key.to_vec()))),
            false => Err(SecretError::Key("it does not have 24 to 64 bytes")),
        }
    }

    pub(super) fn expose(&self) -> &[u8] {
        self.0.expose_secret()
    }
}

impl Credentials {
    /// Reads both from Secrets' bytes. A line break at the end is ignored.
    pub fn parse(user: &[u8], password: &[u8]) -> Result<Self, SecretError> {
        let user = credential(user, "the user's name is empty")?;
        let password = credential(password, "the password is empty")?;
        Ok(Self { user, password })
    }

    pub(super) fn user(&self) -> &str {
        self.user.expose_secret()
    }

    pub(super) fn password(&self) -> &str {
        self.password.expose_secret()
    }
}

fn credential(secret: &[u8], empty: &'static str) -> Result<SecretString, SecretError> {
    let error = SecretError::Credential;
    let text = std::str::from_utf8(secret).map_err(|_| error("it is not text"))?;
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return Err(error(empty));
    }
    if text.len() > LONGEST_CREDENTIAL {
        return Err(error("it is longer than 1024 bytes"));
    }
    match text.chars().any(char::is_control) {
        true => Err(error("it contains control characters or line breaks")),
        false => Ok(SecretString::from(text)),
    }
}

/// The text of a Secret, without white space around it.
fn line(secret: &[u8]) -> Result<&str, &'static str> {
    let text = std::str::from_utf8(secret).map_err(|_| "it is not text")?;
    match text.trim() {
        "" => Err("it is empty"),
        text => Ok(text),
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretUrl")
            .field("host", &self.host)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").finish_non_exhaustive()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(
        "https://hooks.slack.com/services/T0/B0/s3cret\n",
        "hooks.slack.com",
        "/services/T0/B0/s3cret"
    )]
    #[case(
        "https://HOOKS.example.com:8443/a?sig=s3cret",
        "hooks.example.com",
        "/a?sig=s3cret"
    )]
    #[case::bare("https://hooks.example.com", "hooks.example.com", "/")]
    #[case::six("https://[fd00::1]/s3cret", "fd00::1", "/s3cret")]
    #[case::decimal("https://2130706433/s3cret", "127.0.0.1", "/s3cret")]
    #[case::hexadecimal("https://0x7f.1/s3cret", "127.0.0.1", "/s3cret")]
    #[case::octal("https://0177.0.0.1/s3cret", "127.0.0.1", "/s3cret")]
    #[case::full_width("https://１２７.0.0.1/s3cret", "127.0.0.1", "/s3cret")]
    fn the_host_of_a_url_is_known_and_the_rest_is_secret(
        #[case] text: &str,
        #[case] host: &str,
        #[case] secret: &str,
    ) {
        let url = SecretUrl::parse(text.as_bytes()).unwrap();
        assert_eq!(url.host(), host);
        assert_eq!(url.secret_part(), secret);
        let shown = format!("{url:?}");
        assert!(shown.contains(host) && !shown.contains("s3cret"), "{shown}");
    }

    #[rstest]
    #[case::empty(" \n", "it is empty")]
    #[case::not_text("\u{ff}", "it is not a URL")]
    #[case::plain("http://hooks.example.com/s3cret", "does not begin with https://")]
    #[case::another_scheme("file:///etc/s3cret", "does not begin with https://")]
    #[case::no_scheme("hooks.example.com/s3cret", "it is not a URL")]
    #[case::user("https://s3cret@hooks.example.com/", "a user or a password")]
    #[case::password("https://:s3cret@hooks.example.com/", "a user or a password")]
    #[case::fragment("https://hooks.example.com/#s3cret", "after #")]
    #[case::two_lines("https://hooks.example.com/\ns3cret", "blanks or line breaks")]
    #[case::blank("https://hooks.example.com/a s3cret", "blanks or line breaks")]
    #[case::no_host("https:///", "it is not a URL")]
    fn a_url_that_is_no_receivers_is_refused_without_showing_it(
        #[case] text: &str,
        #[case] why: &str,
    ) {
        let says = SecretUrl::parse(text.as_bytes()).unwrap_err().to_string();
        assert!(says.contains(why) && !says.contains("s3cret"), "{says}");
    }

    fn key(bytes: usize) -> String {
        format!("whsec_{}", STANDARD.encode(vec![7; bytes]))
    }

    #[rstest]
    #[case::shortest(24)]
    #[case::longest(64)]
    fn a_key_of_24_to_64_bytes_signs(#[case] bytes: usize) {
        let key = SigningKey::parse(format!("{}\n", key(bytes)).as_bytes()).unwrap();
        assert_eq!(key.expose(), vec![7; bytes]);
        assert_eq!(format!("{key:?}"), "SigningKey { .. }");
    }

    #[rstest]
    #[case::empty("".to_owned(), "it is empty")]
    #[case::too_short(key(23), "24 to 64 bytes")]
    #[case::too_long(key(65), "24 to 64 bytes")]
    #[case::no_prefix(STANDARD.encode([7; 32]), "does not begin with")]
    #[case::cut_off(key(32)[..40].to_owned() + "!", "not base64")]
    fn a_key_that_is_none_is_refused_without_showing_it(#[case] text: String, #[case] why: &str) {
        let says = SigningKey::parse(text.as_bytes()).unwrap_err().to_string();
        assert!(says.contains(why), "{says}");
        assert!(!says.contains("BwcH"), "{says}");
    }

    #[test]
    fn the_end_of_a_line_is_no_part_of_a_password_and_a_line_within_is_refused() {
        let both = Credentials::parse(b"keyloan\n", b" s3cret \r\n").unwrap();
        assert_eq!((both.user(), both.password()), ("keyloan", " s3cret "));
        assert_eq!(format!("{both:?}"), "Credentials { .. }");
        for (user, password) in [
            ("", "x"),
            ("x", "\n"),
            ("a\nb", "s3cret"),
            ("a", "s3\0cret"),
        ] {
            let refused = Credentials::parse(user.as_bytes(), password.as_bytes());
            assert!(!refused.unwrap_err().to_string().contains("s3"));
        }
    }
}
