//! One run of a command: the person, the cluster, the namespace and the clock.

use jiff::Timestamp;

use crate::api::{AccessDecision, AccessGrant, Identity};
use crate::cluster::person::{CallError, Person, PersonAccess, Refused, Scope};
use crate::desk::decision::readable;
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

    /// The decisions of a scope that match a field selector, if the person may read them.
    pub async fn decisions(
        &self,
        scope: &Scope,
        fields: &str,
    ) -> Result<Vec<AccessDecision>, Failure> {
        Ok(readable(self.person.list(scope, fields).await)?)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Overrides;

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
        let missing = CallError {
            verb: "read",
            object: "AccessGrant team-b/db".into(),
            refused: Refused::NotFound,
        };
        let failure = unread(missing, &Hints::of(&access));
        let next = failure.next.unwrap();
        assert!(
            next.contains("`kubectl keyloan list -A --context prod`"),
            "{next}"
        );
    }
}
