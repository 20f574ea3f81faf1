//! Why the program ends without having done what it was asked, and the exit code that says so.

use std::fmt;
use std::process::ExitCode;

/// The exit codes, for `--help`.
pub(crate) const EXIT_CODES: &str = "\
Exit codes: 0 done, 1 failed, 2 used wrongly, 4 the store is not available.
RUST_LOG sets what is logged to stderr (default: warn).";

/// A verb that did not do what it was asked. Its text holds no token, no secret and no password.
#[derive(Debug)]
pub(crate) struct Failure {
    exit_code: u8,
    why: String,
}

impl Failure {
    /// Something went wrong.
    pub(crate) fn failed(why: impl Into<String>) -> Failure {
        Failure { exit_code: 1, why: why.into() }
    }

    /// The program was called in a way that cannot work.
    pub(crate) fn usage(why: impl Into<String>) -> Failure {
        Failure { exit_code: 2, why: why.into() }
    }

    /// The same in the words of the command line, where the library's text has its own.
    pub(crate) fn reworded(mut self, library: &str, flag: &str) -> Failure {
        self.why = self.why.replace(library, flag);
        self
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        self.exit_code.into()
    }
}

impl From<cloakroom::Error> for Failure {
    fn from(error: cloakroom::Error) -> Self {
        let exit_code = match () {
            () if error.is_store() => 4,
            () if error.is_config() => 2,
            () => 1,
        };
        Failure { exit_code, why: error.to_string() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}
