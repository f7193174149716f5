//! The simulator as seen from its wire: it serves a client that follows the protocol and refuses
//! one that does not.

// Helpers of a test may panic like the test itself, and their documentation is read only here.
#![allow(clippy::unwrap_used, missing_docs)]

mod control;
mod core;
mod envelope;
mod faults;
mod process;
mod quotas;
mod reads;
mod sessions;
mod shares;
mod sign_in;
mod srp_client;

use keyloan_simulator::{Account, Control, Options, Simulator};

use crate::core::Core;

/// A simulator with a small account of its own.
pub struct World {
    pub simulator: Simulator,
    pub control: Control,
}

/// The vault that `lender` and `reader` share; ids are given, so that tests can name them.
pub const INFRA: &str = "infraaaaaaaaaaaaaaaaaaaaae";
pub const FINANCE: &str = "financeaaaaaaaaaaaaaaaaaae";
pub const PASSWORD: &str = "passwordaaaaaaaaaaaaaaaaae";
pub const ARCHIVED: &str = "archivedaaaaaaaaaaaaaaaaae";
pub const NOWHERE: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaa";

pub fn account() -> Account {
    Account::parse(&format!(
        "
        domain: acme.1password.com
        plan: Families
        vaults:
          - title: Infra
            id: {INFRA}
            items:
              - title: db password
                id: {PASSWORD}
                category: Database
                tags: [prod]
                fields:
                  - {{label: username, value: app}}
                  - {{label: password, value: hunter2, kind: Concealed}}
                notes: the primary
              - title: old
                id: {ARCHIVED}
                archived: true
          - title: Finance
            id: {FINANCE}
        serviceAccounts:
          - name: lender
            vaults: {{Infra: [read, share], Finance: [read]}}
          - name: reader
            vaults: {{Infra: [read]}}
        "
    ))
    .unwrap()
}

impl World {
    pub fn start() -> Self {
        Self::with(account(), Options::default())
    }

    pub fn with(account: Account, options: Options) -> Self {
        let simulator = Simulator::start(account, options).unwrap();
        let control = simulator.control();
        Self { simulator, control }
    }

    pub async fn signed_in(&self, service_account: &str) -> Core {
        let token = self.control.token(service_account).await.unwrap();
        Core::sign_in(&token).await.unwrap()
    }
}
