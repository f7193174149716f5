//! Places: one simulated 1Password for each fault, all lent from by one operator, so that the faults of one request can be tried at
//! the same time.

use std::time::Duration;

use futures::future::join_all;
use jiff::SignedDuration;
use keyloan::api::OnePasswordIntegration;
use keyloan::onepassword::AllowedOrigins;
use keyloan_simulator::{Control, Fault, FaultKind, Simulator};
use kube::Api;
use kube::api::DeleteParams;

use super::faults;
use crate::world::{PLATFORM, World, simulator};

/// Only a failure takes so long: as many sign in at once as there are places.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// The first and the last request of a sign-in.
const SIGN_IN_BEGINS: &str = "POST /api/v3/auth/start";
const SIGN_IN_ENDS: &str = "POST /api/v2/auth/complete";

/// How often to look for the end of a sign-in.
const A_MOMENT: Duration = Duration::from_millis(50);

/// The longest wait before a first retry.
const NEXT_TRY: Duration = Duration::from_secs(3601);

/// A world with a 1Password for each fault.
pub struct Places {
    pub world: World,
    pub places: Vec<Place>,
}

/// The 1Password that makes one kind of fault.
pub struct Place {
    /// The fault's name in the table.
    pub name: &'static str,
    pub control: Control,
    kind: FaultKind,
    _simulator: Simulator,
}

impl Places {
    /// All of them, with an operator that waits for an answer no longer than a test can.
    pub async fn open() -> Self {
        let mut world = World::without_operator().await;
        let place = |(name, kind)| {
            let simulator = simulator();
            Place {
                name,
                control: simulator.control(),
                kind,
                _simulator: simulator,
            }
        };
        let places: Vec<Place> = faults().into_iter().map(place).collect();
        let origins = places.iter().map(|place| place.control.origin());
        let origins = origins.map(|origin| origin.parse().expect("an origin"));
        world.settings.allowed_origins = AllowedOrigins::with(origins);
        world.settings.core_options.call_timeout = Duration::from_secs(60);
        world.settings.core_options.exchange_timeout = Duration::from_secs(10);
        world.settings.core_options.max_response = 1 << 20;
        world.restart_operator().await;
        Self { world, places }
    }

    /// Connects each place by an integration of its own, named after this.
    pub async fn connect(&self, prefix: &str) {
        for (at, place) in self.places.iter().enumerate() {
            let token = place.control.token("lender").await.expect("a token");
            let name = integration(prefix, at);
            self.world.token(&name, &token).await;
            self.world.create_integration(&name).await;
        }
    }

    /// Deletes these integrations.
    pub async fn disconnect(&self, prefix: &str) {
        let integrations: Api<OnePasswordIntegration> =
            Api::namespaced(self.world.admin.clone(), PLATFORM);
        for at in 0..self.places.len() {
            let name = integration(prefix, at);
            integrations
                .delete(&name, &DeleteParams::default())
                .await
                .expect("deleted");
        }
    }

    /// Has each place make its fault at the next such request.
    pub async fn disturb(&self, route: &str) {
        for place in &self.places {
            place.control.reset_requests().await.expect("forgotten");
            let fault = Fault::once(route, place.kind.clone());
            place.control.fault(fault).await.expect("ordered");
        }
    }

    /// Fails where a fault was not met.
    pub async fn each_was_met(&self, route: &str) {
        for place in &self.places {
            let log = place.control.requests().await.expect("a log");
            let met = log.entries.iter().any(|request| request.fault.is_some());
            assert!(met, "{}: {route}: {:?}", place.name, log.by_route);
        }
    }

    /// Waits until each sign-in that has begun since the places were disturbed is done: an hour later,
    /// 1Password no longer knows one that is half done, and refuses it.
    pub async fn until_signed_in(&self) {
        for place in &self.places {
            let done = async {
                loop {
                    let log = place.control.requests().await.expect("a log");
                    if log.count(SIGN_IN_ENDS) >= log.count(SIGN_IN_BEGINS) {
                        break;
                    }
                    tokio::time::sleep(A_MOMENT).await;
                }
            };
            let waited = tokio::time::timeout(PATIENCE, done).await;
            waited.unwrap_or_else(|_| panic!("{}: a sign-in does not end", place.name));
        }
    }

    /// Lets the time pass in which everything that recovers by itself is tried again.
    pub async fn wait_for_the_next_try(&self) {
        let clocks = self.places.iter().map(async |place| {
            let moved = place.control.advance_clock(NEXT_TRY).await;
            moved.expect("the simulator's clock");
        });
        join_all(clocks).await;
        let clock = &self.world.settings.clock;
        clock.advance(SignedDuration::try_from(NEXT_TRY).expect("short"));
    }

    /// Puts another token into an integration's Secret, as a person would.
    pub async fn renew_token(&self, prefix: &str, at: usize) {
        let token = self.places[at].control.rotate_token("lender").await;
        let name = integration(prefix, at);
        self.world.token(&name, &token.expect("a token")).await;
    }
}

/// The name of the integration of a place.
pub fn integration(prefix: &str, at: usize) -> String {
    format!("{prefix}-{at}")
}
