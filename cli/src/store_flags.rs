//! The flags that say which store: shared by every verb that needs one.

use std::borrow::Cow;
use std::fmt;

use clap::{Args, ValueEnum};
use cloakroom::TokenFormat;
use cloakroom::store::Redis;
use url::Url;

use crate::failure::Failure;

const REDIS_PORT: u16 = 6379;

/// Which store, and how sessions lie in it. Not `Debug`: a URL may hold a password.
#[derive(Args)]
pub(crate) struct StoreFlags {
    /// The store [default: the Redis that is named below or by REDIS_URL, otherwise memory]
    #[arg(long, value_enum, conflicts_with_all = ["redis_url", "redis_host", "redis_port"])]
    store: Option<StoreName>,

    /// Redis or Valkey, as redis://user:password@host:port/db; with a password better in REDIS_URL
    #[arg(long, value_name = "URL", conflicts_with_all = ["redis_host", "redis_port"])]
    redis_url: Option<String>,

    /// Redis or Valkey by its host [default: 127.0.0.1, when a port is given]
    #[arg(long, value_name = "HOST")]
    redis_host: Option<String>,

    /// ... and its port [default: 6379, when a host is given]
    #[arg(long, value_name = "PORT")]
    redis_port: Option<u16>,

    /// What the store's keys begin with
    #[arg(long, value_name = "PREFIX", default_value = "session:")]
    pub(crate) prefix: String,

    /// Tokens without a secret half, to share sessions with applications that follow the Redis tutorials
    #[arg(long)]
    pub(crate) plain_tokens: bool,

    /// Accept an unencrypted connection to a Redis that is not on this machine
    #[arg(long)]
    accept_plain_text: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum StoreName {
    /// In this process; sessions end with it
    Memory,
}

impl StoreFlags {
    /// Where the sessions are. Flags go before the environment's `REDIS_URL`.
    ///
    /// # Errors
    /// When what is given is not a URL. Its text is not repeated: it may hold a password.
    pub(crate) fn place(&self) -> Result<Place, Failure> {
        if self.store.is_some() {
            return Ok(Place::Memory);
        }
        if let Some(url) = &self.redis_url {
            return Place::redis("--redis-url", url);
        }
        if self.redis_host.is_some() || self.redis_port.is_some() {
            let host = self.redis_host.as_deref().unwrap_or("127.0.0.1");
            let port = self.redis_port.unwrap_or(REDIS_PORT);
            let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
            return Place::redis("--redis-host", &format!("redis://{host}:{port}"));
        }
        match std::env::var("REDIS_URL") {
            Ok(url) if !url.is_empty() => Place::redis("REDIS_URL", &url),
            _ => Ok(Place::Memory),
        }
    }

    /// Connects to Redis; the answer is awaited within the library's time-out.
    ///
    /// # Errors
    /// When Redis does not answer, or when the prefix or the URL is refused.
    pub(crate) async fn connect(&self, url: &Url) -> Result<Redis, Failure> {
        let builder = Redis::builder(url.as_str()).prefix(&self.prefix);
        let builder = if self.accept_plain_text { builder.accept_plain_text() } else { builder };
        builder.connect().await.map_err(|error| {
            let failure = Failure::from(error);
            failure.reworded("accept_plain_text()", "--accept-plain-text")
        })
    }

    pub(crate) fn token_format(&self) -> TokenFormat {
        if self.plain_tokens { TokenFormat::Plain } else { TokenFormat::Secret }
    }
}

/// Where the sessions are. Its `Display` shows no password.
pub(crate) enum Place {
    /// In this process.
    Memory,
    /// In Redis or Valkey.
    Redis(Url),
}

impl Place {
    fn redis(source: &str, url: &str) -> Result<Place, Failure> {
        let parsed = Url::parse(url).map_err(|error| Failure::usage(format!("{source} is not a URL: {error}")))?;
        Ok(Place::Redis(parsed))
    }

    /// The `redis-cli` that reaches this place, with only the flags it needs and without a password.
    pub(crate) fn redis_cli(&self) -> String {
        let mut line = String::from("redis-cli");
        let Place::Redis(url) = self else { return line };
        let mut flag = |text: &str| {
            line.push(' ');
            line.push_str(&shell_word(text));
        };
        match url.host_str() {
            None => ["-s", url.path()].into_iter().for_each(&mut flag),
            Some("127.0.0.1" | "localhost") => {}
            Some(host) => ["-h", host.trim_matches(['[', ']'])].into_iter().for_each(&mut flag),
        }
        if let Some(port) = url.port().filter(|port| *port != REDIS_PORT) {
            ["-p", &port.to_string()].into_iter().for_each(&mut flag);
        }
        if let Some(db) = database(url).filter(|db| db != "0") {
            ["-n", &db].into_iter().for_each(&mut flag);
        }
        if let Some(user) = user(url) {
            ["--user", &user].into_iter().for_each(&mut flag);
        }
        if url.password().is_some() || parameter(url, "pass").is_some() {
            flag("--askpass");
        }
        line
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place::Redis(url) = self else {
            return f.write_str("memory");
        };
        match url.host_str() {
            None => write!(f, "redis {}", url.path()),
            Some(host) => {
                let port = url.port().unwrap_or(REDIS_PORT);
                write!(f, "redis {host}:{port}/{}", database(url).as_deref().unwrap_or("0"))
            }
        }
    }
}

/// The number of the database: in the URL's path, or with a socket, whose path that is, a parameter.
fn database(url: &Url) -> Option<Cow<'_, str>> {
    let db = match url.host_str() {
        Some(_) => Some(Cow::Borrowed(url.path().trim_start_matches('/'))),
        None => parameter(url, "db"),
    };
    db.filter(|db| !db.is_empty())
}

fn user(url: &Url) -> Option<Cow<'_, str>> {
    let name = percent_encoding::percent_decode_str(url.username()).decode_utf8_lossy();
    if name.is_empty() { parameter(url, "user") } else { Some(name) }
}

fn parameter<'a>(url: &'a Url, name: &str) -> Option<Cow<'a, str>> {
    url.query_pairs().find(|(given, _)| given == name).map(|(_, value)| value)
}

/// `text` as one word of a shell: quoted only where it must be.
pub(crate) fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:@%+,=…".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redis(url: &str) -> Place {
        Place::redis("--redis-url", url).unwrap_or_else(|failure| panic!("{failure}"))
    }

    #[test]
    fn the_redis_cli_has_only_the_flags_that_are_needed() {
        let cases = [
            ("redis://127.0.0.1", "redis-cli"),
            ("redis://localhost:6379/0", "redis-cli"),
            ("redis://127.0.0.1:7000/3", "redis-cli -p 7000 -n 3"),
            ("redis://cache.example", "redis-cli -h cache.example"),
            ("redis://[::1]:7000", "redis-cli -h ::1 -p 7000"),
            ("redis://:hunter2@127.0.0.1", "redis-cli --askpass"),
            ("redis://ann%20a:hunter2@127.0.0.1", "redis-cli --user 'ann a' --askpass"),
            (
                "unix:///run/redis.sock?db=2&user=ann&pass=hunter2",
                "redis-cli -s /run/redis.sock -n 2 --user ann --askpass",
            ),
        ];
        for (url, line) in cases {
            assert_eq!(redis(url).redis_cli(), line, "{url}");
        }
    }

    #[test]
    fn a_password_is_not_shown() {
        assert_eq!(redis("redis://ann:hunter2@127.0.0.1:7000/3").to_string(), "redis 127.0.0.1:7000/3");
        let failure = Place::redis("--redis-url", "redis://:hunter2@[bad").err().map(|failure| failure.to_string());
        assert!(failure.is_some_and(|text| !text.contains("hunter2")));
    }

    #[test]
    fn a_key_that_a_shell_would_read_is_quoted() {
        assert_eq!(shell_word("session:Zk3V0pXq1mB8sT5rYw2uCg"), "session:Zk3V0pXq1mB8sT5rYw2uCg");
        assert_eq!(shell_word("it's $HOME:"), r"'it'\''s $HOME:'");
    }
}
