//! A notice as an e-mail: the same in plain text and in HTML.
//!
//! Its Message-ID follows from the notice and the person, so mail programs recognize a notice that
//! is delivered twice. Headers hold single lines of text, which lettre encodes, so nobody's text
//! becomes a header.

use std::time::SystemTime;

use data_encoding::HEXLOWER;
use lettre::Message;
use lettre::address::AddressError;
use lettre::message::header::{Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};
use sha2::{Digest as _, Sha256};

use crate::api::Email;
use crate::desk::notice::Notice;
use crate::desk::times::minute_in_utc;

use super::text::{line, page};

/// The longest subject, in characters: mail programs show about 70 of them.
const SUBJECT: usize = 200;

/// The longest text of a part of the notice, in characters.
const TEXT: usize = 4000;

/// The longest URL that becomes a link.
const URL: usize = 2000;

/// Why a notice has no form as an e-mail.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unwritten {
    /// An address has no form that mail servers know.
    #[error("the address {0} cannot be written to: {1}")]
    Address(Email, AddressError),
    /// The parts do not make a message.
    #[error("the message cannot be written: {0}")]
    Message(#[from] lettre::error::Error),
}

/// The message to one person.
pub(super) fn message(notice: &Notice, from: &Email, to: &Email) -> Result<Message, Unwritten> {
    let id = HEXLOWER.encode(&Sha256::digest(format!("{}\n{to}", notice.id))[..16]);
    let alternatives = MultiPart::alternative()
        .boundary(format!("keyloan-{id}"))
        .build()
        .singlepart(SinglePart::plain(text(notice)))
        .singlepart(SinglePart::html(html(notice)));
    let message = Message::builder()
        .from(Mailbox::new(Some("Keyloan".to_owned()), address(from)?))
        .to(Mailbox::new(None, address(to)?))
        .subject(line(&notice.subject, SUBJECT))
        .date(SystemTime::from(notice.at))
        .message_id(Some(format!("<{id}@{}>", from.domain())))
        .header(AutoSubmitted)
        .header(NoAutomaticReply)
        .multipart(alternatives)?;
    Ok(message)
}

/// An address in the form of lettre.
pub(super) fn address(email: &Email) -> Result<lettre::Address, Unwritten> {
    let parsed = email.0.parse();
    parsed.map_err(|error| Unwritten::Address(email.clone(), error))
}

/// The notice in plain text.
pub(super) fn text(notice: &Notice) -> String {
    let mut text = format!("{}\n\n", line(&notice.subject, TEXT));
    let facts: Vec<_> = notice
        .facts
        .iter()
        .filter(|fact| !fact.value.is_empty())
        .collect();
    let width = facts.iter().map(|fact| fact.label.chars().count()).max();
    let width = width.unwrap_or_default() + 1;
    for fact in facts {
        let label = format!("{}:", fact.label);
        text += &format!("{label:<width$}  {}\n", line(&fact.value, TEXT));
    }
    for next in &notice.next {
        text += &format!("\n{}\n", line(&next.sentence, TEXT));
        if let Some(command) = &next.command {
            text += &format!("\n    {}\n", line(command, TEXT));
        }
    }
    if let Some(page) = page(notice.page.as_deref(), URL) {
        text += &format!("\nThe request: {page}\n");
    }
    text + &format!("\n-- \n{}\n", footer(notice))
}

fn html(notice: &Notice) -> String {
    let mut html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"></head>\n\
         <body style=\"font-family: sans-serif\">\n<h2 style=\"font-size: 1.2em\">{}</h2>\n<table>\n",
        escaped(&notice.subject)
    );
    for fact in notice.facts.iter().filter(|fact| !fact.value.is_empty()) {
        let (label, value) = (escaped(fact.label), escaped(&fact.value));
        html += &format!(
            "<tr><td style=\"padding-right: 1em; color: #666; vertical-align: top\">{label}</td>\
             <td>{value}</td></tr>\n"
        );
    }
    html += "</table>\n";
    for next in &notice.next {
        html += &format!("<p>{}</p>\n", escaped(&next.sentence));
        if let Some(command) = &next.command {
            html += &format!("<pre>{}</pre>\n", escaped(command));
        }
    }
    if let Some(page) = page(notice.page.as_deref(), URL) {
        html += &format!(
            "<p><a href=\"{}\">Open the request</a></p>\n",
            escaped(page)
        );
    }
    html += &format!(
        "<p style=\"color: #666; font-size: 0.9em\">{}</p>\n",
        escaped(&footer(notice))
    );
    html + "</body></html>\n"
}

fn footer(notice: &Notice) -> String {
    let at = minute_in_utc(notice.at);
    format!("Keyloan sends this about what happened on {at}. Replies are not read.")
}

/// One line of text of which HTML reads nothing as markup.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in line(text, TEXT).chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Tells vacation programs that no person wrote this (RFC 3834).
#[derive(Clone)]
struct AutoSubmitted;

/// Tells the same to Exchange.
#[derive(Clone)]
struct NoAutomaticReply;

type ParseError = Box<dyn std::error::Error + Send + Sync>;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, ParseError> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

impl Header for NoAutomaticReply {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("X-Auto-Response-Suppress")
    }

    fn parse(_: &str) -> Result<Self, ParseError> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "All".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::samples;

    fn written(notice: &Notice) -> String {
        let from = Email("keyloan@example.com".into());
        let message = message(notice, &from, &Email("bob@example.com".into())).unwrap();
        let bytes = message.formatted();
        assert!(bytes.is_ascii(), "every mail server takes it");
        String::from_utf8(bytes).unwrap().replace("\r\n", "\n")
    }

    #[test]
    fn a_request_for_its_approvers() {
        insta::assert_snapshot!(written(&samples::requested()));
    }

    #[test]
    fn a_link_for_its_requester() {
        insta::assert_snapshot!(written(&samples::issued()));
    }

    #[test]
    fn text_by_people_is_only_text() {
        insta::assert_snapshot!("text", text(&samples::hostile()));
        insta::assert_snapshot!("html", html(&samples::hostile()));
    }

    /// A subject of several lines stays one header, as do all lines of the message.
    #[test]
    fn nobody_adds_a_header() {
        let written = written(&samples::hostile());
        let (headers, _) = written.split_once("\n\n").unwrap();
        let names = headers.lines().filter(|line| !line.starts_with(' '));
        let names: Vec<_> = names.map(|line| line.split_once(':').unwrap().0).collect();
        assert_eq!(
            names,
            [
                "From",
                "To",
                "Subject",
                "Date",
                "Message-ID",
                "Auto-Submitted",
                "X-Auto-Response-Suppress",
                "MIME-Version",
                "Content-Type"
            ]
        );
        let longest = written.lines().map(str::len).max();
        assert!(
            longest < Some(998),
            "RFC 5322 allows 998 bytes: {longest:?}"
        );
    }

    #[test]
    fn a_notice_that_comes_twice_has_the_same_id_and_another_persons_has_another() {
        let id = |notice: &Notice, to: &str| {
            let from = Email("keyloan@example.com".into());
            let message = message(notice, &from, &Email(to.into())).unwrap();
            message.headers().get_raw("Message-ID").unwrap().to_owned()
        };
        let notice = samples::requested();
        let first = id(&notice, "bob@example.com");
        assert!(first.ends_with("@example.com>"), "{first}");
        assert_eq!(first, id(&notice, "bob@example.com"));
        assert_ne!(first, id(&notice, "carol@example.com"));
        assert_ne!(first, id(&samples::issued(), "bob@example.com"));
    }
}
