//! The senders of notices: Slack, Microsoft Teams, webhooks for programs, and e-mail.
//!
//! A [`Channel`] is made from the values of Secrets, and a [`Courier`] makes one attempt to deliver
//! a parcel to it. What is told to whom, the order, and what follows a failure are decided by the
//! caller: [`Undelivered`] says whether another attempt makes sense, and when.
//!
//! * `secrets`: the values of Secrets, checked and never shown. `channel` puts them together.
//! * `slack`, `teams` and `mail` write a notice in the form of its channel, in which text by people
//!   is only text. They are pure.
//! * `signature`: signs an event as Standard Webhooks defines.
//! * `post` sends by HTTP and `smtp` by SMTP, each over connections of the network that lead to
//!   allowed hosts only. `undelivered` says why an attempt failed, without any secret.

mod channel;
mod courier;
mod mail;
mod post;
mod secrets;
mod signature;
mod slack;
mod smtp;
mod teams;
mod text;
mod undelivered;

#[cfg(test)]
mod samples;

pub use channel::{Channel, Mailer};
pub use courier::{Courier, Parcel};
pub use secrets::{Credentials, SecretError, SecretUrl, SigningKey};
pub use undelivered::{About, Again, Undelivered};
