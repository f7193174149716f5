//! The tables of what was seen, as docs/reliability.md shows them: they are compared, or written again.

use std::fmt::{self, Display};
use std::path::Path;

/// With this variable in the environment the page is written instead of compared.
const WRITE: &str = "KEYLOAN_WRITE_DOCS";

/// What was seen of one fault at one request.
pub struct Cell {
    /// The request's name.
    pub request: &'static str,
    /// The fault's name.
    pub fault: &'static str,
    /// The reason in the status.
    pub told: String,
    pub recovery: Recovery,
    /// How many links exist that nobody has.
    pub nobodys: usize,
}

/// How it recovers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Recovery {
    /// Nothing was to be seen of it.
    Unnoticed,
    /// The operator tries again.
    ByItself,
    /// Somebody has to put another token into the Secret.
    NewToken,
    /// The loan is over before it began; the requester has to ask again.
    NewRequest,
}

impl Display for Recovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unnoticed => "not needed",
            Self::ByItself => "by itself",
            Self::NewToken => "with a new token",
            Self::NewRequest => "with a new request",
        })
    }
}

impl Cell {
    fn outcome(&self) -> String {
        let Self {
            told,
            recovery,
            nobodys,
            ..
        } = self;
        format!("`{told}` | {recovery} | {nobodys}")
    }
}

/// Fails unless the page shows this table, with the requests of a fault together where they end alike.
pub fn hold(name: &str, cells: &[Cell]) {
    let mut faults: Vec<&str> = cells.iter().map(|cell| cell.fault).collect();
    faults.dedup();
    let (mut seen, mut lines) = (Vec::new(), Vec::new());
    for fault in faults {
        if seen.contains(&fault) {
            continue;
        }
        seen.push(fault);
        let of_it: Vec<&Cell> = cells.iter().filter(|cell| cell.fault == fault).collect();
        let mut outcomes: Vec<String> = Vec::new();
        for cell in &of_it {
            if !outcomes.contains(&cell.outcome()) {
                outcomes.push(cell.outcome());
            }
        }
        for outcome in &outcomes {
            let alike = of_it.iter().filter(|cell| cell.outcome() == *outcome);
            let requests: Vec<&str> = alike.map(|cell| cell.request).collect();
            let requests = match outcomes.len() {
                1 => "each".to_owned(),
                _ => requests.join(", "),
            };
            lines.push(format!("| {fault} | {requests} | {outcome} |"));
        }
    }
    let head = [
        "| Response | Requests | Reason in the status | Recovers | Links that nobody has |",
        "|---|---|---|---|---|",
    ];
    let head = head.map(str::to_owned).into_iter();
    hold_lines(name, &head.chain(lines).collect::<Vec<_>>().join("\n"));
}

/// Fails unless the page shows these lines between the marks of this name.
pub fn hold_lines(name: &str, lines: &str) {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reliability.md");
    let text = std::fs::read_to_string(&page).expect("readable");
    let (begin, end) = (
        format!("<!-- {name}: begin -->\n\n"),
        format!("\n\n<!-- {name}: end -->"),
    );
    let parts = text
        .split_once(&begin)
        .and_then(|(before, rest)| Some((before, rest.split_once(&end)?)));
    let Some((before, (shown, after))) = parts else {
        panic!("docs/reliability.md has no marks `{name}`");
    };
    if shown == lines {
        return;
    }
    if std::env::var_os(WRITE).is_some() {
        let text = format!("{before}{begin}{lines}{end}{after}");
        return std::fs::write(&page, text).expect("written");
    }
    panic!(
        "docs/reliability.md shows another table `{name}`; if this one is right, run the test with {WRITE}=1:\n{lines}"
    );
}
