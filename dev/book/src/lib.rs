//! The documentation as a book: its pages with their links and commands, and the reference of the
//! kinds.

mod links;
mod page;
mod reference;
mod summary;

pub use links::{broken_links, links_to_other_sites};
pub use page::{Block, INDENTED, Link, Page};
pub use reference::{REFERENCE, reference};
pub use summary::{chapters, files_beside_the_book};
