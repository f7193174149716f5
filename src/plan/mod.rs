//! What should happen next, decided from what was seen and the time: no clients, no clock, no I/O.

pub mod inventory;
