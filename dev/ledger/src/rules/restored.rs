//! Records that were restored from a backup: they are history, and nothing is lent by them.

use super::end::ENDED_WITHIN;
use super::loan::{Loan, after, is_after};
use crate::finding::Rule;

/// docs/backup-upgrade.md: a loan that had not ended in the backup ends at once, with the reason
/// `Restored`, and no link is issued on the basis of the record.
pub fn check(loan: &mut Loan<'_>) {
    let record = loan.record;
    let end = record.spec.end.as_ref();
    if !record.is_restored() {
        if end.is_some_and(|end| end.reason == "Restored") {
            let what = "the end says that the record was restored, and no label names the restore";
            loan.find(Rule::Restored, what);
        }
        return;
    }
    let Some(restored_at) = record.metadata.creation_timestamp else {
        return;
    };
    // The API server dates the restore, and the operator everything else.
    let since = after(restored_at, loan.limits.api_behind);
    let later = loan.links().iter();
    for link in later.filter(|link| is_after(link.intent_at, since)) {
        let what = format!(
            "link {} was begun at {}, and the record was restored at {restored_at}",
            link.sequence, link.intent_at
        );
        loan.find(Rule::Restored, what);
    }
    let what = match end {
        Some(end) if end.reason != "Restored" && is_after(end.at, since) => format!(
            "the loan ended at {} with the reason {}, and the record was restored at {restored_at}",
            end.at, end.reason
        ),
        None if loan.limits.now > after(since, ENDED_WITHIN) => {
            format!("the record was restored at {restored_at}, and has no end")
        }
        Some(_) | None => return,
    };
    loan.find(Rule::Restored, what);
}
