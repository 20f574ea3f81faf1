//! The processes of a run: a Redis, an application, wrk. Each ends with its value.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use cloakroom_bench::{Kind, Operation};
use redis::{Connection, FromRedisValue};
use serde::Deserialize;

use crate::Result;

/// A child that is ended when it is not needed any more.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // it may have ended by itself; either way nothing is left behind
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How the server is configured, beside its port and directory: nothing is written to disk while others measure.
pub const REDIS_SETTINGS: [&str; 6] = ["--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction"];

pub struct Redis {
    _process: Ended,
    pub port: u16,
    connection: Connection,
}

impl Redis {
    pub fn start(directory: &Path, settings: &[&str]) -> Result<Redis> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let process = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--dir"])
            .arg(directory)
            .args(REDIS_SETTINGS)
            .args(settings)
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| format!("redis-server does not start: {error}"))?;
        let process = Ended(process);
        let client = redis::Client::open(format!("redis://127.0.0.1:{port}"))?;
        for _ in 0..100 {
            if let Ok(connection) = client.get_connection() {
                return Ok(Redis { _process: process, port, connection });
            }
            thread::sleep(Duration::from_millis(50));
        }
        Err("redis-server does not answer within five seconds".into())
    }

    pub fn ask<T: FromRedisValue>(&mut self, command: &[&str]) -> Result<T> {
        let mut asked = redis::cmd(command[0]);
        asked.arg(&command[1..]);
        Ok(asked.query(&mut self.connection)?)
    }

    /// Seconds of CPU since it started.
    pub fn cpu(&mut self) -> Result<f64> {
        let info: String = self.ask(&["INFO", "cpu"])?;
        Ok(number_in(&info, "used_cpu_sys:")? + number_in(&info, "used_cpu_user:")?)
    }

    pub fn used_memory(&mut self) -> Result<f64> {
        let info: String = self.ask(&["INFO", "memory"])?;
        number_in(&info, "used_memory:")
    }

    /// How many commands it ran, those inside scripts included, and how many scripts.
    pub fn commands(&mut self) -> Result<(f64, f64)> {
        let info: String = self.ask(&["INFO", "commandstats"])?;
        let (mut all, mut scripts) = (0.0, 0.0);
        for line in info.lines().filter(|line| line.starts_with("cmdstat_") && !line.starts_with("cmdstat_info:")) {
            let calls = number_in(line, "calls=")?;
            all += calls;
            if line.starts_with("cmdstat_evalsha:") {
                scripts += calls;
            }
        }
        Ok((all, scripts))
    }
}

fn number_in(text: &str, name: &str) -> Result<f64> {
    let after = text.split_once(name).ok_or_else(|| format!("Redis does not say `{name}`"))?.1;
    let number = after.split([',', '\r', '\n']).next().unwrap_or(after);
    Ok(number.parse().map_err(|_| format!("`{number}` after `{name}` is no number"))?)
}

pub struct Application {
    process: Ended,
    address: String,
    connections: u32,
}

/// What valgrind counts of an application.
#[derive(Debug, Clone, Copy)]
pub enum Tool {
    Instructions,
    Allocations,
}

impl Tool {
    fn arguments(self) -> &'static [&'static str] {
        match self {
            Tool::Instructions => &["--tool=callgrind", "--callgrind-out-file=/dev/null"],
            Tool::Allocations => &["--tool=memcheck", "--leak-check=no", "--undef-value-errors=no"],
        }
    }

    /// What stands before the number in its last lines.
    fn announces(self) -> &'static str {
        match self {
            Tool::Instructions => "Collected :",
            Tool::Allocations => "total heap usage:",
        }
    }
}

impl Application {
    pub fn start(kind: Kind, redis: &Redis, directory: &Path, long_value: bool) -> Result<Application> {
        let mut command = Command::new(program()?);
        if long_value {
            command.arg("--long-value");
        }
        Application::spawn(command, kind, redis, directory, CONNECTIONS)
    }

    /// Starts it so that valgrind counts what it does, which takes some fifty times as long. It gets one request at a time, so that what
    /// several requests could share is counted for each.
    pub fn start_under(tool: Tool, kind: Kind, redis: &Redis, directory: &Path) -> Result<Application> {
        let mut command = Command::new("valgrind");
        command.args(tool.arguments()).arg(program()?).stderr(Stdio::piped());
        Application::spawn(command, kind, redis, directory, 1)
    }

    fn spawn(
        mut command: Command,
        kind: Kind,
        redis: &Redis,
        directory: &Path,
        connections: u32,
    ) -> Result<Application> {
        let child = command
            .args(["--kind", &kind.name(), "--redis-port", &redis.port.to_string(), "--directory"])
            .arg(directory.join("store"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{} does not start: {error}", command.get_program().display()))?;
        let mut process = Ended(child);
        let mut line = String::new();
        let stdout = process.0.stdout.take().expect("it is piped");
        BufReader::new(stdout).read_line(&mut line)?;
        let address = line.trim().strip_prefix("listening ").ok_or_else(|| format!("{} ended", kind.name()))?;
        Ok(Application { address: address.to_owned(), process, connections })
    }

    /// Ends it, and returns what the tool has counted since it started.
    pub fn counted(mut self, tool: Tool) -> Result<u64> {
        drop(self.process.0.stdin.take());
        let mut said = String::new();
        self.process.0.stderr.take().ok_or("it was not started under valgrind")?.read_to_string(&mut said)?;
        let after = said.split_once(tool.announces()).ok_or_else(|| format!("valgrind has not counted:\n{said}"))?.1;
        let number = after.split_whitespace().next().unwrap_or_default().replace(',', "");
        Ok(number.parse().map_err(|_| format!("valgrind has counted {number:?}"))?)
    }

    /// Seconds of CPU since it started, user and system, in steps of a clock tick (10 ms).
    pub fn cpu(&self) -> Result<f64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.0.id()))?;
        // the name in parentheses may hold anything; utime and stime are the 12th and 13th after it
        let after = stat.rsplit_once(')').ok_or("/proc/PID/stat has no name")?.1;
        let ticks: Vec<f64> =
            after.split_whitespace().skip(11).take(2).map(str::parse).collect::<std::result::Result<_, _>>()?;
        Ok(ticks.iter().sum::<f64>() / TICKS_PER_SECOND)
    }
}

fn program() -> Result<PathBuf> {
    Ok(std::env::current_exe()?.with_file_name("app"))
}

/// USER_HZ: 100 on every Linux since 2.6.
const TICKS_PER_SECOND: f64 = 100.0;

/// What wrk found.
#[derive(Debug, Clone, Deserialize)]
pub struct Loaded {
    pub requests: u64,
    pub errors: u64,
    pub seconds: f64,
    pub p50_us: u64,
    pub p99_us: u64,
}

/// How long, or how often, and with which cookies.
pub enum Load<'a> {
    For { seconds: u64, operation: Operation, cookies: &'a Path },
    Once { path: &'a str, cookies: &'a Path, new_cookies: Option<&'a Path> },
}

impl Load<'_> {
    pub fn path(&self) -> &str {
        match self {
            Load::For { operation, .. } => operation.path(),
            Load::Once { path, .. } => path,
        }
    }
}

/// The connections that stay open, one request at a time on each.
pub const CONNECTIONS: u32 = 64;

/// Loads the application. Answers of 400 and above, and connections that failed, are counted as errors.
pub fn load(application: &Application, load: &Load) -> Result<Loaded> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/load.lua");
    let mut command = Command::new("wrk");
    command.args(["--threads", "1", "--connections", &application.connections.to_string(), "--timeout", "10s"]);
    let url = format!("http://{}", application.address);
    match load {
        Load::For { seconds, operation, cookies } => {
            let method = if *operation == Operation::Read { "GET" } else { "POST" };
            command.args([
                "--duration",
                &format!("{seconds}s"),
                "--script",
                script,
                &url,
                "--",
                method,
                operation.path(),
            ]);
            command.arg(cookies);
        }
        Load::Once { path, cookies, new_cookies } => {
            let method = if *path == Operation::Read.path() { "GET" } else { "POST" };
            // a limit: the script ends it, and takes the time
            command.args(["--duration", "60s", "--script", script, &url, "--", method, path]).arg(cookies).arg("once");
            command.args(new_cookies);
        }
    }
    let output = command.output().map_err(|error| format!("wrk does not start: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let last = text.lines().last().unwrap_or_default();
    serde_json::from_str(last)
        .map_err(|error| format!("wrk said {last:?}: {error}\n{}", String::from_utf8_lossy(&output.stderr)).into())
}
