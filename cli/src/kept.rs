//! The store that operators look into, wherever it is.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use cloakroom::store::operate::{Attached, Inspect, Restore, Restored, Save, Saved, Scanned, Snapshot};
use cloakroom::store::{Embedded, Loaded, Redis, Store as _, Target};
use cloakroom::{
    Page, SessionId, UserId,
    store::{StoreError, Terms},
};

use crate::failure::Failure;
use crate::place::shell_word;
use crate::terminal;

/// Where an application keeps its sessions.
pub(crate) enum Kept {
    Redis(Redis),
    /// In a directory that no process uses.
    Embedded(Embedded),
    /// In a directory, as its files say.
    Stopped(Box<Snapshot>),
    /// In a directory, through the process that uses it.
    Running(Attached),
    /// In a directory that is not there yet, or in which nothing is.
    Nowhere(PathBuf),
}

impl Kept {
    /// In this directory, to look: nothing is written into it, and nobody is kept from opening it.
    ///
    /// # Errors
    /// When there is no store, or it is damaged, or cannot be reached.
    pub(crate) async fn to_look(path: &Path) -> Result<Kept, Failure> {
        match Attached::to(path).await? {
            Some(running) => Ok(Kept::Running(running)),
            None => Ok(Kept::Stopped(Snapshot::of(path)?.into())),
        }
    }

    /// In this directory, to look at a whole that stays as it is: where no process uses it, none can begin to meanwhile.
    ///
    /// # Errors
    /// As [`to_look`](Kept::to_look).
    pub(crate) async fn to_move(path: &Path) -> Result<Kept, Failure> {
        match Attached::to(path).await? {
            Some(running) => Ok(Kept::Running(running)),
            None => Ok(Kept::Stopped(Snapshot::locked(path)?.into())),
        }
    }

    /// In this directory, to end sessions.
    ///
    /// # Errors
    /// As [`to_look`](Kept::to_look), and when a process uses it that cannot be asked.
    pub(crate) async fn to_change(path: &Path) -> Result<Kept, Failure> {
        match Attached::to(path).await? {
            Some(running) => Ok(Kept::Running(running)),
            None => Ok(Kept::Embedded(Embedded::builder(path).existing_only().without_control_socket().open()?)),
        }
    }

    /// In this directory, to look whether sessions could come there.
    ///
    /// # Errors
    /// As [`to_look`](Kept::to_look), but not where there is nothing yet.
    pub(crate) async fn to_fill_later(path: &Path) -> Result<Kept, Failure> {
        if is_nothing(path) { Ok(Kept::Nowhere(path.to_owned())) } else { Kept::to_look(path).await }
    }

    /// In this directory, for sessions that are to come: each answer waits until the disk has them.
    ///
    /// # Errors
    /// When a process uses it, or it holds something else.
    pub(crate) async fn to_fill(path: &Path) -> Result<Kept, Failure> {
        if Attached::to(path).await?.is_some() {
            return Err(Failure::failed(format!(
                "the store in {} is in use by a running process, and only that process can create sessions in it: stop the process \
                 first",
                path.display()
            )));
        }
        let is_new = !path.exists();
        let store = Embedded::builder(path).without_control_socket().wait_for_disk().open()?;
        if is_new && belongs_to_root(path) {
            terminal::remark(format_args!(
                "{0} is new and belongs to root: if the application runs as another user, run chown -R USER {0}",
                shell_word(&path.display().to_string())
            ));
        }
        Ok(Kept::Embedded(store))
    }

    /// Ends sessions, and says how many lived.
    pub(crate) async fn revoke(&self, target: &Target) -> Result<u64, Failure> {
        let ended = match self {
            Kept::Redis(store) => store.revoke(target).await,
            Kept::Embedded(store) => store.revoke(target).await,
            Kept::Stopped(_) | Kept::Nowhere(_) => Err(self.only_looked_at()),
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
            Kept::Stopped(store) => return Ok(store.sessions_of(user, page)),
            Kept::Running(store) => return store.sessions_of(user, page).await,
            Kept::Nowhere(_) => return Ok(Vec::new()),
        };
        Ok(devices.into_iter().map(|device| device.id).collect())
    }

    fn only_looked_at(&self) -> StoreError {
        StoreError::new(format!("nothing can be changed in {}, because it was opened for reading only", self.all()))
    }

    /// What "all sessions" are all of.
    pub(crate) fn all(&self) -> String {
        match self {
            Kept::Redis(store) => format!("prefix {}", store.prefix()),
            Kept::Embedded(store) => format!("store {}", store.path().display()),
            Kept::Stopped(store) => format!("store {}", store.path().display()),
            Kept::Running(store) => format!("store {}, in use", store.path().display()),
            Kept::Nowhere(path) => format!("store {}", path.display()),
        }
    }
}

fn is_nothing(path: &Path) -> bool {
    match fs::read_dir(path) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

/// Whoever is root makes directories that nobody else can use.
fn belongs_to_root(path: &Path) -> bool {
    #[cfg(unix)]
    return fs::metadata(path).is_ok_and(|metadata| std::os::unix::fs::MetadataExt::uid(&metadata) == 0);
    #[cfg(not(unix))]
    false
}

impl Inspect for Kept {
    async fn find(&self, id: &SessionId, terms: &Terms) -> Result<Option<Loaded>, StoreError> {
        match self {
            Kept::Redis(store) => store.find(id, terms).await,
            Kept::Embedded(store) => store.find(id, terms).await,
            Kept::Stopped(store) => store.find(id, terms).await,
            Kept::Running(store) => store.find(id, terms).await,
            Kept::Nowhere(_) => Ok(None),
        }
    }

    async fn scan(&self, cursor: Option<&str>, about: usize) -> Result<Scanned, StoreError> {
        match self {
            Kept::Redis(store) => store.scan(cursor, about).await,
            Kept::Embedded(store) => store.scan(cursor, about).await,
            Kept::Stopped(store) => store.scan(cursor, about).await,
            Kept::Running(store) => store.scan(cursor, about).await,
            Kept::Nowhere(_) => Ok(Scanned { ids: Vec::new(), next: None }),
        }
    }
}

impl Save for Kept {
    async fn save(&self, ids: &[SessionId], terms: &Terms) -> Result<Vec<Option<Saved>>, StoreError> {
        match self {
            Kept::Redis(store) => store.save(ids, terms).await,
            Kept::Embedded(store) => store.save(ids, terms).await,
            Kept::Stopped(store) => store.save(ids, terms).await,
            Kept::Running(store) => store.save(ids, terms).await,
            Kept::Nowhere(_) => Ok(vec![None; ids.len()]),
        }
    }
}

impl Restore for Kept {
    async fn restore(&self, sessions: &[Saved]) -> Result<Vec<Restored>, StoreError> {
        match self {
            Kept::Redis(store) => store.restore(sessions).await,
            Kept::Embedded(store) => store.restore(sessions).await,
            Kept::Stopped(_) | Kept::Nowhere(_) => Err(self.only_looked_at()),
            Kept::Running(_) => Err(StoreError::new(format!(
                "only the process that uses this {} can create sessions in it: stop it first",
                self.all()
            ))),
        }
    }
}
