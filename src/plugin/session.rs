//! One run of the command: whose it is, in which cluster and namespace, at what time.

use jiff::Timestamp;

use crate::api::{AccessDecision, AccessGrant, Identity};
use crate::cluster::person::{CallError, Person, PersonAccess, Refused, Scope};
use crate::runtime::Clock;

use super::failure::Failure;
use super::hints::Hints;
use super::kubectl_flags::KubectlFlags;

/// What every command starts from.
pub struct Session {
    /// The person's way into the cluster.
    pub person: Person,
    /// What the person can run next.
    pub hints: Hints,
    clock: Clock,
}

impl Session {
    /// Finds the way into the cluster.
    pub async fn open(flags: &KubectlFlags, clock: Clock) -> Result<Self, Failure> {
        let access = PersonAccess::from(flags);
        Ok(Self {
            person: Person::connect(&access).await?,
            hints: Hints::of(&access),
            clock,
        })
    }

    /// The present.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The namespace to work in.
    pub fn namespace(&self) -> &str {
        self.person.namespace()
    }

    /// Who this is.
    pub async fn me(&self) -> Result<Identity, Failure> {
        Ok(self.person.identity().await?)
    }

    /// A grant of the namespace.
    pub async fn grant(&self, name: &str) -> Result<AccessGrant, Failure> {
        let read = self.person.get(self.namespace(), name).await;
        read.map_err(|error| unread(error, &self.hints))
    }

    /// The decisions of a scope that a field selector chooses. Who may see requests may not always see the decisions about them: what
    /// counted is in their status.
    pub async fn decisions(
        &self,
        scope: &Scope,
        fields: &str,
    ) -> Result<Vec<AccessDecision>, Failure> {
        seen(self.person.list(scope, fields).await)
    }
}

/// A name that does not exist here may be one of another namespace, but hardly one of another cluster.
fn unread(error: CallError, hints: &Hints) -> Failure {
    let is_missing = error.refused == Refused::NotFound;
    let failure = Failure::from(error);
    match is_missing {
        true => failure.next(format!(
            "`{}` shows yours; name another namespace with -n",
            hints.list_everywhere()
        )),
        false => failure,
    }
}

/// Only a missing right is no failure: whatever else went wrong, there may be decisions.
fn seen(listed: Result<Vec<AccessDecision>, CallError>) -> Result<Vec<AccessDecision>, Failure> {
    match listed {
        Err(error) if matches!(error.refused, Refused::NoRight(_)) => Ok(Vec::new()),
        listed => Ok(listed?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Overrides;
    use crate::desk::samples;

    fn refused(refused: Refused) -> CallError {
        CallError {
            verb: "read",
            object: "AccessGrant team-b/db".into(),
            refused,
        }
    }

    #[test]
    fn only_who_may_not_see_decisions_sees_none() {
        let made = vec![samples::approval_by(samples::bob())];
        assert_eq!(seen(Ok(made)).unwrap().len(), 1);
        let no_right = refused(Refused::NoRight("no".into()));
        assert_eq!(seen(Err(no_right)).unwrap().len(), 0);
        let failure = seen(Err(refused(Refused::Timeout))).unwrap_err();
        assert!(failure.message.contains("in time"), "{failure:?}");
    }

    #[test]
    fn a_name_is_looked_for_in_the_cluster_in_which_it_is_missing() {
        let overrides = Overrides {
            context: Some("prod".into()),
            ..Overrides::default()
        };
        let access = PersonAccess {
            namespace: Some("team-b".into()),
            overrides,
            ..PersonAccess::default()
        };
        let failure = unread(refused(Refused::NotFound), &Hints::of(&access));
        let next = failure.next.unwrap();
        assert!(
            next.starts_with("`kubectl keyloan list -A --context prod`"),
            "{next}"
        );
    }
}
