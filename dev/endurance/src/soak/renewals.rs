//! Requests for the next link, shortly before and after the end of the current one, and how soon
//! they were answered.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use jiff::{SignedDuration, Timestamp};
use keyloan::api::{AccessGrant, RENEW_ANNOTATION};
use keyloan_ledger::{Outcome, Record};
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;

use crate::clock::Clock;
use crate::figures::Times;
use crate::ground::TEAM;

/// How often to look for links that are about to end.
const LOOKS_EVERY: Duration = Duration::from_secs(1);
/// When a link may be followed by the next one, before its end.
const BEFORE_ITS_END: SignedDuration = SignedDuration::from_mins(9);
/// What a loan has to have left for another link, and some more.
const NEEDED: SignedDuration = SignedDuration::from_mins(70);
/// How long a request may be without an answer.
const PATIENCE: SignedDuration = SignedDuration::from_mins(30);

/// The times at which links were asked for, by the uid of the grant.
pub type Asked = Arc<Mutex<BTreeMap<String, Vec<Timestamp>>>>;

/// Asks for the next link wherever one is about to end.
pub async fn ask(admin: Client, clock: Clock, asked: Asked) -> Result<()> {
    let grants: Api<AccessGrant> = Api::namespaced(admin, TEAM);
    let active = ListParams::default().fields("status.phase=Active");
    loop {
        tokio::time::sleep(LOOKS_EVERY).await;
        for grant in grants.list(&active).await? {
            let now = clock.now();
            if !is_due(&grant, now) {
                continue;
            }
            let renew =
                json!({ "metadata": { "annotations": { RENEW_ANNOTATION: now.to_string() } } });
            let (params, renew) = (PatchParams::default(), Patch::Merge(renew));
            // It may have been deleted meanwhile.
            if grants
                .patch(&grant.name_any(), &params, &renew)
                .await
                .is_ok()
            {
                let mut asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
                let uid = grant.uid().unwrap_or_default();
                asked.entry(uid).or_default().push(now);
            }
        }
    }
}

fn is_due(grant: &AccessGrant, now: Timestamp) -> bool {
    let Some(status) = &grant.status else {
        return false;
    };
    let (Some(link), Some(end)) = (&status.link, &status.expires_at) else {
        return false;
    };
    let asked = grant.annotations().get(RENEW_ANNOTATION);
    let asked: Option<Timestamp> = asked.and_then(|text| text.parse().ok());
    link.expires_at.0.duration_since(now) < BEFORE_ITS_END
        && end.0.duration_since(now) > NEEDED
        && asked.is_none_or(|asked| asked <= link.issued_at.0)
}

/// The gaps in access of loans whose next link was asked for, and the requests without an answer.
pub fn gaps(records: &[Record], asked: &Asked) -> (Times, Vec<String>) {
    let asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
    let (mut gaps, mut unanswered) = (Times::default(), Vec::new());
    for record in records {
        let issued = record.links().iter();
        let issued: Vec<_> = issued
            .filter(|link| link.outcome() == Some(Outcome::Issued))
            .collect();
        for at in asked.get(record.grant_uid()).into_iter().flatten() {
            let is_before = |link: &&&keyloan_ledger::Link| link.intent_at() < *at;
            let current = issued.iter().rev().find(is_before);
            let next = issued.iter().find(|link| link.intent_at() >= *at);
            let open_until = current.and_then(|link| link.expires_at()).unwrap_or(*at);
            match next.and_then(|link| link.issued_at()) {
                Some(next) => {
                    let gap = next.duration_since(open_until.max(*at));
                    gaps.push(gap.try_into().unwrap_or_default());
                }
                None if ran_on(record, *at) => unanswered.push(format!(
                    "{} asked for a link at {at} and got none",
                    record.named()
                )),
                None => {}
            }
        }
    }
    (gaps, unanswered)
}

fn ran_on(record: &Record, asked: Timestamp) -> bool {
    let end = record.ended_at();
    end.is_none_or(|end| end.duration_since(asked) > PATIENCE)
}
