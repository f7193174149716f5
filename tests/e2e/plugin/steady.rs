//! What is printed, without what differs from run to run: times, links, names that the API server makes up, and the width of columns.

/// The lines of a text that say something.
pub fn lines(text: &str) -> Vec<String> {
    text.lines()
        .map(steady)
        .filter(|line| !line.is_empty())
        .collect()
}

fn steady(line: &str) -> String {
    if line.starts_with("LAST DEPLOYED: ") {
        return "LAST DEPLOYED: WHEN".to_owned();
    }
    let mut words: Vec<String> = line.split_whitespace().map(word).collect();
    // "3h 59m" is one length.
    words.dedup_by(|a, b| a == "TIME" && b == "TIME");
    let line = words.join(" ");
    ["in TIME", "TIME ago", "now"]
        .iter()
        .fold(line, |line, word| {
            line.replace(&format!("{word} (DATE"), "WHEN (DATE")
        })
}

fn word(word: &str) -> String {
    let bare = word.trim_matches(|c: char| "(),:;".contains(c));
    let steady = if is_time(bare) {
        "TIME".to_owned()
    } else if bare.len() == 10 && bare.starts_with("20") && bare.matches('-').count() == 2 {
        "DATE".to_owned()
    } else if bare.len() == 5 && bare.as_bytes()[2] == b':' {
        "CLOCK".to_owned()
    } else if bare.len() == 20 && bare.starts_with("20") && bare.ends_with('Z') {
        "STAMP".to_owned()
    } else if bare.starts_with("v1.") {
        "VERSION".to_owned()
    } else if bare.contains("/s#") {
        "LINK".to_owned()
    } else if let Some((start, end)) = bare.rsplit_once('-')
        && end.trim_end_matches('.').len() == 5
        && ["approve", "deny", "revoke", "password"]
            .iter()
            .any(|verb| start.ends_with(verb))
    {
        format!("{start}-RANDOM")
    } else if let Some((namespace, link)) = bare.split_once("/keyloan-link-")
        && is_uid(link)
    {
        format!("{namespace}/UID")
    } else if is_uid(bare.strip_prefix("keyloan-link-").unwrap_or(bare)) {
        "UID".to_owned()
    } else {
        return word.to_owned();
    };
    word.replace(bare, &steady)
}

fn is_time(word: &str) -> bool {
    let number = word.strip_suffix(['s', 'm', 'h', 'd']);
    number.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

fn is_uid(word: &str) -> bool {
    word.len() == 36 && word.matches('-').count() == 4
}
