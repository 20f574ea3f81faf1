//! A redis-server of this program's own, on a free loopback port, which keeps nothing on disk.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// Ends with its value.
pub struct RedisServer {
    child: Child,
    url: String,
    connection: redis::Connection,
    _directory: tempfile::TempDir,
}

impl RedisServer {
    pub fn start() -> Result<RedisServer> {
        let directory = tempfile::tempdir()?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut child = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--appendonly", "no", "--dir"])
            .arg(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .context("this needs redis-server: `apt-get install redis-server`")?;
        let url = format!("redis://127.0.0.1:{port}");
        match wait_until_it_answers(&url) {
            Ok(connection) => Ok(RedisServer { child, url, connection, _directory: directory }),
            Err(error) => {
                child.kill()?;
                child.wait()?;
                Err(error)
            }
        }
    }

    pub fn url(&self) -> String {
        self.url.clone()
    }

    pub fn version(&mut self) -> Result<String> {
        self.info("server", "redis_version:")?.context("INFO server has no redis_version")
    }

    /// How often this command was called so far.
    pub fn calls_of(&mut self, command: &str) -> Result<u64> {
        let Some(stats) = self.info("commandstats", &format!("cmdstat_{command}:calls="))? else {
            return Ok(0);
        };
        let calls = stats.split(',').next().unwrap_or_default();
        calls.parse().with_context(|| format!("INFO commandstats says `{calls}`"))
    }

    /// What follows this in a section of INFO.
    fn info(&mut self, section: &str, name: &str) -> Result<Option<String>> {
        let all: String = redis::cmd("INFO").arg(section).query(&mut self.connection)?;
        Ok(all.lines().find_map(|line| line.strip_prefix(name)).map(|text| text.trim().to_owned()))
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // a server that has ended already needs no end
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn wait_until_it_answers(url: &str) -> Result<redis::Connection> {
    let begin = Instant::now();
    let client = redis::Client::open(url)?;
    loop {
        match client.get_connection() {
            Ok(connection) => return Ok(connection),
            Err(error) if begin.elapsed() > Duration::from_secs(30) => bail!("redis-server does not answer: {error}"),
            Err(_) => std::thread::sleep(Duration::from_millis(10)),
        }
    }
}
