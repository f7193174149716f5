//! `kubectl keyloan whoami`: who a person is to Keyloan, and what they may do in a namespace.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::api::{
    AccessDecision, AccessGrant, AccessGrantSpec, Identity, IntegrationName, IntegrationRef,
    ItemRef, Time, TitleOrId,
};
use crate::cluster::person::Refused;
use crate::desk::recognition::{Address, Rights, shown};
use crate::desk::signature::corrected;

use super::failure::{Exit, Failure};
use super::output::{Structured, print_value, say};
use super::session::Session;

/// Print who you are to Keyloan: your username, your groups and your e-mail address as the cluster
/// knows them, and what you may do in the namespace.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Print in this format.
    #[arg(long, short, value_name = "FORMAT")]
    output: Option<Structured>,
}

pub async fn run(session: &Session, arguments: &Arguments) -> Result<Exit, Failure> {
    let me = session.me().await?;
    let namespace = session.namespace();
    let person = &session.person;
    let rights = Rights {
        request: person.may::<AccessGrant>("create", namespace, "").await?,
        decide: person
            .may::<AccessDecision>("create", namespace, "")
            .await?,
        revoke_any: person.may::<AccessGrant>("revoke", namespace, "").await?,
    };
    let stamped = stamped(session, &me).await;
    let requester = stamped.as_ref().map(|grant| grant.spec.requester.as_ref());
    let address = Address::told(requester);
    match arguments.output {
        Some(format) => {
            let email = match &address {
                Address::Known(email) => Some(email),
                Address::None | Address::Untold(_) => None,
            };
            let told = json!({
                "username": me.username,
                "groups": me.groups,
                "email": email,
                "emailUnknown": match &address {
                    Address::Untold(why) => Some(why),
                    Address::Known(_) | Address::None => None,
                },
                "namespace": namespace,
                "may": {
                    "request": rights.request,
                    "decide": rights.decide,
                    "revokeAny": rights.revoke_any,
                },
            });
            print_value(&told, format)?;
        }
        None => say(shown(&me, &address, namespace, rights))?,
    }
    Ok(Exit::Done)
}

/// A request as the API server would store it, with the requester's identity. Nothing is stored. If
/// the cluster does not stamp identities, the policy's rejection says the address.
async fn stamped(session: &Session, me: &Identity) -> Result<AccessGrant, Refused> {
    let mut grant = request(session, me);
    loop {
        let refused = match session.person.try_create(session.namespace(), &grant).await {
            Ok(grant) => return Ok(grant),
            Err(error) => error.refused,
        };
        let has_address = |grant: &AccessGrant| {
            let requester = grant.spec.requester.as_ref();
            requester.is_some_and(|requester| requester.email.is_some())
        };
        if has_address(&grant) || corrected(&mut grant, &refused, session.now()).is_none() {
            return Err(refused);
        }
    }
}

/// A request that would be void at once if it were stored.
pub(super) fn request(session: &Session, me: &Identity) -> AccessGrant {
    let nothing = TitleOrId("none".into());
    let now = session.now();
    let past = now.as_second() - SignedDuration::from_hours(1).as_secs();
    let past = Timestamp::from_second(past).unwrap_or(now);
    let spec = AccessGrantSpec {
        integration: IntegrationRef {
            name: IntegrationName("whoami".into()),
            namespace: None,
        },
        item: ItemRef {
            vault: nothing.clone(),
            item: nothing,
        },
        duration: None,
        recipients: None,
        view_once: None,
        justification: None,
        flow: None,
        not_after: Some(Time(past)),
        requester: Some(me.clone()),
    };
    let mut grant = AccessGrant::new("", spec);
    grant.metadata.name = None;
    grant.metadata.generate_name = Some("keyloan-whoami-".into());
    grant
}
