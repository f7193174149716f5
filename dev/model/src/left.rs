//! The bounds of a search: what may still happen, and how often.

use std::fmt;
use std::str::FromStr;

/// What may still happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Left {
    /// Crashes of the replica that leads.
    pub crashes: u8,
    /// Changes of the leader while it is in the middle of something.
    pub takeovers: u8,
    /// Looks at something out of date.
    pub stale: u8,
    /// Writes whose answer is lost.
    pub lost: u8,
    /// Calls that fail.
    pub failed: u8,
    /// Approvals and denials.
    pub decisions: u8,
    /// A revocation, the deletion of the request, or of its Secret by hand.
    pub interventions: u8,
    /// Requests for another link.
    pub renewals: u8,
}

impl Left {
    /// Bounds with only what people do: one decision, one intervention and one renewal.
    const PEOPLE: Self = Self {
        crashes: 0,
        takeovers: 0,
        stale: 0,
        lost: 0,
        failed: 0,
        decisions: 1,
        interventions: 1,
        renewals: 1,
    };

    /// The wide bounds.
    pub const DEEP: Self = Self {
        crashes: 2,
        takeovers: 1,
        stale: 1,
        lost: 1,
        failed: 1,
        decisions: 2,
        interventions: 1,
        renewals: 1,
    };

    /// The searches that together take less than a minute.
    pub const SMALL: &[Self] = &[
        Self {
            crashes: 1,
            takeovers: 1,
            ..Self::PEOPLE
        },
        Self {
            stale: 1,
            lost: 1,
            failed: 1,
            ..Self::PEOPLE
        },
    ];

    /// What has happened if this much of it is left.
    pub fn without(mut self, mut left: Self) -> Self {
        let left = left.names().into_iter();
        for ((_, count), (_, left)) in self.names().into_iter().zip(left) {
            *count = count.saturating_sub(*left);
        }
        self
    }

    /// How often each thing may still happen.
    pub fn counts(mut self) -> [u8; 8] {
        self.names().map(|(_, count)| *count)
    }

    /// How many things may still happen.
    pub fn sum(self) -> usize {
        self.counts().iter().map(|count| usize::from(*count)).sum()
    }

    /// The bounds and their names.
    pub fn names(&mut self) -> [(&'static str, &mut u8); 8] {
        [
            ("crashes", &mut self.crashes),
            ("takeovers", &mut self.takeovers),
            ("stale", &mut self.stale),
            ("lost", &mut self.lost),
            ("failed", &mut self.failed),
            ("decisions", &mut self.decisions),
            ("interventions", &mut self.interventions),
            ("renewals", &mut self.renewals),
        ]
    }
}

/// As `crashes=1,decisions=1`.
impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left = *self;
        let bounds = left.names().into_iter().filter(|(_, count)| **count > 0);
        let bounds: Vec<_> = bounds
            .map(|(name, count)| format!("{name}={count}"))
            .collect();
        f.write_str(&bounds.join(","))
    }
}

impl FromStr for Left {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut left = Self::default();
        for bound in text.split(',').filter(|bound| !bound.is_empty()) {
            let (name, count) = bound.split_once('=').ok_or("write it as crashes=1")?;
            let mut names = left.names().into_iter();
            let (_, place) = names
                .find(|(known, _)| *known == name)
                .ok_or_else(|| format!("there is no bound {name}"))?;
            *place = count
                .parse()
                .map_err(|_| format!("{count} is not a number"))?;
        }
        Ok(left)
    }
}
