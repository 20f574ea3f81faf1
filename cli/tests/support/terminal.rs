//! The program at a terminal, where somebody sits who can be asked.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Seek as _, Write as _};
use std::process::Child;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use super::demo::cloakroom;
use super::operator::Said;

/// A terminal of a test's own: what the program reads, and where it writes what is not its answer.
pub struct Terminal {
    near: File,
    /// Where the answer goes if not to the terminal.
    answer: File,
    child: Child,
    seen: String,
}

impl Terminal {
    /// Starts the program with stdin and stderr at a terminal, stdout too where `answers_there`.
    pub fn start(arguments: &[&str], environment: &[(&str, &str)], answers_there: bool) -> Terminal {
        let near = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&near).expect("it is ours");
        unlockpt(&near).expect("it is unlocked");
        let name = ptsname(&near, Vec::new()).expect("it has a name").into_string().expect("UTF-8");
        let far = || OpenOptions::new().read(true).write(true).open(&name).expect("the program's end");
        let mut command = cloakroom(arguments);
        command.env("TERM", "xterm").env_remove("NO_COLOR").envs(environment.iter().copied());
        command.stdin(far()).stderr(far());
        let answer = tempfile::tempfile().expect("a file");
        command.stdout(if answers_there { far() } else { answer.try_clone().expect("another handle") });
        let child = command.spawn().expect("the program starts");
        Terminal { near: File::from(near), answer, child, seen: String::new() }
    }

    /// Reads until these words stand there.
    pub fn wait_for(&mut self, words: &str) {
        while !self.seen.contains(words) {
            assert!(self.read(), "it ended without saying {words}: {}", self.seen);
        }
    }

    pub fn type_line(&mut self, line: &str) {
        self.near.write_all(format!("{line}\n").as_bytes()).expect("it is typed");
    }

    /// What it said until its end: on stdout where that was no terminal, the rest on stderr.
    pub fn end(mut self) -> Said {
        while self.read() {}
        let code = self.child.wait().expect("it ends").code().expect("an exit code");
        let mut stdout = String::new();
        self.answer.rewind().and_then(|()| self.answer.read_to_string(&mut stdout)).expect("UTF-8");
        Said { code, stdout, stderr: std::mem::take(&mut self.seen) }
    }

    /// Whether there was something more.
    fn read(&mut self) -> bool {
        let mut bytes = [0; 4096];
        match self.near.read(&mut bytes) {
            Ok(0) => false,
            Ok(count) => {
                self.seen.push_str(&String::from_utf8_lossy(&bytes[..count]));
                true
            }
            // Linux says so when nobody holds the other end any more
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) => false,
            Err(error) if error.kind() == ErrorKind::Interrupted => true,
            Err(error) => panic!("{error}"),
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
