//! The trait of tower-sessions over a store of Cloakroom.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cloakroom::SessionId;
use cloakroom::store::{FieldChanges, NewSession, Outcome, Refusal, Save, Store, StoreError, Terms};
use time::OffsetDateTime;
use tower_sessions_core::SessionStore;
use tower_sessions_core::session::{Id, Record};
use tower_sessions_core::session_store::{Error, Result};

use crate::layout::{self, Stored};
use crate::loads::Loads;

/// The longest lifetime that a store takes, in seconds: about 31 years.
const LONGEST: Duration = Duration::from_secs(999_999_999);

/// How many loads are remembered if nobody says otherwise.
const REMEMBERED_LOADS: usize = 50_000;

/// A store of Cloakroom, for layers that are made for [tower-sessions](https://docs.rs/tower-sessions).
///
/// ```
/// use cloakroom::store::Memory;
/// use cloakroom_tower_sessions::CloakroomStore;
/// use tower_sessions::SessionManagerLayer;
///
/// let layer = SessionManagerLayer::new(CloakroomStore::new(Memory::new()));
/// ```
///
/// A clone is cheap and shares the sessions.
pub struct CloakroomStore<S>(Arc<Inner<S>>);

struct Inner<S> {
    store: S,
    terms: Terms,
    loads: Loads,
}

impl<S: Store> CloakroomStore<S> {
    /// Creates a store for tower-sessions from a store of Cloakroom. A session may have 128 keys and 64 KiB, as in Cloakroom.
    pub fn new(store: S) -> CloakroomStore<S> {
        let Terms { max_fields, max_bytes, .. } = Terms::default();
        CloakroomStore::with_limits(store, max_fields, max_bytes)
    }

    /// Creates a store for sessions with at most this many keys, and this many bytes of names and JSON in total.
    pub fn with_limits(store: S, max_keys: usize, max_bytes: usize) -> CloakroomStore<S> {
        // tower-sessions knows only a date of expiry, so that alone decides. One field more has this date
        let max_fields = max_keys + 1;
        let terms =
            Terms { idle_timeout: LONGEST, absolute_lifetime: LONGEST, max_fields, max_bytes, ..Terms::default() };
        CloakroomStore(Arc::new(Inner { store, terms, loads: Loads::new(REMEMBERED_LOADS) }))
    }

    /// Returns the id under which Cloakroom's store, its program and its logs know a session. It opens nothing.
    pub fn session_id(id: &Id) -> SessionId {
        layout::credentials(id).id
    }

    /// Returns what to write: what is different from what was loaded.
    async fn changes(&self, record: &Record, stored: &Stored) -> Result<FieldChanges> {
        if let Some(before) = self.0.loads.of(record) {
            return Ok(self.0.loads.changes(&before, stored));
        }
        // a record that was not loaded, or too long ago, is the whole session
        let lookup = self.0.store.load_fresh(&layout::credentials(&record.id), &self.0.terms).await.map_err(failed)?;
        let loaded = lookup.live().ok_or_else(gone)?;
        let remove = loaded.record.fields.keys().filter(|name| !stored.fields.contains_key(name));
        let remove = remove.map(str::to_owned).collect();
        Ok(FieldChanges { set: stored.fields.clone(), remove, ..FieldChanges::default() })
    }
}

#[async_trait]
impl<S: Store> SessionStore for CloakroomStore<S> {
    /// Creates a session. One round trip. The record gets another id if there is a session with this one already.
    async fn create(&self, record: &mut Record) -> Result<()> {
        loop {
            let Some(left) = time_left(record) else { return Ok(()) };
            let stored = Stored::new(record)?;
            let new = NewSession {
                presented: layout::credentials(&record.id),
                fields: stored.fields_of_creation(),
                idle_timeout: Some(left),
                own_deadline: None,
            };
            match self.0.store.create(&new, &self.0.terms).await.map_err(failed)? {
                // a store takes a session with the same token for one whose answer was lost
                Outcome::Done { loaded, not_durable, .. } if loaded.record.fields == new.fields => {
                    self.0.loads.remember(record, &stored);
                    return not_durable.map_or(Ok(()), |error| Err(failed(error)));
                }
                Outcome::Done { .. } | Outcome::Refused(Refusal::Conflict) => record.id = Id::default(),
                Outcome::Refused(refusal) => return Err(refused(refusal)),
            }
        }
    }

    /// Saves what was changed since the record was loaded, and the date of expiry. Two round trips.
    ///
    /// # Errors
    /// Returns an error if the session has ended.
    async fn save(&self, record: &Record) -> Result<()> {
        let Some(left) = time_left(record) else { return self.delete(&record.id).await };
        let stored = Stored::new(record)?;
        let mut fields = self.changes(record, &stored).await?;
        if stored.moves_expiry(&fields) {
            fields.idle_timeout = Some(left);
        }
        let change = Save { fields, ..Save::default() }.into();
        match self.0.store.apply(&layout::credentials(&record.id), &change, &self.0.terms).await.map_err(failed)? {
            Outcome::Done { not_durable, .. } => {
                self.0.loads.remember(record, &stored);
                not_durable.map_or(Ok(()), |error| Err(failed(error)))
            }
            Outcome::Refused(refusal) => Err(refused(refusal)),
        }
    }

    /// Loads a session. One round trip, and none out of a near cache.
    async fn load(&self, id: &Id) -> Result<Option<Record>> {
        let lookup = self.0.store.load(&layout::credentials(id), &self.0.terms).await.map_err(failed)?;
        let Some(loaded) = lookup.live() else { return Ok(None) };
        let record = layout::record(*id, &loaded)?;
        if record.expiry_date <= OffsetDateTime::now_utc() {
            return Ok(None);
        }
        self.0.loads.remember(&record, &Stored::new(&record)?);
        Ok(Some(record))
    }

    /// Ends a session. One round trip.
    async fn delete(&self, id: &Id) -> Result<()> {
        self.0.store.sign_out(&layout::credentials(id)).await.map(drop).map_err(failed)
    }
}

/// Returns how long a session may still live, in whole seconds, rounded up: its date of expiry is exact. `None` if it has ended.
fn time_left(record: &Record) -> Option<Duration> {
    let left = Duration::try_from(record.expiry_date - OffsetDateTime::now_utc()).ok()?;
    let seconds = left.as_secs() + u64::from(left.subsec_nanos() > 0);
    (seconds > 0).then(|| Duration::from_secs(seconds).min(LONGEST))
}

fn failed(error: StoreError) -> Error {
    Error::Backend(error.to_string())
}

fn gone() -> Error {
    Error::Backend("the session has ended meanwhile: nothing was saved".to_owned())
}

fn refused(refusal: Refusal) -> Error {
    match refusal {
        Refusal::Gone => gone(),
        Refusal::Invalid { field, reason } => Error::Encode(format!("{field} {reason}")),
        Refusal::Conflict | Refusal::LimitReached => {
            Error::Backend("another request has changed the session meanwhile".to_owned())
        }
    }
}

impl<S> Clone for CloakroomStore<S> {
    fn clone(&self) -> Self {
        CloakroomStore(self.0.clone())
    }
}

impl<S> fmt::Debug for CloakroomStore<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CloakroomStore").field("terms", &self.0.terms).finish_non_exhaustive()
    }
}
