//! Delivers a loan: a share link of 1Password's, in a Secret that only the requester may read. Only
//! `share_link.rs` knows what is delivered.
//!
//! `turn.rs` is the way in: it waits for a turn at 1Password. `issue.rs` performs the steps of
//! issuing a link: `share_link.rs` looks at the item, and makes the link; `place.rs` makes a place
//! for it, `intent.rs` writes the intent, `hand_over.rs` hands it over. `due.rs` gives up what is
//! no longer due, `take_back.rs` deletes the Secret.

mod due;
mod hand_over;
mod intent;
mod issue;
mod issuing;
mod place;
mod share_link;
mod take_back;
mod turn;

pub use hand_over::LINK_HELD_FOR;
pub(super) use issuing::Issuing;
pub(super) use turn::Meanwhile;
