//! Does nothing. It exists so that cargo takes the build dependencies into account.

fn main() {}
