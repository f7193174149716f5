//! The `kubectl keyloan` command: kubectl finds it by its name.

use std::process::ExitCode;

fn main() -> ExitCode {
    keyloan::plugin::main()
}
