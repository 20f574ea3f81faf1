//! What is to be reached, by the URLs and the settings, and how it is reached.

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

/// A plan for reaching the servers. It can be used for any number of attempts.
pub(super) struct Plan {
    /// How the first address is reached.
    first: Dialer,
    to: To,
    /// The addresses without their passwords, so that they may be shown.
    shown: String,
    pub(super) settings: Settings,
}

/// The settings that a store and its connections share.
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
    /// A single server or a cluster, of which these addresses are known.
    Server(Vec<String>),
    /// The primary of a service that these sentinels watch.
    Service { name: String, sentinels: Vec<Dialer> },
}

impl Plan {
    /// Makes a plan. The first URL decides what is to be reached.
    ///
    /// # Errors
    /// Returns a configuration error.
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

    /// Connects to the servers. A few round trips.
    ///
    /// # Errors
    /// Fails if the server is not there, refuses the connection, or forbids the user a command that sessions need.
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

/// Returns how to connect to the server of a URL. For the URL of a sentinel, returns what the URL says about the primary.
///
/// # Errors
/// Returns a configuration error.
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
    /// A URL with the settings for the primary. Its host is only a placeholder.
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

    /// Returns how to reach one sentinel: with the certificates of all connections, and with the user for the sentinels.
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

/// Makes a configuration error from the client's error. The client's messages about a URL are fixed texts that name the flaw.
pub(super) fn refused(error: RedisError) -> Error {
    Error::config("redis url", format!("is refused: {error}"))
}

fn is_sentinel(url: &Url) -> bool {
    url.scheme().ends_with("+sentinel")
}

/// Returns true if the server belongs to a cluster. A server that we may not ask is taken for a single one.
async fn is_of_cluster(link: &Link) -> bool {
    let query = redis::cmd("INFO").arg("cluster").clone();
    let answer = link.ask(Question::Command(&query)).await;
    let text = answer.ok().and_then(|answer| redis::from_redis_value::<String>(answer).ok());
    text.is_some_and(|text| text.contains("cluster_enabled:1"))
}

/// Returns the address without user, password and parameters, so that it may be shown. A path that is no database is not
/// shown: if a password holds an unescaped slash, the path is the rest of the password.
pub(super) fn without_password(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let is_database = url.path().bytes().all(|b| b.is_ascii_digit() || b == b'/');
    let path = if is_database || url.scheme().ends_with("unix") { url.path() } else { "/…" };
    format!("{}://{}{port}{path}", url.scheme(), url.host_str().unwrap_or_default())
}
