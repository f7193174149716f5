//! The output of the commands for people: lines and durations.

use std::fmt::Display;
use std::io::{self, Write};
use std::time::Duration;

/// Prints one line. If that fails, nobody reads the output, and the exit code gives the result.
pub fn line(text: impl Display) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{text}");
    let _ = out.flush();
}

/// A duration in a readable form: `0.4 s`, `34 s`, `2 min 05 s`.
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
