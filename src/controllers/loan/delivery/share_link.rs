//! What is delivered: a share link of 1Password's. The item and the account's sharing policy are
//! looked at first, because a share cannot be undone.

use std::sync::Arc;

use jiff::Timestamp;

use crate::controllers::answers::{failure_of, link_lifetime, share_lifetime};
use crate::controllers::loan::loans::integration_of;
use crate::onepassword::{
    CallError, Effect, Item, ItemId, OnePassword, Recipients, SharePolicy, ShareTerms, ShareUrl,
    VaultId,
};
use crate::plan::delivery::failure::Failure;
use crate::plan::delivery::share_link::length;
use crate::plan::delivery::steps::{Inspected, IssueLink, Link, NotObtained};
use crate::plan::inventory::ItemSeen;

use super::issuing::{Issuing, ToShare};

/// 1Password's answer.
pub(super) struct Answer {
    pub(super) result: Result<ShareUrl, NotObtained>,
    /// The time of its arrival.
    pub(super) at: Timestamp,
}

impl Issuing {
    /// Looks at the item and the policy. Nothing is written before both agree with the terms, so a
    /// failure here leaves no trace.
    pub(super) async fn inspect(&self, issue: &IssueLink) -> Result<Inspected<ToShare>, Failure> {
        let integration = integration_of(&self.key, &self.seen);
        let (terms, requester) = (&issue.agreement.terms, &issue.agreement.requester.username);
        let registry = &self.loans.registry;
        let account = registry
            .account(&integration, &terms.account, requester)
            .ok_or(Failure::NotConnected)?;
        let recipients = terms.recipients.iter().map(|r| r.0.clone());
        let recipients = Recipients::new(recipients).map_err(|_| Failure::Refused)?;
        let (vault, item) = (
            VaultId(terms.vault.id.clone()),
            ItemId(terms.item.id.clone()),
        );
        let answer = account.item(&vault, &item).await;
        let failed = |error: CallError| failure_of(&error, self.loans.clock.now());
        let item = answer.result.map_err(failed)?;
        let policy = self.policy(account.as_ref(), &vault, &item).await;
        let policy = policy.map_err(failed)?;
        if let Some(objection) = objection(&policy, terms.view_once) {
            // The policy may have been changed by the next attempt.
            self.memory.keep_policy(None);
            return Err(objection);
        }
        Ok(Inspected {
            item: ItemSeen {
                id: item.id.0.clone(),
                title: item.title.clone(),
                tags: item.tags.clone(),
                updated_at: item.updated_at,
                active: true,
            },
            version: item.version,
            opens_for: length(link_lifetime(policy.max_lifetime)),
            clock_ahead: registry.clock_ahead(&integration),
            held: ToShare {
                account,
                item,
                policy,
                recipients,
            },
        })
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

    /// Has 1Password make the link.
    pub(super) async fn share(&self, to_share: &ToShare, link: &Link) -> Answer {
        let ToShare {
            account,
            item,
            policy,
            recipients,
        } = to_share;
        let Some(lifetime) = share_lifetime(link.opens_for) else {
            let not_made = NotObtained {
                failure: Failure::Refused,
                may_exist: false,
            };
            return self.answered(Err(not_made));
        };
        let terms = ShareTerms {
            recipients: recipients.clone(),
            lifetime,
            view_once: link.issue.agreement.terms.view_once,
        };
        let answer = account.share(item, policy, &terms).await;
        let answered_at = self.loans.clock.now();
        self.answered(answer.result.map_err(|error| {
            self.memory.keep_policy(None);
            NotObtained {
                may_exist: matches!(error.effect(), Effect::Possible),
                failure: failure_of(&error, answered_at),
            }
        }))
    }

    fn answered(&self, result: Result<ShareUrl, NotObtained>) -> Answer {
        Answer {
            result,
            at: self.loans.clock.now(),
        }
    }
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
