//! Tells those who wait for the end of a session that something has happened to it.

use std::collections::HashMap;
use std::fmt;
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::record::SessionId;

/// Who watches which session. A store keeps it beside its sessions, and a clone stands for the same watchers.
///
/// ```
/// use cloakroom::conformance::mint;
/// use cloakroom::store::Watchers;
///
/// # async fn test() {
/// let watchers = Watchers::default();
/// let id = mint().id;
/// let mut watch = watchers.watch(&id);
/// watchers.changed(&id); // the store has just ended the session
/// watch.changed().await;
/// # }
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(test());
/// ```
#[derive(Clone, Default)]
pub struct Watchers(Arc<Mutex<HashMap<SessionId, watch::Sender<()>>>>);

/// One who watches a session. It ends when it is dropped.
#[derive(Debug)]
pub struct Watch {
    id: SessionId,
    told: watch::Receiver<()>,
    watchers: Watchers,
}

impl Watchers {
    /// Begins to watch a session. Nothing that happens from now on is missed.
    pub fn watch(&self, id: &SessionId) -> Watch {
        let told = self.watched().entry(*id).or_default().subscribe();
        Watch { id: *id, told, watchers: self.clone() }
    }

    /// Tells everybody who watches this session that something has happened to it. Call it after the change was made, so that
    /// whoever is told and looks sees it.
    pub fn changed(&self, id: &SessionId) {
        if let Some(told) = self.watched().get(id) {
            told.send_replace(());
        }
    }

    fn watched(&self) -> MutexGuard<'_, HashMap<SessionId, watch::Sender<()>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watch {
    /// Waits until something has happened to the session since this was called last, or since the watch began.
    pub async fn changed(&mut self) {
        if self.told.changed().await.is_err() {
            pending::<()>().await; // the sender is kept as long as somebody watches
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut watched = self.watchers.watched();
        if watched.get(&self.id).is_some_and(|told| told.receiver_count() == 1) {
            watched.remove(&self.id);
        }
    }
}

impl fmt::Debug for Watchers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watchers").field("sessions", &self.watched().len()).finish_non_exhaustive()
    }
}
