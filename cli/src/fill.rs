//! Copies whole sessions into a store. A session that is there already is only changed on request.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::BuildHasher as _;

use clap::Args;
use cloakroom::SessionId;
use cloakroom::store::Target;
use cloakroom::store::operate::{Restore as _, Restored, Save as _, Saved};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::opened::Opened;
use crate::terminal::Many;

/// How many sessions go at once.
pub(crate) const FLIGHT: usize = 500;

/// The flag of the verbs that copy whole sessions.
#[derive(Args, Clone, Copy)]
pub(crate) struct LifetimeFlags {
    /// The absolute lifetime that the application has configured. Only sessions with plain tokens need it, because they do not store
    /// when they end
    #[arg(long, value_name = "SECONDS", default_value_t = 12 * 60 * 60)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=999_999_999))]
    absolute_lifetime: u64,
}

impl LifetimeFlags {
    /// Returns this store, read with this lifetime.
    pub(crate) fn applied_to(self, mut opened: Opened) -> Opened {
        opened.terms.absolute_lifetime = std::time::Duration::from_secs(self.absolute_lifetime);
        opened
    }
}

/// What to do with a session that the target already has in another state.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Others {
    /// Keep it.
    Kept,
    /// End it and create it again, unless it was used later at the target than at the source.
    Replaced,
}

/// How many sessions were copied, and what became of the others.
#[derive(Default)]
pub(crate) struct Filled {
    /// Created at the target.
    pub(crate) made: u64,
    /// Ended and created again, because they had changed.
    pub(crate) replaced: u64,
    /// Already there in the same state.
    pub(crate) same: u64,
    /// Already there in another state, and kept.
    pub(crate) differing: u64,
    /// Ended while they were copied.
    pub(crate) ended: u64,
    /// One of those that differ.
    example: Option<SessionId>,
    /// In a dry run, a hash of each session that would have been created.
    planned: HashMap<SessionId, u64>,
}

impl Filled {
    /// Copies sessions into the target. In a dry run they are only counted.
    ///
    /// # Errors
    /// Returns an error if the target is not available. The sessions that were copied before stay there.
    pub(crate) async fn put(
        &mut self,
        target: &Opened,
        sessions: Vec<Saved>,
        others: Others,
        dry_run: bool,
    ) -> Result<(), Failure> {
        let ids: Vec<_> = sessions.iter().map(|saved| saved.id).collect();
        let there = target.store.save(&ids, &target.terms).await?;
        let mut missing = Vec::new();
        let mut changed = Vec::new();
        for (saved, there) in sessions.into_iter().zip(there) {
            match there {
                None => missing.push(saved),
                Some(there) if there == saved => self.same += 1,
                Some(there)
                    if others == Others::Replaced && there.record.last_accessed_at <= saved.record.last_accessed_at =>
                {
                    changed.push(saved);
                }
                Some(_) => self.differs(saved.id),
            }
        }
        if dry_run {
            missing.iter().for_each(|saved| self.would_make(saved));
            self.replaced += changed.len() as u64;
            return Ok(());
        }
        let made = self.make(target, &missing).await?;
        self.made += made;
        for saved in &changed {
            target.store.revoke(&Target::Session(saved.id)).await?;
        }
        let replaced = self.make(target, &changed).await?;
        self.replaced += replaced;
        Ok(())
    }

    /// Counts a session as if it had been created. A session that was given twice counts once.
    fn would_make(&mut self, saved: &Saved) {
        let digest = self.planned.hasher().hash_one(saved.to_json().to_string());
        match self.planned.entry(saved.id) {
            Entry::Vacant(entry) => {
                entry.insert(digest);
                self.made += 1;
            }
            Entry::Occupied(entry) if *entry.get() == digest => self.same += 1,
            Entry::Occupied(_) => self.differs(saved.id),
        }
    }

    async fn make(&mut self, target: &Opened, sessions: &[Saved]) -> Result<u64, Failure> {
        if sessions.is_empty() {
            return Ok(0);
        }
        let (mut made, mut taken) = (0, Vec::new());
        for (saved, restored) in sessions.iter().zip(target.store.restore(sessions).await?) {
            match restored {
                Restored::Made => made += 1,
                Restored::Taken => taken.push(saved),
                Restored::Ended => self.ended += 1,
            }
        }
        self.compare(target, &taken).await?;
        Ok(made)
    }

    /// Compares sessions with what is at the target. A session is already there if it was given twice.
    async fn compare(&mut self, target: &Opened, taken: &[&Saved]) -> Result<(), Failure> {
        if taken.is_empty() {
            return Ok(());
        }
        let ids: Vec<_> = taken.iter().map(|saved| saved.id).collect();
        for (saved, there) in taken.iter().zip(target.store.save(&ids, &target.terms).await?) {
            match there {
                Some(there) if there == **saved => self.same += 1,
                _ => self.differs(saved.id),
            }
        }
        Ok(())
    }

    fn differs(&mut self, id: SessionId) {
        self.differing += 1;
        self.example.get_or_insert(id);
    }

    pub(crate) fn as_json(&self) -> Value {
        json!({
            "made": self.made,
            "replaced": self.replaced,
            "already_there": self.same,
            "differing": self.differing,
            "ended": self.ended,
        })
    }

    /// Returns the numbers above zero in words.
    pub(crate) fn in_words(&self) -> String {
        let parts = [
            (self.replaced, "replaced because they had changed"),
            (self.same, "already there"),
            (self.ended, "ended meanwhile"),
        ];
        parts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("; {} {what}", Many(*n, "session"))).collect()
    }

    /// Returns a failure if sessions are in another state at the target than was asked for.
    pub(crate) fn complaint(&self, way_out: &str) -> Option<Failure> {
        let id = self.example?;
        Some(Failure::failed(format!(
            "{} already at the target in another state, such as {id}, and kept as at the target{way_out}",
            Are(self.differing)
        )))
    }
}

/// Displays `1 session is`, `2 sessions are`.
pub(crate) struct Are(pub(crate) u64);

impl std::fmt::Display for Are {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", Many(self.0, "session"), if self.0 == 1 { "is" } else { "are" })
    }
}
