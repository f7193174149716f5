//! `kubectl keyloan` as people run it: the real program, their own kubeconfigs and rights, on a real API server.

mod borrowing;
mod completing;
mod config_chart_md;
mod deciding;
mod exporting;
mod finding;
mod page;
mod people;
mod plugin_md;
mod program;
mod quick_start;
mod readme;
mod recipes_md;
mod reporting;
mod shell;
mod steady;
mod terminal;
mod watching;
#[tokio::test(flavor = "multi_thread")]
async fn people_borrow_with_the_plugin() {
    let world = people::world().await;
    world.integration("prod", "lender").await;
    borrowing::alice_borrows_an_item_and_opens_it(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn people_decide_with_the_plugin() {
    let world = people::world_without_operator().await;
    deciding::people_decide_about_a_request(&world).await;
}

#[test]
fn bash_completes_the_program() {
    completing::bash_completes_the_program();
}

#[test]
fn an_answer_that_is_not_written_is_a_failure() {
    completing::an_answer_that_is_not_written_is_a_failure();
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_completes_its_plugin() {
    let binaries = keyloan_cluster::Binaries::find().await.expect("kubectl");
    completing::kubectl_completes_its_plugin(&binaries.kubectl());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_about_the_plugin_shows_what_it_prints() {
    let world = people::world().await;
    world.integration("prod", "lender").await;
    plugin_md::shows_what_is_printed(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_exported_makes_the_same_objects_again() {
    let world = people::world_without_operator().await;
    exporting::what_is_exported_makes_the_same_objects_again(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_auditor_gets_the_answers_that_the_page_promises() {
    let world = people::world_without_operator().await;
    reporting::an_auditor_gets_the_answers_that_the_page_promises(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_about_the_config_chart_shows_what_is_printed() {
    let world = people::world_without_operator().await;
    config_chart_md::shows_what_is_printed(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_readme_shows_what_a_newcomer_sees() {
    readme::shows_what_a_newcomer_sees().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_quick_start_works_for_the_user_of_a_kind_cluster() {
    quick_start::works_for_the_user_of_a_kind_cluster().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_recipes_are_what_happens() {
    recipes_md::are_what_happens().await;
}
