//! Creating requests and decisions in a person's name.

use crate::cluster::Namespaced;
use crate::desk::signature::{Corrected, Signed, corrected, must_start_by};

use super::failure::Failure;
use super::output::remark;
use super::session::Session;

/// Creates an object, corrected with the address or the `notAfter` that the policy asks for.
pub async fn create<K: Signed + Namespaced>(
    session: &Session,
    mut object: K,
) -> Result<K, Failure> {
    let namespace = session.namespace();
    let refused = match session.person.create(namespace, &object).await {
        Ok(made) => return Ok(made),
        Err(refused) => refused,
    };
    match corrected(&mut object, &refused.refused, session.now()) {
        Some(Corrected::Address) => {}
        Some(Corrected::End(end)) => remark(format_args!(
            "{} Use --not-after to set another time.",
            must_start_by(end)
        )),
        None => return Err(refused.into()),
    }
    Ok(session.person.create(namespace, &object).await?)
}
