//! The flags that say which store: shared by every verb that needs one.

use std::path::PathBuf;

use clap::Args;
use cloakroom::StoreSettings;
use etcetera::BaseStrategy as _;
use url::Url;

use crate::failure::Failure;
use crate::place::{Place, REDIS_PORT};
use crate::redis_flags::{RedisFlags, parsed};

/// Which store, and how sessions are stored in it. Not `Debug`, because a URL may contain a password.
#[derive(Args)]
#[command(next_help_heading = "Store")]
pub(crate) struct StoreFlags {
    /// The directory that contains the sessions, or the word "memory" [default: the Redis that is named by a flag below or in
    /// REDIS_URL, else the directory for the user's state, which is ~/.local/state/cloakroom/sessions on Linux]
    #[arg(long, value_name = "PATH", conflicts_with_all = ["redis_url", "redis_host", "redis_port", "config"])]
    store: Option<PathBuf>,

    /// The URL of Redis or Valkey: redis://, rediss:// (TLS), unix:// or redis+sentinel://host:port/service. Repeat the flag for
    /// other nodes of a cluster, or other sentinels [default: the URLs in REDIS_URL, separated by spaces]
    #[arg(long, value_name = "URL", conflicts_with_all = ["redis_host", "redis_port", "config"])]
    redis_url: Vec<String>,

    /// The host of Redis or Valkey, instead of a URL [default: 127.0.0.1 if --redis-port is given]
    #[arg(long, value_name = "HOST", conflicts_with = "config")]
    redis_host: Option<String>,

    /// The port of Redis or Valkey, instead of a URL [default: 6379 if --redis-host is given]
    #[arg(long, value_name = "PORT", conflicts_with = "config")]
    redis_port: Option<u16>,

    #[command(flatten)]
    pub(crate) redis: RedisFlags,
}

impl StoreFlags {
    /// Returns where the sessions are: where the configuration file or a flag says, else where `REDIS_URL` says, else in a directory of the user.
    ///
    /// # Errors
    /// Returns an error if something that should be a URL is not one, or if a URL in a flag contains a password. The error does not
    /// repeat the URL.
    pub(crate) fn place(&self) -> Result<Place, Failure> {
        if let Some(file) = &self.redis.config {
            return self.place_in(file.store());
        }
        match &self.store {
            Some(word) if word.as_os_str() == "memory" => return Ok(Place::Memory),
            Some(path) => return Ok(Place::Embedded(path.clone())),
            None => {}
        }
        let urls = if !self.redis_url.is_empty() {
            self.redis_url.iter().map(|url| parsed("--redis-url", url)).collect::<Result<Vec<_>, _>>()?
        } else if self.redis_host.is_some() || self.redis_port.is_some() {
            vec![self.by_host()?]
        } else {
            let urls = std::env::var("REDIS_URL").unwrap_or_default();
            urls.split_whitespace().map(|url| parsed("REDIS_URL", url)).collect::<Result<Vec<_>, _>>()?
        };
        if urls.is_empty() {
            return state_directory().map(Place::Embedded);
        }
        let flag = (!self.redis_url.is_empty()).then_some("--redis-url");
        self.redis.reach(urls, flag).map(Place::Redis)
    }

    /// Where a configuration file says.
    fn place_in(&self, file: &StoreSettings) -> Result<Place, Failure> {
        match file.place.as_str() {
            "" => {
                Err(Failure::usage("the configuration file does not say where the sessions are: set place in [store]"))
            }
            "memory" => Ok(Place::Memory),
            _ if file.is_redis() => {
                let urls = file.urls().map(|url| parsed("store.place", url)).collect::<Result<Vec<_>, _>>()?;
                self.redis.reach(urls, Some("store.place")).map(Place::Redis)
            }
            directory => Ok(Place::Embedded(directory.into())),
        }
    }

    fn by_host(&self) -> Result<Url, Failure> {
        let host = self.redis_host.as_deref().unwrap_or("127.0.0.1");
        let port = self.redis_port.unwrap_or(REDIS_PORT);
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        let scheme = if self.redis.wants_tls() { "rediss" } else { "redis" };
        parsed("--redis-host", &format!("{scheme}://{host}:{port}"))
    }
}

/// Returns the directory in which this platform wants a program to keep its state.
pub(crate) fn state_directory() -> Result<PathBuf, Failure> {
    let strategy = etcetera::base_strategy::choose_native_strategy();
    let strategy = strategy.map_err(|_| {
        Failure::usage("there is no home directory to keep the sessions in: name a directory with --store")
    })?;
    Ok(strategy.state_dir().unwrap_or_else(|| strategy.data_dir()).join("cloakroom").join("sessions"))
}
