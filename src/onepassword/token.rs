//! The service-account token: parsed once, its origin checked before anything can be sent, its text
//! never shown.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use url::Url;
use zeroize::Zeroizing;

/// The domains of 1Password's accounts in its three regions; subdomains count, too.
const DOMAINS: [&str; 3] = ["1password.com", "1password.ca", "1password.eu"];

/// The beginning of every token.
const PREFIX: &str = "ops_";

/// A service account's token of the right shape, whose origin may be connected to.
#[derive(Clone)]
pub struct ServiceAccountToken {
    text: SecretString,
    origin: Origin,
    account: String,
    fingerprint: String,
}

/// The reason why a token was not accepted. No message repeats any part of it but the origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not a token at all.
    #[error(
        "the token is malformed: {why}; copy the whole service account token again (it begins with \
         \"ops_\")"
    )]
    Malformed {
        /// The problem.
        why: &'static str,
    },
    /// A token that signs in at a foreign origin.
    #[error(
        "the token signs in at {origin}, which is not https on 1password.com, .ca or .eu: if that \
         is intended, start the operator with --allow-origin {origin} (chart value allowOrigins)"
    )]
    ForeignOrigin {
        /// The origin at which the token would sign in.
        origin: Origin,
    },
}

/// Scheme, host and port of a server, in the form `https://example.com` (the scheme's own port is left out).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    text: String,
    host: String,
}

/// The reason why a text is not an origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is not an origin: write the scheme, the host and, if needed, the port, as in \
     https://1password.example:8443"
)]
pub struct OriginError {
    text: String,
}

/// The origins outside of 1Password's own domains at which tokens may sign in; none by default.
#[derive(Debug, Clone, Default)]
pub struct AllowedOrigins(Vec<Origin>);

impl ServiceAccountToken {
    /// Reads the token from a Secret's bytes; white space around it is ignored.
    pub fn parse(secret: &[u8], allowed: &AllowedOrigins) -> Result<Self, TokenError> {
        let malformed = |why| TokenError::Malformed { why };
        let text = std::str::from_utf8(secret)
            .map_err(|_| malformed("it is not text"))?
            .trim();
        if text.is_empty() {
            return Err(malformed("it is empty"));
        }
        let encoded = text
            .strip_prefix(PREFIX)
            .ok_or(malformed("it does not begin with \"ops_\""))?;
        let json = URL_SAFE_NO_PAD
            .decode(encoded.trim_end_matches('='))
            .map(Zeroizing::new)
            .map_err(|_| {
                malformed("the text after \"ops_\" is not base64url: was it cut off or wrapped?")
            })?;
        let contents: Contents = serde_json::from_slice(&json)
            .map_err(|_| malformed("its contents are not those of a service account"))?;
        if !contents.is_complete() {
            return Err(malformed("its contents are not those of a service account"));
        }
        let origin = Origin::of_sign_in_address(contents.sign_in_address)
            .ok_or(malformed("its sign-in address is not a server's address"))?;
        if !allowed.allow(&origin) {
            return Err(TokenError::ForeignOrigin { origin });
        }
        let digest = Sha256::digest(text.as_bytes());
        let fingerprint = data_encoding::HEXLOWER.encode(&digest[..8]);
        Ok(Self {
            text: SecretString::from(text),
            origin,
            account: contents.email.to_owned(),
            fingerprint,
        })
    }

    /// The only origin that its client may connect to.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The host at which it signs in.
    pub fn host(&self) -> &str {
        &self.origin.host
    }

    /// The service account's own address at 1Password; not secret.
    pub fn account(&self) -> &str {
        &self.account
    }

    /// Distinguishes tokens (64 bits of the SHA-256); not secret.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// The token's text, for the core alone.
    pub(super) fn expose(&self) -> &str {
        self.text.expose_secret()
    }
}

impl fmt::Debug for ServiceAccountToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceAccountToken")
            .field("origin", &self.origin.text)
            .field("fingerprint", &self.fingerprint)
            .finish_non_exhaustive()
    }
}

/// The part of a token's contents that the core needs. All of it is borrowed: an escaped text,
/// which no real token has, does not parse.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Contents<'a> {
    sign_in_address: &'a str,
    email: &'a str,
    srp_x: &'a str,
    secret_key: &'a str,
    device_uuid: &'a str,
    muk: Muk<'a>,
}

#[derive(Deserialize)]
struct Muk<'a> {
    k: &'a str,
}

impl Contents<'_> {
    fn is_complete(&self) -> bool {
        ![
            self.email,
            self.srp_x,
            self.secret_key,
            self.device_uuid,
            self.muk.k,
        ]
        .contains(&"")
    }
}

impl Origin {
    /// Parses an origin as a person writes it: with its scheme, and nothing after host and port.
    pub fn parse(text: &str) -> Result<Self, OriginError> {
        let refuse = || OriginError {
            text: text.to_owned(),
        };
        let url = Url::parse(text).map_err(|_| refuse())?;
        Self::of_bare(&url).ok_or_else(refuse)
    }

    /// The origin of any URL; `None` unless it is http or https.
    pub(super) fn of(url: &Url) -> Option<Self> {
        if !matches!(url.scheme(), "https" | "http") {
            return None;
        }
        let host = url.host_str()?.to_owned();
        Some(Self {
            text: url.origin().ascii_serialization(),
            host,
        })
    }

    fn of_bare(url: &Url) -> Option<Self> {
        let bare = url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        if bare { Self::of(url) } else { None }
    }

    /// The core reads an address without a scheme as https.
    fn of_sign_in_address(address: &str) -> Option<Self> {
        let url = if address.contains("://") {
            Url::parse(address)
        } else {
            Url::parse(&format!("https://{address}"))
        };
        Self::of_bare(&url.ok()?)
    }

    /// The host, without port.
    pub fn host(&self) -> &str {
        &self.host
    }

    fn is_1password(&self) -> bool {
        let of_domain = |domain: &&str| match self.host.strip_suffix(*domain) {
            Some(rest) => rest.is_empty() || rest.ends_with('.'),
            None => false,
        };
        // Without a port in it: only https on its default port.
        self.text == format!("https://{}", self.host) && DOMAINS.iter().any(of_domain)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::str::FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl AllowedOrigins {
    /// 1Password's own domains, and exactly these others.
    pub fn with(others: impl IntoIterator<Item = Origin>) -> Self {
        Self(others.into_iter().collect())
    }

    fn allow(&self, origin: &Origin) -> bool {
        origin.is_1password() || self.0.contains(origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const PLANTED: &str = "planted-secret";

    fn token(address: &str) -> String {
        let contents = serde_json::json!({
            "signInAddress": address, "email": "sa@1passwordserviceaccounts.com", "srpX": PLANTED,
            "secretKey": "A3-ABCDEF-GHJKLM-NPQRS-TVWXY-Z2345-6789A", "deviceUuid": "aaaaaaaaaaaaaaaaaaaaaaaaaa",
            "muk": {"alg": "A256GCM", "k": PLANTED, "kty": "oct", "kid": "mp"},
        });
        format!("ops_{}", URL_SAFE_NO_PAD.encode(contents.to_string()))
    }

    fn parse(text: &str) -> Result<ServiceAccountToken, TokenError> {
        ServiceAccountToken::parse(text.as_bytes(), &AllowedOrigins::default())
    }

    #[rstest]
    #[case("my.1password.com", "https://my.1password.com")]
    #[case("https://team.1password.eu", "https://team.1password.eu")]
    #[case("1password.ca", "https://1password.ca")]
    #[case("https://team.1password.com:443/", "https://team.1password.com")]
    fn tokens_of_1password_are_accepted(#[case] address: &str, #[case] origin: &str) {
        assert_eq!(
            parse(&token(address))
                .expect("accepted")
                .origin()
                .to_string(),
            origin
        );
    }

    #[rstest]
    #[case("evil1password.com")]
    #[case("1password.com.evil.example")]
    #[case("http://my.1password.com")]
    #[case("https://my.1password.com:8443")]
    #[case("my.1password.com.")]
    #[case("127.0.0.1:8443")]
    #[case("http://localhost:8080")]
    fn a_foreign_origin_is_refused(#[case] address: &str) {
        assert!(matches!(
            parse(&token(address)),
            Err(TokenError::ForeignOrigin { .. })
        ));
    }

    #[test]
    fn an_allowed_origin_is_allowed_exactly() {
        let allowed =
            AllowedOrigins::with([Origin::parse("http://127.0.0.1:18080").expect("an origin")]);
        let parse = |address| ServiceAccountToken::parse(token(address).as_bytes(), &allowed);
        assert!(parse("http://127.0.0.1:18080").is_ok());
        assert!(parse("http://127.0.0.1:18081").is_err());
        assert!(parse("https://127.0.0.1:18080").is_err());
        assert!(parse("my.1password.com").is_ok());
    }

    #[rstest]
    #[case::user("https://a:b@my.1password.com")]
    #[case::path("https://my.1password.com/evil")]
    #[case::query("https://my.1password.com?x")]
    #[case::scheme("ftp://my.1password.com")]
    #[case::nothing("")]
    fn an_address_that_is_more_or_less_than_an_origin_is_malformed(#[case] address: &str) {
        let why = "its sign-in address is not a server's address";
        assert_eq!(
            parse(&token(address)).expect_err("refused"),
            TokenError::Malformed { why }
        );
        assert!(Origin::parse(address).is_err());
    }

    #[rstest]
    #[case("")]
    #[case("  \n")]
    #[case("hello planted-secret")]
    #[case("ops_planted-secret!")]
    #[case("ops_cGxhbnRlZC1zZWNyZXQ")]
    #[case("ops_e30")]
    fn what_is_no_token_is_refused_without_an_echo(#[case] text: &str) {
        let error = parse(text).expect_err("refused");
        assert!(!format!("{error} {error:?}").contains("planted"), "{error}");
        assert!(matches!(error, TokenError::Malformed { .. }));
    }

    #[test]
    fn white_space_around_a_token_is_ignored() {
        let text = token("my.1password.com");
        let (bare, wrapped) = (
            parse(&text).expect("fine"),
            parse(&format!("\n {text}\r\n")).expect("fine"),
        );
        assert_eq!(bare.fingerprint(), wrapped.fingerprint());
        assert_eq!(bare.expose(), wrapped.expose());
    }

    #[test]
    fn another_token_has_another_fingerprint_and_none_is_shown() {
        let (one, other) = (
            parse(&token("a.1password.com")),
            parse(&token("b.1password.com")),
        );
        let (one, other) = (one.expect("fine"), other.expect("fine"));
        assert_ne!(one.fingerprint(), other.fingerprint());
        let shown = format!("{one:?}");
        assert!(
            !shown.contains("ops_") && !shown.contains(PLANTED),
            "{shown}"
        );
        assert!(shown.contains(one.fingerprint()));
    }
}
