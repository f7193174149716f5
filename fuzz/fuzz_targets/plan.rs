//! The plans of loans, integrations and flows for objects from any JSON: none panics, none wakes in
//! the past, and a status that was written is not written again.
#![no_main]

use std::sync::Arc;

use keyloan::api::OnePasswordIntegration;
use keyloan::plan::integration::{self, Observed};
use keyloan::plan::validity::{self, Lender};
use keyloan::plan::{events, grant};
use keyloan_fuzz::scene::Scene;
use libfuzzer_sys::{fuzz_mutator, fuzz_target};

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    keyloan_fuzz::json::mutate(data, size, max_size, seed)
});

fuzz_target!(|data: &[u8]| {
    let Some(scene) = Scene::of(data) else {
        return;
    };
    loan(&scene);
    of_integration(&scene);
    of_flows(&scene);
});

fn loan(scene: &Scene) {
    let (mut seen, now) = scene.observed();
    let plan = grant::plan(&seen, now);
    if let Some(record) = &seen.record {
        events::of_ended_record((**record).clone());
    }
    assert!(
        plan.wake
            .is_none_or(|wake| wake > now || plan.effect.is_some() || now == jiff::Timestamp::MAX)
    );
    let (None, Some(status), Some(grant)) = (&plan.effect, plan.status, &mut seen.grant) else {
        return;
    };
    Arc::make_mut(grant).status = Some(status.clone());
    let again = grant::plan(&seen, now);
    // A denial is recorded once the status says it.
    if again.effect.is_none() {
        assert_eq!(again.status, Some(status), "it is not written again");
        assert!(again.events.is_empty(), "each change is told once");
    }
}

fn of_integration(scene: &Scene) {
    let Some(mut object) = scene.integration() else {
        return;
    };
    let known = scene.known();
    let now = known.now.unwrap_or_default();
    let (discovery, inventory) = (known.discovery(), known.inventory());
    let plan = |object: &OnePasswordIntegration| {
        let seen = Observed {
            integration: object,
            token: known.token(),
            session: known.session(),
            discovery: discovery.as_ref(),
            inventory: inventory.as_ref(),
            discovering: false,
            room_from: None,
            unguarded: None,
        };
        integration::plan(&seen, now)
    };
    let first = plan(&object);
    assert!(first.wake.is_none_or(|wake| wake > now));
    object.status = Some(first.status.clone());
    assert_eq!(plan(&object).status, first.status);
}

fn of_flows(scene: &Scene) {
    let (integration, known) = (scene.integration(), scene.known());
    let (inventory, now) = (known.inventory(), known.now.unwrap_or_default());
    let lender = integration.as_ref().map(|object| Lender {
        object,
        inventory: inventory.as_ref(),
    });
    for mut flow in scene.flows() {
        let first = validity::plan(&flow, lender, now);
        flow.status = Some(first.status.clone());
        let again = validity::plan(&flow, lender, now);
        assert_eq!(again.status, first.status);
    }
}
