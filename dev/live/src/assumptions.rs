//! The assumptions of Keyloan, or of the simulator that tests it, about 1Password that only a real
//! account can confirm.
//!
//! docs/assumptions.md is generated from this list, and a test compares the two.

/// How an assumption can be checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// The command checks it if it has a token.
    Token,
    /// The command also needs the name of an item.
    Item,
    /// The check needs a real share.
    Share,
    /// The check needs a token that was revoked or rotated.
    RevokedToken,
    /// A person has to check it.
    ByHand,
}

/// One assumption.
#[derive(Debug, PartialEq, Eq)]
pub struct Assumption {
    /// The name that tables show.
    pub id: &'static str,
    /// The assumption.
    pub claim: &'static str,
    /// The consequence for Keyloan if it is wrong.
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

/// All assumptions; those that the command checks come first.
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
        "Keyloan counts such requests under `other`, and classifies their errors less well",
    ),
    assume(
        "status-ok",
        Check::Token,
        "1Password answers a request that succeeds with 200",
        "Keyloan may take a success for a failure",
    ),
    assume(
        "date",
        Check::Token,
        "Every answer has a `Date` header",
        "Keyloan does not notice a wrong clock",
    ),
    assume(
        "clock",
        Check::Token,
        "1Password's clock and this machine's clock differ by less than a minute",
        "set this machine's clock; `expiresAt` of links is off by the difference",
    ),
    assume(
        "unknown-item",
        Check::Token,
        "1Password answers a request for an item that does not exist with 404",
        "Keyloan reports another cause for a deleted item",
    ),
    assume(
        "unknown-vault",
        Check::Token,
        "1Password answers a request for a vault that does not exist with 404",
        "Keyloan reports another cause for a deleted vault",
    ),
    assume(
        "policy",
        Check::Token,
        "A service account may read the share policy of an item that it can share, in one request",
        "Keyloan can issue no link",
    ),
    assume(
        "policy-named",
        Check::Token,
        "The account's policy allows shares with people named by e-mail address",
        "Keyloan can issue no link; this is a setting of the account, not an error",
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
        "A share costs two requests: the check of its recipients, and its creation",
        "a loan costs more requests than counted",
    ),
    assume(
        "share-url",
        Check::Share,
        "A link is an https URL of 1Password with its key after the `#`",
        "the link Secret does not hold a link",
    ),
    assume(
        "revoked-token",
        Check::RevokedToken,
        "1Password answers a sign-in with a revoked or rotated token with 401",
        "Keyloan does not report such a token as `OnePasswordUnauthorized`",
    ),
    assume(
        "revoked-session",
        Check::ByHand,
        "When a token is revoked, the sessions that it opened end with 401 at their next request",
        "a revoked token keeps working until its session ends",
    ),
    assume(
        "session-length",
        Check::ByHand,
        "A session stays valid while it is idle for less than ten minutes",
        "calls cost four more requests for signing in again; nothing else changes",
    ),
    assume(
        "server-proof",
        Check::ByHand,
        "Signing in works every time: the public value of the service always has an even number of hexadecimal digits",
        "one sign-in in sixteen fails; Keyloan tries again",
    ),
    assume(
        "firewall",
        Check::ByHand,
        "1Password answers a sign-in from an address that the account's firewall rules exclude with 403",
        "Keyloan reports another cause for a firewall",
    ),
    assume(
        "no-read-right",
        Check::ByHand,
        "1Password answers a request for a vault that exists but that the service account cannot read with 403",
        "Keyloan reports such a vault as not found, or a missing vault as forbidden",
    ),
    assume(
        "no-share-right",
        Check::ByHand,
        "If the service account may not share, 1Password answers the reading of the share policy with 403",
        "the refusal comes one request later",
    ),
    assume(
        "rate-limit",
        Check::ByHand,
        "Beyond a request limit, 1Password answers with 429 and does nothing",
        "Keyloan reports another cause for a throttled call, or counts a link that exists as refused",
    ),
    assume(
        "retry-after",
        Check::ByHand,
        "A 429 carries `Retry-After`, in seconds or as a date, and a call after that time succeeds",
        "Keyloan follows its own back-off, and waits too long or too briefly",
    ),
    assume(
        "quotas",
        Check::ByHand,
        "The limits are those that 1Password publishes per plan (per token and hour, per account and day), and each request of a sign-in counts at most as a read",
        "Keyloan's estimate is wrong; it still follows every 429",
    ),
    assume(
        "refused-share",
        Check::ByHand,
        "If 1Password answers the creation of a share with 4xx, there is no share",
        "a link that the record calls refused may exist",
    ),
    assume(
        "share-policy",
        Check::ByHand,
        "1Password answers the creation of a share that the account's policy forbids with 400",
        "Keyloan reports another cause for such a refusal",
    ),
    assume(
        "changed-item",
        Check::ByHand,
        "1Password answers an attempt to share an older version of an item with 409",
        "Keyloan issues a link with the old content, or reports another cause for the answer",
    ),
    assume(
        "share-end",
        Check::ByHand,
        "A link opens until its lifetime after its creation has passed by 1Password's clock, and no longer",
        "`residualUntil` is wrong",
    ),
    assume(
        "share-recipient",
        Check::ByHand,
        "A link opens only for a person who proves that they receive mail at the named address; a plus-address is another address, and case does not matter",
        "loans are not protected as the documentation describes",
    ),
    assume(
        "view-once",
        Check::ByHand,
        "A view-once link shows the item once, and failed attempts do not count",
        "the recipient of a view-once link can see the item more than once, or not at all",
    ),
    assume(
        "share-copy",
        Check::ByHand,
        "A share is a copy: editing or deleting the item, or revoking the token, neither changes nor ends it",
        "`residualUntil` is later than necessary",
    ),
    assume(
        "item-kinds",
        Check::ByHand,
        "Items with sections, one-time passwords, SSH keys, files and documents can be shared like other items",
        "such a share fails, or lacks part of the item",
    ),
    assume(
        "regions",
        Check::ByHand,
        "Accounts on 1password.ca and 1password.eu work like those on 1password.com",
        "Keyloan does not work there",
    ),
];

/// The text of docs/assumptions.md around the table.
const TEXT: &str = include_str!("assumptions.md");

/// The complete text of docs/assumptions.md.
pub fn markdown() -> String {
    let mut rows = String::from("| | Assumed | If it is wrong | Checked by |\n|---|---|---|---|\n");
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
    /// The option to give, or the action to take.
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
