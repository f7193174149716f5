//! Notices for the tests of the formats.

use crate::desk::notice::{Fact, Next, Notice};
pub(super) use crate::desk::samples::{issued, requested};

fn facts(of: &[(&'static str, &str)]) -> Vec<Fact> {
    let fact = |(label, value): &(&'static str, &str)| Fact {
        label,
        value: (*value).to_owned(),
    };
    of.iter().map(fact).collect()
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
