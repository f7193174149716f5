//! Who asked and who decided is what the API server saw, only the operator writes what it vouches
//! for, and nobody lends from a token that they could not read: tried as the people themselves.
//!
//! Everybody here holds every right on our kinds that RBAC can give, so that nothing but the
//! admission policies stands in anybody's way; and each refusal has an honest twin that succeeds.

mod boundary;
mod ending;
mod every_rule;
mod guards;
mod link;
mod ownership;
mod people_sign;
mod restorers;
mod the_cluster_signs;

use boundary::Boundary;

/// One test, because the parts share one control plane.
#[tokio::test(flavor = "multi_thread")]
async fn the_admission_policies_hold_the_boundary() {
    let boundary = Boundary::start().await;
    boundary.policies_are_well_typed().await;

    boundary.install_mutating().await;
    the_cluster_signs::a_request_is_signed_with_who_makes_it(&boundary).await;
    the_cluster_signs::a_decision_is_signed_with_who_makes_it(&boundary).await;
    the_cluster_signs::a_forged_signature_is_overwritten(&boundary).await;
    the_cluster_signs::a_signature_survives_every_kind_of_update(&boundary).await;
    the_cluster_signs::only_an_address_in_the_identity_becomes_the_email(&boundary).await;
    the_cluster_signs::the_email_comes_from_where_the_cluster_keeps_it(&boundary).await;
    the_cluster_signs::who_is_in_900_groups_can_ask(&boundary).await;
    the_cluster_signs::groups_that_no_rule_can_name_are_left_out(&boundary).await;
    the_cluster_signs::who_is_in_too_many_groups_is_told_so(&boundary).await;
    the_cluster_signs::impersonation_signs_as_the_impersonated(&boundary).await;
    the_cluster_signs::whether_one_may_revoke_is_written_down(&boundary).await;
    guards::the_operator_asks_for_nothing_and_decides_nothing(&boundary).await;
    ending::a_namespace_that_holds_all_kinds_ends(&boundary, "ending-where-the-cluster-signs")
        .await;

    boundary.remove_mutating().await;
    people_sign::who_signs_truly_is_accepted(&boundary).await;
    people_sign::a_false_signature_is_refused(&boundary).await;
    people_sign::a_signature_cannot_be_changed_later(&boundary).await;
    people_sign::who_is_in_900_groups_can_ask(&boundary).await;
    people_sign::groups_that_no_rule_can_name_are_left_out(&boundary).await;
    people_sign::who_is_in_too_many_groups_is_told_so(&boundary).await;
    people_sign::a_manifest_of_somebody_else_is_theirs_alone(&boundary).await;
    people_sign::a_manifest_in_git_names_the_account_of_the_tool(&boundary).await;
    people_sign::nobody_claims_to_hold_the_verb_revoke(&boundary).await;

    guards::a_service_account_asks_with_an_end_and_never_decides(&boundary).await;
    guards::a_machine_asks_with_an_end(&boundary).await;
    guards::only_the_operator_writes_status(&boundary).await;
    guards::only_the_operator_writes_records(&boundary).await;
    guards::a_write_of_a_record_that_changes_nothing_passes(&boundary).await;
    restorers::records_are_restored_by_those_who_are_named_and_with_a_label(&boundary).await;
    guards::a_write_that_changes_nothing_passes(&boundary).await;
    guards::decisions_and_records_stay(&boundary).await;
    guards::only_those_entitled_delete_a_grant(&boundary).await;
    guards::nobody_deletes_by_the_dozen_what_they_cannot_delete_alone(&boundary).await;
    ownership::the_metadata_of_a_grant_is_not_for_others_to_change(&boundary).await;
    ownership::a_write_that_changes_nothing_leaves_nothing_large(&boundary).await;
    ownership::only_the_borrower_asks_for_the_next_link(&boundary).await;
    ownership::a_decision_is_owned_by_nothing_and_stays_as_it_is(&boundary).await;
    ownership::metadata_is_small(&boundary).await;
    ownership::nothing_is_made_with_a_finalizer(&boundary).await;
    link::only_the_operator_writes_links(&boundary).await;
    link::a_link_may_be_deleted_and_stored_again(&boundary).await;
    link::what_keeps_a_deleted_link_may_be_taken_off(&boundary).await;
    link::the_operator_gives_no_right_but_the_one_to_a_link(&boundary).await;
    link::what_the_role_of_a_link_owns_goes_with_it(&boundary).await;
    link::nobody_else_is_bound_where_links_are(&boundary).await;
    link::the_operator_writes_no_secret_but_those_of_links(&boundary).await;
    link::the_operator_deletes_nothing_but_links(&boundary).await;
    guards::an_integration_needs_the_right_to_read_its_token(&boundary).await;
    guards::a_notifier_needs_the_right_to_read_its_secret(&boundary).await;
    guards::no_object_can_be_made_unreadable(&boundary).await;
    ending::a_namespace_that_holds_all_kinds_ends(&boundary, "ending-where-people-sign").await;
    every_rule::has_refused_something();
    boundary.cluster.shutdown().await;
}
