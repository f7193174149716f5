//! Whether the API server guards who asks and who decides: without that, nothing new is approved or first issued.

use jiff::Timestamp;

/// What was seen of the admission policies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BoundarySeen {
    /// Why they do not guard identities now, and what to do; `None` where they do.
    pub broken: Option<String>,
    /// When one of them, or a binding, last changed, as far as the objects tell: what was made before or then is not vouched for.
    /// `None` where nothing is known to have changed.
    pub changed_at: Option<Timestamp>,
}
