//! What every answer of the service needs.

use std::sync::Arc;
use std::time::Duration;

use cloakroom::store::{Embedded, Memory, NearCache};
use cloakroom::{Config, Sessions};

use super::Flags;
use super::keys::Keys;
use crate::failure::Failure;
use crate::place::Place;
use crate::redis_flags;

/// How long the body of a request may take if no flag says so, in seconds.
pub(crate) const BODY_TIMEOUT: u64 = 10;

pub(crate) struct Service {
    pub(crate) sessions: Sessions,
    pub(crate) keys: Arc<Keys>,
    /// How long the body of a request may take.
    pub(crate) body_timeout: Duration,
}

impl Service {
    /// Opens the store at the place that the flags name.
    ///
    /// # Errors
    /// Returns an error if the store is not available, the file with the keys cannot be read, or a setting is refused.
    pub(crate) async fn open(flags: &Flags, place: &Place) -> Result<Service, Failure> {
        let keys = Arc::new(Keys::open(flags.keys.clone(), flags.without_keys)?);
        let config = match &flags.store.redis.config {
            Some(file) => file.settings().clone(),
            None => Config::builder().token_format(flags.store.redis.token_format()).build()?,
        };
        let sessions = match place {
            Place::Memory => Sessions::new(Memory::new(), config),
            Place::Embedded(path) => {
                let builder = Embedded::builder(path);
                let builder = if flags.waits_for_disk() { builder.wait_for_disk() } else { builder };
                Sessions::new(builder.open()?, config)
            }
            Place::Redis(reach) => {
                let builder = flags.store.redis.builder(reach)?;
                let builder = if flags.has_near_cache() { builder.near_cache(NearCache::default()) } else { builder };
                Sessions::new(redis_flags::connect(builder).await?, config)
            }
        };
        Ok(Service { sessions, keys, body_timeout: Duration::from_secs(flags.body_timeout) })
    }

    /// Returns the service of sessions that another part of this program has opened, for callers of this machine.
    ///
    /// # Errors
    /// Returns an error if the system has no random bytes.
    pub(crate) fn of(sessions: Sessions) -> Result<Service, Failure> {
        let keys = Arc::new(Keys::open(None, false)?);
        Ok(Service { sessions, keys, body_timeout: Duration::from_secs(BODY_TIMEOUT) })
    }
}
