//! Issues one link, in steps of which every prefix is a state that the plan knows: look at the item
//! and the policy, make a place for the link (`place.rs`), write the intent (`intent.rs`),
//! share, hand over (`hand_over.rs`: Secret, close the intent).

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;

use crate::api::{AccessRecord, LinkLifetime, LinkOutcome, LinkRecord, Resolved, Time};
use crate::cluster::link_objects::LinkFacts;
use crate::cluster::{API_TIMEOUT, ApiError, ApiErrorKind, Key};
use crate::controllers::answers::{failure_of, link_lifetime, share_lifetime};
use crate::onepassword::{
    CallError, Effect, Item, ItemId, OnePassword, Recipients, SharePolicy, ShareTerms, VaultId,
};
use crate::plan::delivery::failure::Failure;
use crate::plan::delivery::links::{latest_end, whole_second};
use crate::plan::effect::IssueLink;
use crate::plan::inventory::ItemSeen;
use crate::plan::items::item_matches;
use crate::plan::terms::length;

use super::issuing::{Issuing, Ready};
use super::place::LinkPlace;
use crate::controllers::loan::loans::integration_of;

impl Issuing {
    /// Issues a link. The inner error is the reason why 1Password gave none; the outer one means
    /// that Kubernetes could not be read or written.
    pub async fn issue(
        self: Arc<Self>,
        issue: IssueLink,
        wake: Option<Timestamp>,
    ) -> Result<Result<(), Failure>, ApiError> {
        let prepare = async {
            let ready = match self.prepare(&issue).await? {
                Ok(ready) => ready,
                Err(failure) => return Ok(Err(failure)),
            };
            let facts = self.facts(&issue, &ready, self.loans.clock.now());
            let place = self.make_place(&issue.agreement.requester, &facts).await?;
            Ok(place.map(|place| (ready, place)))
        };
        let (ready, place) = match self
            .loans
            .while_due(&self.key, &issue, wake, prepare)
            .await?
        {
            Some(Ok(prepared)) => prepared,
            Some(Err(failure)) => return Ok(Err(failure)),
            None => return Ok(Ok(())),
        };
        self.read_decisions_again(&issue).await?;
        let (tasks, me) = (self.loans.tasks.clone(), self.clone());
        let name = format!("link of {}", self.key);
        // Started work is finished even if this pass is dropped, for example at a shutdown or when
        // the lease is lost. It is on the heap because it is large and would be moved on the stack.
        let link = Box::pin(async move { me.make(&issue, ready, &place).await });
        tasks.finish(name, link).await.unwrap_or(Ok(Ok(())))
    }

    /// Reads the decisions for the first link from the API server itself, so that the next plan
    /// counts what exists.
    async fn read_decisions_again(&self, issue: &IssueLink) -> Result<(), ApiError> {
        if issue.item_version.is_some() {
            return Ok(());
        }
        let grant = &self.key.grant;
        let names = issue
            .decisions
            .iter()
            .filter_map(|counted| counted.name.as_ref());
        for name in names {
            let key = Key::new(&grant.namespace, name);
            self.loans.cluster.decisions.live(&key).await?;
        }
        Ok(())
    }

    /// Writes the intent, shares, and hands the link over.
    async fn make(
        &self,
        issue: &IssueLink,
        ready: Ready,
        place: &LinkPlace,
    ) -> Result<Result<(), Failure>, ApiError> {
        let requester = &issue.agreement.requester.username;
        // Only one of a requester's loans at a time from here to the record, so that two requests
        // cannot both get the last place.
        let turn = match issue.first {
            true => Some(self.loans.places.turn(requester).await),
            false => None,
        };
        // All that took time: by now another lifetime may be due, or the loan is over, blocked or
        // suspended.
        let in_time = self.loans.clock.now() <= issue.write_by;
        if !in_time || !self.loans.is_still_due(&self.key, issue).await? {
            return Ok(Ok(()));
        }
        let record = self.write_intent(issue, &ready).await;
        drop(turn);
        let record = match record {
            Ok(Some(record)) => record,
            Ok(None) => return Ok(Err(Failure::LimitReached)),
            // The cached object was stale: the loan is looked at again.
            Err(error)
                if matches!(
                    error.kind,
                    ApiErrorKind::Conflict | ApiErrorKind::AlreadyExists
                ) =>
            {
                return Err(error);
            }
            Err(error) => {
                tracing::warn!(grant = %self.key.grant, %error, "could not write the intent, so no link is issued");
                return Ok(Err(Failure::NoRecord {
                    why: format!("{} {}: {}", error.verb, error.object, error.kind.quote()),
                    refused: error.kind.is_refusal(),
                }));
            }
        };
        if self.loans.clock.now() > share_by(&record, issue.sequence) {
            // No call has been made. By the time of its answer, the link might open for longer than
            // the intent says.
            self.close_refused(&record, issue.sequence).await?;
            return Ok(Err(Failure::Unavailable));
        }
        let terms = ShareTerms {
            recipients: ready.recipients.clone(),
            lifetime: share_lifetime(ready.lifetime),
            view_once: issue.agreement.terms.view_once,
        };
        let answer = ready
            .account
            .share(&ready.item, &ready.policy, &terms)
            .await;
        let answered_at = self.loans.clock.now();
        let issued_at = whole_second(answered_at);
        let expires_at = expires_at(issued_at, ready.lifetime);
        match answer.result {
            // The call's time-out stands still while the machine sleeps: such a link opens for
            // longer than it may.
            Ok(url) if is_late(&record, issue.sequence, ready.lifetime, expires_at) => {
                drop(url);
                self.lose(&record, issue.sequence, expires_at).await?;
                Ok(Err(Failure::Unavailable))
            }
            // A link that nobody receives is opened by nobody, but cannot be taken back: it counts.
            Ok(url) if self.loans.is_to_end(&self.key).await => {
                drop(url);
                self.lose(&record, issue.sequence, expires_at).await?;
                Ok(Ok(()))
            }
            Ok(url) => {
                let facts = self.facts(issue, &ready, issued_at);
                drop(ready);
                self.hand_over(&record, place, &url, &facts).await
            }
            Err(error) => {
                self.memory.keep_policy(None);
                match error.effect() {
                    Effect::None => self.close_refused(&record, issue.sequence).await?,
                    Effect::Possible => self.lose(&record, issue.sequence, expires_at).await?,
                }
                Ok(Err(failure_of(&error, answered_at)))
            }
        }
    }

    /// The contents of a link's Secret besides the URL, if the link is issued at this time.
    fn facts(&self, issue: &IssueLink, ready: &Ready, issued_at: Timestamp) -> LinkFacts {
        LinkFacts {
            sequence: issue.sequence,
            issued_at,
            expires_at: expires_at(issued_at, ready.lifetime),
            item_version: ready.item.version,
            access_details: issue.agreement.terms.access_details.clone(),
        }
    }

    /// Closes the intent of a link that 1Password has not made.
    async fn close_refused(&self, record: &AccessRecord, sequence: u32) -> Result<(), ApiError> {
        let refused = |link: &mut LinkRecord| link.outcome = Some(LinkOutcome::Refused);
        self.close(record, sequence, refused).await
    }

    /// Closes the intent of a link that nobody receives. 1Password may have made it, and then it
    /// opens until this time.
    async fn lose(
        &self,
        record: &AccessRecord,
        sequence: u32,
        until: Timestamp,
    ) -> Result<(), ApiError> {
        let lost = |link: &mut LinkRecord| {
            link.outcome = Some(LinkOutcome::Lost);
            link.latest_end = Time(link.latest_end.0.max(until));
        };
        self.close(record, sequence, lost).await
    }

    /// Completes a link whose Secret was written by an interrupted pass.
    pub async fn finish(
        &self,
        record: &AccessRecord,
        sequence: u32,
        issued_at: Time,
        expires_at: Time,
        item_version: u32,
    ) -> Result<(), ApiError> {
        self.let_requester_read(&record.spec.requester).await?;
        self.close_issued(record, sequence, issued_at, expires_at, item_version)
            .await
    }

    /// Checks the item and the policy. Nothing is written before both agree with the terms, so a
    /// failure here leaves no trace.
    async fn prepare(&self, issue: &IssueLink) -> Result<Result<Ready, Failure>, ApiError> {
        let integration = integration_of(&self.key, &self.seen);
        let terms = &issue.agreement.terms;
        let Some(account) = self.loans.registry.account(
            &integration,
            &terms.account,
            &issue.agreement.requester.username,
        ) else {
            return Ok(Err(Failure::Unavailable));
        };
        let Ok(recipients) = Recipients::new(terms.recipients.iter().map(|r| r.0.clone())) else {
            return Ok(Err(Failure::Refused));
        };
        let (vault, item) = (
            VaultId(terms.vault.id.clone()),
            ItemId(terms.item.id.clone()),
        );
        let answer = account.item(&vault, &item).await;
        let item = match answer.result {
            Ok(item) => item,
            Err(error) => return Ok(Err(failure_of(&error, self.loans.clock.now()))),
        };
        if let Err(failure) = self.check_item(issue, &item) {
            return Ok(Err(failure));
        }
        let policy = match self.policy(account.as_ref(), &vault, &item).await {
            Ok(policy) => policy,
            Err(error) => return Ok(Err(failure_of(&error, self.loans.clock.now()))),
        };
        if let Some(objection) = objection(&policy, terms.view_once) {
            // The policy may have been changed by the next attempt.
            self.memory.keep_policy(None);
            return Ok(Err(objection));
        }
        let lifetime = issue.lifetime.min(link_lifetime(policy.max_lifetime));
        Ok(Ok(Ready {
            account,
            clock_ahead: self.loans.registry.clock_ahead(&integration),
            item,
            policy,
            lifetime,
            recipients,
        }))
    }

    /// The policy for this item: read before the first link, and kept for the renewals.
    async fn policy(
        &self,
        account: &dyn OnePassword,
        vault: &VaultId,
        item: &Item,
    ) -> Result<Arc<SharePolicy>, CallError> {
        if let Some(policy) = self.memory.policy() {
            return Ok(policy);
        }
        let answer = account.share_policy(vault, &item.id).await;
        let policy = Arc::new(answer.result?);
        self.memory.keep_policy(Some(policy.clone()));
        Ok(policy)
    }

    /// Whether the fetched item is the agreed one, and still one that the flow lends.
    fn check_item(&self, issue: &IssueLink, item: &Item) -> Result<(), Failure> {
        let terms = &issue.agreement.terms;
        if let Some(version) = issue.item_version {
            return if item.version == version {
                Ok(())
            } else {
                Err(Failure::ItemChanged)
            };
        }
        let same = item.updated_at.as_second() == terms.item_updated_at.0.as_second()
            && item.title == terms.item.title;
        let flow = self
            .seen
            .flows
            .iter()
            .find(|f| f.uid().as_ref() == Some(&terms.flow.uid));
        let vault = Resolved {
            id: terms.vault.id.clone(),
            title: terms.vault.title.clone(),
        };
        let fetched = ItemSeen {
            id: item.id.0.clone(),
            title: item.title.clone(),
            tags: item.tags.clone(),
            updated_at: item.updated_at,
            active: true,
        };
        let lends = flow.is_some_and(|f| item_matches(&f.spec.items, &vault, &fetched));
        if same && lends {
            Ok(())
        } else {
            Err(Failure::ItemDiffers)
        }
    }
}

/// The deadline for starting the share's call, so that its answer comes in the time that the intent
/// assumes.
fn share_by(record: &AccessRecord, sequence: u32) -> Timestamp {
    let mut links = record.spec.links.iter();
    let intent = links.find(|link| link.sequence == sequence);
    intent
        .and_then(|link| link.intent_at.0.checked_add(API_TIMEOUT).ok())
        .unwrap_or(Timestamp::MAX)
}

fn expires_at(issued_at: Timestamp, lifetime: LinkLifetime) -> Timestamp {
    let end = issued_at.saturating_add(length(lifetime));
    end.unwrap_or(Timestamp::MAX)
}

/// Whether a link opens for longer than its intent says. The clocks' difference affects both and is
/// left out.
fn is_late(
    record: &AccessRecord,
    sequence: u32,
    lifetime: LinkLifetime,
    expires_at: Timestamp,
) -> bool {
    let mut links = record.spec.links.iter();
    let latest = |link: &LinkRecord| latest_end(link.intent_at.0, lifetime, SignedDuration::ZERO);
    links.any(|link| link.sequence == sequence && latest(link) < expires_at)
}

/// The reason why the account's policy does not allow a share with these terms.
fn objection(policy: &SharePolicy, view_once: bool) -> Option<Failure> {
    if !policy.allows_named_people() {
        return Some(Failure::Refused);
    }
    // 1Password would make such a share, and it would open once; a loan that continues after it
    // cannot rely on it.
    let opens_once = policy.max_views.is_some_and(|most| most <= 1);
    (opens_once && !view_once).then_some(Failure::OpensOnce)
}
