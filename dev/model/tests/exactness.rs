//! What a search leaves out makes no difference.

use std::collections::BTreeSet;
use std::sync::Mutex;

use keyloan_model::{Left, Loan, Options, Search, Variant};
use rstest::rstest;
use stateright::{Checker, Model};

/// Everything that a search sees of times, records and Secrets while the leader is not in the middle
/// of something, and how many states it visits. In the middle, time may pass before or after the rest.
fn lasting(model: &Loan) -> (BTreeSet<u64>, usize) {
    let all = Mutex::new(BTreeSet::new());
    let options = Options {
        threads: 2,
        tells: false,
        most: usize::MAX,
    };
    let states = {
        let mut search = Search::new(model, options);
        search.each(|state| {
            if state.leader.work.is_none() {
                all.lock().expect("no panic").insert(state.lasting());
            }
        });
        search.run();
        search.progress().states
    };
    (all.into_inner().expect("no panic"), states)
}

fn model(bounds: &str, is_plain: bool) -> Loan {
    let bounds: Left = bounds.parse().expect("bounds");
    let mut model = Loan::new(bounds, None);
    model.is_plain = is_plain;
    model
}

#[rstest]
#[case::a_crash("decisions=1,renewals=1,crashes=1")]
#[case::another_leader("decisions=1,renewals=1,takeovers=1")]
#[case::a_look_out_of_date("decisions=1,interventions=1,stale=1")]
#[case::lost_and_failed("decisions=1,lost=1,failed=1")]
#[case::another_leader_and_a_crash("decisions=1,crashes=1,takeovers=1")]
#[case::a_look_out_of_date_after_a_crash("decisions=1,stale=1,crashes=1")]
#[case::people("decisions=2,interventions=1,renewals=1")]
fn the_same_records_and_secrets_come_about(#[case] bounds: &str) {
    let (plain, many) = lasting(&model(bounds, true));
    let (reduced, few) = lasting(&model(bounds, false));
    assert!(few < many, "{few} of {many} states");
    assert_eq!(reduced.len(), plain.len());
    assert_eq!(reduced, plain);
}

/// The library keeps each state as a whole.
#[test]
fn the_library_sees_as_many_states() {
    let bounds = "decisions=1,renewals=1,crashes=1,takeovers=1";
    let (_, own) = lasting(&model(bounds, true));
    let checker = model(bounds, true).checker().threads(2).spawn_bfs().join();
    assert_eq!(checker.unique_state_count(), own);
}

#[test]
fn a_stopped_search_says_so() {
    let model = Loan::new(Left::DEEP, Some(Variant::KeepsTheSecret));
    let options = Options {
        threads: 1,
        tells: false,
        most: 0,
    };
    let search = Search::new(&model, options);
    assert!(!search.run());
}
