//! Why nothing came back from the network, in a few words, so that a person knows whom to ask.

use std::error::Error;
use std::io;
use std::iter;
use std::sync::Arc;

use rustls::{CertificateError, OtherError};

use super::trust::Distrusted;
use crate::onepassword::{NoAnswer, Unreached};

/// The length up to which the network's explanation is kept: some of it comes from the other side.
const LONGEST: usize = 300;

/// The reason why nothing came back, and the network's explanation.
pub(super) struct NoResponse {
    pub(super) why: NoAnswer,
    pub(super) cause: Option<Arc<str>>,
}

impl From<NoAnswer> for NoResponse {
    fn from(why: NoAnswer) -> Self {
        Self { why, cause: None }
    }
}

impl NoResponse {
    /// The reason why a request had no answer.
    pub(super) fn of(error: &reqwest::Error) -> Self {
        if !error.is_connect() {
            return match error.is_timeout() {
                true => NoAnswer::Timeout.into(),
                false => NoAnswer::Interrupted.into(),
            };
        }
        let first: &(dyn Error + 'static) = error;
        let causes = || iter::successors(Some(first), |error| (*error).source());
        if let Some(distrusted) = causes().find_map(distrusted) {
            return Self::unreached(Unreached::Untrusted, distrusted);
        }
        let why = if causes().any(is_refused) {
            Unreached::Refused
        } else if causes().any(|error| error.to_string().contains("dns error")) {
            Unreached::Name
        } else {
            Unreached::Other
        };
        // The innermost error says what happened, without an address and path.
        Self::unreached(why, causes().last().unwrap_or(first))
    }

    fn unreached(why: Unreached, cause: &dyn Error) -> Self {
        let cause = cause.to_string();
        let cause = cause.chars().filter(|c| !c.is_control()).take(LONGEST);
        Self {
            why: NoAnswer::Connect(why),
            cause: Some(cause.collect::<String>().into()),
        }
    }
}

fn is_refused(error: &(dyn Error + 'static)) -> bool {
    let error: Option<&io::Error> = error.downcast_ref();
    error.is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

/// The refusal of a certificate that an error is or contains.
fn distrusted<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Distrusted> {
    if let Some(rustls::Error::InvalidCertificate(why)) = error.downcast_ref() {
        let CertificateError::Other(OtherError(why)) = why else {
            return None;
        };
        return why.downcast_ref();
    }
    // An I/O error does not reveal the error that it wraps through its source.
    let wrapped = error.downcast_ref::<io::Error>()?.get_ref()?;
    distrusted(wrapped)
}
