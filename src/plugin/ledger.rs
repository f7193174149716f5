//! Reads the ledger page by page: however many records there are, only a page is held.

use crate::api::AccessRecord;
use crate::cluster::person::{CallError, Refused, Scope};

use super::failure::Failure;
use super::session::Session;

/// Hands over each record of the lists with these field selectors.
pub async fn each_record(
    session: &Session,
    scope: &Scope,
    selectors: &[String],
    mut hand_over: impl FnMut(AccessRecord) -> Result<(), Failure>,
) -> Result<(), Failure> {
    for selector in selectors {
        let mut next = None;
        loop {
            let page = session
                .person
                .page::<AccessRecord>(scope, selector, next.as_deref())
                .await
                .map_err(unread)?;
            page.items.into_iter().try_for_each(&mut hand_over)?;
            next = page.next;
            if next.is_none() {
                break;
            }
        }
    }
    Ok(())
}

/// Says that there is no record to show, and where else to look.
pub fn nothing(scope: &Scope) -> String {
    match scope {
        Scope::Namespace(namespace) => format!(
            "No record in {namespace} matches. Records are in the namespaces of integrations: use \
             -n with that namespace, or -A to search all."
        ),
        Scope::All => "No record in any namespace matches.".into(),
    }
}

/// A person without the right to read records may lack it only in this namespace.
fn unread(error: CallError) -> Failure {
    let refused = matches!(error.refused, Refused::NoRight(_));
    let failure = Failure::from(error);
    match refused {
        true => failure.next(
            "Records are in the namespaces of integrations. Pass -n with a namespace in which you \
             may read them, or ask your administrator for the role keyloan-auditor there (for -A, \
             by a ClusterRoleBinding).",
        ),
        false => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_who_may_read_no_records_learns_where_they_are_and_which_role_reads_them() {
        let failure = unread(CallError {
            verb: "list",
            object: "accessrecords in team-a".into(),
            refused: Refused::NoRight("no".into()),
        });
        let next = failure.next.unwrap();
        assert!(
            next.contains("keyloan-auditor") && next.contains("-n"),
            "{next}"
        );
    }
}
