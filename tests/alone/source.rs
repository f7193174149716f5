//! A Rust file, taken apart into code, comments and string literals.

/// A piece of a file.
pub enum Piece<'a> {
    Code(&'a str),
    /// From its slashes to the end of the line.
    Comment(&'a str),
    /// What a string literal says.
    Literal(String),
}

/// The pieces in their order, each with its first line.
pub fn pieces(source: &str) -> Vec<(usize, Piece<'_>)> {
    let mut pieces = Vec::new();
    let (mut at, mut line, mut code_from) = (0, 1, 0);
    while at < source.len() {
        let rest = &source[at..];
        let (piece, length) = if rest.starts_with("//") {
            let end = rest.find('\n').unwrap_or(rest.len());
            (Some(Piece::Comment(&rest[..end])), end)
        } else if let Some((words, length)) = literal(rest) {
            (Some(Piece::Literal(words)), length)
        } else if let Some(quote) = ["'\"'", "'\\\"'"]
            .iter()
            .find(|quote| rest.starts_with(**quote))
        {
            (None, quote.len())
        } else {
            (None, rest.chars().next().map_or(1, char::len_utf8))
        };
        if let Some(piece) = piece {
            pieces.push((line, Piece::Code(&source[code_from..at])));
            pieces.push((line, piece));
            code_from = at + length;
        }
        line += source[at..at + length].matches('\n').count();
        at += length;
    }
    pieces.push((line, Piece::Code(&source[code_from..])));
    pieces
}

/// The string literal with which this begins, and its length.
fn literal(rest: &str) -> Option<(String, usize)> {
    if let Some(raw) = rest.strip_prefix('r') {
        let marks = raw.len() - raw.trim_start_matches('#').len();
        let content = raw[marks..].strip_prefix('"')?;
        let end = content.find(&format!("\"{}", "#".repeat(marks)))?;
        return Some((content[..end].to_owned(), 1 + marks + 1 + end + 1 + marks));
    }
    let content = rest.strip_prefix('"')?;
    let mut words = String::new();
    let mut characters = content.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((words, at + 2)),
            '\\' => match characters.next()? {
                // A line that goes on in the next.
                (_, '\n') => while characters.next_if(|(_, c)| c.is_whitespace()).is_some() {},
                (_, 'n') => words.push(' '),
                (_, escaped) => words.push(escaped),
            },
            character => words.push(character),
        }
    }
    None
}

#[test]
fn slashes_in_a_string_begin_no_comment_and_quotes_in_a_comment_no_string() {
    let source = "f(\"http://x\"); // \"so\ng('\"', r#\"a \"b\" c\"#, \"d\\\"e\");";
    let mut shown = String::new();
    for (_, piece) in pieces(source) {
        match piece {
            Piece::Code(code) => shown += &format!("<{code}>"),
            Piece::Comment(text) => shown += &format!("/{text}/"),
            Piece::Literal(words) => shown += &format!("[{words}]"),
        }
    }
    assert_eq!(
        shown,
        "<f(>[http://x]<); >/// \"so/<\ng('\"', >[a \"b\" c]<, >[d\"e]<);>"
    );
}
