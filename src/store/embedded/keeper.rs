//! The background thread of a store: it syncs the journal to the disk, removes expired sessions, and keeps the journal short. It holds
//! the lock for a short slice at a time, so that no request waits for it.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::Shared;
use super::entry::Entry;
use super::format::State;
use super::seal::{self, Seal};
use crate::record::SessionId;

/// How often the journal is synced to the disk if nobody waits for it.
const TICK: Duration = Duration::from_secs(1);
/// How many sessions one slice handles.
const SLICE: usize = 64;
/// Looking for expired sessions takes at most this fraction of the time: one part in this many.
const SWEEP_SHARE: u32 = 100;
/// How often the seal is written although nothing has changed, because it contains the time.
const SEAL_EVERY: Duration = Duration::from_secs(60);

/// The handle of the thread. Dropping it syncs everything to the disk.
pub(super) struct Keeper {
    wishes: Arc<Wishes>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct Wishes {
    sync: AtomicBool,
    stop: AtomicBool,
}

impl Keeper {
    pub(super) fn start(shared: Arc<Shared>) -> io::Result<Keeper> {
        let wishes = Arc::new(Wishes::default());
        let keeping =
            Keeping { shared, wishes: wishes.clone(), synced_at: Instant::now(), sealed: None, is_stuck: false };
        let thread = std::thread::Builder::new().name("cloakroom".into()).spawn(|| keeping.run())?;
        Ok(Keeper { wishes, thread: Mutex::new(Some(thread)) })
    }

    /// Asks for a sync as soon as possible, because a request waits for it. Requests that ask meanwhile share the next sync.
    pub(super) fn ask_to_sync(&self) {
        self.wishes.sync.store(true, Ordering::SeqCst);
        self.wake();
    }

    fn wake(&self) {
        if let Some(thread) = &*self.thread.lock().unwrap_or_else(PoisonError::into_inner) {
            thread.thread().unpark();
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.wishes.stop.store(true, Ordering::SeqCst);
        self.wake();
        if let Some(thread) = self.thread.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = thread.join();
        }
    }
}

struct Keeping {
    shared: Arc<Shared>,
    wishes: Arc<Wishes>,
    /// When the journal was last synced.
    synced_at: Instant,
    /// What the last seal says, and when it was written.
    sealed: Option<(Seal, Instant)>,
    /// True if the last attempt to write the untrusted parts again has failed.
    is_stuck: bool,
}

impl Keeping {
    fn run(mut self) {
        let (mut next_tick, mut next_sweep) = (Instant::now(), Instant::now());
        while !self.wishes.stop.load(Ordering::SeqCst) {
            self.sync_if_due();
            if next_tick <= Instant::now() {
                next_tick = Instant::now() + TICK;
                self.tick();
            }
            if next_sweep <= Instant::now() {
                let begun = Instant::now();
                self.sweep();
                next_sweep = Instant::now() + TICK.max(begun.elapsed() * SWEEP_SHARE);
            }
            if !self.wishes.sync.load(Ordering::SeqCst) {
                std::thread::park_timeout(next_tick.saturating_duration_since(Instant::now()));
            }
        }
        self.tick();
    }

    fn tick(&mut self) {
        self.pay();
        if let Err(error) = self.shared.dir.check_in_place() {
            // the files that are there now are not this store's
            tracing::error!(target: "cloakroom", %error, "sessions cannot be changed");
            return self.sync();
        }
        self.check_parts();
        let shortened = self.shorten();
        self.is_stuck = shortened.is_err();
        if let Err(error) = shortened {
            tracing::warn!(target: "cloakroom", %error, "the journal could not be shortened: it is tried again");
        }
        self.sync();
        self.seal();
    }

    /// If somebody has removed a part of the journal, everything is written again.
    fn check_parts(&self) {
        let mut writer = self.shared.writer();
        if writer.distrusted.is_none()
            && let Err(error) = writer.journal.check_closed()
        {
            tracing::error!(target: "cloakroom", %error, path = %self.shared.dir.path().display(),
                "the journal is written again");
            writer.distrusted = Some(writer.journal.part());
        }
    }

    fn pay(&self) {
        let shared = &self.shared;
        if let Err(error) = shared.writer().pay(&shared.sessions, shared.clock.now()) {
            tracing::error!(target: "cloakroom", %error, path = %shared.dir.path().display(),
                "sessions have ended, and the journal cannot be told: until it can, a restart brings them back");
        }
    }

    /// Syncs in the middle of long work as well, so that a power cut does not lose more.
    fn sync_if_due(&mut self) {
        if self.wishes.sync.swap(false, Ordering::SeqCst) || self.synced_at.elapsed() >= TICK {
            self.sync();
        }
    }

    /// Syncs every change so far to the disk.
    fn sync(&mut self) {
        self.synced_at = Instant::now();
        let shared = &self.shared;
        let (unsynced, is_trusted) = {
            let mut writer = shared.writer();
            if writer.journal.commit == shared.synced.borrow().commit {
                return;
            }
            (writer.journal.take_unsynced(), writer.distrusted.is_none())
        };
        if let Err(error) = unsynced.sync() {
            return self.distrust(unsynced.commit, &error);
        }
        shared.synced.send_modify(|synced| match is_trusted {
            true => synced.commit = synced.commit.max(unsynced.commit),
            // nothing after a part that the disk may not have is durable, so those who wait are told now
            false if self.is_stuck => synced.failed = synced.failed.max(unsynced.commit),
            // the others wait until everything is written again, which the next tick does
            false => {}
        });
    }

    /// After a failed sync it is unknown what the disk has, and another sync would prove nothing. So everything is written again.
    fn distrust(&self, commit: u64, error: &io::Error) {
        let shared = &self.shared;
        tracing::error!(target: "cloakroom", %error, path = %shared.dir.path().display(),
            "the disk did not take the journal: it is written again");
        let mut writer = shared.writer();
        writer.distrusted = Some(writer.journal.part());
        if let Err(error) = writer.journal.turn_over() {
            tracing::error!(target: "cloakroom", %error, "and no new part can be begun");
        }
        shared.synced.send_modify(|synced| synced.failed = synced.failed.max(commit));
    }

    fn seal(&mut self) {
        let first_part = self.shared.writer().journal.first_part();
        self.seal_with(first_part).unwrap_or_else(|error| {
            tracing::warn!(target: "cloakroom", %error, "the seal could not be written: it is tried again");
        });
    }

    fn seal_with(&mut self, first_part: u64) -> io::Result<()> {
        let seal = Seal { first_part, synced: self.shared.synced.borrow().commit, time: self.shared.clock.now() };
        let says_it = |(last, at): &(Seal, Instant)| {
            (last.first_part, last.synced) == (seal.first_part, seal.synced) && at.elapsed() < SEAL_EVERY
        };
        let is_there = self.shared.dir.join(seal::NAME).exists();
        if !is_there || !self.sealed.as_ref().is_some_and(says_it) || self.wishes.stop.load(Ordering::SeqCst) {
            seal.write(&self.shared.dir)?;
            self.sealed = Some((seal, Instant::now()));
        }
        Ok(())
    }

    /// Removes expired sessions.
    fn sweep(&mut self) {
        let shared = self.shared.clone();
        let now = shared.clock.now();
        let ended = self.ids_of(|entry| entry.has_ended(now));
        // the journal contains when they end, and must contain that this time has come
        if !ended.is_empty()
            && let Err(error) = shared.writer().journal.tell(now)
        {
            tracing::warn!(target: "cloakroom", %error, path = %shared.dir.path().display(),
                "the journal cannot be told what time it is: if the clock is set back before a restart, sessions that have \
                 ended live again");
        }
        for slice in ended.chunks(SLICE) {
            if self.wishes.stop.load(Ordering::SeqCst) {
                return;
            }
            let mut writer = shared.writer();
            let sessions = shared.sessions.pin();
            // a session that was touched meanwhile has not ended
            for id in slice.iter().filter(|id| sessions.get(*id).is_some_and(|entry| entry.has_ended(now))) {
                writer.index.hold(&shared.sessions, *id, None, 0, 0);
            }
            drop(writer);
            self.sync_if_due();
        }
    }

    /// Collects the ids first and then does the work, because nothing that is removed from the map is freed while it is pinned. Requests
    /// that wait for the disk do not wait for the end of this.
    fn ids_of(&mut self, is_wanted: impl Fn(&Entry) -> bool) -> Vec<SessionId> {
        let shared = self.shared.clone();
        let sessions = shared.sessions.pin();
        let mut ids = Vec::new();
        for (seen, (id, entry)) in sessions.iter().enumerate() {
            if is_wanted(entry) {
                ids.push(*id);
            }
            if seen % SLICE == 0 {
                self.sync_if_due();
            }
        }
        ids
    }

    /// As long as the journal is too long, writes again what is needed of its oldest part, and removes that part.
    ///
    /// The oldest part goes first. A part that says that a session is gone may only be removed after all parts that say that it exists.
    fn shorten(&mut self) -> io::Result<()> {
        let shared = self.shared.clone();
        loop {
            let oldest = {
                let mut writer = shared.writer();
                let oldest = writer.journal.first_part();
                if writer.distrusted.is_some_and(|last| oldest > last) {
                    writer.distrusted = None;
                }
                let is_long = writer.journal.is_long(writer.index.needed);
                if writer.distrusted.is_none() && (!is_long || self.wishes.stop.load(Ordering::SeqCst)) {
                    return Ok(());
                }
                // nothing is written again into a part that cannot be trusted
                if oldest == writer.journal.part() || writer.distrusted == Some(writer.journal.part()) {
                    writer.journal.turn_over()?;
                }
                oldest
            };
            self.write_again(oldest)?;
            let unsynced = shared.writer().journal.take_unsynced();
            if let Err(error) = unsynced.sync() {
                self.distrust(unsynced.commit, &error);
                return Err(error);
            }
            self.seal_with(oldest + 1)?;
            let file = shared.writer().journal.forget_first();
            file.map_or(Ok(()), |file| shared.dir.remove(&file))?;
        }
    }

    fn write_again(&mut self, part: u64) -> io::Result<()> {
        let shared = self.shared.clone();
        let ids = self.ids_of(|entry| entry.part <= part);
        for slice in ids.chunks(SLICE) {
            let mut writer = shared.writer();
            let sessions = shared.sessions.pin();
            let now = shared.clock.now();
            let still_there = |id: &SessionId| -> Option<(SessionId, Option<State>)> {
                let entry = sessions.get(id).filter(|entry| entry.part <= part)?;
                Some((*id, Some(entry.state.clone())))
            };
            let changes = slice.iter().filter_map(still_there).collect();
            writer.make(&shared.sessions, changes, now)?;
            drop(writer);
            self.sync_if_due();
        }
        Ok(())
    }
}
