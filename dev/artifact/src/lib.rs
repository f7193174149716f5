//! What the image and the release are made of: the project's programs, built for other machines,
//! the crates in them with their licenses, and archives that are the same for the same commit.

mod archive;
mod commit;
mod crates;
mod digest;
mod emulator;
mod executable;
mod notices;
mod parts;
mod program;
mod signature;
mod target;
mod zig;

pub use archive::{Compressed, File, Files, tar_gz, zip};
pub use commit::{VERSION, revision, time, workspace};
pub use crates::{Crate, crate_named, crates_of};
pub use digest::sha256;
pub use emulator::{EMULATOR, emulator};
pub use executable::{ensure_portable, libraries};
pub use notices::collect as notices;
pub use parts::{Part, parts_of};
pub use program::{OPERATOR, PLUGIN, Program};
pub use target::{Os, Target};
pub use zig::Zig;
