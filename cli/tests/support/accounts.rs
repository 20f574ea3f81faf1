//! Other users of this machine, as whom the program is run.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::operator::{Said, said};

/// The user `nobody`, who runs the application.
pub const APPLICATION: u32 = 65534;
/// Somebody else.
pub const STRANGER: u32 = 65533;

/// A place that every user may go to, with the program in it.
pub struct Accounts {
    dir: tempfile::TempDir,
}

impl Accounts {
    /// # Panics
    /// Where the tests do not run as root, who alone may be anybody.
    pub fn new() -> Accounts {
        let dir = tempfile::tempdir().expect("a directory");
        let is_possible = chown(dir.path(), Some(APPLICATION), Some(APPLICATION));
        is_possible.expect("this test runs the program as other users, so it needs root: sudo -E ./test other_users");
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("it is ours");
        fs::copy(env!("CARGO_BIN_EXE_cloakroom"), dir.path().join("cloakroom")).expect("a copy of the program");
        Accounts { dir }
    }

    /// A path in a directory of the application.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The program, to be run as this user.
    pub fn command(&self, user: u32, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.path("cloakroom"));
        command.args(arguments).uid(user).gid(user).env_clear().env("HOME", "/nonexistent").current_dir("/");
        command
    }

    /// Runs a verb as this user.
    pub fn run(&self, user: u32, arguments: &[&str]) -> Said {
        said(&mut self.command(user, arguments))
    }
}

/// Gives a directory and all files in it to a user.
pub fn give(path: &Path, user: u32) {
    chown(path, Some(user), Some(user)).expect("root may");
    for entry in fs::read_dir(path).expect("a directory") {
        chown(entry.expect("a file").path(), Some(user), Some(user)).expect("root may");
    }
}
