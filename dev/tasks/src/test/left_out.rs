//! The tests that a version of Kubernetes cannot pass, each with the reason, which the run prints.

use keyloan_cluster::has_mutating_policies;
use tokio::process::Command;

use super::report::Report;

/// The tests of what mutating admission policies do. On a version that has none, people write
/// themselves who asks and who decides.
const OF_MUTATING_POLICIES: [(&str, &str); 5] = [
    (
        "attacks::nobody_lends_to_themselves_where_the_api_server_stamps_identities",
        "this API server does not write who asks and who decides; its twin, in which people write it, runs",
    ),
    (
        "plugin::the_quick_start_works_for_the_user_of_a_kind_cluster",
        "the page's first request names nobody; on this version the API server refuses it, as the page says",
    ),
    (
        "plugin::the_readme_shows_what_a_newcomer_sees",
        "the page shows what helm prints where the API server writes who asks",
    ),
    (
        "an_item_is_lent_from_nothing_and_no_link_is_shown",
        "the demo shows an API server that writes who asks and who decides",
    ),
    (
        "kept_it_runs_until_interrupted_and_leaves_nothing_behind",
        "the demo shows an API server that writes who asks and who decides",
    ),
];

/// Has a command leave out what this version cannot pass.
pub fn leave_out(report: &mut Report, tests: &mut Command, kubernetes: &str) {
    if has_mutating_policies(kubernetes) {
        return;
    }
    // A name is skipped as a whole: no other test is skipped by accident.
    tests.args(["--", "--exact"]);
    for (name, why) in OF_MUTATING_POLICIES {
        tests.args(["--skip", name]);
        report.leave_out(name, why);
    }
}
