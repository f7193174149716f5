//! Attacks on the promise that nobody lends to themselves: each made by a real person on a real API server, with and without the policies
//! that stamp identities, each beside an honest twin that succeeds.

mod attacks {
    pub mod deciding;
    pub mod editing;
    pub mod guarding;
    pub mod lending;
    pub mod scene;
    pub mod signing;
    pub mod tampering;
}
mod world;

use attacks::scene::Scene;
use attacks::{deciding, editing, guarding, lending, signing, tampering};

async fn every_attack_fails(scene: Scene) {
    signing::forged_requests(&scene).await;
    signing::forged_decisions(&scene).await;
    signing::impersonation(&scene).await;
    deciding::approvals_that_do_not_count(&scene).await;
    deciding::one_person_for_two_groups(&scene).await;
    deciding::a_recipient_approves(&scene).await;
    deciding::after_a_denial(&scene).await;
    deciding::an_approval_of_what_has_changed(&scene).await;
    tampering::decisions(&scene).await;
    tampering::grants(&scene).await;
    editing::optional_fields(&scene).await;
    tampering::what_the_operator_writes(&scene).await;
    tampering::integrations(&scene).await;
    lending::again_by_the_same_request(&scene).await;
    lending::past_the_limit(&scene).await;
    guarding::policies_deleted(&scene).await;
    guarding::policies_that_only_audit(&scene).await;
    deciding::after_the_timeout(&scene).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_lends_to_themselves_where_the_api_server_stamps_identities() {
    every_attack_fails(Scene::stamped().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_lends_to_themselves_where_people_write_their_identity_themselves() {
    every_attack_fails(Scene::unstamped().await).await;
}
