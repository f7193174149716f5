//! Small searches: the promises hold, and each broken operator is noticed.

use keyloan_model::{Left, Loan, Variant};
use rstest::rstest;
use stateright::{Checker, HasDiscoveries, Model};

/// One of each thing that people do, and nothing goes wrong but this.
fn bounds(more: &str) -> Left {
    let text = format!("decisions=1,renewals=1{more}");
    text.parse().expect("bounds")
}

/// The promises that a search finds broken.
fn broken(bounds: Left, variant: Option<Variant>) -> Vec<&'static str> {
    let checker = Loan::new(bounds, variant)
        .checker()
        .threads(2)
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join();
    let found = checker.discoveries().into_keys();
    let mut broken: Vec<_> = found
        .filter(|name| checker.discovery_classification(name).to_string() == "counterexample")
        .collect();
    broken.sort_unstable();
    broken
}

#[rstest]
#[case::a_crash_and_another_leader(",crashes=1,takeovers=1")]
#[case::a_failed_call_and_a_lost_answer(",failed=1,lost=1")]
#[case::a_revocation_or_a_deletion(",interventions=1,crashes=1")]
fn the_promises_hold(#[case] more: &str) {
    assert_eq!(broken(bounds(more), None), Vec::<&str>::new());
}

#[rstest]
#[case(Variant::CallsBeforeTheIntent, ",failed=1")]
#[case(Variant::ForgetsInterruptedLinks, ",crashes=1,interventions=1")]
#[case(Variant::OverwritesRecords, ",takeovers=1,interventions=1,stale=1")]
#[case(Variant::RenewsUnasked, "")]
#[case(Variant::LinksOfADay, "")]
#[case(Variant::NeedsNoApproval, "")]
#[case(Variant::IgnoresRefusals, ",interventions=1")]
#[case(Variant::ForgetsTheResidual, ",interventions=1")]
#[case(Variant::BelievesTheRecord, ",interventions=1")]
#[case(Variant::KeepsTheSecret, ",interventions=1")]
fn a_broken_operator_is_noticed(#[case] variant: Variant, #[case] more: &str) {
    assert_ne!(broken(bounds(more), Some(variant)), Vec::<&str>::new());
}
