//! Which receivers of a notifier have to wait after a failure, and for how long: longer after each
//! further one.

use std::collections::HashMap;
use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use jiff::Timestamp;

use crate::plan::notifier::Destination;

/// The longest time between two attempts, unless the receiver asks for more.
const AT_MOST: Duration = Duration::from_secs(300);

/// The receivers that have to wait.
#[derive(Default)]
pub struct Holds {
    /// All of them, because their server takes nothing.
    all: Option<Hold>,
    one: HashMap<Destination, Hold>,
}

struct Hold {
    until: Timestamp,
    backoff: ExponentialBackoff,
}

impl Holds {
    /// Has one receiver wait, or all of them, at least as long as the receiver asks.
    pub fn hold(&mut self, one: Option<&Destination>, asked: Option<Duration>, now: Timestamp) {
        // Nobody has written for a while to those whose time was over long ago.
        self.one.retain(|_, hold| later(hold.until, AT_MOST) > now);
        let new = || Hold {
            until: now,
            backoff: patience(),
        };
        let hold = match one {
            Some(to) => self.one.entry(to.clone()).or_insert_with(new),
            None => self.all.get_or_insert_with(new),
        };
        let own = hold.backoff.next().unwrap_or(AT_MOST);
        hold.until = later(now, asked.map_or(own, |asked| asked.max(own)));
    }

    /// The receiver, and so its server, has taken a notice.
    pub fn release(&mut self, to: &Destination) {
        self.all = None;
        self.one.remove(to);
    }

    /// Whether a notice may be sent to this receiver.
    pub fn is_free(&self, to: &Destination, now: Timestamp) -> bool {
        let mut holds = self.all.iter().chain(self.one.get(to));
        holds.all(|hold| hold.until <= now)
    }

    /// When another receiver may be free, if one has to wait.
    pub fn next(&self, now: Timestamp) -> Option<Timestamp> {
        let holds = self.all.iter().chain(self.one.values());
        let times = holds.map(|hold| hold.until);
        times.filter(|until| *until > now).min()
    }
}

fn later(at: Timestamp, by: Duration) -> Timestamp {
    at.saturating_add(by).unwrap_or(Timestamp::MAX)
}

fn patience() -> ExponentialBackoff {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_secs(1))
        .with_max_delay(AT_MOST)
        .with_jitter()
        .without_max_times()
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Email;

    fn to(name: &str) -> Destination {
        Destination::Address(Email(format!("{name}@example.com")))
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("in range")
    }

    #[test]
    fn one_who_fails_waits_longer_each_time_and_others_do_not() {
        let mut holds = Holds::default();
        let mut now = at(0);
        for _ in 0..3 {
            holds.hold(Some(&to("full")), None, now);
            assert!(!holds.is_free(&to("full"), now) && holds.is_free(&to("bob"), now));
            now = holds.next(now).expect("one waits");
            assert!(holds.is_free(&to("full"), now));
        }
        assert!(now >= at(1 + 2 + 4));
        holds.release(&to("full"));
        holds.hold(Some(&to("full")), None, now);
        let next = holds.next(now).expect("one waits");
        assert!(next < later(now, Duration::from_secs(4)), "it begins again");
    }

    #[test]
    fn all_wait_for_a_server_as_long_as_it_asks() {
        let mut holds = Holds::default();
        holds.hold(None, Some(Duration::from_secs(600)), at(0));
        assert!(!holds.is_free(&to("bob"), at(0)) && holds.is_free(&to("bob"), at(600)));
        assert_eq!(holds.next(at(0)), Some(at(600)));
        assert_eq!(holds.next(at(600)), None);
    }

    #[test]
    fn who_is_written_to_no_more_is_forgotten() {
        let mut holds = Holds::default();
        holds.hold(Some(&to("once")), None, at(0));
        holds.hold(Some(&to("bob")), None, later(at(0), 2 * AT_MOST));
        assert_eq!(holds.one.len(), 1);
    }
}
