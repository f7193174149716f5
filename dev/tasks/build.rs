//! Does nothing: with it, cargo takes the build dependencies into account.

fn main() {}
