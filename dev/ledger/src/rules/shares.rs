//! The shares of 1Password against the links in the records: each share is one link.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::loan::{CALL, SECOND, after, is_after};
use crate::finding::{Finding, Rule};
use crate::given::Limits;
use crate::objects::{Link, Outcome, Record, Share};

/// What a share and a link have in common: vault, item and recipients.
type Subject = (String, String, BTreeSet<String>);

/// Shares and links of one subject.
#[derive(Default)]
struct Group<'a> {
    shares: Vec<&'a Share>,
    links: Vec<(&'a Record, &'a Link)>,
}

/// Finds the share of each link, and the link of each share.
pub fn check(records: &[Record], shares: &[Share], limits: &Limits) -> Vec<Finding> {
    let mut groups: BTreeMap<Subject, Group<'_>> = BTreeMap::new();
    let mut findings = Vec::new();
    for share in shares {
        if share.kind == "Public" || share.recipients.is_empty() {
            let what = format!("the share made at {} names no recipients", share.created_at);
            findings.push(Finding::new(Rule::PublicShare, "no record", what));
        }
        let subject = subject(&share.vault, &share.item, &share.recipients);
        groups.entry(subject).or_default().shares.push(share);
    }
    for record in records {
        let terms = &record.spec.terms;
        let subject = subject(&terms.vault.id, &terms.item.id, &terms.recipients);
        let group = groups.entry(subject).or_default();
        group
            .links
            .extend(record.spec.links.iter().map(|link| (record, link)));
    }
    for ((_, item, recipients), group) in &groups {
        findings.extend(group.check(item, recipients, limits));
    }
    findings
}

fn subject(vault: &str, item: &str, recipients: &[String]) -> Subject {
    let recipients = recipients.iter().map(|recipient| recipient.to_lowercase());
    (vault.to_owned(), item.to_owned(), recipients.collect())
}

impl Group<'_> {
    fn check(&self, item: &str, recipients: &BTreeSet<String>, limits: &Limits) -> Vec<Finding> {
        let mut findings = Vec::new();
        let whole = |share: usize, link: usize| {
            self.may_be(share, link, limits) && self.ends_as_recorded(share, link, limits)
        };
        let mut pairs = Pairs::new(self.shares.len(), self.links.len());
        let is_issued = |link: &usize| self.links[*link].1.outcome == Some(Outcome::Issued);
        (0..self.links.len()).filter(is_issued).for_each(|link| {
            pairs.add_link(link, &whole);
        });
        (0..self.shares.len()).for_each(|share| {
            pairs.add_share(share, &whole);
        });
        let by_time = |share: usize, link: usize| self.may_be(share, link, limits);
        for (number, share) in self.shares.iter().enumerate() {
            if pairs.link_of[number].is_some() {
                continue;
            }
            let finding = match pairs
                .add_share(number, &by_time)
                .then(|| pairs.link_of[number])
            {
                Some(Some(link)) => {
                    let (record, link) = self.links[link];
                    let what = format!(
                        "the share of link {} opens until {}, but the record says {}",
                        link.sequence, share.expires_at, link.latest_end
                    );
                    Finding::new(Rule::LongerThanRecorded, record.named(), what)
                }
                _ => {
                    let recipients: Vec<_> = recipients.iter().map(String::as_str).collect();
                    let what = format!(
                        "1Password has a share of the item {item} for {}, made at {}, open until \
                         {}: no link of a record is left that it can be",
                        recipients.join(", "),
                        share.created_at,
                        share.expires_at
                    );
                    Finding::new(Rule::UncountedShare, "no record", what)
                }
            };
            findings.push(finding);
        }
        for number in (0..self.links.len()).filter(is_issued) {
            if pairs.share_of[number].is_none() {
                let (record, link) = self.links[number];
                let what = format!(
                    "link {} was issued at {}, and 1Password has no such share",
                    link.sequence,
                    link.issued_at.unwrap_or(link.intent_at)
                );
                findings.push(Finding::new(Rule::MissingShare, record.named(), what));
            }
        }
        findings
    }

    /// Whether a share can be a link: it was made in the time of the call, for the same version.
    /// A refused link is none: 1Password has made no link. docs/limits.md: a link also counts as
    /// lost if the answer comes too late; then its latest end covers the late share.
    fn may_be(&self, share: usize, link: usize, limits: &Limits) -> bool {
        let (share, (_, link)) = (self.shares[share], self.links[link]);
        let begun = after(link.intent_at, -SECOND);
        let latest = after(link.intent_at, CALL + limits.clock_ahead);
        let in_time = !is_after(share.created_at, latest);
        let is_late = link.outcome == Some(Outcome::Lost)
            && !is_after(share.expires_at, after(link.latest_end, limits.clock_ahead));
        let versions = (share.item_version, link.item_version);
        link.outcome != Some(Outcome::Refused)
            && share.created_at >= begun
            && (in_time || is_late)
            && !matches!(versions, (Some(one), Some(other)) if one != other)
    }

    /// Whether the record says as late an end as the share has: by 1Password's clock, which may be
    /// ahead.
    fn ends_as_recorded(&self, share: usize, link: usize, limits: &Limits) -> bool {
        let (share, (_, link)) = (self.shares[share], self.links[link]);
        let latest: Timestamp = after(link.latest_end, limits.clock_ahead);
        !is_after(share.expires_at, latest)
    }
}

/// Pairs of shares and links, as many as can be: two links may have been begun within a minute.
struct Pairs {
    link_of: Vec<Option<usize>>,
    share_of: Vec<Option<usize>>,
}

impl Pairs {
    fn new(shares: usize, links: usize) -> Self {
        Self {
            link_of: vec![None; shares],
            share_of: vec![None; links],
        }
    }

    /// Finds a link for a share; other pairs are changed as needed, but none is given up.
    fn add_share(&mut self, share: usize, fits: &impl Fn(usize, usize) -> bool) -> bool {
        augment(share, &mut self.link_of, &mut self.share_of, fits)
    }

    /// The same for a link.
    fn add_link(&mut self, link: usize, fits: &impl Fn(usize, usize) -> bool) -> bool {
        let swapped = |link: usize, share: usize| fits(share, link);
        augment(link, &mut self.share_of, &mut self.link_of, &swapped)
    }
}

/// Pairs one of the first kind, along an alternating path. Does nothing if it has a pair.
fn augment(
    from: usize,
    pairs: &mut [Option<usize>],
    others: &mut [Option<usize>],
    fits: &impl Fn(usize, usize) -> bool,
) -> bool {
    if pairs[from].is_some() {
        return true;
    }
    let mut reached_from = vec![None; others.len()];
    let mut waiting = vec![from];
    while let Some(one) = waiting.pop() {
        for other in 0..others.len() {
            if reached_from[other].is_some() || !fits(one, other) {
                continue;
            }
            reached_from[other] = Some(one);
            match others[other] {
                Some(next) => waiting.push(next),
                None => {
                    turn(other, pairs, others, &reached_from);
                    return true;
                }
            }
        }
    }
    false
}

/// Changes the pairs along the path that ends here.
fn turn(
    end: usize,
    pairs: &mut [Option<usize>],
    others: &mut [Option<usize>],
    reached_from: &[Option<usize>],
) {
    let mut next = Some(end);
    while let Some(other) = next {
        let Some(one) = reached_from[other] else {
            return;
        };
        next = pairs[one].replace(other);
        others[other] = Some(one);
    }
}
