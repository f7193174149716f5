//! The names by which objects of the API, and those that carry tokens and links, are known.

/// The API group of all kinds.
pub const GROUP: &str = "keyloan.dev";
/// The only version at present.
pub const VERSION: &str = "v1alpha1";

/// Label on a token Secret: the name of the one integration that may read it.
pub const INTEGRATION_LABEL: &str = "keyloan.dev/integration";
/// Label on a Secret of a notifier: the name of the one notifier that may read it.
pub const NOTIFIER_LABEL: &str = "keyloan.dev/notifier";
/// Label on every Secret that Keyloan uses: `token`, `link` or `notifier`.
pub const SECRET_LABEL: &str = "keyloan.dev/secret";
/// Label on the objects of one grant (link Secret, Role, RoleBinding): the grant's uid.
pub const GRANT_UID_LABEL: &str = "keyloan.dev/grant-uid";
/// Annotation on a grant with which the borrower requests the next link: an RFC 3339 time.
pub const RENEW_ANNOTATION: &str = "keyloan.dev/renew-requested-at";
/// Label on the objects of one installation of Keyloan: its link Secrets, Roles and RoleBindings.
pub const INSTALL_LABEL: &str = "keyloan.dev/install";
/// Label on a record that was restored from a backup without a tool that labels what it restores.
pub const RESTORED_LABEL: &str = "keyloan.dev/restored";
/// The labels of records that were restored from a backup; the first one is set by Velero. The value
/// names the restore.
pub const RESTORE_LABELS: [&str; 2] = ["velero.io/restore-name", RESTORED_LABEL];
/// The type of a link's Secret.
pub const LINK_TYPE: &str = "keyloan.dev/link";
/// The key of the link itself in its Secret.
pub const URL_KEY: &str = "url";
/// The key of the time at which the link ends.
pub const EXPIRES_AT_KEY: &str = "expiresAt";
/// The key of the link's number within its loan.
pub const SEQUENCE_KEY: &str = "sequence";
/// The key of the access details.
pub const ACCESS_DETAILS_KEY: &str = "accessDetails";
/// The keys of a link's Secret.
pub const LINK_KEYS: [&str; 4] = [URL_KEY, EXPIRES_AT_KEY, SEQUENCE_KEY, ACCESS_DETAILS_KEY];
/// The prefix of the names of the link Secret, its Role and its RoleBinding; the grant's uid follows.
pub const LINK_PREFIX: &str = "keyloan-link-";

/// The name of the Secret, the Role and the RoleBinding that carry the link of the grant with this uid.
pub fn link_name(grant_uid: &str) -> String {
    format!("{LINK_PREFIX}{grant_uid}")
}
