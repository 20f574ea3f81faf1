//! Starts the program `cloakroom`.

use std::process::ExitCode;

fn main() -> ExitCode {
    cloakroom_cli::run()
}
