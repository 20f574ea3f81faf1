//! The store for one machine without a server: sessions in memory, and a journal of them in one directory.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use tokio::sync::watch;

use self::directory::Directory;
use self::entry::{Entry, Sessions};
use self::format::State;
use self::journal::Told;
use self::keeper::Keeper;
use self::writer::Writer;
use super::inspect::{Inspect, Scanned};
use super::{Loaded, Lookup, NewSession, Outcome, SignedOut, Store, Target, Watch, Watchers};
use crate::clock::{Clock, to_millis};
use crate::error::StoreError;
use crate::record::{Change, Credentials, Device, EVICTION_NOTICE, Page, Record, Refusal, SessionId, Terms, UserId};

#[cfg(unix)]
mod attached;
mod entry;
mod index;
mod writer;
#[cfg(unix)]
mod clients;
#[cfg(unix)]
mod control;
mod directory;
mod format;
mod journal;
mod keeper;
mod latest;
mod open;
mod recovery;
mod seal;
mod snapshot;
mod transfer;
#[cfg(all(unix, any(test, fuzzing), feature = "redis"))]
pub(crate) mod fuzzing;

#[cfg(unix)]
pub use self::attached::Attached;
pub use self::open::{EmbeddedBuilder, Repaired};
pub use self::snapshot::Snapshot;

/// Keeps sessions in memory, and writes every change to a journal on disk. It is for one machine and one process, and needs no
/// server.
///
/// A change that was answered is still there after the process was killed. A power cut may lose the last second of changes, or
/// nothing with [`wait_for_disk`](EmbeddedBuilder::wait_for_disk). Reading never waits for anything. The guide page
/// [One machine, no server](crate::guide::embedded) says what is promised.
///
/// ```
/// use cloakroom::{Config, Sessions, store::Embedded};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("sessions");
/// // for example: let path = "/var/lib/shop/sessions";
/// let store = Embedded::open(&path)?;
/// let sessions = Sessions::new(store, Config::default());
/// # Ok(()) }
/// ```
///
/// A store is cheap to clone, and clones share the sessions. When the last one is dropped, the journal is synced and closed.
#[derive(Clone)]
pub struct Embedded {
    // the order in which they are dropped: what still listens, what still writes, then the lock
    #[cfg(unix)]
    _control: Option<Arc<control::Control>>,
    keeper: Arc<Keeper>,
    shared: Arc<Shared>,
}

/// What the verbs and the keeper thread share.
struct Shared {
    /// Locked as long as the store is open.
    dir: Arc<Directory>,
    clock: Clock,
    wait_for_disk: bool,
    sessions: Sessions,
    told: Told,
    writer: Mutex<Writer>,
    synced: watch::Sender<Synced>,
    /// The index tells them of every change.
    watchers: Watchers,
}

/// Up to which change the disk has everything.
#[derive(Debug, Clone, Copy, Default)]
struct Synced {
    /// The last change that is on the disk.
    commit: u64,
    /// The last change that the disk was asked for and did not take.
    failed: u64,
}

impl Embedded {
    /// Opens the store in this directory. If the directory does not exist, or is empty, a new store is made there.
    ///
    /// This reads everything into memory. It takes some two seconds for a million sessions, in which the calling thread is busy.
    ///
    /// # Errors
    /// Returns an error if another process uses the directory, if it contains something else or a store of an unknown version, if the
    /// store is damaged (the message says what is missing), or if it cannot be read or written.
    pub fn open(path: impl AsRef<Path>) -> Result<Embedded, StoreError> {
        Embedded::builder(path).open()
    }

    /// Returns a builder with which to open a store with options.
    ///
    /// ```
    /// use cloakroom::store::Embedded;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("sessions");
    /// let store = Embedded::builder(&path).wait_for_disk().open()?;
    /// # Ok(()) }
    /// ```
    pub fn builder(path: impl AsRef<Path>) -> EmbeddedBuilder {
        EmbeddedBuilder::new(path.as_ref())
    }

    /// Returns the directory.
    pub fn path(&self) -> &Path {
        self.shared.dir.path()
    }

    /// Waits until the disk has a change, if the store was opened with `wait_for_disk`.
    async fn settle(&self, commit: u64) -> Result<(), StoreError> {
        if !self.shared.wait_for_disk || commit == NOTHING {
            return Ok(());
        }
        self.keeper.ask_to_sync();
        let mut synced = self.shared.synced.subscribe();
        let synced = synced.wait_for(|synced| synced.commit.max(synced.failed) >= commit).await;
        match synced {
            Ok(synced) if synced.commit >= commit => Ok(()),
            _ => Err(self.shared.not_durable(
                "the change was made, but the disk did not take it: if the machine fails now, the change may be undone",
            )),
        }
    }
}

impl Embedded {
    /// Waits for the disk, and returns the outcome, which says if the change is not durable.
    async fn settled(&self, mut applied: Outcome, commit: u64) -> Outcome {
        let settled = self.settle(commit).await;
        if let Outcome::Done { not_durable, .. } = &mut applied {
            *not_durable = settled.err();
        }
        applied
    }
}

impl Store for Embedded {
    async fn create(&self, new: &NewSession, terms: &Terms) -> Result<Outcome, StoreError> {
        let (applied, commit) = self.shared.create(new, terms)?;
        Ok(self.settled(applied, commit).await)
    }

    async fn load(&self, presented: &Credentials, _terms: &Terms) -> Result<Lookup, StoreError> {
        let (lookup, passed) = self.shared.look_up(presented);
        self.shared.tell(passed);
        Ok(lookup)
    }

    fn load_at_hand(&self, presented: &Credentials, _terms: &Terms) -> Option<Lookup> {
        let (lookup, passed) = self.shared.look_up(presented);
        // otherwise `load` has to write to the journal first
        self.shared.knows(passed).then_some(lookup)
    }

    async fn load_by_id(&self, id: &SessionId, terms: &Terms) -> Result<Option<Loaded>, StoreError> {
        Inspect::find(self, id, terms).await
    }

    fn watch(&self, id: &SessionId) -> Option<Watch> {
        Some(self.shared.watchers.watch(id))
    }

    async fn apply(&self, presented: &Credentials, change: &Change, terms: &Terms) -> Result<Outcome, StoreError> {
        let (applied, commit) = self.shared.apply(presented, change, terms)?;
        Ok(self.settled(applied, commit).await)
    }

    async fn sign_out(&self, presented: &Credentials) -> Result<SignedOut, StoreError> {
        let (signed_out, commit) = self.shared.sign_out(presented)?;
        let ended = (signed_out == SignedOut::Ended).into();
        self.settle(commit).await.map_err(|error| error.after_ending(ended))?;
        Ok(signed_out)
    }

    async fn revoke(&self, target: &Target) -> Result<u64, StoreError> {
        let (ended, commit) = self.shared.revoke(target)?;
        self.settle(commit).await.map_err(|error| error.after_ending(ended))?;
        Ok(ended)
    }

    async fn list(&self, user: &UserId, page: Page, _terms: &Terms) -> Result<Vec<Device>, StoreError> {
        let now = self.shared.clock.now();
        let (found, passed) = {
            let index = &self.shared.writer().index;
            let passed = index.latest_end(&self.shared.sessions, user, now);
            (index.page_of(&self.shared.sessions, user, page, now), passed)
        };
        self.shared.tell(passed);
        Ok(found.iter().map(|(id, record)| Device::of(*id, record)).collect())
    }
}

impl Inspect for Embedded {
    async fn find(&self, id: &SessionId, _terms: &Terms) -> Result<Option<Loaded>, StoreError> {
        let now = self.shared.clock.now();
        self.shared.tell(self.shared.sessions.pin().get(id).and_then(|entry| entry.passed(now)));
        Ok(entry::find(&self.shared.sessions, id, now))
    }

    async fn scan(&self, _cursor: Option<&str>, _about: usize) -> Result<Scanned, StoreError> {
        let now = self.shared.clock.now();
        self.shared.tell(self.shared.sessions.pin().values().filter_map(|entry| entry.passed(now)).max());
        Ok(entry::scan(&self.shared.sessions, now))
    }
}

/// An answer, and the number of the change that must be on the disk before it is given.
type Answered<T> = Result<(T, u64), StoreError>;
/// The number for an answer that changed nothing, and so does not have to wait for the disk.
const NOTHING: u64 = 0;

impl Shared {
    /// Looks a session up. If the credentials do not open it because a time has passed, returns this time as well.
    fn look_up(&self, presented: &Credentials) -> (Lookup, Option<SystemTime>) {
        let now = self.clock.now();
        let sessions = self.sessions.pin();
        let Some(entry) = sessions.get(&presented.id) else { return (Lookup::Gone, None) };
        let lookup = match &entry.state {
            State::Live(record, _) => record.clone().look_up(presented, now),
            State::Evicted(secret, until) if *secret == presented.secret_hash && now < *until => Lookup::Evicted,
            State::Evicted(..) => Lookup::Gone,
        };
        let passed = if matches!(lookup, Lookup::Live(_)) { None } else { entry.passed(now) };
        (lookup, passed)
    }

    /// Returns true if the journal knows that this time has passed.
    fn knows(&self, passed: Option<SystemTime>) -> bool {
        passed.is_none_or(|time| to_millis(time) <= self.told.load(Ordering::SeqCst))
    }

    /// Writes to the journal that this time has passed, before that is answered. What has ended by then has then ended for the next
    /// process as well, even if the system's clock is set back.
    fn tell(&self, passed: Option<SystemTime>) {
        if !self.knows(passed) {
            // a full disk is no reason not to answer: the keeper tries again, and logs it
            let _ = self.writer().journal.tell(self.clock.now());
        }
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        // no verb panics half-way, so the data behind a poisoned lock is complete
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn create(&self, new: &NewSession, terms: &Terms) -> Answered<Outcome> {
        let mut writer = self.writer();
        let now = self.clock.now();
        let id = new.presented.id;
        let held = self.sessions.pin().get(&id).map(|entry| entry.live(now).map(|(record, _)| record.clone()));
        match held {
            // the first answer may have been lost before the disk had the change
            Some(Some(record)) if record.secret_hash == new.presented.secret_hash => {
                return Ok((done(record, now, Vec::new()), writer.journal.commit));
            }
            // it was created once, and is never created again
            Some(_) => return Ok((Outcome::Refused(Refusal::Conflict), NOTHING)),
            None => {}
        }
        let record = match Record::new(new, terms, now) {
            Ok(record) => Arc::new(record),
            Err(refusal) => return Ok((Outcome::Refused(refusal), NOTHING)),
        };
        let changes = vec![(id, Some(State::Live(record.clone(), 0)))];
        let commit = writer.make(&self.sessions, changes, now).map_err(|error| self.not_done(&error))?;
        Ok((done(record, now, Vec::new()), commit))
    }

    fn apply(&self, presented: &Credentials, change: &Change, terms: &Terms) -> Answered<Outcome> {
        let mut writer = self.writer();
        let now = self.clock.now();
        let id = presented.id;
        let held = self.sessions.pin().get(&id).and_then(Entry::cloned);
        let Some((before, mut order)) = held else {
            return Ok((Outcome::Refused(Refusal::Gone), NOTHING));
        };
        if now >= before.ends_at() {
            let _ = writer.journal.tell(now);
        }
        let mut record = before.as_ref().clone();
        if let Err(refusal) = record.apply(presented, change, terms, now) {
            return Ok((Outcome::Refused(refusal), NOTHING));
        }
        if record == *before {
            return Ok((done(before, now, Vec::new()), writer.journal.commit));
        }
        let mut changes = Vec::new();
        let mut evicted = Vec::new();
        if let Some(new) = change.needs_room(&before) {
            let is_latest;
            (evicted, is_latest) = match writer.index.make_room(&self.sessions, id, new, now) {
                Ok(room) => room,
                Err(refusal) => return Ok((Outcome::Refused(refusal), NOTHING)),
            };
            let sessions = self.sessions.pin();
            for other in &evicted {
                let secret_hash = sessions.get(other).and_then(Entry::cloned).and_then(|(other, _)| other.secret_hash);
                changes.push((*other, Some(State::Evicted(secret_hash, now + EVICTION_NOTICE))));
            }
            if is_latest {
                order = writer.index.time_of_sign_in(&self.sessions, &new.user, now);
            }
        }
        let record = Arc::new(record);
        let state = State::Live(record.clone(), order);
        changes.push((id, Some(state.clone())));
        match writer.make(&self.sessions, changes, now) {
            Ok(commit) => Ok((done(record, now, evicted), if is_touch(change) { NOTHING } else { commit })),
            // a read does not fail because the disk is full. After a restart the session only ends earlier
            Err(_) if is_touch(change) => {
                writer.index.hold_only(&self.sessions, id, state);
                Ok((done(record, now, evicted), NOTHING))
            }
            Err(error) => Err(self.not_done(&error)),
        }
    }

    fn sign_out(&self, presented: &Credentials) -> Answered<SignedOut> {
        let mut writer = self.writer();
        let now = self.clock.now();
        let id = presented.id;
        let (opened, passed) = {
            let sessions = self.sessions.pin();
            let entry = sessions.get(&id);
            let live = entry.and_then(|entry| entry.live(now));
            (live.map(|(record, _)| record.is_opened_by(presented)), entry.and_then(|entry| entry.passed(now)))
        };
        match opened {
            Some(false) => Ok((SignedOut::Stale, NOTHING)),
            Some(true) => Ok((SignedOut::Ended, self.end(&mut writer, &[id], passed, now)?)),
            None => Ok((SignedOut::Gone, self.end(&mut writer, &[], passed, now)?)),
        }
    }

    fn revoke(&self, target: &Target) -> Answered<u64> {
        let mut writer = self.writer();
        let now = self.clock.now();
        let ids = match target {
            Target::Session(id) | Target::SessionOf(_, id) => vec![*id],
            Target::OthersOf(user, _) | Target::AllOf(user) => writer.index.ids_of(user),
        };
        let is_meant = |id: &SessionId, record: &Record| match target {
            Target::Session(_) => true,
            Target::SessionOf(user, _) | Target::AllOf(user) => record.user_id.as_ref() == Some(user),
            Target::OthersOf(user, kept) => record.user_id.as_ref() == Some(user) && id != kept,
        };
        let (ids, passed): (Vec<_>, _) = {
            let sessions = self.sessions.pin();
            let passed = ids.iter().filter_map(|id| sessions.get(id)?.passed(now)).max();
            let lives = |id: &SessionId| sessions.get(id)?.live(now).map(|(record, _)| is_meant(id, record));
            (ids.into_iter().filter(|id| lives(id) == Some(true)).collect(), passed)
        };
        Ok((ids.len() as u64, self.end(&mut writer, &ids, passed, now)?))
    }

    /// Ends these sessions, and writes to the journal which time has passed. Returns the change that must be on the disk for it.
    fn end(
        &self,
        writer: &mut Writer,
        ids: &[SessionId],
        passed: Option<SystemTime>,
        now: SystemTime,
    ) -> Result<u64, StoreError> {
        if !self.knows(passed) {
            let _ = writer.journal.tell(now);
        }
        // a session that ended before may not be in the journal yet, so this asks again
        let told = match ids.is_empty() {
            true => writer.pay(&self.sessions, now).map(|()| writer.journal.commit),
            false => writer.end(&self.sessions, ids, now),
        };
        told.map_err(|error| {
            let why = format!("the session has ended, but this could not be written to the journal ({error}): if the process is restarted now, the \
                 session is live again");
            self.not_durable(why).after_ending(ids.len() as u64)
        })
    }

    fn not_done(&self, error: &std::io::Error) -> StoreError {
        StoreError::new(format!(
            "the journal in {} could not be written, and nothing was changed: {error}",
            self.dir.path().display()
        ))
    }

    fn not_durable(&self, what: impl std::fmt::Display) -> StoreError {
        StoreError::not_durable(format!("the store in {}: {what}", self.dir.path().display()))
    }
}

impl Entry {
    fn cloned(&self) -> Option<(Arc<Record>, u64)> {
        match &self.state {
            State::Live(record, order) => Some((record.clone(), *order)),
            State::Evicted(..) => None,
        }
    }
}

fn done(record: Arc<Record>, now: SystemTime, evicted: Vec<SessionId>) -> Outcome {
    Outcome::done(Loaded { record, now }, evicted)
}

/// Returns true if a change does nothing but extend the session. Such a change may be lost, and the session then ends earlier.
fn is_touch(change: &Change) -> bool {
    matches!(change, Change::Save(save) if save.fields.is_empty())
}

impl std::fmt::Debug for Embedded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Embedded").field("path", &self.path()).finish_non_exhaustive()
    }
}
