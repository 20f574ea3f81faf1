//! How to reach the server: a URL and a few settings, checked before anything is sent.

use std::sync::Arc;
use std::time::Duration;

use redis::IntoConnectionInfo;
use url::{Host, Url};

use super::Redis;
use super::keys::Prefix;
use super::link::Link;
use super::scripts::Scripts;
use crate::error::{Error, Result};

/// Settings of a [`Redis`] store.
#[derive(Clone)]
#[must_use]
pub struct RedisBuilder {
    url: String,
    prefix: String,
    timeout: Duration,
    plain_text: bool,
}

impl RedisBuilder {
    pub(super) fn new(url: String) -> RedisBuilder {
        RedisBuilder { url, prefix: "session:".to_owned(), timeout: Duration::from_secs(1), plain_text: false }
    }

    /// What every key begins with. Default: `session:`.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// How long to wait for a connection, and for each answer; after that the connection is re-made. Default: one
    /// second.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Accepts that whoever sits between this machine and another one can read every session. Not needed for a
    /// server on this machine.
    pub fn accept_plain_text(mut self) -> Self {
        self.plain_text = true;
        self
    }

    /// Connects. Costs a round trip or two; must be called inside a tokio runtime, which then also runs the task that
    /// re-makes a lost connection.
    ///
    /// # Errors
    /// A configuration error for what can never work; a store error when the server is not there, or refuses.
    pub async fn connect(self) -> Result<Redis> {
        let prefix = Prefix::parse(&self.prefix)?;
        if self.timeout.is_zero() || self.timeout > Duration::from_secs(3600) {
            return Err(Error::config("timeout", "must be above zero and at most an hour"));
        }
        let url = self.checked_url()?;
        let shown = without_password(&url);
        // the client's messages about a URL are fixed texts: they name the flaw
        let refused = |error: redis::RedisError| Error::config("redis url", format!("is refused: {error}"));
        let info = url.into_connection_info().map_err(refused)?;
        let client = redis::Client::open(info).map_err(refused)?;
        let link = Link::connect(client, shown, self.timeout).await?;
        Ok(Redis { link, prefix, scripts: Arc::new(Scripts::new()) })
    }

    fn checked_url(&self) -> Result<Url> {
        let refuse = |why: String| Err(Error::config("redis url", why));
        // the parser's own message is safe: it names the flaw, not the text
        let url =
            Url::parse(&self.url).map_err(|error| Error::config("redis url", format!("is not a URL: {error}")))?;
        let known: &[&str] = match url.scheme() {
            "redis" | "valkey" => &["protocol"],
            "unix" | "redis+unix" | "valkey+unix" => &["protocol", "db", "user", "pass"],
            scheme => return refuse(format!("has the scheme `{scheme}`; known are redis://, valkey:// and unix://")),
        };
        if let Some((name, _)) = url.query_pairs().find(|(name, _)| !known.contains(&name.as_ref())) {
            return refuse(format!("has the unknown parameter `{name}`; known are {}", known.join(", ")));
        }
        if url.scheme().ends_with("unix") || self.plain_text || is_this_machine(&url) {
            return Ok(url);
        }
        refuse(format!(
            "leads to another machine in plain text ({}): anybody between can read every session; accept_plain_text() accepts that",
            without_password(&url)
        ))
    }
}

fn is_this_machine(url: &Url) -> bool {
    // a non-special scheme keeps its host as text: let the parser look at it as it would at an http host
    let host = url.host_str().unwrap_or_default();
    match Host::parse(host) {
        Ok(Host::Ipv4(address)) => address.is_loopback(),
        Ok(Host::Ipv6(address)) => address.is_loopback(),
        Ok(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Err(_) => false,
    }
}

/// The address as it may be shown: without user, password and parameters. A path that is no database is not shown:
/// after a password with an unescaped slash it is the rest of the password.
fn without_password(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let is_database = url.path().bytes().all(|b| b.is_ascii_digit() || b == b'/');
    let path = if is_database || url.scheme().ends_with("unix") { url.path() } else { "/…" };
    format!("{}://{}{port}{path}", url.scheme(), url.host_str().unwrap_or_default())
}
