//! One run of the command: whose it is, in which cluster and namespace, at what time.

use jiff::Timestamp;

use crate::api::{AccessGrant, Identity};
use crate::cluster::person::{Person, PersonAccess};
use crate::runtime::Clock;

use super::arguments::AccessArguments;
use super::failure::Failure;

/// What every command starts from.
pub struct Session {
    /// The person's way into the cluster.
    pub person: Person,
    clock: Clock,
}

impl Session {
    /// Finds the way into the cluster.
    pub async fn open(arguments: &AccessArguments, clock: Clock) -> Result<Self, Failure> {
        let person = Person::connect(&PersonAccess::from(arguments)).await?;
        Ok(Self { person, clock })
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
        Ok(self.person.get(self.namespace(), name).await?)
    }
}
