//! The flags that say which store: shared by every verb that needs one.

use std::path::PathBuf;

use clap::Args;
use etcetera::BaseStrategy as _;
use url::Url;

use crate::failure::Failure;
use crate::place::{Place, REDIS_PORT};
use crate::redis_flags::{RedisFlags, parsed};

/// Which store, and how sessions lie in it. Not `Debug`: a URL may hold a password.
#[derive(Args)]
#[command(next_help_heading = "Store")]
pub(crate) struct StoreFlags {
    /// The directory in which the sessions are, or the word memory [default: the Redis that is named below or by REDIS_URL,
    /// otherwise a directory of the user's state: ~/.local/state/cloakroom/sessions on Linux]
    #[arg(long, value_name = "PATH", conflicts_with_all = ["redis_url", "redis_host", "redis_port"])]
    store: Option<PathBuf>,

    /// Redis or Valkey: redis://, rediss:// (TLS), unix:// or redis+sentinel://host:port/service. Again for each further
    /// node of a cluster, or sentinel [default: REDIS_URL, which may hold several, separated by spaces]
    #[arg(long, value_name = "URL", conflicts_with_all = ["redis_host", "redis_port"])]
    redis_url: Vec<String>,

    /// Redis or Valkey by its host [default: 127.0.0.1, when a port is given]
    #[arg(long, value_name = "HOST")]
    redis_host: Option<String>,

    /// ... and its port [default: 6379, when a host is given]
    #[arg(long, value_name = "PORT")]
    redis_port: Option<u16>,

    #[command(flatten)]
    pub(crate) redis: RedisFlags,
}

impl StoreFlags {
    /// Where the sessions are. Flags go before the environment's `REDIS_URL`; in a directory where neither says.
    ///
    /// # Errors
    /// When what is given is not a URL, or would show a password. Its text is not repeated.
    pub(crate) fn place(&self) -> Result<Place, Failure> {
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

    fn by_host(&self) -> Result<Url, Failure> {
        let host = self.redis_host.as_deref().unwrap_or("127.0.0.1");
        let port = self.redis_port.unwrap_or(REDIS_PORT);
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        let scheme = if self.redis.wants_tls() { "rediss" } else { "redis" };
        parsed("--redis-host", &format!("{scheme}://{host}:{port}"))
    }
}

/// Where this platform wants a program to keep what should survive a restart and is nobody's document.
pub(crate) fn state_directory() -> Result<PathBuf, Failure> {
    let strategy = etcetera::base_strategy::choose_native_strategy();
    let strategy = strategy.map_err(|_| Failure::usage("which store? There is no home directory: say --store"))?;
    Ok(strategy.state_dir().unwrap_or_else(|| strategy.data_dir()).join("cloakroom").join("sessions"))
}
