//! The adapter to 1Password, on real parts: the official core, unmodified, against the simulated service.

mod artifact;
mod bounds;
mod lending;
mod secrecy;
mod troubles;
mod world;
