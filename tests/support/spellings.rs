//! Thirty ways to write one mailbox, ben's, as usernames have it.

use keyloan::api::Email;
use keyloan::plan::people::Mailbox;

/// The first one is the address itself.
pub const SPELLINGS: [&str; 30] = [
    "ben@other.org",
    "Ben@other.org",
    "BEN@OTHER.ORG",
    "ben@Other.org",
    "bEn@oThEr.OrG",
    "ben+links@other.org",
    "Ben+Links@Other.org",
    "ben+a+b@other.org",
    "ben+@other.org",
    "ben+1@OTHER.org",
    "oidc:ben@other.org",
    "OIDC:Ben@other.org",
    "https://sso.example.com#ben@other.org",
    "https://sso.example.com/ben@other.org",
    "CORP\\ben@other.org",
    "auth0|ben@other.org",
    "google-oauth2|ben+x@other.org",
    "realm=ben@other.org",
    "ben@other.org#realm1",
    "ben@other.org/admin",
    "ben/admin@OTHER.ORG",
    "ben_other.org#EXT#@contoso.onmicrosoft.com",
    "live.com#ben@other.org",
    "Ben Jones <ben@other.org>",
    "<ben@other.org>",
    "\"Ben\" ben@other.org",
    "mailto:ben@other.org",
    "ben@other.org,",
    "arn:aws:sts::123456789012:assumed-role/Dev/ben@other.org",
    "principal://iam.googleapis.com/locations/global/workforcePools/p/subject/ben@other.org",
];

/// The address that the chart's default expression finds in a username; a test compares it with the API server's.
pub fn address(username: &str) -> Option<Email> {
    Mailbox::named(username).map(|_| Email(username.to_ascii_lowercase()))
}
