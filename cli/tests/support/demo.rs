//! The real program, serving its demo on a free port; killed when it is dropped.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use super::eventually;
use super::redis_server::RedisServer;

/// The program, told nothing by this machine's environment.
pub fn cloakroom(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cloakroom"));
    command
        .args(arguments)
        .env_remove("REDIS_URL")
        .env_remove("REDIS_PASSWORD")
        .env_remove("RUST_LOG")
        // a directory in which no test makes anything
        .env("XDG_STATE_HOME", concat!(env!("CARGO_TARGET_TMPDIR"), "/nobody"))
        .stdin(Stdio::null());
    command
}

/// `cloakroom demo`. What it says goes to files, so that no pipe outlives a test.
pub struct Demo {
    child: Child,
    url: String,
    said: tempfile::TempDir,
}

impl Demo {
    /// On the store in memory.
    pub fn in_memory() -> Demo {
        Demo::start(&["--store", "memory"])
    }

    /// On its own store, in this directory.
    pub fn in_directory(path: &Path) -> Demo {
        Demo::start(&["--store", path.to_str().expect("UTF-8")])
    }

    pub fn on(redis: &RedisServer) -> Demo {
        Demo::on_with(redis, &[])
    }

    /// On this Redis, with more flags.
    pub fn on_with(redis: &RedisServer, flags: &[&str]) -> Demo {
        let port = redis.port().to_string();
        Demo::start(&[&["--redis-port", &port], flags].concat())
    }

    pub fn start(flags: &[&str]) -> Demo {
        Demo::start_in(&[], flags)
    }

    /// With these variables in its environment. Without a `--port`, a free one is picked.
    pub fn start_in(environment: &[(&str, &str)], flags: &[&str]) -> Demo {
        let said = tempfile::tempdir().expect("a temporary directory");
        let mut command = cloakroom(&["demo"]);
        if !flags.contains(&"--port") {
            command.args(["--port", "0"]);
        }
        // where nothing names a store, it is in a directory of this demo's own
        command.args(flags).env("XDG_STATE_HOME", said.path()).envs(environment.iter().copied());
        Demo::of(command, said)
    }

    /// By a command that somebody else has made, which says `demo` and its flags.
    pub fn by(command: Command) -> Demo {
        Demo::of(command, tempfile::tempdir().expect("a temporary directory"))
    }

    fn of(mut command: Command, said: tempfile::TempDir) -> Demo {
        let file = |name| File::create(said.path().join(name)).expect("a file");
        let child = command.stdout(file("stdout")).stderr(file("stderr")).spawn().expect("the program starts");
        let mut demo = Demo { child, url: String::new(), said };
        let first_line = demo.first_line();
        let address = first_line.split_whitespace().find(|word| word.starts_with("http://"));
        demo.url = address.expect("the first line names the address").trim_end_matches('/').to_owned();
        demo
    }

    /// Where its sessions are if it was not told.
    pub fn default_directory(&self) -> PathBuf {
        self.said.path().join("cloakroom").join("sessions")
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// What it said on stdout until now.
    pub fn stdout(&self) -> String {
        fs::read_to_string(self.said.path().join("stdout")).expect("what it said")
    }

    /// What everybody on this machine can see of it.
    pub fn command_line(&self) -> String {
        let listed = Command::new("ps").args(["-ww", "-o", "args=", "-p", &self.child.id().to_string()]).output();
        let listed = String::from_utf8(listed.expect("ps runs").stdout).expect("UTF-8");
        assert!(listed.contains("demo"), "{listed}");
        listed
    }

    /// What it said on stderr until now: its log.
    pub fn stderr(&self) -> String {
        fs::read_to_string(self.said.path().join("stderr")).expect("what it said")
    }

    /// Kills it, as nobody should.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to stop, as a service manager does.
    pub fn stop(&mut self) -> ExitStatus {
        self.signal("-TERM");
        eventually("the program stops when it is asked to", || self.child.try_wait().expect("it is our child"))
    }

    /// Asks it to read its files again, as a service manager does.
    pub fn hang_up(&self) {
        self.signal("-HUP");
    }

    /// Sends it a signal.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.child.id().to_string()]).status();
        assert!(sent.expect("kill runs").success());
    }

    /// The number of its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    fn first_line(&mut self) -> String {
        eventually("the program says where it listens", || {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                panic!("the program ended with {status}: {}", self.stderr());
            }
            self.stdout().split_once('\n').map(|(line, _)| line.to_owned())
        })
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        self.kill();
    }
}
