//! Reading again, before the first link, what people have decided: a watch lags, and what it told may be gone.

use crate::cluster::{ApiError, Key};
use crate::plan::effect::IssueLink;

use super::issue::Issuing;

impl Issuing<'_> {
    /// Reads the decisions on which the first link rests from the API server itself, so that the plan that is made next counts what is there.
    pub(super) async fn read_decisions_again(&self, issue: &IssueLink) -> Result<(), ApiError> {
        if issue.item_version.is_some() {
            return Ok(());
        }
        for counted in &issue.decisions {
            let mut objects = self.seen.decisions.iter();
            let object = objects.find(|object| {
                let spec = &object.spec;
                let by = spec.approver.as_ref().map(|by| &by.username);
                let at = object.metadata.creation_timestamp.as_ref();
                (by, spec.decision, at)
                    == (Some(&counted.user), counted.decision, Some(&counted.at))
            });
            if let Some(object) = object {
                let key = Key::of(object.as_ref());
                self.loans.cluster.decisions.live(&key).await?;
            }
        }
        Ok(())
    }
}
