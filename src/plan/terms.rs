//! The terms of a loan: the request, within the limits of the flow and the integration.

use jiff::SignedDuration;

use crate::api::{
    AccessFlow, AccessGrant, AccessGrantStatus, AccessRecord, AgreedPerson, Email, Identity,
    ObjectIdentity, OnePasswordIntegration, RecipientRule, Requirement, Resolved, Span, Terms,
    Time,
};

use super::approval::{self, Approvers};
use super::delivery::{self, DeliveryTerms};
use super::digest::digest;
use super::inventory::ItemSeen;
use super::people::blocked_by;
use super::reasons::GrantReason;

/// Everything that a record contains about a loan from its first day on.
#[derive(Clone, Debug, PartialEq)]
pub struct Agreement {
    /// The grant.
    pub grant: ObjectIdentity,
    /// The requester.
    pub requester: Identity,
    /// The terms.
    pub terms: Terms,
    /// The digest over the effects of the terms and the grant's uid.
    pub digest: String,
}

impl Agreement {
    /// The agreement that a record keeps.
    pub fn of(record: &AccessRecord) -> Self {
        Self {
            grant: record.spec.grant.clone(),
            requester: record.spec.requester.clone(),
            terms: record.spec.terms.clone(),
            digest: record.spec.digest.clone(),
        }
    }

    /// The agreement that a request's status shows, if it has one.
    pub fn shown(grant: &AccessGrant, status: &AccessGrantStatus) -> Option<Self> {
        Some(Self {
            grant: identity(&grant.metadata),
            requester: grant.spec.requester.clone()?,
            terms: status.terms.clone()?,
            digest: status.digest.clone()?,
        })
    }
}

/// The subject of a request, after the lookup.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The request.
    pub grant: &'a AccessGrant,
    /// The requester.
    pub requester: &'a Identity,
    /// The integration.
    pub integration: &'a OnePasswordIntegration,
    /// The vault.
    pub vault: &'a Resolved,
    /// The item according to the last listing.
    pub item: &'a ItemSeen,
}

/// The reason why a flow's rules do not cover a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Objection {
    /// The reason.
    pub reason: GrantReason,
    /// One sentence.
    pub message: String,
}

impl Objection {
    /// An objection with a reason of its own.
    pub fn new(reason: GrantReason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
        }
    }

    fn rules(message: impl Into<String>) -> Self {
        Self::new(GrantReason::NoFlowCoversRequest, message)
    }
}

/// The agreement that follows from a request and a flow, or the reason why there is none.
pub fn agree(subject: &Subject<'_>, flow: &AccessFlow) -> Result<Agreement, Objection> {
    let Subject {
        grant,
        requester,
        integration,
        vault,
        item,
    } = *subject;
    let rules = &flow.spec.grant;
    let justification = grant.spec.justification.as_deref().unwrap_or_default();
    if rules.justification == Requirement::Required && justification.trim().is_empty() {
        return Err(Objection::rules(
            "the flow requires a justification (spec.justification)",
        ));
    }
    let duration = duration(grant, flow, integration)?;
    let recipients = recipients(grant, requester, rules.recipients, integration)?;
    let DeliveryTerms {
        view_once,
        link_lifetime,
        renewal,
    } = delivery::agree(grant, flow, integration, duration, recipients.len())
        .map_err(Objection::rules)?;
    let owner = resource_owner(integration, &item.tags);
    let terms = Terms {
        integration: identity(&integration.metadata),
        account: integration
            .status
            .as_ref()
            .and_then(|s| s.account.clone())
            .unwrap_or_default(),
        flow: identity(&flow.metadata),
        flow_generation: flow.metadata.generation.unwrap_or_default(),
        vault: vault.clone(),
        item: Resolved {
            id: item.id.clone(),
            title: item.title.clone(),
        },
        item_updated_at: Time(item.updated_at),
        recipients,
        duration: Span::of(duration),
        view_once,
        link_lifetime,
        renewal,
        access_details: flow
            .spec
            .access_details
            .clone()
            .or_else(|| integration.spec.custom_access_details.clone()),
        approval: approval::agreed(flow, integration, owner.as_deref()),
        owners: integration
            .spec
            .owners
            .iter()
            .map(AgreedPerson::of)
            .collect(),
        resource_owner: owner,
    };
    let approvers = Approvers::of(&terms, Some(requester), blocked_by(integration));
    if let Some(why) = approvers.shortfall() {
        return Err(Objection::rules(why));
    }
    let shown = grant.status.as_ref().and_then(|s| s.digest.as_deref());
    let grant = identity(&grant.metadata);
    let digest = digest(&grant.uid, &terms, shown);
    Ok(Agreement {
        grant,
        requester: requester.clone(),
        terms,
        digest,
    })
}

/// An object's namespace, name and uid.
pub fn identity(meta: &kube::core::ObjectMeta) -> ObjectIdentity {
    ObjectIdentity {
        namespace: meta.namespace.clone().unwrap_or_default(),
        name: meta.name.clone().unwrap_or_default(),
        uid: meta.uid.clone().unwrap_or_default(),
    }
}

fn duration(
    grant: &AccessGrant,
    flow: &AccessFlow,
    integration: &OnePasswordIntegration,
) -> Result<SignedDuration, Objection> {
    let understood = |span: &Span| {
        span.parse()
            .ok_or_else(|| Objection::rules(format!("the duration {span} is invalid")))
    };
    let ceiling = integration
        .spec
        .limits
        .as_ref()
        .and_then(|l| l.max_duration.as_ref());
    let mut most = understood(&flow.spec.grant.max_duration)?;
    if let Some(ceiling) = ceiling {
        most = most.min(understood(ceiling)?);
    }
    match &grant.spec.duration {
        Some(asked) => {
            let asked = understood(asked)?;
            if asked > most {
                return Err(Objection::rules(format!(
                    "the maximum duration is {}",
                    Span::of(most)
                )));
            }
            Ok(asked)
        }
        None => Ok(understood(&flow.spec.grant.default_duration)?.min(most)),
    }
}

fn recipients(
    grant: &AccessGrant,
    requester: &Identity,
    rule: RecipientRule,
    integration: &OnePasswordIntegration,
) -> Result<Vec<Email>, Objection> {
    let own = requester.email.as_ref();
    let asked = match (&grant.spec.recipients, own) {
        (Some(listed), _) if !listed.is_empty() => listed.clone(),
        (_, Some(own)) => vec![own.clone()],
        _ => {
            return Err(Objection::new(
                GrantReason::NoRecipient,
                no_recipient(requester, rule),
            ));
        }
    };
    sendable(&asked)?;
    for address in &asked {
        let is_own = own == Some(address);
        if rule == RecipientRule::Requester && !is_own {
            let message = format!(
                "the flow sends links only to the requester's own address, not to {address}"
            );
            return Err(Objection::new(GrantReason::RecipientNotAllowed, message));
        }
    }
    within_domains(&asked, requester, integration)?;
    Ok(asked)
}

/// Checks the addresses against an integration: they must be in its domains or, if it names none,
/// be the requester's own.
pub(super) fn within_domains(
    recipients: &[Email],
    requester: &Identity,
    integration: &OnePasswordIntegration,
) -> Result<(), Objection> {
    let domains = &integration.spec.recipient_domains;
    let is_allowed = |address: &&Email| match domains.is_empty() {
        true => requester.email.as_ref() == Some(address),
        false => domains.iter().any(|d| d.0 == address.domain()),
    };
    match recipients.iter().find(|address| !is_allowed(address)) {
        Some(other) => Err(Objection::new(
            GrantReason::RecipientNotAllowed,
            format!("the integration does not send links to {other}: see its recipientDomains"),
        )),
        None => Ok(()),
    }
}

/// What was looked for, and where to configure it.
fn no_recipient(requester: &Identity, rule: RecipientRule) -> String {
    let username = &requester.username;
    let listed = match rule {
        RecipientRule::Requester => "",
        RecipientRule::Listed => "list the addresses in spec.recipients, or ",
    };
    format!(
        "nobody could open the link: the cluster knows no e-mail address for you (username \
         {username:?}), and the request lists no recipients. To continue, {listed}have email or \
         emailDomain configured in the keyloan-crds chart (docs/identity.md), then request again"
    )
}

/// A link without recipients would be public. This check stops an empty list, and entries that are
/// not addresses.
pub fn sendable(recipients: &[Email]) -> Result<(), Objection> {
    if recipients.is_empty() {
        return Err(Objection::new(
            GrantReason::NoRecipient,
            "the link has no recipients",
        ));
    }
    let is_address = |address: &&Email| {
        let plain = |c: char| c.is_ascii_graphic() && !"@,;<>()\"".contains(c);
        address.0.split_once('@').is_some_and(|(local, domain)| {
            [local, domain]
                .iter()
                .all(|part| !part.is_empty() && part.chars().all(plain))
        })
    };
    match recipients.iter().find(|address| !is_address(address)) {
        Some(other) => Err(Objection::new(
            GrantReason::RecipientNotAllowed,
            format!("{:?} is not an e-mail address", other.0),
        )),
        None => Ok(()),
    }
}

/// The owner of an item, according to its owner tag: exactly one that the integration allows.
pub fn resource_owner(integration: &OnePasswordIntegration, tags: &[String]) -> Option<String> {
    let rule = integration.spec.resource_owner.as_ref()?;
    let mut named = tags
        .iter()
        .filter_map(|tag| tag.split_once(':'))
        .filter(|(key, owner)| *key == rule.tag_key && rule.allowed.iter().any(|a| a.0 == *owner))
        .map(|(_, owner)| owner.to_owned());
    let owner = named.next()?;
    named.next().is_none().then_some(owner)
}
