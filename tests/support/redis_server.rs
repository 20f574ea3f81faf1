//! A real redis-server of a test's own: on a free loopback port, stopped when it is dropped.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub struct RedisServer {
    child: Child,
    port: u16,
    dir: tempfile::TempDir,
    settings: Vec<String>,
    environment: Vec<(String, String)>,
}

impl RedisServer {
    /// Starts a server that keeps nothing on disk. Fails where no redis-server is installed, and says how to get one.
    pub fn start() -> RedisServer {
        RedisServer::start_with(&[])
    }

    /// Starts a server with more settings, each as on redis-server's command line.
    pub fn start_with(settings: &[&str]) -> RedisServer {
        let server = RedisServer::launch(free_port(), settings);
        server.wait_until_it_answers();
        server
    }

    /// Starts a server on this port, with more settings, and does not wait until it answers.
    pub fn launch(port: u16, settings: &[&str]) -> RedisServer {
        RedisServer::launch_in(port, settings, Vec::new())
    }

    /// Starts a server with these variables in its environment.
    pub fn start_in(environment: Vec<(String, String)>) -> RedisServer {
        let server = RedisServer::launch_in(free_port(), &[], environment);
        server.wait_until_it_answers();
        server
    }

    fn launch_in(port: u16, settings: &[&str], environment: Vec<(String, String)>) -> RedisServer {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let settings: Vec<_> = settings.iter().map(|setting| setting.to_string()).collect();
        let child = spawn(port, &dir, &settings, &environment);
        RedisServer { child, port, dir, settings, environment }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// A connection to look with, as redis-cli would.
    pub fn client(&self) -> redis::Connection {
        redis::Client::open(self.url()).unwrap().get_connection().expect("the test's redis-server answers")
    }

    /// A directory that belongs to this server alone, for sockets and certificates.
    pub fn dir(&self) -> &std::path::Path {
        self.dir.path()
    }

    /// Asks the server as redis-cli would.
    pub fn ask<T: redis::FromRedisValue>(&self, command: &[&str]) -> T {
        let answer = redis::cmd(command[0]).arg(&command[1..]).query(&mut self.client());
        answer.unwrap_or_else(|error| panic!("{}: {error}", command.join(" ")))
    }

    /// The value that INFO gives for one name.
    pub fn info(&self, section: &str, name: &str) -> String {
        self.try_info(section, name).unwrap_or_else(|error| panic!("INFO {section}: {error}"))
    }

    /// The value that INFO gives for one name, asked of a server that may just be dropping its clients. A server does that when
    /// sentinels give it another role.
    pub fn try_info(&self, section: &str, name: &str) -> redis::RedisResult<String> {
        let mut client = redis::Client::open(self.url())?.get_connection()?;
        let all: String = redis::cmd("INFO").arg(section).query(&mut client)?;
        let line = all.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        Ok(line.unwrap_or_default().trim().to_owned())
    }

    /// The keys that would live for ever.
    pub fn immortal_keys(&self) -> Vec<String> {
        let mut client = self.client();
        let mut keys: Vec<String> = redis::cmd("KEYS").arg("*").query(&mut client).unwrap();
        let mut flight = redis::pipe();
        for key in &keys {
            flight.pttl(key);
        }
        let left: Vec<i64> = if keys.is_empty() { Vec::new() } else { flight.query(&mut client).unwrap() };
        let mut left = left.into_iter();
        keys.retain(|_| left.next() == Some(-1));
        keys
    }

    /// Kills the server; what it had not written to disk is lost.
    pub fn kill(&mut self) {
        self.child.kill().expect("the server runs");
        self.child.wait().expect("it ends");
    }

    /// Stops the server after it has written everything to disk.
    pub fn shutdown(&mut self) {
        let _: Result<(), _> = redis::cmd("SHUTDOWN").arg("SAVE").query(&mut self.client());
        self.child.wait().expect("it ends");
    }

    /// Starts the server again on the same port, with what it had written to disk.
    pub fn restart(&mut self) {
        self.launch_again();
        self.wait_until_it_answers();
    }

    /// Starts the server again in the same way, and does not wait until it answers.
    pub fn launch_again(&mut self) {
        self.child = spawn(self.port, &self.dir, &self.settings, &self.environment);
    }

    /// Halts the process, as if the machine hung: connections stay open, and nothing answers.
    pub fn pause(&self) {
        self.signal("STOP");
    }

    pub fn resume(&self) {
        self.signal("CONT");
    }

    /// From now on, records the commands that clients send.
    pub fn monitor(&self) -> Monitor {
        Monitor::start(self)
    }

    fn signal(&self, name: &str) {
        let done = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(done.expect("kill runs").success());
    }

    pub fn wait_until_it_answers(&self) {
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(30) {
            let answer = redis::Client::open(self.url()).unwrap().get_connection();
            if answer.is_ok_and(|mut connection| redis::cmd("PING").query::<String>(&mut connection).is_ok()) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("redis-server on port {} did not answer within 30 s", self.port);
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port()
}

fn spawn(port: u16, dir: &tempfile::TempDir, settings: &[String], environment: &[(String, String)]) -> Child {
    Command::new("redis-server")
        .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--appendonly", "no", "--dir"])
        .arg(dir.path())
        .args(settings)
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("these tests need redis-server: `apt-get install redis-server`, or run ./test, which installs it")
}

/// The commands that clients send, as MONITOR shows them. What scripts call is left out: it costs no round trip. So is what a
/// store asks once a second whatever the test does: for the server's role, and, together with a read, for its time.
pub struct Monitor {
    lines: BufReader<TcpStream>,
    port: u16,
}

const END: &str = "end-of-monitoring";

impl Monitor {
    fn start(server: &RedisServer) -> Monitor {
        let mut stream = TcpStream::connect(("127.0.0.1", server.port)).expect("the server answers");
        stream.write_all(b"MONITOR\r\n").unwrap();
        let mut lines = BufReader::new(stream);
        let mut ok = String::new();
        lines.read_line(&mut ok).unwrap();
        assert_eq!(ok.trim(), "+OK");
        Monitor { lines, port: server.port }
    }

    /// The names of the commands since the last call, in order.
    pub fn commands(&mut self) -> Vec<String> {
        self.lines().into_iter().map(|line| line.split('"').nth(1).unwrap_or_default().to_uppercase()).collect()
    }

    /// The lines since the last call, with every argument.
    pub fn lines(&mut self) -> Vec<String> {
        let mut lines = self.sent();
        lines.retain(|line| !line.contains(r#""INFO" "replication""#) && !line.ends_with(r#""TIME""#));
        lines
    }

    /// How many commands scripts have called since the last call.
    pub fn scripted(&mut self) -> usize {
        self.all_lines().iter().filter(|line| line.contains(" lua] ")).count()
    }

    /// How often the time was asked for since the last call.
    pub fn times(&mut self) -> usize {
        self.sent().iter().filter(|line| line.ends_with(r#""TIME""#)).count()
    }

    fn sent(&mut self) -> Vec<String> {
        self.all_lines().into_iter().filter(|line| !line.contains(" lua] ")).collect()
    }

    fn all_lines(&mut self) -> Vec<String> {
        let mut marker = TcpStream::connect(("127.0.0.1", self.port)).expect("the server answers");
        marker.write_all(format!("ECHO {END}\r\n").as_bytes()).unwrap();
        let mut seen = Vec::new();
        loop {
            let mut line = String::new();
            assert!(self.lines.read_line(&mut line).expect("MONITOR goes on") > 0, "the server hung up");
            if line.contains(END) {
                return seen;
            }
            seen.push(line.trim().trim_start_matches('+').to_owned());
        }
    }
}
