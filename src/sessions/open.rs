//! Opens the store that a setting names, so that one binary runs on a laptop and on many servers.

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
    /// | anything else: a directory | [`Embedded`](crate::store::Embedded), which is created if it does not exist | `embedded` |
    ///
    /// To change other settings of a store, use its own builder and [`Sessions::new`].
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # doctest::with_sessions(async |_| {
    /// use cloakroom::{Config, Sessions};
    ///
    /// let place = std::env::var("SESSIONS").unwrap_or_else(|_| "memory".to_owned());
    /// let sessions = Sessions::open(&place, Config::default()).await?;
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// Returns a configuration error for an empty text, for a URL that cannot be used, and for a store that this build
    /// lacks. Returns a store error ([`is_store`](Error::is_store)) if the directory cannot be opened or the server cannot
    /// be reached.
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

/// Makes the error without the text itself: a URL may hold a password.
fn refused(reason: &'static str) -> Error {
    Error::config("the place of the sessions", reason)
}
