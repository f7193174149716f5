//! Durations as records write them, such as `90m` or `1d12h`.

use jiff::SignedDuration;

/// Reads a duration; `None` if it is not one.
pub fn parse(text: &str) -> Option<SignedDuration> {
    let (mut total, mut number) = (0_i64, String::new());
    for character in text.chars() {
        if character.is_ascii_digit() {
            number.push(character);
            continue;
        }
        let unit = match character {
            'w' => 7 * 24 * 3600,
            'd' => 24 * 3600,
            'h' => 3600,
            'm' => 60,
            's' => 1,
            _ => return None,
        };
        let count: i64 = std::mem::take(&mut number).parse().ok()?;
        total = total.checked_add(count.checked_mul(unit)?)?;
    }
    (number.is_empty() && total > 0).then(|| SignedDuration::from_secs(total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_in_every_form_that_the_schema_takes() {
        let seconds = |text| parse(text).map(|span| span.as_secs());
        assert_eq!(seconds("90m"), Some(5400));
        assert_eq!(seconds("2h0m0s"), Some(7200));
        assert_eq!(seconds("1d12h"), Some(129_600));
        assert_eq!(seconds("2w"), Some(1_209_600));
        for wrong in ["", "0h", "h", "12", "1y", "1h30"] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }
}
