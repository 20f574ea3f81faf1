//! The store that a setting names, so that one binary runs on a laptop and on many servers.

use super::Sessions;
use crate::config::Config;
use crate::error::{Error, Result};
#[cfg(feature = "embedded")]
use crate::store::Embedded;
use crate::store::Memory;
#[cfg(feature = "redis")]
use crate::store::Redis;

impl Sessions {
    /// Opens the store that a setting names, for an application that chooses its store when it starts:
    ///
    /// | `place` | the store | needs the feature |
    /// | --- | --- | --- |
    /// | `memory` | [`Memory`](crate::store::Memory) | |
    /// | `redis://`, `rediss://`, `unix://`, `redis+sentinel://` ... | [`Redis`](crate::store::Redis), which is connected | `redis`; `tls` for `rediss://` |
    /// | anything else: a directory | [`Embedded`](crate::store::Embedded), which is made where it is missing | `embedded` |
    ///
    /// A store with more settings is made by its own builder and given to [`Sessions::new`].
    ///
    /// ```
    /// # async fn example() -> Result<(), cloakroom::Error> {
    /// use cloakroom::{Config, Sessions};
    ///
    /// let place = std::env::var("SESSIONS").unwrap_or_else(|_| "memory".to_owned());
    /// let sessions = Sessions::open(&place, Config::default()).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// A configuration error for an empty text, a URL that cannot be used, and a store that this build lacks; a store error
    /// where the directory cannot be opened or the server cannot be reached.
    pub async fn open(place: &str, config: Config) -> Result<Sessions> {
        match place {
            "" => Err(refused("is empty: it must be `memory`, a directory or the URL of a Redis")),
            "memory" => Ok(Sessions::new(Memory::new(), config)),
            url if url.contains("://") => open_redis(url, config).await,
            directory => open_directory(directory, config),
        }
    }
}

#[cfg(feature = "redis")]
async fn open_redis(url: &str, config: Config) -> Result<Sessions> {
    Ok(Sessions::new(Redis::builder(url).connect().await?, config))
}

#[cfg(not(feature = "redis"))]
async fn open_redis(_url: &str, _config: Config) -> Result<Sessions> {
    Err(refused("is a URL, and this build has no Redis: turn on the feature `redis`"))
}

#[cfg(feature = "embedded")]
fn open_directory(path: &str, config: Config) -> Result<Sessions> {
    Ok(Sessions::new(Embedded::open(path)?, config))
}

#[cfg(not(feature = "embedded"))]
fn open_directory(_path: &str, _config: Config) -> Result<Sessions> {
    Err(refused("is a directory, and this build has no embedded store: turn on the feature `embedded`"))
}

/// The text itself is not shown: a URL may hold a password.
fn refused(reason: &'static str) -> Error {
    Error::config("the place of the sessions", reason)
}
