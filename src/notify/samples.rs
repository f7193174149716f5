//! Notices for the tests of the formats.

use crate::api::NoticeEvent;
use crate::desk::notice::{Audience, Fact, Next, Notice};

fn facts(of: &[(&'static str, &str)]) -> Vec<Fact> {
    let fact = |(label, value): &(&'static str, &str)| Fact {
        label,
        value: (*value).to_owned(),
    };
    of.iter().map(fact).collect()
}

/// A request that waits for approval.
pub(super) fn requested() -> Notice {
    Notice {
        id: "5f6c1f0e-0001/Requested".to_owned(),
        event: NoticeEvent::Requested,
        at: "2026-11-24T10:50:00Z".parse().expect("a time"),
        audience: Audience::Approvers,
        subject: "alice@example.com asks for Infra/db password".to_owned(),
        facts: facts(&[
            ("Item", "Infra/db password"),
            ("Reason", "INC-1234: replica lag"),
            ("Duration", "4h"),
            ("Flow", "oncall"),
            (
                "Waits for",
                "1 approval from group \"platform\", due 2026-11-25 10:50 UTC",
            ),
            ("Denied before", ""),
            ("Request", "team-a/alice-db"),
        ]),
        next: vec![
            Next {
                sentence: "To approve, run:".to_owned(),
                command: Some("kubectl keyloan approve alice-db -n team-a".to_owned()),
            },
            Next {
                sentence: "To deny, run:".to_owned(),
                command: Some(
                    "kubectl keyloan deny alice-db -n team-a --reason \"...\"".to_owned(),
                ),
            },
        ],
        page: Some("https://keyloan.example.com/requests/team-a/alice-db".to_owned()),
    }
}

/// A loan that has begun, for the person who asked.
pub(super) fn issued() -> Notice {
    Notice {
        id: "5f6c1f0e-0001/LinkIssued/1".to_owned(),
        event: NoticeEvent::LinkIssued,
        audience: Audience::Requester,
        subject: "Infra/db password is ready for you".to_owned(),
        facts: facts(&[
            ("Item", "Infra/db password"),
            ("Ends", "2026-11-24 14:50 UTC"),
        ]),
        next: vec![Next {
            sentence: "To open the item, run:".to_owned(),
            command: Some("kubectl keyloan open alice-db -n team-a".to_owned()),
        }],
        page: None,
        ..requested()
    }
}

/// A request by somebody who tries to make a notice say what they want.
pub(super) fn hostile() -> Notice {
    let markup = "<!channel> <@U123> @here *b* _i_ ~s~ `c` <https://evil.test|login> \
                  [login](https://evil.test) **B** # H <at>all</at> {{DATE(2026-01-01T00:00:00Z)}} \
                  <b>x</b> &lt; <script>alert(1)</script> \" ' :tada:";
    Notice {
        subject: format!("{markup}\r\nBcc: everybody@example.com\r\n\r\nbody"),
        facts: facts(&[
            ("Reason", markup),
            ("Item", "Infra/db\n\n*Approved by*: security"),
            ("Flow", "\u{202e}llacno\u{1b}[2K"),
            ("Request", "- a\n1. b\n> c\n--boundary\n.\nQUIT"),
        ]),
        next: vec![Next {
            sentence: markup.to_owned(),
            command: Some("kubectl keyloan approve '```<!channel>'".to_owned()),
        }],
        page: Some("javascript:alert(1)".to_owned()),
        ..requested()
    }
}

/// A notice in which everything is as long as can be.
pub(super) fn long() -> Notice {
    let long = "<&>ä".repeat(3000);
    Notice {
        subject: long.clone(),
        facts: (0..60)
            .map(|_| Fact {
                label: "Reason",
                value: long.clone(),
            })
            .collect(),
        next: (0..20)
            .map(|_| Next {
                sentence: long.clone(),
                command: Some(long.clone()),
            })
            .collect(),
        page: Some(format!("https://keyloan.example.com/{}", "a".repeat(5000))),
        ..requested()
    }
}
