//! Reading again, before the first link, what people have decided: a watch lags, and what it told may be gone.

use crate::cluster::{ApiError, Key};
use crate::plan::effect::IssueLink;

use super::issue::Issuing;

impl Issuing {
    /// Reads the decisions on which the first link rests from the API server itself, so that the plan that is made next counts what is there.
    pub(super) async fn read_decisions_again(&self, issue: &IssueLink) -> Result<(), ApiError> {
        if issue.item_version.is_some() {
            return Ok(());
        }
        let grant = &self.key.grant;
        let names = issue
            .decisions
            .iter()
            .filter_map(|counted| counted.name.as_ref());
        for name in names {
            let key = Key::new(&grant.namespace, name);
            self.loans.cluster.decisions.live(&key).await?;
        }
        Ok(())
    }
}
