//! The part of a conversation with a mail server that comes before encryption: its greeting, what it
//! offers, and STARTTLS. Nothing about a notice is said in it.
//!
//! lettre reads from the same buffer before and after STARTTLS, so a third party could slip in
//! answers. Here, anything that comes after the last answer ends the attempt (RFC 3207, section 5).

use std::io;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::network::Wire;

/// The size of an answer that is read, in bytes.
const LARGEST: usize = 8 * 1024;

/// Why a conversation does not become encrypted.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotEncrypted {
    /// It does not offer STARTTLS.
    #[error("it does not offer STARTTLS, and nothing is sent without encryption")]
    NotOffered,
    /// It answered with an error.
    #[error("it answered to {0} with {1}")]
    Refused(&'static str, u16),
    /// Something came between its answer and the encryption.
    #[error("somebody sent data between STARTTLS and the encryption, as in an attack")]
    Injected,
    /// It does not speak SMTP.
    #[error("it does not speak SMTP on this port")]
    NotSmtp,
    /// The connection broke off.
    #[error("the connection broke off before it was encrypted")]
    BrokenOff(#[from] io::Error),
}

/// An answer: its code and its lines.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    code: u16,
    lines: Vec<String>,
}

/// Has the server await the encryption.
pub(super) async fn start(wire: &mut Box<dyn Wire>, own_name: &str) -> Result<(), NotEncrypted> {
    let mut read = Vec::new();
    let greeting = answer(wire, &mut read).await?;
    if greeting.code != 220 {
        return Err(NotEncrypted::Refused("the connection", greeting.code));
    }
    send(wire, &format!("EHLO {own_name}\r\n")).await?;
    let offered = answer(wire, &mut read).await?;
    if offered.code != 250 {
        return Err(NotEncrypted::Refused("EHLO", offered.code));
    }
    let mut offers = offered.lines.iter().skip(1);
    if !offers.any(|line| line.trim().eq_ignore_ascii_case("STARTTLS")) {
        return Err(NotEncrypted::NotOffered);
    }
    send(wire, "STARTTLS\r\n").await?;
    let started = answer(wire, &mut read).await?;
    match started.code {
        220 if read.is_empty() => Ok(()),
        220 => Err(NotEncrypted::Injected),
        code => Err(NotEncrypted::Refused("STARTTLS", code)),
    }
}

async fn send(wire: &mut Box<dyn Wire>, command: &str) -> io::Result<()> {
    wire.write_all(command.as_bytes()).await?;
    wire.flush().await
}

/// The next answer. What comes after it stays in `read`.
async fn answer(wire: &mut Box<dyn Wire>, read: &mut Vec<u8>) -> Result<Answer, NotEncrypted> {
    loop {
        if let Some((answer, length)) = complete(read)? {
            read.drain(..length);
            return Ok(answer);
        }
        if read.len() > LARGEST {
            return Err(NotEncrypted::NotSmtp);
        }
        if wire.read_buf(read).await? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
    }
}

/// The first answer and its length, if it is complete: lines such as `250-SIZE`, and a last one
/// such as `250 STARTTLS`.
fn complete(read: &[u8]) -> Result<Option<(Answer, usize)>, NotEncrypted> {
    let (mut lines, mut length) = (Vec::new(), 0);
    for line in read.split_inclusive(|byte| *byte == b'\n') {
        if !line.ends_with(b"\n") {
            return Ok(None);
        }
        length += line.len();
        let line = String::from_utf8_lossy(line);
        let line = line.trim_end();
        let code = line.get(..3).and_then(|code| code.parse::<u16>().ok());
        let code = code.ok_or(NotEncrypted::NotSmtp)?;
        lines.push(line.get(4..).unwrap_or_default().to_owned());
        match line.as_bytes().get(3) {
            Some(b'-') => {}
            None | Some(b' ') => return Ok(Some((Answer { code, lines }, length))),
            Some(_) => return Err(NotEncrypted::NotSmtp),
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    /// A server that says this to each line that it is told, and first of all.
    async fn against(says: &[&str]) -> (Result<(), NotEncrypted>, String) {
        let (ours, mut theirs) = tokio::io::duplex(1024);
        let says: Vec<_> = says.iter().map(|line| (*line).to_owned()).collect();
        let server = tokio::spawn(async move {
            let mut told = Vec::new();
            for line in says {
                if theirs.write_all(line.as_bytes()).await.is_err() {
                    break;
                }
                let before = told.len();
                while !told[before..].ends_with(b"\n") {
                    if theirs.read_buf(&mut told).await.expect("read") == 0 {
                        break;
                    }
                }
            }
            String::from_utf8(told).expect("text")
        });
        let mut wire: Box<dyn Wire> = Box::new(ours);
        let started = start(&mut wire, "example.com").await;
        drop(wire);
        (started, server.await.expect("ended"))
    }

    const OFFER: &str = "250-mail.example.com\r\n250-SIZE 100\r\n250 STARTTLS\r\n";

    #[tokio::test]
    async fn a_server_that_offers_it_is_asked_for_it() {
        let (started, told) = against(&["220 hello\r\n", OFFER, "220 go ahead\r\n"]).await;
        assert!(started.is_ok(), "{started:?}");
        assert_eq!(told, "EHLO example.com\r\nSTARTTLS\r\n");
    }

    #[rstest]
    #[case::not_offered(
        &["220 hello\r\n", "250-mail.example.com\r\n250 AUTH PLAIN\r\n"],
        "it does not offer STARTTLS, and nothing is sent without encryption"
    )]
    #[case::only_as_its_name(
        &["220 hello\r\n", "250 STARTTLS\r\n"],
        "it does not offer STARTTLS, and nothing is sent without encryption"
    )]
    #[case::busy(&["421-too\r\n421 busy\r\n"], "it answered to the connection with 421")]
    #[case::no_ehlo(&["220 hello\r\n", "502 what?\r\n"], "it answered to EHLO with 502")]
    #[case::not_now(&["220 hello\r\n", OFFER, "454 later\r\n"], "it answered to STARTTLS with 454")]
    #[case::injected(
        &["220 hello\r\n", OFFER, "220 go ahead\r\n250 injected\r\n"],
        "somebody sent data between STARTTLS and the encryption, as in an attack"
    )]
    #[case::http(&["HTTP/1.1 400 Bad Request\r\n\r\n"], "it does not speak SMTP on this port")]
    #[case::nothing(&[], "the connection broke off before it was encrypted")]
    #[tokio::test]
    async fn a_server_that_does_not_encrypt_is_told_nothing(
        #[case] says: &[&str],
        #[case] why: &str,
    ) {
        let (started, told) = against(says).await;
        assert_eq!(started.unwrap_err().to_string(), why);
        let allowed = [
            "",
            "EHLO example.com\r\n",
            "EHLO example.com\r\nSTARTTLS\r\n",
        ];
        assert!(allowed.contains(&&*told), "{told}");
    }

    #[tokio::test]
    async fn an_answer_without_end_is_given_up() {
        let endless = "220-more\r\n".repeat(1000);
        let (started, _) = against(&[&endless]).await;
        assert!(matches!(started, Err(NotEncrypted::NotSmtp)), "{started:?}");
    }
}
