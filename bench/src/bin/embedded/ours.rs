//! The embedded store.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use cloakroom::store::{Embedded, Lookup, NewSession, Store as _, Target};
use cloakroom::{
    Clock, SessionId,
    store::{Credentials, Record, Terms},
};

use crate::Size;
use crate::bare::{change, new_session};
use crate::load::{self, Figures, Peer, all_presented, changes, fields, fill, loads_and_mix, pauses, worked};

/// How long it takes to read the same bytes and to put the same records into a bare map.
pub(crate) const AT_LEAST: &str = "restart, what it takes at least, s";

struct Ours {
    all: Arc<Vec<Credentials>>,
    store: Embedded,
    terms: Terms,
}

pub(crate) fn measure(size: Size) -> Figures {
    let dir = tempfile::tempdir_in(".").unwrap();
    let mut figures = Figures::new();
    let all = Arc::new(all_presented(size));
    let ours = |store| Arc::new(Ours { all: all.clone(), store, terms: Terms::default() });

    let peer = ours(Embedded::builder(dir.path()).without_control_socket().open().unwrap());
    fill(&*peer, size, &mut figures);
    loads_and_mix(&peer, size, &mut figures);
    changes(&peer, size, "kill -9 safe changes", &mut figures);
    let first = first_part(dir.path());
    grow_until_compacted(&peer, first);
    let first = first_part(dir.path());
    pauses(&peer, size, size.seconds * 5, "the mix during compaction", &mut figures);
    let removed = first_part(dir.path()) - first;
    assert!(removed > 0, "nothing was compacted: the pauses say nothing about it");
    figures.insert("parts of the journal compacted meanwhile".to_owned(), removed as f64);
    drop(peer);

    let (begun, before) = (Instant::now(), worked());
    let store = Embedded::builder(dir.path()).without_control_socket().wait_for_disk().open().unwrap();
    figures.insert("restart, s".to_owned(), begun.elapsed().as_secs_f64());
    figures.insert("restart, s of one core".to_owned(), (worked() - before) / 1e9);
    figures.insert(AT_LEAST.to_owned(), as_little_as_possible(dir.path(), &all, &store));
    changes(&ours(store), size, "changes on the disk", &mut figures);
    drop(dir);

    during_a_sweep(size, &all, &mut figures);
    figures
}

/// What no restart can do without: to read the same bytes, and to put the same records into a bare map.
fn as_little_as_possible(dir: &Path, all: &[Credentials], store: &Embedded) -> f64 {
    let terms = Terms::default();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let records = runtime.block_on(async {
        let mut records = Vec::with_capacity(all.len());
        for presented in all {
            if let Lookup::Live(loaded) = store.load(presented, &terms).await.unwrap() {
                records.push((presented.id, loaded.record));
            }
        }
        records
    });
    let begun = Instant::now();
    for file in std::fs::read_dir(dir).unwrap() {
        std::hint::black_box(std::fs::read(file.unwrap().path()).unwrap());
    }
    let bare = papaya::HashMap::<SessionId, Arc<Record>>::new();
    for (id, record) in records {
        bare.pin().insert(id, Arc::new(Record::clone(&record)));
    }
    begun.elapsed().as_secs_f64()
}

/// Changes sessions in turn until the journal is so long that its first part goes.
fn grow_until_compacted(peer: &Ours, first: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let mut number = 0;
        while first_part(peer.store.path()) == first {
            for _ in 0..10_000 {
                number += 1;
                peer.change(number % peer.all.len(), number as u64).await;
            }
        }
    });
}

/// The mix, while as many sessions again end all at once.
fn during_a_sweep(size: Size, all: &Arc<Vec<Credentials>>, figures: &mut Figures) {
    let dir = tempfile::tempdir_in(".").unwrap();
    let clock = Clock::manual(SystemTime::now());
    let store = Embedded::builder(dir.path()).without_control_socket().clock(clock.clone()).open().unwrap();
    let peer = Arc::new(Ours { all: all.clone(), store, terms: Terms::default() });
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        for session in 0..size.sessions {
            peer.create(session).await;
            let presented = load::presented((size.sessions + session) as u64);
            let new = NewSession { presented, fields: fields(), idle_timeout: Some(Duration::from_secs(60)), own_deadline: None };
            peer.store.create(&new, &peer.terms).await.unwrap();
        }
    });
    clock.advance(Duration::from_secs(61));
    // the next sweep begins after a hundred times as long as the last one took
    pauses(&peer, size, 30.max(size.seconds * 10), "the mix during a sweep", figures);
}

/// The number of the oldest part of the journal.
fn first_part(dir: &Path) -> u64 {
    let names = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter_map(|name| name.strip_prefix("journal-")?.parse().ok()).min().expect("a journal")
}

impl Peer for Ours {
    async fn load(&self, session: usize) -> bool {
        let lookup = self.store.load(&self.all[session], &self.terms).await.unwrap();
        matches!(std::hint::black_box(lookup), Lookup::Live(_))
    }

    async fn change(&self, session: usize, number: u64) {
        self.store.apply(&self.all[session], &change(number), &self.terms).await.unwrap();
    }

    async fn create(&self, session: usize) {
        self.store.create(&new_session(self.all[session]), &self.terms).await.unwrap();
    }

    async fn revoke(&self, session: usize) {
        self.store.revoke(&Target::Session(self.all[session].id)).await.unwrap();
    }
}
