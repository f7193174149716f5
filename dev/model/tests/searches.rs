//! Small searches: the promises hold, and each broken operator breaks the promise that it is about.

use keyloan_model::{Found, Left, Loan, Options, Search, Variant};
use rstest::rstest;

/// One of each thing that people do, and nothing goes wrong but this.
fn bounds(more: &str) -> Left {
    let text = format!("decisions=1,renewals=1{more}");
    text.parse().expect("bounds")
}

/// The first broken promise of those that break with the fewest troubles.
fn broken(model: &Loan) -> Option<Found> {
    let options = Options {
        threads: 1,
        tells: true,
        most: usize::MAX,
    };
    let search = Search::new(model, options);
    search.run();
    search.found()
}

#[rstest]
#[case::a_crash_and_another_leader(",crashes=1,takeovers=1")]
#[case::two_crashes(",crashes=2")]
#[case::a_failed_call_and_a_lost_answer(",failed=1,lost=1")]
#[case::a_revocation_or_a_deletion(",interventions=1,crashes=1")]
#[case::a_look_out_of_date(",stale=1,crashes=1")]
fn the_promises_hold(#[case] more: &str) {
    let found = broken(&Loan::new(bounds(more), None));
    assert_eq!(found.map(|found| found.promise), None);
}

const RECORDED: &str = "each link is in the record, with its end";
const ONE_EACH: &str = "one intent makes one link";
const ASKED: &str = "nobody can get more links than were asked for";
const WITHIN: &str = "no link outlives its loan";
const RESIDUAL: &str = "an ended loan's record says until when a link may open";
const AGREED: &str = "a link begins only with an approval, and without a refusal";
const FORWARD: &str = "no link in the Secret is replaced by an earlier one";
const TRUE: &str = "a status that was made from fresh looks says what is true";
const ENDS: &str = "without further events, a loan ends, and nothing of it can be read";

#[rstest]
#[case(Variant::CallsBeforeTheIntent, ",failed=1", RECORDED)]
#[case(Variant::ForgetsInterruptedLinks, ",crashes=1,interventions=1", ASKED)]
#[case(
    Variant::OverwritesRecords,
    ",takeovers=1,interventions=1,stale=1",
    WITHIN
)]
#[case(Variant::RepeatsTheCall, ",lost=1", ONE_EACH)]
#[case(Variant::RenewsUnasked, "", ASKED)]
#[case(Variant::HandsOverUnchecked, ",takeovers=1", ASKED)]
#[case(Variant::LinksOfADay, "", WITHIN)]
#[case(Variant::ForgetsTheResidual, ",interventions=1", RESIDUAL)]
#[case(Variant::NeedsNoApproval, "", AGREED)]
#[case(Variant::IgnoresRefusals, ",interventions=1", AGREED)]
#[case(Variant::ReplacesLaterLinks, ",takeovers=1", FORWARD)]
#[case(Variant::BelievesTheRecord, ",interventions=1", TRUE)]
#[case(Variant::KeepsTheSecret, ",interventions=1", ENDS)]
fn a_broken_operator_breaks_a_promise(
    #[case] variant: Variant,
    #[case] more: &str,
    #[case] promise: &'static str,
) {
    let mut model = Loan::new(bounds(more), Some(variant));
    model.only = Some(promise);
    assert!(broken(&model).is_some());
}

/// What the promise about the number of links excepts, and what `docs/reliability.md` tells.
#[rstest]
#[case::a_replica_that_stops_between_its_look_and_its_write(",takeovers=1")]
#[case::a_secret_that_is_deleted_before_the_record_knows_of_it(",crashes=1,interventions=1")]
fn a_borrower_can_get_one_more_link_only_so(#[case] more: &str) {
    let mut model = Loan::new(bounds(more), None);
    model.is_strict = true;
    assert_eq!(broken(&model).map(|found| found.promise), Some(ASKED));
}
