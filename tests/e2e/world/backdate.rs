//! Loans that began earlier, for an operator that is a process: its clock cannot be moved.

use jiff::SignedDuration;
use keyloan::api::{AccessGrant, AccessRecord};
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;

use super::{PLATFORM, World};

impl World {
    /// Has a loan and its links have begun so much earlier: as the operator, because admission lets nobody else write records.
    pub async fn backdate(&self, grant: &AccessGrant, by: SignedDuration) {
        let records: Api<AccessRecord> = Api::namespaced(self.as_operator().await, PLATFORM);
        let name = grant.uid().expect("one");
        let mut links = records.get(&name).await.expect("there").spec.links;
        for link in &mut links {
            let known = [&mut link.intent_at, &mut link.latest_end];
            let answered = [&mut link.issued_at, &mut link.expires_at];
            for time in known.into_iter().chain(answered.into_iter().flatten()) {
                time.0 -= by;
            }
        }
        let patch = json!({ "spec": { "links": links } });
        records
            .patch(&name, &PatchParams::default(), &Patch::Merge(&patch))
            .await
            .expect("patched");
    }
}
