//! What the commands print for people: lines, and how long something took.

use std::fmt::Display;
use std::io::{self, Write};
use std::time::Duration;

/// Prints one line. Nobody reads if that fails, and the exit code tells the rest.
pub fn line(text: impl Display) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{text}");
    let _ = out.flush();
}

/// A duration as people say it: `0.4 s`, `34 s`, `2 min 05 s`.
pub fn took(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if seconds < 9.95 {
        format!("{seconds:.1} s")
    } else if seconds < 59.5 {
        format!("{seconds:.0} s")
    } else {
        let seconds = seconds.round() as u64;
        format!("{} min {:02} s", seconds / 60, seconds % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_people_say_them() {
        for (milliseconds, text) in [
            (0, "0.0 s"),
            (420, "0.4 s"),
            (9_949, "9.9 s"),
            (9_960, "10 s"),
            (59_400, "59 s"),
            (59_600, "1 min 00 s"),
            (125_000, "2 min 05 s"),
        ] {
            assert_eq!(took(Duration::from_millis(milliseconds)), text);
        }
    }
}
