//! The adapter to 1Password, on real parts: the official core, unmodified, against the simulated service.

mod artifact;
mod bounds;
mod lending;
mod odd_items;
mod secrecy;
mod troubles;
mod world;
