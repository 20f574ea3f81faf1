//! The store that operators look into, wherever it is.

use std::path::Path;

use cloakroom::store::{
    Attached, Embedded, Inspect, Loaded, Redis, Restore, Restored, Save, Saved, Scanned, Store as _, Target,
};
use cloakroom::{Page, SessionId, StoreError, Terms, UserId};

use crate::failure::Failure;

/// Where an application keeps its sessions.
pub(crate) enum Kept {
    Redis(Redis),
    /// In a directory that no process uses.
    Embedded(Embedded),
    /// In a directory, through the process that uses it.
    Running(Attached),
}

impl Kept {
    /// In this directory.
    ///
    /// # Errors
    /// When there is no store, or it is damaged, or cannot be reached.
    pub(crate) async fn in_directory(path: &Path) -> Result<Kept, Failure> {
        if let Some(running) = Attached::to(path).await? {
            return Ok(Kept::Running(running));
        }
        Ok(Kept::Embedded(Embedded::builder(path).existing_only().without_control_socket().open()?))
    }

    /// In this directory, for sessions that are to come: each answer waits until the disk has them.
    ///
    /// # Errors
    /// When a process uses it, or it holds something else.
    pub(crate) async fn to_fill(path: &Path) -> Result<Kept, Failure> {
        if Attached::to(path).await?.is_some() {
            return Err(Failure::failed(format!(
                "the store in {} is in use by a running process, which alone makes sessions in it: stop that first",
                path.display()
            )));
        }
        Ok(Kept::Embedded(Embedded::builder(path).without_control_socket().wait_for_disk().open()?))
    }

    /// Ends sessions, and says how many lived.
    pub(crate) async fn revoke(&self, target: &Target) -> Result<u64, Failure> {
        let ended = match self {
            Kept::Redis(store) => store.revoke(target).await,
            Kept::Embedded(store) => store.revoke(target).await,
            Kept::Running(store) => store.revoke(target).await,
        };
        Ok(ended.map_err(cloakroom::Error::from)?)
    }

    /// A user's sessions, the latest sign-in first.
    pub(crate) async fn sessions_of(
        &self,
        user: &UserId,
        page: Page,
        terms: &Terms,
    ) -> Result<Vec<SessionId>, StoreError> {
        let devices = match self {
            Kept::Redis(store) => store.list(user, page, terms).await?,
            Kept::Embedded(store) => store.list(user, page, terms).await?,
            Kept::Running(store) => return store.sessions_of(user, page).await,
        };
        Ok(devices.into_iter().map(|device| device.id).collect())
    }

    /// What "all sessions" are all of.
    pub(crate) fn all(&self) -> String {
        match self {
            Kept::Redis(store) => format!("prefix {}", store.prefix()),
            Kept::Embedded(store) => format!("store {}", store.path().display()),
            Kept::Running(store) => format!("store {}, in use", store.path().display()),
        }
    }
}

impl Inspect for Kept {
    async fn find(&self, id: &SessionId, terms: &Terms) -> Result<Option<Loaded>, StoreError> {
        match self {
            Kept::Redis(store) => store.find(id, terms).await,
            Kept::Embedded(store) => store.find(id, terms).await,
            Kept::Running(store) => store.find(id, terms).await,
        }
    }

    async fn scan(&self, cursor: Option<&str>, about: usize) -> Result<Scanned, StoreError> {
        match self {
            Kept::Redis(store) => store.scan(cursor, about).await,
            Kept::Embedded(store) => store.scan(cursor, about).await,
            Kept::Running(store) => store.scan(cursor, about).await,
        }
    }
}

impl Save for Kept {
    async fn save(&self, ids: &[SessionId], terms: &Terms) -> Result<Vec<Option<Saved>>, StoreError> {
        match self {
            Kept::Redis(store) => store.save(ids, terms).await,
            Kept::Embedded(store) => store.save(ids, terms).await,
            Kept::Running(store) => store.save(ids, terms).await,
        }
    }
}

impl Restore for Kept {
    async fn restore(&self, sessions: &[Saved]) -> Result<Vec<Restored>, StoreError> {
        match self {
            Kept::Redis(store) => store.restore(sessions).await,
            Kept::Embedded(store) => store.restore(sessions).await,
            Kept::Running(_) => Err(StoreError::new(format!("the process of this {} makes its sessions", self.all()))),
        }
    }
}
