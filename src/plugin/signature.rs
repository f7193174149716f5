//! A person's name under what they write. Where the API server does not write it itself, it wants to read there the address by which
//! it knows the person, and nobody but its policy can tell that: so its refusal is asked, and answered.

use crate::api::{ADDRESS_TOLD, AccessDecision, AccessGrant, Email, Identity};
use crate::cluster::Namespaced;
use crate::cluster::person::Refused;

use super::failure::Failure;
use super::session::Session;

/// What says who wrote it.
pub trait Signed: Namespaced {
    /// Who wrote it.
    fn signature(&mut self) -> &mut Option<Identity>;
}

impl Signed for AccessGrant {
    fn signature(&mut self) -> &mut Option<Identity> {
        &mut self.spec.requester
    }
}

impl Signed for AccessDecision {
    fn signature(&mut self) -> &mut Option<Identity> {
        &mut self.spec.approver
    }
}

/// Creates what this person has written, with the address under it that the cluster asks for.
pub async fn create<K: Signed>(session: &Session, mut object: K) -> Result<K, Failure> {
    let namespace = session.namespace();
    let refused = match session.person.create(namespace, &object).await {
        Ok(made) => return Ok(made),
        Err(refused) => refused,
    };
    let (Some(email), Some(me)) = (told(&refused.refused), object.signature()) else {
        return Err(refused.into());
    };
    me.email = Some(email);
    Ok(session.person.create(namespace, &object).await?)
}

/// The address that a policy asks for.
fn told(refused: &Refused) -> Option<Email> {
    let Refused::Policy(words) = refused else {
        return None;
    };
    let (_, address) = words.split_once(ADDRESS_TOLD)?;
    let (address, _) = address.strip_prefix('"')?.split_once('"')?;
    Some(Email(address.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_read_from_the_policys_words() {
        let words =
            format!("keyloan-identity: spec.requester.{ADDRESS_TOLD}\"o'hara@example.com\"");
        let email = Email("o'hara@example.com".into());
        assert_eq!(told(&Refused::Policy(words.clone())), Some(email));
        assert_eq!(told(&Refused::NoRight(words)), None);
        let none = "keyloan-identity: spec.requester.email must be left out: this cluster knows no address of yours";
        assert_eq!(told(&Refused::Policy(none.into())), None);
    }
}
