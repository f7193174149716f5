//! Attacks on the promise that nobody lends to themselves: each made by a real person on a real API server, with and without the policies
//! that stamp identities, each beside an honest twin that succeeds.

mod changing;
mod deciding;
mod denying;
mod editing;
mod guarding;
mod lending;
mod restoring;
mod scene;
mod signing;
mod stealing;
mod tampering;
use scene::Scene;

/// Makes attacks one after the other; after each of them 1Password has made no share but those of honest loans.
macro_rules! nothing_comes_of {
    // Each on the heap: all of them together are too much for a test's stack.
    ($scene:ident: $($attack:path),+ $(,)?) => {$(
        Box::pin($attack(&$scene)).await;
        Box::pin($scene.nothing_has_come_of(stringify!($attack))).await;
    )+};
}

async fn every_attack_fails(scene: Scene) {
    nothing_comes_of!(
        scene: signing::forged_requests,
        signing::forged_decisions,
        signing::impersonation,
        deciding::approvals_that_do_not_count,
        deciding::one_person_for_two_groups,
        deciding::a_recipient_approves,
        deciding::after_a_denial,
        deciding::after_the_timeout,
        denying::a_denied_request_made_again,
        changing::a_flow_loosened_between_approvals,
        changing::a_flow_edited_for_others_between_approvals,
        changing::a_flow_loosened_before_the_first_link,
        changing::a_title_given_to_another_item,
        tampering::decisions,
        tampering::grants,
        editing::requests,
        editing::decisions,
        tampering::what_the_operator_writes,
        tampering::integrations,
        stealing::records_of_requests_that_wait,
        stealing::records_of_requests_that_nobody_made,
        restoring::records_of_requests_that_wait,
        restoring::records_of_loans_that_run,
        lending::again_by_the_same_request,
        lending::past_the_limit,
        lending::a_deleted_request_made_again,
        guarding::policies_deleted,
        guarding::policies_that_only_audit,
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_lends_to_themselves_where_the_api_server_stamps_identities() {
    every_attack_fails(Scene::stamped().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_lends_to_themselves_where_people_write_their_identity_themselves() {
    every_attack_fails(Scene::unstamped().await).await;
}
