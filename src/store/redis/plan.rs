//! What is to be reached, as the URLs and settings say, and the reaching.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use redis::{ConnectionInfo, IntoConnectionInfo, RedisError};
use url::Url;

use super::cluster::Cluster;
use super::credentials::Source;
use super::dial::{Dialer, address_of};
use super::endpoint::Endpoint;
use super::keys::Prefix;
use super::link::Link;
use super::near::Near;
use super::question::Question;
use super::rights;
use super::scripts::Scripts;
use super::sentinels::Sentinels;
use super::topology::Topology;
use crate::error::{Error, Result, StoreError};

/// Good for any number of attempts.
pub(super) struct Plan {
    /// How the first address is reached.
    first: Dialer,
    to: To,
    /// The addresses as they may be shown: without their passwords.
    shown: String,
    pub(super) settings: Settings,
}

/// What a store and its connections are made of.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) prefix: Prefix,
    pub(super) scripts: Arc<Scripts>,
    pub(super) near: Option<Arc<Near>>,
    pub(super) timeout: Duration,
    pub(super) accepts_missing_rights: bool,
    pub(super) accepts_replica: bool,
}

enum To {
    /// A server or a node of a cluster, of which these addresses are known.
    Server(Vec<String>),
    /// The primary of a service that these sentinels watch.
    Service { name: String, sentinels: Vec<Dialer> },
}

impl Plan {
    /// The first URL says what is to be reached.
    ///
    /// # Errors
    /// A configuration error.
    pub(super) fn new(first: Dialer, urls: &[Url], of_sentinels: Option<&Source>, settings: Settings) -> Result<Plan> {
        if !is_sentinel(&urls[0]) {
            let infos = urls.iter().map(connection_info).collect::<Result<Vec<_>>>()?;
            let addresses = infos.iter().filter_map(|info| address_of(info.addr())).collect();
            let shown = urls.iter().map(without_password).collect::<Vec<_>>().join(", ");
            return Ok(Plan { first, to: To::Server(addresses), shown, settings });
        }
        let service = Service::of(&urls[0])?;
        let sentinels =
            urls.iter().map(|url| service.sentinel(url, &first, of_sentinels)).collect::<Result<Vec<_>>>()?;
        let shown = format!("{} (by {} sentinels)", service.name, urls.len());
        Ok(Plan { first, to: To::Service { name: service.name, sentinels }, shown, settings })
    }

    /// Connects: a few round trips.
    ///
    /// # Errors
    /// When the server is not there, refuses, or forbids the user a command that sessions need.
    pub(super) async fn reach(&self) -> Result<Topology, StoreError> {
        let known = match &self.to {
            To::Server(addresses) => self.reach_server(addresses).await?,
            To::Service { name, sentinels } => {
                let sentinels = Sentinels::new(name.clone(), sentinels.clone());
                let endpoint =
                    Endpoint::to_primary(self.first.clone(), sentinels, self.shown.clone(), self.settings.near.clone());
                Topology::One(Link::connect(endpoint, self.settings.timeout, None).await?)
            }
        };
        if !self.settings.accepts_missing_rights {
            rights::check(&known, &self.settings.scripts, &self.settings.prefix).await?;
        }
        Ok(known)
    }

    async fn reach_server(&self, addresses: &[String]) -> Result<Topology, StoreError> {
        let (first, near, timeout) = (&self.first, &self.settings.near, self.settings.timeout);
        if addresses.len() < 2 {
            let endpoint =
                Endpoint::alone(first.clone(), self.settings.accepts_replica, self.shown.clone(), near.clone());
            let link = Link::connect(endpoint, timeout, None).await?;
            if !is_of_cluster(&link).await {
                return Ok(Topology::One(link));
            }
        }
        Ok(Topology::Cluster(Cluster::connect(first.clone(), near.clone(), addresses.to_vec(), timeout).await?))
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

/// What a URL says of its server; of a sentinel's, what it says of the primary.
///
/// # Errors
/// A configuration error.
pub(super) fn connection_info(url: &Url) -> Result<ConnectionInfo> {
    let url = if is_sentinel(url) { Service::of(url)?.primary } else { url.clone() };
    url.into_connection_info().map_err(refused)
}

/// `redis+sentinel://user:password@host:port/service/db`: the sentinel's address, and how to log in to the primary.
struct Service {
    name: String,
    sentinel: (String, u16),
    sentinel_user: Option<String>,
    sentinel_password: Option<String>,
    /// A URL of the primary's settings; its host is a placeholder.
    primary: Url,
}

impl Service {
    fn of(url: &Url) -> Result<Service> {
        let refuse = |why| Error::config("redis url", why);
        let mut path = url.path().trim_matches('/').splitn(2, '/');
        let name = path.next().filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| refuse("must name the service: redis+sentinel://host:26379/service"))?.to_owned();
        let host = url.host_str().ok_or_else(|| refuse("has no host"))?.to_owned();
        let query =
            |wanted: &str| url.query_pairs().find(|(name, _)| name == wanted).map(|(_, text)| text.into_owned());
        let scheme = if url.scheme() == "rediss+sentinel" { "rediss" } else { "redis" };
        let database = path.next().unwrap_or("0");
        let credentials = match (url.username(), url.password()) {
            ("", None) => String::new(),
            (name, password) => format!("{name}:{}@", password.unwrap_or_default()),
        };
        let primary = Url::parse(&format!("{scheme}://{credentials}{host}/{database}"));
        Ok(Service {
            name,
            sentinel: (host, url.port().unwrap_or(26379)),
            sentinel_user: query("sentinel_user"),
            sentinel_password: query("sentinel_password"),
            primary: primary.map_err(|_| refuse("has a user, password or database that cannot be read"))?,
        })
    }

    /// How one sentinel is reached: with the certificates of all connections, and the sentinels' own user.
    fn sentinel(&self, url: &Url, primary: &Dialer, credentials: Option<&Source>) -> Result<Dialer> {
        let mut settings = redis::RedisConnectionInfo::default();
        if let Some(name) = &self.sentinel_user {
            settings = settings.set_username(name);
        }
        if let Some(password) = &self.sentinel_password {
            settings = settings.set_password(password);
        }
        let (host, port) = Service::of(url)?.sentinel;
        let dialer = primary.to(&format!("{host}:{port}")).map_err(refused)?;
        Ok(Dialer {
            info: dialer.info.clone().set_redis_settings(settings),
            credentials: credentials.cloned(),
            ..dialer
        })
    }
}

/// The client's messages about a URL are fixed texts: they name the flaw.
pub(super) fn refused(error: RedisError) -> Error {
    Error::config("redis url", format!("is refused: {error}"))
}

fn is_sentinel(url: &Url) -> bool {
    url.scheme().ends_with("+sentinel")
}

/// Whether a server is one of a cluster. One that may not be asked is taken for a single one.
async fn is_of_cluster(link: &Link) -> bool {
    let query = redis::cmd("INFO").arg("cluster").clone();
    let answer = link.ask(Question::Command(&query)).await;
    let text = answer.ok().and_then(|answer| redis::from_redis_value::<String>(answer).ok());
    text.is_some_and(|text| text.contains("cluster_enabled:1"))
}

/// The address as it may be shown: without user, password and parameters. A path that is no database is not shown:
/// after a password with an unescaped slash it is the rest of the password.
pub(super) fn without_password(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let is_database = url.path().bytes().all(|b| b.is_ascii_digit() || b == b'/');
    let path = if is_database || url.scheme().ends_with("unix") { url.path() } else { "/…" };
    format!("{}://{}{port}{path}", url.scheme(), url.host_str().unwrap_or_default())
}
