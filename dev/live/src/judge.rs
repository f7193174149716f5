//! Compares the observations with the assumptions.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use keyloan::onepassword::{Exchange, Outcome, Problem, Route, Stage};

use crate::assumptions::{ALL, Assumption, Check};
use crate::visit::{Call, Observation, Seen};

/// The tolerated difference between the clocks: what the operator allows, plus the second to which
/// `Date` is precise.
const SKEW: SignedDuration = SignedDuration::from_secs(60);

/// The verdict for an assumption that the list has and this module lacks.
const NO_WAY: &str = "this command cannot check it";

/// The verdict on an assumption.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The observations confirm it.
    Confirmed(String),
    /// The observations contradict it.
    Differs(String),
    /// There are no observations of it.
    NotChecked(String),
}
use Verdict::{Confirmed, Differs, NotChecked};

/// Every assumption that this command can check, and its verdict, in the order of the list.
pub fn judge(seen: &Seen) -> Vec<(&'static Assumption, Verdict)> {
    ALL.iter()
        .filter(|assumption| assumption.check != Check::ByHand)
        .map(|assumption| (assumption, verdict(assumption, seen)))
        .collect()
}

fn verdict(assumption: &Assumption, seen: &Seen) -> Verdict {
    match assumption.id {
        "sign-in" => sign_in(seen),
        "vault-list" => requests(seen, Call::Vaults, &[Route::Keysets, Route::Vaults]),
        "item-list" => requests(seen, Call::Items, &[Route::Overviews]),
        "routes" => routes(seen),
        "status-ok" => statuses(seen),
        "date" => dates(seen),
        "clock" => clock(seen),
        "unknown-item" => problem(seen, Call::UnknownItem, Stage::Call, Problem::NotFound),
        "unknown-vault" => problem(seen, Call::UnknownVault, Stage::Call, Problem::NotFound),
        "policy" => requests(seen, Call::Policy, &[Route::SharePolicy]),
        "policy-named" => named_people(seen),
        "item" => requests(
            seen,
            Call::Item,
            &[Route::Vault, Route::Keysets, Route::Item],
        ),
        "share" => requests(seen, Call::Share, &[Route::ShareRecipients, Route::Share]),
        "share-url" => link(seen),
        "revoked-token" => problem(seen, Call::Revoked, Stage::SignIn, Problem::Unauthorized),
        _ => NotChecked(NO_WAY.to_owned()),
    }
}

/// Compares the requests of a call, without those of signing in, in any order.
fn requests(seen: &Seen, call: Call, expected: &[Route]) -> Verdict {
    let mut calls = 0;
    for made in seen.of(call) {
        if let Some(error) = &made.error {
            return Differs(format!("{error} ({})", listed(&made.exchanges)));
        }
        let of_call = made
            .exchanges
            .iter()
            .filter(|exchange| !exchange.route.is_sign_in());
        let mut routes: Vec<Route> = of_call.map(|exchange| exchange.route).collect();
        let mut expected = expected.to_vec();
        routes.sort();
        expected.sort();
        if routes != expected {
            return Differs(listed(&made.exchanges));
        }
        calls += 1;
    }
    match calls {
        0 => not_reached(call),
        1 => Confirmed(format!("{} in one call", number(expected.len()))),
        n => Confirmed(format!("{} in each of {n} calls", number(expected.len()))),
    }
}

fn number(requests: usize) -> String {
    match requests {
        1 => "1 request".to_owned(),
        n => format!("{n} requests"),
    }
}

fn sign_in(seen: &Seen) -> Verdict {
    const STEPS: [Route; 4] = [
        Route::AuthStart,
        Route::Auth,
        Route::AuthConfirmKey,
        Route::AuthComplete,
    ];
    let Some(first) = seen.of(Call::Vaults).next() else {
        return not_reached(Call::Vaults);
    };
    let steps = first
        .exchanges
        .iter()
        .filter(|exchange| exchange.route.is_sign_in());
    let steps: Vec<Route> = steps.map(|exchange| exchange.route).collect();
    if steps == STEPS
        && !first
            .error
            .as_ref()
            .is_some_and(|error| error.stage() == Stage::SignIn)
    {
        Confirmed("4 requests".to_owned())
    } else {
        let why = first.error.as_ref().map(|error| format!("{error}: "));
        Differs(format!(
            "{}{}",
            why.unwrap_or_default(),
            listed(&first.exchanges)
        ))
    }
}

fn routes(seen: &Seen) -> Verdict {
    if exchanges(seen).next().is_none() {
        return NotChecked("no request was sent".to_owned());
    }
    let unknown = exchanges(seen).filter(|exchange| exchange.route == Route::Unknown);
    match unknown.count() {
        0 => Confirmed(format!("{} requests", exchanges(seen).count())),
        n => Differs(format!("{n} requests to other routes")),
    }
}

fn statuses(seen: &Seen) -> Verdict {
    let good = seen.calls.iter().filter(|call| call.error.is_none());
    let statuses: BTreeSet<u16> = good
        .flat_map(|call| &call.exchanges)
        .filter_map(Exchange::status)
        .collect();
    if statuses.is_empty() {
        NotChecked("no call succeeded".to_owned())
    } else if statuses == BTreeSet::from([200]) {
        Confirmed("200".to_owned())
    } else {
        Differs(format!("{statuses:?}"))
    }
}

fn dates(seen: &Seen) -> Verdict {
    let mut answers = 0;
    for exchange in exchanges(seen) {
        if let Outcome::Answered { status, date, .. } = exchange.outcome {
            if date.is_none() {
                return Differs(format!(
                    "none on {} with status {status}",
                    exchange.route.template()
                ));
            }
            answers += 1;
        }
    }
    match answers {
        0 => NotChecked("there was no response".to_owned()),
        n => Confirmed(format!("on {n} responses")),
    }
}

fn clock(seen: &Seen) -> Verdict {
    let last_date = |call: &Observation| match call.exchanges.last()?.outcome {
        Outcome::Answered { date, .. } => Some(call.at.duration_since(date?)),
        Outcome::Silent(_) => None,
    };
    let Some(apart) = seen
        .calls
        .iter()
        .filter_map(last_date)
        .max_by_key(|apart| apart.abs())
    else {
        return NotChecked("no response had a `Date` header".to_owned());
    };
    let text = format!("ours is {:+} s against theirs", apart.as_secs());
    if apart.abs() <= SKEW {
        Confirmed(text)
    } else {
        Differs(text)
    }
}

fn problem(seen: &Seen, call: Call, stage: Stage, expected: Problem) -> Verdict {
    let Some(made) = seen.of(call).next() else {
        return not_reached(call);
    };
    match &made.error {
        Some(error) if error.problem() == expected && error.stage() == stage => {
            Confirmed(last_answer(&made.exchanges))
        }
        Some(error) => Differs(format!("{}: {error}", last_answer(&made.exchanges))),
        None => Differs(format!("no error: {}", last_answer(&made.exchanges))),
    }
}

fn named_people(seen: &Seen) -> Verdict {
    match seen.policy {
        None => not_reached(Call::Policy),
        Some((true, longest)) => Confirmed(format!("at most {longest:?}")),
        Some((false, _)) => Differs("shares with named people are not allowed".to_owned()),
    }
}

fn link(seen: &Seen) -> Verdict {
    let Some(link) = &seen.link else {
        return not_reached(Call::Share);
    };
    let ours = ["1password.com", "1password.ca", "1password.eu"]
        .iter()
        .any(|domain| link.host == *domain || link.host.ends_with(&format!(".{domain}")));
    if link.scheme == "https" && ours && link.secret_length > 0 {
        Confirmed(link.to_string())
    } else {
        Differs(link.to_string())
    }
}

fn exchanges(seen: &Seen) -> impl Iterator<Item = &Exchange> {
    seen.calls.iter().flat_map(|call| &call.exchanges)
}

fn not_reached(call: Call) -> Verdict {
    NotChecked(
        match call {
            Call::Item => "name an item with --item",
            Call::Share => "add --share-with and --yes",
            Call::Revoked => "set KEYLOAN_LIVE_REVOKED_TOKEN",
            Call::Policy | Call::Items | Call::UnknownItem => {
                "the account shows no vault, or no item"
            }
            Call::Vaults | Call::UnknownVault => "signing in or listing the vaults failed",
        }
        .to_owned(),
    )
}

/// The requests of a call, each as `GET /api/v1/vaults 200`.
fn listed(exchanges: &[Exchange]) -> String {
    if exchanges.is_empty() {
        return "no request was sent".to_owned();
    }
    exchanges.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn last_answer(exchanges: &[Exchange]) -> String {
    exchanges
        .last()
        .map_or("no request was sent".to_owned(), one)
}

fn one(exchange: &Exchange) -> String {
    let how = match exchange.outcome {
        Outcome::Answered {
            status,
            retry_after: None,
            ..
        } => status.to_string(),
        Outcome::Answered {
            status,
            retry_after: Some(wait),
            ..
        } => {
            format!("{status} (Retry-After {} s)", wait.as_secs())
        }
        Outcome::Silent(why) => format!("no response ({why:?})"),
    };
    format!("{} {} {how}", exchange.method, exchange.route.template())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_knows_how_to_look_at_what_it_is_said_to_look_at() {
        for (assumption, verdict) in judge(&Seen::default()) {
            assert_ne!(verdict, NotChecked(NO_WAY.to_owned()), "{}", assumption.id);
        }
    }

    #[test]
    fn nothing_is_confirmed_by_not_looking() {
        let verdicts = judge(&Seen::default());
        let confirmed = verdicts
            .iter()
            .filter(|(_, verdict)| matches!(verdict, Confirmed(_)));
        let confirmed: Vec<_> = confirmed.map(|(assumption, _)| assumption.id).collect();
        assert!(confirmed.is_empty(), "{confirmed:?}");
    }
}
