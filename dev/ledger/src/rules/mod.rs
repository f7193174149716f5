//! The rules about records as they are, with what else is known at the same time.

mod end;
mod links;
mod loan;
mod refusal;
mod requests;
mod restored;
mod secrets;
mod shares;

use std::collections::BTreeMap;

use crate::finding::{Finding, Rule};
use crate::given::{Given, Limits};
use crate::objects::Record;
use loan::Loan;

/// Checks each record for itself, and all of them against the grants, Secrets and shares.
pub fn check(given: &Given, limits: &Limits) -> Vec<Finding> {
    let mut findings = names(&given.records);
    for record in &given.records {
        let mut loan = Loan::new(record, limits);
        refusal::check(&mut loan);
        links::check(&mut loan);
        end::check(&mut loan);
        restored::check(&mut loan);
        findings.extend(loan.findings);
    }
    if let Some(grants) = &given.grants {
        findings.extend(requests::check(&given.records, grants, limits));
    }
    if let Some(secrets) = &given.secrets {
        findings.extend(secrets::check(&given.records, secrets));
    }
    if let Some(shares) = &given.shares {
        findings.extend(shares::check(&given.records, shares, limits));
    }
    findings
}

/// ARCHITECTURE.md, invariant 3: the grant's uid names the record, so one grant lends once.
fn names(records: &[Record]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut seen: BTreeMap<&str, &Record> = BTreeMap::new();
    for record in records {
        let uid = record.spec.grant.uid.as_str();
        if record.metadata.name != uid {
            let what = format!("the record is of the grant {uid}, but has another name");
            findings.push(Finding::new(Rule::OneRecord, record.named(), what));
        }
        if let Some(first) = seen.insert(uid, record) {
            let what = format!("{} is a record of the same grant", first.named());
            findings.push(Finding::new(Rule::OneRecord, record.named(), what));
        }
    }
    findings
}
