//! The manager: one per application, around one store. It knows no request; [`Session`](crate::Session) does.

use std::fmt;
use std::sync::Arc;

use crate::config::{Config, Terms};
use crate::delta::Change;
use crate::error::{Result, StoreError};
use crate::store::{Answer, AnyStore, Applied, Loaded, NewSession, Store, Target};
use crate::token::{Presented, SessionId};

/// All sessions of an application: a store and the configuration. Cheap to clone.
///
/// ```
/// use cloakroom::{Config, Sessions, store::Memory};
///
/// let sessions = Sessions::new(Memory::new(), Config::default());
/// ```
#[derive(Clone)]
pub struct Sessions(Arc<Shared>);

struct Shared {
    store: Box<dyn AnyStore>,
    config: Config,
}

impl Sessions {
    /// Puts sessions with this configuration into this store.
    pub fn new(store: impl Store, config: Config) -> Sessions {
        Sessions(Arc::new(Shared { store: Box::new(store), config }))
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// Ends a session now, whoever uses it; whether it lived. One round trip.
    ///
    /// # Errors
    /// The store's: then it may live on.
    pub async fn revoke(&self, id: &SessionId) -> Result<bool> {
        let ended = self.revoke_target(&Target::Session(*id)).await?;
        Ok(ended > 0)
    }

    pub(crate) fn is_same(&self, other: &Sessions) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    pub(crate) async fn create(&self, new: &NewSession) -> Result<Applied> {
        self.within(self.0.store.create(new, self.terms())).await
    }

    pub(crate) async fn load(&self, presented: &Presented) -> Result<Option<Loaded>> {
        self.within(self.0.store.load(presented, self.terms())).await
    }

    pub(crate) async fn apply(&self, presented: &Presented, change: &Change) -> Result<Applied> {
        self.within(self.0.store.apply(presented, change, self.terms())).await
    }

    pub(crate) async fn revoke_target(&self, target: &Target) -> Result<u64> {
        let ended = self.within(self.0.store.revoke(target)).await?;
        tracing::debug!(target: "cloakroom", ?target, ended, "revoked");
        Ok(ended)
    }

    fn terms(&self) -> &Terms {
        &self.0.config.terms
    }

    /// No call into a store waits longer than the configured time-out, whoever wrote the store.
    async fn within<T>(&self, answer: Answer<'_, T>) -> Result<T> {
        let timeout = self.0.config.store_timeout;
        match tokio::time::timeout(timeout, answer).await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(StoreError::unknown(format!("no answer within store_timeout, {timeout:?}")).into()),
        }
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").field("config", &self.0.config).finish_non_exhaustive()
    }
}
