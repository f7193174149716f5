//! The report as a table for people.

use std::fmt;

use super::{Figure, Report, Section, Unit};

/// The line width of explanations.
const WIDTH: usize = 100;
/// The columns of what was measured, of the value and of the aim.
const COLUMNS: (usize, usize, usize) = (62, 14, 12);

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Keyloan {}, {}", self.version, self.machine)?;
        writeln!(
            f,
            "{}, begun {:.0}, took {} s",
            self.command, self.began, self.seconds
        )?;
        if self.quick {
            writeln!(
                f,
                "A QUICK RUN: it measures less of everything; do not quote these figures."
            )?;
        }
        let caution = "Times depend on the machine and its other work; compare their ratios within one run. \
                       Counts do not depend on either.";
        wrapped(f, "", caution)?;
        for section in &self.sections {
            write_section(f, section)?;
        }
        let aims = self
            .sections
            .iter()
            .flat_map(|section| &section.figures)
            .filter(|figure| figure.met.is_some())
            .count();
        let missed: Vec<&str> = self.missed().map(|figure| figure.what.as_str()).collect();
        writeln!(f)?;
        match missed.as_slice() {
            [] => writeln!(f, "All {aims} aims are met."),
            missed => writeln!(
                f,
                "{} of {aims} aims are met; not met: {}.",
                aims - missed.len(),
                missed.join("; ")
            ),
        }
    }
}

fn write_section(f: &mut fmt::Formatter<'_>, section: &Section) -> fmt::Result {
    let (what, value, aim) = COLUMNS;
    let title = section.title.to_uppercase();
    writeln!(f)?;
    writeln!(f, "{title:<what$}{:>value$}{:>aim$}", "measured", "aim")?;
    wrapped(f, "  ", &section.how)?;
    section
        .figures
        .iter()
        .try_for_each(|figure| write_figure(f, figure))
}

fn write_figure(f: &mut fmt::Formatter<'_>, figure: &Figure) -> fmt::Result {
    let (what, value, aim) = COLUMNS;
    let measured = written(figure.value, figure.unit);
    let line = format!(
        "  {:<width$}{measured:>value$}",
        figure.what,
        width = what - 2
    );
    match (figure.aim, figure.met) {
        (Some(at_most), Some(met)) => {
            let verdict = if met { "met" } else { "NOT MET" };
            let at_most = format!("<= {}", plain(at_most));
            writeln!(f, "{line}{at_most:>aim$}  {verdict}")?;
        }
        _ => writeln!(f, "{line}")?,
    }
    figure
        .detail
        .as_deref()
        .map_or(Ok(()), |detail| wrapped(f, "      ", detail))
}

fn written(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Milliseconds if value < 10.0 => format!("{value:.2} ms"),
        Unit::Milliseconds => format!("{value:.0} ms"),
        Unit::Seconds => format!("{value:.1} s"),
        Unit::Ratio => format!("x {value:.2}"),
        Unit::Megabytes => format!("{value:.1} MB"),
        Unit::LoansPerSecond => format!("{value:.1} /s"),
        Unit::Bytes => format!("{value:.0} B"),
        Unit::Requests | Unit::Writes | Unit::Lines | Unit::Times | Unit::Links => plain(value),
    }
}

/// A count, with decimals only if it has any.
fn plain(value: f64) -> String {
    if value.fract() == 0.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.2}")
    }
}

fn wrapped(f: &mut fmt::Formatter<'_>, indent: &str, text: &str) -> fmt::Result {
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && indent.len() + line.len() + 1 + word.len() > WIDTH {
            writeln!(f, "{indent}{line}")?;
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if line.is_empty() {
        Ok(())
    } else {
        writeln!(f, "{indent}{line}")
    }
}

#[cfg(test)]
mod tests {
    use super::super::Machine;
    use super::*;

    fn report() -> Report {
        let mut latency = Section::new(
            "Request to link",
            "From the request's POST to the watch's event, for 500 loans.",
        );
        latency.add(Figure::new("one at a time, p50", 48.25, Unit::Milliseconds));
        latency.add(Figure::new("ratio to the floor", 1.834, Unit::Ratio));
        let mut writes = Section::new("API writes", "From the audit log.");
        writes.add(
            Figure::new("to Active", 6.0, Unit::Writes)
                .at_most(6.0)
                .made_of("1 create secrets"),
        );
        writes.add(Figure::new("to Ended", 4.5, Unit::Writes).at_most(4.0));
        Report {
            version: "0.0.0".into(),
            command: "cargo xtask bench --quick".into(),
            quick: true,
            began: jiff::Timestamp::UNIX_EPOCH,
            seconds: 61,
            machine: Machine {
                processor: "A Processor".into(),
                cores: 2,
                system: "Linux 6.1".into(),
                load: "0.10".into(),
                load_after: "1.90".into(),
            },
            sections: vec![latency, writes],
        }
    }

    #[test]
    fn a_table_shows_each_figure_beside_its_aim() {
        insta::assert_snapshot!(report());
    }

    #[test]
    fn json_says_which_aims_are_missed() {
        let json: serde_json::Value = serde_json::from_str(&report().to_json().unwrap()).unwrap();
        let figures = &json["sections"][1]["figures"];
        assert_eq!(
            (&figures[0]["met"], &figures[1]["met"]),
            (&true.into(), &false.into())
        );
        assert_eq!(
            json["sections"][0]["figures"][0]["met"],
            serde_json::Value::Null
        );
        assert_eq!(figures[1]["aim"], 4.0);
    }
}
