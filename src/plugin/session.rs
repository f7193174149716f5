//! One run of a command: the person, the cluster, the namespace and the clock.

use jiff::Timestamp;

use crate::api::{AccessDecision, AccessGrant, Identity};
use crate::cluster::person::{CallError, Person, PersonAccess, Refused, Scope};
use crate::runtime::Clock;

use super::failure::Failure;
use super::hints::Hints;
use super::kubectl_flags::KubectlFlags;

/// The context of every command.
pub struct Session {
    /// The person's client.
    pub person: Person,
    /// Renders the commands that the person can run next.
    pub hints: Hints,
    clock: Clock,
}

impl Session {
    /// Makes the client. Nothing is asked of the API server yet.
    pub async fn open(flags: &KubectlFlags, clock: Clock) -> Result<Self, Failure> {
        let access = PersonAccess::from(flags);
        Ok(Self {
            person: Person::connect(&access).await?,
            hints: Hints::of(&access),
            clock,
        })
    }

    /// The current time.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The namespace to work in.
    pub fn namespace(&self) -> &str {
        self.person.namespace()
    }

    /// The person's identity, as the API server knows it.
    pub async fn me(&self) -> Result<Identity, Failure> {
        Ok(self.person.identity().await?)
    }

    /// A grant of the namespace.
    pub async fn grant(&self, name: &str) -> Result<AccessGrant, Failure> {
        let read = self.person.get(self.namespace(), name).await;
        read.map_err(|error| unread(error, &self.hints))
    }

    /// The decisions of a scope that match a field selector. A person who may read requests may not
    /// be allowed to read decisions; the decisions that count are in the requests' status anyway.
    pub async fn decisions(
        &self,
        scope: &Scope,
        fields: &str,
    ) -> Result<Vec<AccessDecision>, Failure> {
        seen(self.person.list(scope, fields).await)
    }
}

/// A missing grant may be in another namespace of this cluster.
fn unread(error: CallError, hints: &Hints) -> Failure {
    let is_missing = error.refused == Refused::NotFound;
    let failure = Failure::from(error);
    match is_missing {
        true => failure.next(format!(
            "Run `{}` to list yours, or pass -n to use another namespace.",
            hints.list_everywhere()
        )),
        false => failure,
    }
}

/// A missing right means that no decisions can be read. Every other error is a failure, because
/// there may be decisions.
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
            next.contains("`kubectl keyloan list -A --context prod`"),
            "{next}"
        );
    }
}
