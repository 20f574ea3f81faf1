//! How to reach the servers: URLs and a few settings, checked before anything is sent.

use std::sync::Arc;
use std::time::Duration;

use redis::sentinel::{SentinelClientBuilder, SentinelServerType};
use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion, RedisError};
use url::{Host, Url};

use super::Redis;
use super::cluster::Cluster;
use super::durable::Durability;
use super::keys::Prefix;
use super::link::{Link, in_protocol};
use super::near::{Near, NearCache};
use super::question::Question;
use super::reach::{Access, Way, address_of};
use super::rights;
use super::scripts::Scripts;
use super::sentinels::Sentinels;
use super::server::Server;
use crate::error::{Error, Result};

/// Settings of a [`Redis`] store.
#[derive(Clone)]
#[must_use]
pub struct RedisBuilder {
    urls: Vec<String>,
    prefix: String,
    timeout: Duration,
    plain_text: bool,
    username: Option<String>,
    password: Option<String>,
    durability: Option<Durability>,
    near_cache: Option<NearCache>,
    missing_rights: bool,
    #[cfg(feature = "tls")]
    certificates: super::tls::Certificates,
}

impl RedisBuilder {
    pub(super) fn new(url: String) -> RedisBuilder {
        RedisBuilder {
            urls: vec![url],
            prefix: "session:".to_owned(),
            timeout: Duration::from_secs(1),
            plain_text: false,
            username: None,
            password: None,
            durability: None,
            near_cache: None,
            missing_rights: false,
            #[cfg(feature = "tls")]
            certificates: Default::default(),
        }
    }

    /// Another node of the same cluster, or another sentinel of the same service: to be asked when the first is away.
    /// All URLs have the same scheme; user, password and database are those of the first.
    pub fn and(mut self, url: impl Into<String>) -> Self {
        self.urls.push(url.into());
        self
    }

    /// The ACL user, instead of the URL's.
    pub fn username(mut self, name: impl Into<String>) -> Self {
        self.username = Some(name.into());
        self
    }

    /// The password, instead of the URL's. It is never shown.
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.password = Some(password.into());
        self
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
    /// server on this machine, nor with `rediss://`.
    pub fn accept_plain_text(mut self) -> Self {
        self.plain_text = true;
        self
    }

    /// Connects also where the ACL forbids the user some of what sessions need. For tools that only look: what is forbidden
    /// fails when it is asked. Default: such a user is refused by [`connect`](RedisBuilder::connect), which names what is
    /// missing.
    pub fn accept_missing_rights(mut self) -> Self {
        self.missing_rights = true;
        self
    }

    /// Every revoke waits until so many replicas have it, and is an error
    /// ([`is_not_durable`](crate::Error::is_not_durable)) where they do not in time. Default: a revoke is done when the
    /// primary has it.
    pub fn durable_revokes(mut self, durability: Durability) -> Self {
        self.durability = Some(durability);
        self
    }

    /// Keeps the sessions that are read in memory, and has the server tell when they change, so that reading a session again
    /// costs no round trip. Default: off.
    ///
    /// After a revoke is acknowledged, no server accepts the session later than D; D is the push delay while connected
    /// (milliseconds) and the [`silence_limit`](NearCache::silence_limit) when the connection is silent. The guide page
    /// [Near cache](crate::guide::near_cache) has what follows from it.
    pub fn near_cache(mut self, near_cache: NearCache) -> Self {
        self.near_cache = Some(near_cache);
        self
    }

    /// Trusts servers whose certificate is signed by this authority (PEM), instead of those that the system trusts.
    #[cfg(feature = "tls")]
    pub fn tls_ca(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.certificates.authority = Some(pem.into());
        self
    }

    /// Shows the server this certificate, with its key (both PEM).
    #[cfg(feature = "tls")]
    pub fn tls_client_certificate(mut self, certificate: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        self.certificates.own = Some((certificate.into(), key.into()));
        self
    }

    /// Connects. Costs a few round trips; must be called inside a tokio runtime, which then also runs the tasks that
    /// re-make lost connections. Whether the server is one of a cluster, it tells itself.
    ///
    /// # Errors
    /// A configuration error for what can never work; a store error when the server is not there, refuses, or forbids this
    /// user a command that sessions need.
    pub async fn connect(self) -> Result<Redis> {
        let prefix = Prefix::parse(&self.prefix)?;
        check_wait("timeout", self.timeout)?;
        check_durability(self.durability.as_ref())?;
        let near = self.near_cache.map(|settings| settings.check().map(|()| Near::new(&settings, prefix.clone())));
        let near = near.transpose()?;
        let urls = self.urls.iter().map(|url| self.checked(url)).collect::<Result<Vec<_>>>()?;
        let server = match is_sentinel(&urls[0]) {
            true => self.by_sentinels(&urls, near.clone()).await,
            false => self.directly(urls, near.clone()).await,
        }?;
        let scripts = Arc::new(Scripts::new());
        if !self.missing_rights {
            rights::check(&server, &scripts, &prefix).await?;
        }
        Ok(Redis { server, prefix, scripts, durability: self.durability, near })
    }

    async fn directly(&self, urls: Vec<Url>, near: Option<Arc<Near>>) -> Result<Server> {
        let shown: Vec<_> = urls.iter().map(without_password).collect();
        let names_protocol = urls[0].query_pairs().any(|(name, _)| name == "protocol");
        let infos =
            urls.into_iter().map(|url| url.into_connection_info().map_err(refused)).collect::<Result<Vec<_>>>()?;
        let first = infos[0].clone();
        let first = if names_protocol { first } else { in_protocol(first, ProtocolVersion::RESP3) };
        let access = self.access(first, near)?;
        let is_many = infos.len() > 1;
        if !is_many {
            let way = access.way(shown[0].clone()).map_err(refused)?;
            let link = Link::connect(way, self.timeout, None).await?;
            if !is_of_cluster(&link).await {
                return Ok(Server::One(link));
            }
        }
        let seeds = infos.iter().filter_map(|info| address_of(info.addr())).collect();
        Ok(Server::Cluster(Cluster::connect(access, seeds, self.timeout).await?))
    }

    async fn by_sentinels(&self, urls: &[Url], near: Option<Arc<Near>>) -> Result<Server> {
        let service = Service::of(&urls[0])?;
        let first = self.access(service.primary.clone().into_connection_info().map_err(refused)?, near)?;
        let addresses = urls.iter().map(|url| Service::of(url)?.sentinel_address());
        let addresses = addresses.collect::<Result<Vec<_>>>()?;
        let shown = format!("{} (by {} sentinels)", service.name, addresses.len());
        let clients = addresses.iter().map(|address| service.client(&first, address.clone())).collect::<Result<_>>()?;
        let sentinels = Sentinels::new(service.name.clone(), clients);
        let mut builder =
            SentinelClientBuilder::new(addresses, &service.name, SentinelServerType::Master).map_err(refused)?;
        let settings = first.info.redis_settings();
        builder = builder.set_client_to_redis_db(settings.db());
        if let Some(name) = settings.username() {
            builder = builder.set_client_to_redis_username(name);
        }
        if let Some(password) = settings.password() {
            builder = builder.set_client_to_redis_password(password);
        }
        if let Some(name) = &service.sentinel_user {
            builder = builder.set_client_to_sentinel_username(name);
        }
        if let Some(password) = &service.sentinel_password {
            builder = builder.set_client_to_sentinel_password(password);
        }
        #[cfg(feature = "tls")]
        {
            builder = self.certificates.for_sentinels(builder, urls[0].scheme().starts_with("rediss"))?;
        }
        let way = Way::to_primary(builder.build().map_err(refused)?, sentinels, shown, first.near.clone());
        Ok(Server::One(Link::connect(way, self.timeout, None).await?))
    }

    /// What all connections have in common.
    fn access(&self, info: ConnectionInfo, near: Option<Arc<Near>>) -> Result<Access> {
        let mut settings = info.redis_settings().clone();
        if let Some(name) = &self.username {
            settings = settings.set_username(name);
        }
        if let Some(password) = &self.password {
            settings = settings.set_password(password);
        }
        Ok(Access {
            info: info.set_redis_settings(settings),
            #[cfg(feature = "tls")]
            certificates: self.certificates.checked()?,
            near,
        })
    }

    fn checked(&self, url: &str) -> Result<Url> {
        let refuse = |why: String| Err(Error::config("redis url", why));
        // the parser's own message is safe: it names the flaw, not the text
        let url = Url::parse(url).map_err(|error| Error::config("redis url", format!("is not a URL: {error}")))?;
        let known: &[&str] = match url.scheme() {
            "redis" | "valkey" | "rediss" | "valkeys" => &["protocol"],
            "unix" | "redis+unix" | "valkey+unix" => &["protocol", "db", "user", "pass"],
            "redis+sentinel" | "rediss+sentinel" => &["sentinel_user", "sentinel_password"],
            scheme => {
                return refuse(format!(
                    "has the scheme `{scheme}`; known are redis://, rediss:// (TLS), unix:// and redis+sentinel://"
                ));
            }
        };
        if url.query().is_some_and(|query| query.contains('@')) {
            return refuse("has a `?` before an `@`: a password must be percent-encoded".to_owned());
        }
        if let Some((name, _)) = url.query_pairs().find(|(name, _)| !known.contains(&name.as_ref())) {
            return refuse(format!("has the unknown parameter `{name}`; known are {}", known.join(", ")));
        }
        let is_tls = matches!(url.scheme(), "rediss" | "valkeys" | "rediss+sentinel");
        need_tls(is_tls, cfg!(feature = "tls"))?;
        if is_tls || url.scheme().ends_with("unix") || self.plain_text || is_this_machine(&url) {
            return Ok(url);
        }
        refuse(format!(
            "leads to another machine in plain text ({}): anybody between can read every session; accept_plain_text() accepts that",
            without_password(&url)
        ))
    }
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
    fn client(&self, access: &Access, address: ConnectionAddr) -> Result<redis::Client> {
        let mut settings = redis::RedisConnectionInfo::default();
        if let Some(name) = &self.sentinel_user {
            settings = settings.set_username(name);
        }
        if let Some(password) = &self.sentinel_password {
            settings = settings.set_password(password);
        }
        let info = address.into_connection_info().map_err(refused)?.set_redis_settings(settings);
        access.client(info).map_err(refused)
    }

    fn sentinel_address(self) -> Result<ConnectionAddr> {
        let (host, port) = self.sentinel;
        Ok(match self.primary.scheme() {
            "rediss" => ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None },
            _ => ConnectionAddr::Tcp(host, port),
        })
    }
}

/// The client's messages about a URL are fixed texts: they name the flaw.
fn refused(error: RedisError) -> Error {
    Error::config("redis url", format!("is refused: {error}"))
}

/// Plain text instead would be a surprise.
fn need_tls(is_asked: bool, is_built_in: bool) -> Result<()> {
    match is_asked && !is_built_in {
        true => Err(Error::config("redis url", "asks for TLS, which needs the feature `tls`")),
        false => Ok(()),
    }
}

pub(super) fn check_durability(durability: Option<&Durability>) -> Result<()> {
    durability.map_or(Ok(()), |durability| check_wait("durable_revokes", durability.timeout))
}

fn check_wait(setting: &'static str, wait: Duration) -> Result<()> {
    match wait.is_zero() || wait > Duration::from_secs(3600) {
        true => Err(Error::config(setting, "must be above zero and at most an hour")),
        false => Ok(()),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_that_asks_for_tls_is_refused_where_it_is_not_built_in() {
        let error = need_tls(true, false).unwrap_err();
        assert!(error.is_config() && error.to_string().contains("feature `tls`"), "{error}");
        for (is_asked, is_built_in) in [(true, true), (false, false), (false, true)] {
            need_tls(is_asked, is_built_in).expect("nothing is missing");
        }
    }

    #[test]
    fn the_schemes_of_tls_ask_for_it() {
        for scheme in ["rediss", "valkeys", "rediss+sentinel"] {
            let url = format!("{scheme}://redis.example.com:6379/service");
            assert_eq!(RedisBuilder::new(url.clone()).checked(&url).is_ok(), cfg!(feature = "tls"), "{scheme}");
        }
    }
}
