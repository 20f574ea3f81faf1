//! A former application that is a process of its own.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::site::Site;

/// Ends the process when it is dropped.
pub(crate) struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().expect("the process runs");
        self.0.wait().expect("it ends");
    }
}

/// Starts `PROGRAM SCRIPT REDIS_PORT`, which prints the port on which it listens. `libraries` is the variable with the directory
/// of the libraries, and the directory.
pub(crate) fn start(program: &str, script: &str, redis_port: u16, libraries: (&str, &str)) -> (Process, Site) {
    let (variable, directory) = libraries;
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let directory = root.join("target/peers").join(directory);
    assert!(directory.exists(), "{} is missing: run scripts/fetch-peers target/peers", directory.display());
    let mut command = Command::new(program);
    command.arg(root.join("tests/coming_from").join(script)).arg(redis_port.to_string());
    let child = command.env(variable, directory).stdout(Stdio::piped()).spawn();
    let mut child = child.unwrap_or_else(|error| panic!("{program}: {error}. Install it, or run ./test, which does"));
    let mut port = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut port).unwrap();
    let process = Process(child);
    let port: u16 =
        port.trim().parse().unwrap_or_else(|_| panic!("{program} {script} prints {port:?} instead of a port"));
    (process, Site { url: format!("http://127.0.0.1:{port}") })
}
