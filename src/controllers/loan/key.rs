//! The identity of a loan in passes, memory and lines.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use kube::ResourceExt;

use crate::api::{AccessGrant, AccessRecord};
use crate::cluster::{Key, ledger_of};

/// One loan. Clones share the same data, because there are many of each.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LoanKey(Arc<LoanNames>);

/// The grant of a loan, and the namespace of its record.
#[derive(Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LoanNames {
    /// The grant's namespace and name.
    pub grant: Key,
    /// The grant's uid, which is the record's name.
    pub uid: String,
    /// The integration's namespace, where the record is.
    pub ledger: String,
}

impl LoanKey {
    pub(super) fn new(grant: Key, uid: impl Into<String>, ledger: impl Into<String>) -> Self {
        Self(Arc::new(LoanNames {
            grant,
            uid: uid.into(),
            ledger: ledger.into(),
        }))
    }

    /// The loan of a request.
    pub(in crate::controllers) fn of_grant(grant: &AccessGrant) -> Self {
        let uid = grant.uid().unwrap_or_default();
        Self::new(Key::of(grant), uid, ledger_of(grant))
    }

    /// The loan of a record.
    pub(in crate::controllers) fn of_record(record: &AccessRecord) -> Self {
        let grant = &record.spec.grant;
        let ledger = record.namespace().unwrap_or_default();
        Self::new(Key::new(&grant.namespace, &grant.name), &grant.uid, ledger)
    }

    /// The record's namespace and name.
    pub(in crate::controllers) fn record(&self) -> Key {
        Key::new(&self.ledger, &self.uid)
    }
}

impl Deref for LoanKey {
    type Target = LoanNames;

    fn deref(&self) -> &LoanNames {
        &self.0
    }
}

impl fmt::Display for LoanKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.grant, self.uid)
    }
}
