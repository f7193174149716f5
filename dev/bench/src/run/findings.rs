//! The findings of the run so far, by subject.

use std::time::Duration;

use crate::latency::milliseconds;
use crate::loans::Batch;
use crate::report::{Figure, Section, Unit};
use crate::scale::Scale;
use keyloan_cluster::Memory;

/// One section for each subject, in the order of printing.
pub struct Findings {
    /// Request to link, and the floor.
    pub latency: Section,
    /// The core and its host.
    pub core: Section,
    /// Requests to 1Password.
    pub requests: Section,
    /// Writes to the Kubernetes API.
    pub writes: Section,
    /// The operator's memory.
    pub memory: Section,
    /// Requests when nothing happens.
    pub silence: Section,
}

impl Findings {
    /// Starts empty.
    pub fn new(scale: &Scale) -> Self {
        let Scale {
            loans,
            at_a_time,
            quiet,
            ..
        } = scale;
        Self {
            latency: Section::new(
                "Request to link",
                format!(
                    "{loans} loans one at a time with one integration, {loans} more {at_a_time} at a time over all integrations; from sending the \
                     request until a watch shows the link Secret, or Active=True. The floor: as many loans' objects with the same contents, \
                     written one after the other by a bare client, without 1Password, as many at a time, seen through the same watches."
                ),
            ),
            core: Section::new("1Password's core and its host", ""),
            requests: Section::new(
                "Requests to 1Password",
                "From the simulated service's log; listing vaults and items (discovery) is counted apart.",
            ),
            writes: Section::new(
                "Writes to the Kubernetes API",
                "The operator's, from the API server's audit log: on the loans' objects; events, dry runs that check the boundary, and all else are counted apart.",
            ),
            memory: Section::new(
                "Memory of the operator",
                "Resident (VmRSS) and, of it, what is backed by no file (RssAnon), of the process `keyloan run`; 1 MB = 10^6 bytes.",
            ),
            silence: Section::new(
                "When nothing happens",
                format!(
                    "The operator is restarted; once it has discovered everything, no request may come for {} s.",
                    quiet.as_secs()
                ),
            ),
        }
    }

    /// All findings, for printing.
    pub fn sections(self) -> Vec<Section> {
        vec![
            self.latency,
            self.core,
            self.requests,
            self.writes,
            self.memory,
            self.silence,
        ]
    }

    /// How long a batch of the operator's loans took, beside the floor's.
    pub fn compare(&mut self, how: &str, operator: &Batch, floor: &Batch) {
        let until = [
            ("link Secret", operator.to_link(), floor.to_link()),
            ("Active", operator.to_active(), floor.to_active()),
        ];
        for (what, loan, bare) in until {
            for percent in [50, 99] {
                let (loan, bare) = (loan.percentile(percent), bare.percentile(percent));
                let label = format!("{how}, request to {what}, p{percent}");
                self.latency.add(in_milliseconds(&label, loan));
                let ratio = loan.as_secs_f64() / bare.as_secs_f64().max(f64::EPSILON);
                let detail = format!("the floor takes {:.1} ms", milliseconds(bare));
                self.latency.add(
                    Figure::new(format!("{label}: ratio to the floor"), ratio, Unit::Ratio)
                        .made_of(detail),
                );
            }
        }
        let detail = format!("the floor writes {:.1} in a second", floor.rate());
        self.latency.add(
            Figure::new(
                format!("{how}, loans in a second"),
                operator.rate(),
                Unit::LoansPerSecond,
            )
            .made_of(detail),
        );
    }

    /// The operator's memory in a state; the resident memory may have an aim.
    pub fn remember(&mut self, state: &str, memory: Memory, aim: Option<f64>) {
        let resident = Figure::new(format!("{state}: VmRSS"), memory.resident, Unit::Megabytes);
        self.memory.add(match aim {
            Some(aim) => resident.at_most(aim),
            None => resident,
        });
        self.memory.add(Figure::new(
            format!("{state}: RssAnon"),
            memory.anonymous,
            Unit::Megabytes,
        ));
    }
}

fn in_milliseconds(what: &str, duration: Duration) -> Figure {
    Figure::new(what, milliseconds(duration), Unit::Milliseconds)
}
