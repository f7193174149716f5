//! How the cluster knows a person: by which names, by which e-mail address, and with which of
//! Keyloan's rights.

use crate::api::{Email, Identity};

use super::failed_call::Refused;
use super::text::{Text, facts, sections};

/// The e-mail address by which the cluster knows a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// This one.
    Known(Email),
    /// The cluster knows none.
    None,
    /// The API server did not say, for this reason.
    Untold(String),
}

impl Address {
    /// The address in the API server's response to a request that was only tried.
    pub fn told(response: Result<Option<&Identity>, &Refused>) -> Self {
        match response {
            Ok(requester) => requester
                .and_then(|requester| requester.email.clone())
                .map_or(Self::None, Self::Known),
            Err(Refused::NoRight(_)) => {
                Self::Untold("the cluster tells only those who may request items here".into())
            }
            Err(refused) => Self::Untold(refused.message()),
        }
    }

    fn shown(&self) -> String {
        match self {
            Self::Known(email) => email.0.clone(),
            Self::None => "none".into(),
            Self::Untold(why) => format!("unknown: {why}"),
        }
    }
}

/// The rights of a person in a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rights {
    /// Request items.
    pub request: bool,
    /// Decide about requests, where a flow names this person.
    pub decide: bool,
    /// End any loan.
    pub revoke_any: bool,
}

/// Says how the cluster knows a person, and what they may do in a namespace.
pub fn shown(me: &Identity, address: &Address, namespace: &str, rights: Rights) -> Text {
    let groups: Vec<_> = me.groups.iter().map(|group| group.0.as_str()).collect();
    let groups = match groups.is_empty() {
        true => "none".to_owned(),
        false => groups.join(", "),
    };
    let mut names = facts([
        ("Username", me.username.clone()),
        ("Groups", groups),
        ("Address", address.shown()),
    ]);
    if *address == Address::None {
        names = names.and(WITHOUT_ADDRESS);
    }
    let held = |held: bool, yes: &str, role: &str| match held {
        true => yes.to_owned(),
        false => format!("no, this needs the ClusterRole {role} in {namespace}"),
    };
    let rights = facts([
        (
            "Request items",
            held(rights.request, "yes", "keyloan-requester"),
        ),
        (
            "Decide",
            held(
                rights.decide,
                "yes, where a flow names you",
                "keyloan-approver",
            ),
        ),
        (
            "End any loan",
            held(rights.revoke_any, "yes", "keyloan-admin"),
        ),
    ]);
    sections([("", names), (&format!("In {namespace}"), rights)])
}

const WITHOUT_ADDRESS: &str = "Without an address, your requests have to name their recipients and \
     a time after which they no longer start. Your approvals count only for flows that say \
     withoutAddress: Allowed. To give people an address, set the value email of the chart \
     keyloan-crds.";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desk::samples;

    #[test]
    fn the_address_is_the_one_that_the_cluster_stamps() {
        let email = Email("bob@example.com".into());
        let stamped = Identity {
            email: Some(email.clone()),
            ..samples::bob()
        };
        assert_eq!(Address::told(Ok(Some(&stamped))), Address::Known(email));
        assert_eq!(Address::told(Ok(Some(&samples::bob()))), Address::None);
        assert_eq!(Address::told(Ok(None)), Address::None);
    }

    #[test]
    fn who_is_told_nothing_reads_why() {
        let refused = [
            Refused::NoRight("users cannot create accessgrants".into()),
            Refused::NotInstalled,
        ];
        for refused in refused {
            let Address::Untold(why) = Address::told(Err(&refused)) else {
                panic!("nothing was told of the address");
            };
            assert!(!why.is_empty());
        }
    }
}
