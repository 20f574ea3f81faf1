//! Why a verb failed, and the exit code for it.

use std::fmt;
use std::process::ExitCode;

/// The exit codes, for `--help`.
pub(crate) const EXIT_CODES: &str = "\
Exit codes: 0 success, 1 failure, 2 wrong usage, 3 not found, 4 the store is not available.
Environment: RUST_LOG sets what is logged to stderr (default: warn); NO_COLOR switches colours off.";

/// The failure of a verb. Its text contains no token, no secret and no password.
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

    /// What was asked for is not there.
    pub(crate) fn not_found(why: impl Into<String>) -> Failure {
        Failure { exit_code: 3, why: why.into() }
    }

    /// The verb has already said what is wrong, and only the exit code is left to set.
    pub(crate) fn silent(exit_code: u8) -> Failure {
        Failure { exit_code, why: String::new() }
    }

    /// Replaces a name of the library in the text by what the command line calls it.
    pub(crate) fn reworded(mut self, library: &str, flag: &str) -> Failure {
        self.why = self.why.replace(library, flag);
        self
    }

    /// Puts in front of the text what was done before the failure.
    pub(crate) fn after(mut self, done: impl fmt::Display) -> Failure {
        self.why = format!("{done}, and then failed: {}", self.why);
        self
    }

    pub(crate) fn is_silent(&self) -> bool {
        self.why.is_empty()
    }

    pub(crate) fn is_not_found(&self) -> bool {
        self.exit_code == 3
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        self.exit_code.into()
    }
}

impl From<cloakroom::Error> for Failure {
    fn from(error: cloakroom::Error) -> Self {
        let exit_code = match () {
            // it was done, but not as durably as asked
            () if error.is_not_durable() => 1,
            () if error.is_store() => 4,
            () if error.is_config() => 2,
            () => 1,
        };
        Failure { exit_code, why: error.to_string() }
    }
}

/// For reads. A read changes nothing, so its outcome is never unknown, whatever the store's text says.
impl From<cloakroom::store::StoreError> for Failure {
    fn from(error: cloakroom::store::StoreError) -> Self {
        Failure::from(cloakroom::Error::from(error)).reworded(" (it is unknown whether the change was made)", "")
    }
}

/// For answers that could not be written to stdout. If the reader has stopped reading (`| head`), that is not a failure.
impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Failure::silent(0),
            _ => Failure::failed(format!("cannot write the answer: {error}")),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}
