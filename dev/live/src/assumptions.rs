//! What Keyloan, or the simulator it is tested with, assumes about 1Password and only a real account can settle.
//!
//! docs/assumptions.md is written from this list, and a test compares the two.

/// How an assumption can be checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// This command looks at it, given a token.
    Token,
    /// It needs an item to be named, too.
    Item,
    /// It needs a real share.
    Share,
    /// It needs a token that was revoked or rotated.
    RevokedToken,
    /// A person has to look.
    ByHand,
}

/// One assumption.
#[derive(Debug, PartialEq, Eq)]
pub struct Assumption {
    /// Its name, in tables.
    pub id: &'static str,
    /// What is assumed.
    pub claim: &'static str,
    /// What it means for Keyloan if it is otherwise.
    pub otherwise: &'static str,
    /// How it can be checked.
    pub check: Check,
}

const fn assume(
    id: &'static str,
    check: Check,
    claim: &'static str,
    otherwise: &'static str,
) -> Assumption {
    Assumption {
        id,
        claim,
        otherwise,
        check,
    }
}

/// All of them; those that the command looks at come first.
pub const ALL: &[Assumption] = &[
    assume(
        "sign-in",
        Check::Token,
        "Signing in takes four requests, and no device has to be registered",
        "a loan on a fresh client costs more requests than counted",
    ),
    assume(
        "vault-list",
        Check::Token,
        "A fresh client lists the vaults in two requests after sign-in: keysets, vaults",
        "discovery costs more requests than counted",
    ),
    assume(
        "item-list",
        Check::Token,
        "The list of a vault's items is one request, however many there are",
        "discovery costs more requests, or large vaults are seen in part",
    ),
    assume(
        "routes",
        Check::Token,
        "The core uses only the routes that Keyloan knows",
        "requests are counted under `other`, and errors classified less well",
    ),
    assume(
        "status-ok",
        Check::Token,
        "What succeeds is answered with 200",
        "a success may be taken for a failure",
    ),
    assume(
        "date",
        Check::Token,
        "Every answer has a `Date`",
        "a wrong clock goes unnoticed",
    ),
    assume(
        "clock",
        Check::Token,
        "1Password's clock and this machine's differ by less than a minute",
        "set this machine's clock; `expiresAt` of links is off by the difference",
    ),
    assume(
        "unknown-item",
        Check::Token,
        "An item that does not exist is answered with 404",
        "a deleted item is reported as something else",
    ),
    assume(
        "unknown-vault",
        Check::Token,
        "A vault that does not exist is answered with 404",
        "a deleted vault is reported as something else",
    ),
    assume(
        "policy",
        Check::Token,
        "A service account may read the share policy of an item that it can share, in one request",
        "no link can be issued",
    ),
    assume(
        "policy-named",
        Check::Token,
        "The account's policy allows shares with people named by e-mail address",
        "no link can be issued; that is the account's setting, not an error",
    ),
    assume(
        "item",
        Check::Item,
        "A fresh client gets an item in three requests after sign-in: vault, keysets, item",
        "a loan costs more requests than counted",
    ),
    assume(
        "share",
        Check::Share,
        "A share costs two requests: its recipients' check and its creation",
        "a loan costs more requests than counted",
    ),
    assume(
        "share-url",
        Check::Share,
        "A link is an https URL of 1Password's whose key stands behind the `#`",
        "the link Secret holds something else than a link",
    ),
    assume(
        "revoked-token",
        Check::RevokedToken,
        "A revoked or rotated token is answered with 401 while signing in",
        "such a token is not reported as `OnePasswordUnauthorized`",
    ),
    assume(
        "revoked-session",
        Check::ByHand,
        "When a token is revoked, the sessions that it opened end with 401 at their next request",
        "a revoked token works on until its session ends",
    ),
    assume(
        "session-length",
        Check::ByHand,
        "A session that idles for less than ten minutes lives on",
        "calls cost four more requests for signing in again; nothing else changes",
    ),
    assume(
        "server-proof",
        Check::ByHand,
        "Signing in works every time: the public value of the service always has an even number of hexadecimal digits",
        "one sign-in in sixteen fails; it is tried again",
    ),
    assume(
        "firewall",
        Check::ByHand,
        "An address that the account's firewall rules shut out is answered with 403 while signing in",
        "a firewall is reported as something else",
    ),
    assume(
        "no-read-right",
        Check::ByHand,
        "A vault that exists but that the service account cannot read is answered with 403",
        "it is reported as not found, or the other way round",
    ),
    assume(
        "no-share-right",
        Check::ByHand,
        "Without the right to share, reading the share policy is answered with 403 already",
        "the refusal comes one request later",
    ),
    assume(
        "rate-limit",
        Check::ByHand,
        "Beyond a request limit the answer is 429 and nothing was done",
        "a throttled call is reported as something else, or a link is counted as refused that exists",
    ),
    assume(
        "retry-after",
        Check::ByHand,
        "A 429 carries `Retry-After`, in seconds or as a date, and asking again then succeeds",
        "Keyloan waits by its own back-off, too long or too short",
    ),
    assume(
        "quotas",
        Check::ByHand,
        "The limits are those that 1Password publishes per plan (per token and hour, per account and day), and sign-ins do not count",
        "Keyloan's estimate is off; 429 remains the truth",
    ),
    assume(
        "refused-share",
        Check::ByHand,
        "A 4xx to the creation of a share means that there is no share",
        "a link may exist that the record calls refused",
    ),
    assume(
        "share-policy",
        Check::ByHand,
        "A share that the account's policy forbids is answered with 400",
        "such a refusal is reported as something else",
    ),
    assume(
        "changed-item",
        Check::ByHand,
        "Sharing a version of an item that is no longer the newest is answered with 409",
        "a link with the old content is issued, or the answer is reported as something else",
    ),
    assume(
        "share-end",
        Check::ByHand,
        "A link opens until its lifetime has passed since its creation by 1Password's clock, and not later",
        "`residualUntil` is wrong",
    ),
    assume(
        "share-recipient",
        Check::ByHand,
        "A link opens only for who proves to receive mail at the named address; a plus-address is another address, case does not matter",
        "the boundary on which a loan rests is another one than described",
    ),
    assume(
        "view-once",
        Check::ByHand,
        "A view-once link shows the item once, and failed attempts do not count",
        "a view-once loan can be seen more than once, or not at all",
    ),
    assume(
        "share-copy",
        Check::ByHand,
        "A share is a copy: editing or deleting the item, or revoking the token, neither changes nor ends it",
        "`residualUntil` is too careful",
    ),
    assume(
        "item-kinds",
        Check::ByHand,
        "Items with sections, one-time passwords, SSH keys, files and documents can be shared like others",
        "such a share fails, or lacks a part of the item",
    ),
    assume(
        "regions",
        Check::ByHand,
        "Accounts on 1password.ca and 1password.eu work like those on 1password.com",
        "Keyloan does not work there",
    ),
];

/// Where the table goes in docs/assumptions.md.
const TEXT: &str = include_str!("assumptions.md");

/// The whole of docs/assumptions.md.
pub fn markdown() -> String {
    let mut rows =
        String::from("| | Assumed | If it is otherwise | Checked by |\n|---|---|---|---|\n");
    for assumption in ALL {
        rows += &format!(
            "| `{}` | {} | {} | {} |\n",
            assumption.id,
            assumption.claim,
            assumption.otherwise,
            assumption.check.words()
        );
    }
    TEXT.replace("{{table}}\n", &rows)
}

impl Check {
    /// What has to be given, or done.
    pub fn words(self) -> &'static str {
        match self {
            Self::Token => "the command",
            Self::Item => "`--item`",
            Self::Share => "`--item`, `--share-with` and `--yes`",
            Self::RevokedToken => "`KEYLOAN_LIVE_REVOKED_TOKEN`",
            Self::ByHand => "a person",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_page_in_the_docs_is_this_list() {
        let page = std::fs::read_to_string(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../docs/assumptions.md"
        ))
        .unwrap();
        assert!(
            page == markdown(),
            "docs/assumptions.md is out of date: run `cargo xtask live --markdown > docs/assumptions.md`"
        );
    }

    #[test]
    fn every_assumption_has_a_name_of_its_own() {
        let names: BTreeSet<_> = ALL.iter().map(|assumption| assumption.id).collect();
        assert_eq!(names.len(), ALL.len());
    }
}
