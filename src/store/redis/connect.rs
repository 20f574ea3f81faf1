//! How to reach the servers: URLs and a few settings, checked before anything is sent.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use redis::ProtocolVersion;
use url::Url;

use super::Redis;
use super::credentials::{RedisCredentials, Source};
use super::dial::Dialer;
use super::durable::Durability;
use super::keys::Prefix;
use super::later::Later;
use super::near::{Near, NearCache};
use super::plain_text::is_this_machine;
use super::plan::{Plan, Settings, connection_info, refused, without_password};
use super::scripts::Scripts;
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
    credentials: Option<Source>,
    sentinel_credentials: Option<Source>,
    durability: Option<Durability>,
    near_cache: Option<NearCache>,
    missing_rights: bool,
    replica: bool,
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
            credentials: None,
            sentinel_credentials: None,
            durability: None,
            near_cache: None,
            missing_rights: false,
            replica: false,
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

    /// Has the password read from this file anew at each connection: to a node of a cluster, for durable revokes, and so on. So a
    /// password that is rotated in the file is used without a restart. The file holds one line, the password; a line's end
    /// behind it does not count. The user stays that of [`username`](RedisBuilder::username) or the URL.
    ///
    /// While the file cannot be read no connection is made: connecting is a store error that names the file.
    pub fn password_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.credentials = Some(Source::file(path.into()));
        self
    }

    /// Has user and password asked for anew at each connection, for example the short-lived tokens of a cloud provider. They win
    /// over all others. They may take ten seconds; keep what is good for longer than one connection yourself.
    ///
    /// The text of an error of yours is shown in the log, and in the store's errors: it must hold no secret.
    ///
    /// ```
    /// # async fn token() -> Result<String, std::io::Error> { Ok("t".to_owned()) }
    /// use cloakroom::store::{RedisCredentials, Redis};
    ///
    /// let builder = Redis::builder("rediss://redis.example.com:6379").credentials(|| async {
    ///     Ok::<_, std::io::Error>(RedisCredentials::password(token().await?).username("app"))
    /// });
    /// ```
    pub fn credentials<F, A, E>(mut self, ask: F) -> Self
    where
        F: Fn() -> A + Send + Sync + 'static,
        A: Future<Output = std::result::Result<RedisCredentials, E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        self.credentials = Some(Source::asking(ask));
        self
    }

    /// The same as [`password_file`](RedisBuilder::password_file) for the sentinels, which have passwords of their own.
    pub fn sentinel_password_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.sentinel_credentials = Some(Source::file(path.into()));
        self
    }

    /// The same as [`credentials`](RedisBuilder::credentials) for the sentinels, which have users of their own.
    pub fn sentinel_credentials<F, A, E>(mut self, ask: F) -> Self
    where
        F: Fn() -> A + Send + Sync + 'static,
        A: Future<Output = std::result::Result<RedisCredentials, E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        self.sentinel_credentials = Some(Source::asking(ask));
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

    /// Connects also to a server that is a replica. For tools that look at servers: what a replica holds may have been revoked on
    /// the primary. Default: a replica is refused.
    pub fn accept_replica(mut self) -> Self {
        self.replica = true;
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
    /// A configuration error for what can never work; a store error when the server is not there, refuses, is a replica, or
    /// forbids this user a command that sessions need.
    pub async fn connect(self) -> Result<Redis> {
        let plan = self.checked()?;
        let server = Server::Known(plan.reach().await?);
        Ok(self.store(server, plan.settings))
    }

    /// Connects in the background, so that an application starts while its Redis is away. Waits for nothing. Every call fails
    /// until the server is there, as it does later while the server is away; then calls work, without a restart. Must be called
    /// inside a tokio runtime.
    ///
    /// A wrong password or a missing permission, too, shows only in the log and in the errors of the calls.
    ///
    /// # Errors
    /// A configuration error for what can never work.
    pub fn connect_lazy(self) -> Result<Redis> {
        let plan = self.checked()?;
        let settings = plan.settings.clone();
        Ok(self.store(Server::Later(Later::new(plan)), settings))
    }

    fn store(self, server: Server, settings: Settings) -> Redis {
        let Settings { prefix, scripts, near, .. } = settings;
        Redis { server, prefix, scripts, durability: self.durability, near }
    }

    /// Checks all settings before anything is sent.
    pub(super) fn checked(&self) -> Result<Plan> {
        let prefix = Prefix::parse(&self.prefix)?;
        check_wait("timeout", self.timeout)?;
        check_durability(self.durability.as_ref())?;
        let near = self.near_cache.map(|settings| settings.check().map(|()| Near::new(&settings, prefix.clone())));
        let urls = self.urls.iter().map(|url| self.checked_url(url)).collect::<Result<Vec<_>>>()?;
        let settings = Settings {
            prefix,
            scripts: Arc::new(Scripts::new()),
            near: near.transpose()?,
            timeout: self.timeout,
            accepts_missing_rights: self.missing_rights,
            accepts_replica: self.replica,
        };
        Plan::new(self.dialer(&urls[0])?, &urls, self.sentinel_credentials.as_ref(), settings)
    }

    /// Returns the dialer for the server of the first URL. With another address it reaches all other servers too.
    fn dialer(&self, url: &Url) -> Result<Dialer> {
        let names_protocol = url.query_pairs().any(|(name, _)| name == "protocol");
        let info = connection_info(url)?;
        let mut settings = info.redis_settings().clone();
        if !names_protocol {
            settings = settings.set_protocol(ProtocolVersion::RESP3);
        }
        if let Some(name) = &self.username {
            settings = settings.set_username(name);
        }
        if let Some(password) = &self.password {
            settings = settings.set_password(password);
        }
        let dialer = Dialer {
            info: info.set_redis_settings(settings),
            #[cfg(feature = "tls")]
            certificates: self.certificates.checked()?,
            plain_text: self.plain_text,
            credentials: self.credentials.clone(),
            is_understood: Arc::default(),
        };
        dialer.client(dialer.info.clone()).map_err(refused)?;
        Ok(dialer)
    }

    pub(super) fn checked_url(&self, url: &str) -> Result<Url> {
        let refuse = |why: String| Err(Error::config("redis url", why));
        // the parser's own message holds no secret: it names the mistake and does not quote the URL
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
        if is_tls
            || url.scheme().ends_with("unix")
            || self.plain_text
            || is_this_machine(url.host_str().unwrap_or_default())
        {
            return Ok(url);
        }
        refuse(format!(
            "leads to another machine in plain text ({}): anybody between can read every session; accept_plain_text() accepts that",
            without_password(&url)
        ))
    }
}

/// Refuses a URL that asks for TLS if TLS is not built in. Nobody would expect plain text instead.
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
            assert_eq!(RedisBuilder::new(url.clone()).checked_url(&url).is_ok(), cfg!(feature = "tls"), "{scheme}");
        }
    }
}
