//! The identity in requests and decisions. If the cluster does not stamp it, the admission policy
//! requires the person's e-mail address as the cluster knows it, and of a person without one a
//! `notAfter`. Only the policy knows that address, so its rejection is read and the object
//! corrected.

use jiff::{SignedDuration, Timestamp};

use crate::api::{ADDRESS_TOLD, AccessDecision, AccessGrant, END_TOLD, Email, Identity, Time};

use super::failed_call::Refused;

/// The default `notAfter` for a person without an address: as long as an ended request is kept.
const GOOD_FOR: SignedDuration = SignedDuration::from_hours(7 * 24);

/// An object that names its author.
pub trait Signed {
    /// The author's identity.
    fn signature(&mut self) -> &mut Option<Identity>;

    /// Its `notAfter`, for kinds that have one.
    fn end(&mut self) -> Option<&mut Option<Time>> {
        None
    }
}

impl Signed for AccessGrant {
    fn signature(&mut self) -> &mut Option<Identity> {
        &mut self.spec.requester
    }

    fn end(&mut self) -> Option<&mut Option<Time>> {
        Some(&mut self.spec.not_after)
    }
}

impl Signed for AccessDecision {
    fn signature(&mut self) -> &mut Option<Identity> {
        &mut self.spec.approver
    }
}

/// What was corrected.
#[derive(Debug, PartialEq, Eq)]
pub enum Corrected {
    /// The address.
    Address,
    /// The `notAfter`.
    End(Timestamp),
}

/// Corrects a rejected object as the policy asks. `None` if the rejection has another cause.
pub fn corrected(object: &mut impl Signed, refused: &Refused, now: Timestamp) -> Option<Corrected> {
    if let (Some(email), Some(me)) = (address(refused), object.signature()) {
        me.email = Some(email);
        return Some(Corrected::Address);
    }
    let asks_for_an_end = matches!(refused, Refused::Policy(words) if words.contains(END_TOLD));
    let end = object
        .end()
        .filter(|end| asks_for_an_end && end.is_none())?;
    let until = now.saturating_add(GOOD_FOR).ok()?;
    let until = Timestamp::from_second(until.as_second()).ok()?;
    *end = Some(Time(until));
    Some(Corrected::End(until))
}

/// Says that the cluster requires an end of a request, and which one it got.
pub fn must_start_by(end: Timestamp) -> String {
    format!("This cluster does not know your e-mail address, so the loan must start by {end}.")
}

/// The address that the policy asks for.
fn address(refused: &Refused) -> Option<Email> {
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
    use crate::desk::samples;

    #[test]
    fn the_address_is_read_from_the_policys_words() {
        let words =
            format!("keyloan-identity: spec.requester.{ADDRESS_TOLD}\"o'hara@example.com\"");
        let email = Email("o'hara@example.com".into());
        assert_eq!(address(&Refused::Policy(words.clone())), Some(email));
        assert_eq!(address(&Refused::NoRight(words)), None);
        let none = "keyloan-identity: spec.requester.email must be left out: this cluster does not know your address";
        assert_eq!(address(&Refused::Policy(none.into())), None);
    }

    #[test]
    fn whose_address_is_not_known_asks_with_an_end_of_a_week_unless_they_gave_one() {
        let words = format!("keyloan-identity: {END_TOLD} ServiceAccounts and of all others");
        let refused = Refused::Policy(words.clone());
        let now = samples::present();
        let in_a_week = now + GOOD_FOR;
        let mut grant = samples::new();
        assert_eq!(
            corrected(&mut grant, &refused, now),
            Some(Corrected::End(in_a_week))
        );
        assert_eq!(grant.spec.not_after, Some(Time(in_a_week)));
        assert_eq!(corrected(&mut grant, &refused, now), None);
        let mut grant = samples::new();
        assert_eq!(corrected(&mut grant, &Refused::NoRight(words), now), None);
        let mut decision = samples::approval_by(samples::bob());
        assert_eq!(corrected(&mut decision, &refused, now), None);
    }
}
