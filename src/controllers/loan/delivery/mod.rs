//! How a loan is delivered: by a 1Password share link, in a Secret that only the requester may read. Nothing else of the controller knows
//! of shares.
//!
//! `turn.rs` is the way in: it waits for a turn at 1Password. `issue.rs` has the steps of issuing a link: `place.rs` makes a place for it,
//! `intent.rs` writes the intent, `hand_over.rs` hands the link over. `due.rs` gives up what is not due any more, `take_back.rs` deletes the
//! Secret.

mod due;
mod hand_over;
mod intent;
mod issue;
mod issuing;
mod place;
mod take_back;
mod turn;

pub use hand_over::LINK_HELD_FOR;
pub(super) use intent::with_outcome;
pub(super) use issuing::Issuing;
pub(super) use turn::Meanwhile;
