//! The problem, the stage and the effect of each kind of failed call, and its message.

use super::*;
use crate::network::Hindrance;
use rstest::rstest;

const FINE: Problem = Problem::Broken(Fault::Answer);
const REFUSED: Unreached = Unreached::Host(Hindrance::Refused);
const UNKNOWN: Unreached = Unreached::Host(Hindrance::UnknownAuthority);

fn answered(route: Route, status: u16) -> Exchange {
    let outcome = Outcome::Answered {
        status,
        retry_after: None,
        date: None,
    };
    Exchange {
        method: "POST",
        route,
        outcome,
        cause: None,
    }
}

fn silent(route: Route, why: NoAnswer) -> Exchange {
    Exchange {
        method: "POST",
        route,
        outcome: Outcome::Silent(why),
        cause: None,
    }
}

#[rstest]
#[case(401, Problem::Unauthorized)]
#[case(403, Problem::Forbidden)]
#[case(404, Problem::NotFound)]
#[case(409, Problem::Conflict)]
#[case(429, Problem::RateLimited { retry_after: None })]
#[case(500, Problem::Unavailable { status: Some(500) })]
#[case(503, Problem::Unavailable { status: Some(503) })]
#[case(302, Problem::Broken(Fault::Redirect(302)))]
#[case(400, Problem::Broken(Fault::Status(400)))]
#[case(422, Problem::Broken(Fault::Status(422)))]
fn a_status_on_an_item_is_that_items_problem(#[case] status: u16, #[case] problem: Problem) {
    let error = CallError::from_exchanges(&[answered(Route::Item, status)], FINE);
    assert_eq!(error, CallError::new(problem, Stage::Call, Effect::None));
}

#[rstest]
#[case(400, Problem::NotShareable(400))]
#[case(409, Problem::ShareConflict)]
#[case(413, Problem::NotShareable(413))]
#[case(422, Problem::NotShareable(422))]
#[case(403, Problem::Forbidden)]
fn a_share_that_is_refused_is_about_the_item(#[case] status: u16, #[case] problem: Problem) {
    let error = CallError::from_exchanges(&[answered(Route::Share, status)], FINE);
    assert_eq!(error, CallError::new(problem, Stage::Call, Effect::None));
}

#[test]
fn what_the_network_says_is_told() {
    let mut exchange = silent(Route::AuthStart, NoAnswer::Connect(UNKNOWN));
    exchange.cause = Some("issued by CN=Corp Inspection CA".into());
    let told = CallError::from_exchanges(&[exchange], FINE).to_string();
    assert!(told.contains("does not know"), "{told}");
    assert!(told.contains("(issued by CN=Corp Inspection CA)"), "{told}");
}

#[test]
fn not_found_at_sign_in_is_not_a_missing_item() {
    let error = CallError::from_exchanges(&[answered(Route::AuthStart, 404)], FINE);
    assert_eq!(error.problem(), Problem::Broken(Fault::Status(404)));
    assert_eq!(error.stage(), Stage::SignIn);
}

#[test]
fn a_sign_in_that_fails_in_the_middle_of_a_call_concerns_the_token() {
    let seen = [answered(Route::Item, 401), answered(Route::AuthStart, 403)];
    let error = CallError::from_exchanges(&seen, FINE);
    assert_eq!(
        error,
        CallError::new(Problem::Forbidden, Stage::SignIn, Effect::None)
    );
}

#[test]
fn the_answer_that_was_bad_counts_even_if_the_core_asked_on() {
    let seen = [answered(Route::Item, 307), answered(Route::Keysets, 200)];
    let error = CallError::from_exchanges(&seen, FINE);
    assert_eq!(error.problem(), Problem::Broken(Fault::Redirect(307)));
}

#[test]
fn an_expired_session_that_was_renewed_is_not_the_trouble() {
    let renewed = [
        answered(Route::Item, 401),
        answered(Route::AuthComplete, 200),
    ];
    let error = CallError::from_exchanges(
        &[&renewed[..], &[answered(Route::Item, 200)]].concat(),
        FINE,
    );
    assert_eq!(error.problem(), FINE);
    let error = CallError::from_exchanges(
        &[&renewed[..], &[answered(Route::Item, 401)]].concat(),
        FINE,
    );
    assert_eq!(
        error,
        CallError::new(Problem::Unauthorized, Stage::Call, Effect::None)
    );
}

#[rstest]
#[case::refused(&[answered(Route::Share, 403)], Effect::None)]
#[case::limited(&[answered(Route::Share, 429)], Effect::None)]
#[case::never_sent(&[answered(Route::ShareRecipients, 500)], Effect::None)]
#[case::no_connection(&[silent(Route::Share, NoAnswer::Connect(REFUSED))], Effect::None)]
#[case::session_expired_then_limited(&[answered(Route::Share, 401), answered(Route::AuthStart, 429)], Effect::None)]
#[case::server_error(&[answered(Route::Share, 500)], Effect::Possible)]
#[case::redirect(&[answered(Route::Share, 302)], Effect::Possible)]
#[case::unreadable(&[answered(Route::Share, 200)], Effect::Possible)]
#[case::timeout(&[silent(Route::Share, NoAnswer::Timeout)], Effect::Possible)]
#[case::reset(&[silent(Route::Share, NoAnswer::Interrupted)], Effect::Possible)]
#[case::oversized(&[silent(Route::Share, NoAnswer::TooLarge)], Effect::Possible)]
#[case::first_unclear_then_refused(&[answered(Route::Share, 500), answered(Route::Share, 403)], Effect::Possible)]
#[case::unknown_route(&[answered(Route::Unknown, 200)], Effect::Possible)]
fn only_a_refusal_that_was_seen_rules_a_share_out(
    #[case] seen: &[Exchange],
    #[case] effect: Effect,
) {
    assert_eq!(CallError::from_exchanges(seen, FINE).effect(), effect);
}

#[test]
fn messages_say_what_to_do() {
    let limited = Problem::RateLimited {
        retry_after: Some(Duration::from_secs(30)),
    };
    let messages = [
        Problem::Unauthorized,
        Problem::SignInRefused,
        limited,
        Problem::Refused(Refusal::Recipients),
        Problem::Unavailable { status: Some(503) },
        Problem::Unavailable { status: None },
        Problem::Unreachable(REFUSED),
        Problem::Unreachable(UNKNOWN),
        Problem::NotShareable(400),
        Problem::NotShareable(413),
        Problem::NotShareable(422),
        Problem::ShareConflict,
        Problem::CannotShare(Obstacle::Files),
        Problem::CannotShare(Obstacle::Category),
        Problem::CannotShare(Obstacle::SameIds),
        Problem::CannotShare(Obstacle::FieldType),
        Problem::CannotShare(Obstacle::Contents),
    ]
    .map(|problem| CallError::new(problem, Stage::SignIn, Effect::None).to_string());
    insta::assert_snapshot!(messages.join("\n"));
}
