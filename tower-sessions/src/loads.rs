//! What was loaded, so that a save can tell what was changed since.
//!
//! tower-sessions gives the store a whole record to save, and says neither which load it comes from nor what was changed. What
//! remains the same between load and save is the record's map: it is moved and changed, but never replaced. Each map of the
//! standard library has random keys of its own for hashing. So what a map's hasher makes of a fixed value is a name for that
//! map, and this module remembers for each name what was loaded: the names of the fields, and a hash of each text.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use cloakroom::store::FieldChanges;
use tower_sessions_core::session::{Id, Record};

use crate::layout::Stored;

/// What the latest loads have found. Loads are forgotten in the order in which they came.
pub(crate) struct Loads {
    /// How many loads are remembered at least, and half of how many at most.
    most: usize,
    /// Hashes the texts of fields.
    hasher: RandomState,
    remembered: Mutex<Remembered>,
}

#[derive(Default)]
struct Remembered {
    new: HashMap<MapName, Arc<Found>>,
    old: HashMap<MapName, Arc<Found>>,
}

/// The session, and what the hasher of its map makes of a fixed value.
type MapName = (Id, u64);

/// The fields of a session as they were found: their names, and the hashes of their texts.
pub(crate) struct Found(Box<[(Box<str>, u64)]>);

impl Loads {
    pub(crate) fn new(most: usize) -> Loads {
        Loads { most, hasher: RandomState::new(), remembered: Mutex::default() }
    }

    /// Remembers that the store holds this for the record.
    pub(crate) fn remember(&self, record: &Record, stored: &Stored) {
        let fields = stored.fields.iter().map(|(name, text)| (name.into(), self.hasher.hash_one(text)));
        let found = Arc::new(Found(fields.collect()));
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered.new.len() >= self.most {
            remembered.old = mem::take(&mut remembered.new);
        }
        remembered.new.insert(name_of_map(record), found);
    }

    /// Returns what the store held when this record was loaded, or saved since. `None` if it was never loaded, or too long ago.
    pub(crate) fn of(&self, record: &Record) -> Option<Arc<Found>> {
        let remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        let name = name_of_map(record);
        remembered.new.get(&name).or_else(|| remembered.old.get(&name)).cloned()
    }

    /// Returns what is different by now.
    pub(crate) fn changes(&self, before: &Found, now: &Stored) -> FieldChanges {
        let hash_before = |name: &str| before.0.iter().find(|(other, _)| **other == *name).map(|(_, hash)| *hash);
        let is_changed = |(name, text): &(&str, &str)| hash_before(name) != Some(self.hasher.hash_one(text));
        let removed = before.0.iter().map(|(name, _)| name).filter(|name| !now.fields.contains_key(name));
        FieldChanges {
            set: now.fields.iter().filter(is_changed).collect(),
            remove: removed.map(|name| name.to_string()).collect(),
            ..FieldChanges::default()
        }
    }
}

fn name_of_map(record: &Record) -> MapName {
    (record.id, record.data.hasher().hash_one("the name of this map"))
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::*;

    fn record() -> Record {
        Record { id: Id(7), data: HashMap::new(), expiry_date: OffsetDateTime::UNIX_EPOCH }
    }

    #[test]
    fn a_record_is_known_by_its_map_and_not_by_its_content() {
        let loads = Loads::new(8);
        let (mut one, other) = (record(), record());
        loads.remember(&one, &Stored::new(&one).unwrap());
        one.data.insert("cart".to_owned(), 1.into());
        assert!(loads.of(&one).is_some());
        assert!(loads.of(&other).is_none());
        one.data.clear();
        let moved = Box::new(one);
        assert!(loads.of(&moved).is_some());
    }

    #[test]
    fn what_was_loaded_last_is_remembered_and_what_was_loaded_first_is_forgotten() {
        let loads = Loads::new(8);
        let records: Vec<_> = (0..100).map(|_| record()).collect();
        for record in &records {
            loads.remember(record, &Stored::new(record).unwrap());
        }
        let known = records.iter().map(|record| loads.of(record).is_some()).collect::<Vec<_>>();
        assert!(known[92..].iter().all(|known| *known), "{known:?}");
        assert!(known[..84].iter().all(|known| !*known), "{known:?}");
    }
}
