//! The stores of tower-sessions. A change is only their save: what their layer reads before it is not counted.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use tower_sessions::session::{Id, Record};
use tower_sessions::{MemoryStore, SessionStore};
use tower_sessions_sqlx_store::SqliteStore;

use crate::Size;
use crate::load::{Figures, Peer, changes, fields, fill, loads_and_mix, pauses, resident, scrambled};

struct Theirs<S> {
    store: S,
}

/// The same for ever, and none is zero.
fn id(session: usize) -> Id {
    Id(i128::from(scrambled(session as u64)) << 32 | session as i128)
}

fn record(session: usize, views: u64) -> Record {
    let mut data: HashMap<String, serde_json::Value> =
        fields().iter().map(|(name, text)| (name.to_owned(), text.into())).collect();
    data.insert("views".to_owned(), views.into());
    let expiry_date = time::OffsetDateTime::now_utc() + time::Duration::hours(12);
    Record { id: id(session), data, expiry_date }
}

pub(crate) fn measure_memory(size: Size) -> Figures {
    let mut figures = Figures::new();
    let peer = Arc::new(Theirs { store: MemoryStore::default() });
    fill(&*peer, size, &mut figures);
    loads_and_mix(&peer, size, &mut figures);
    pauses(&peer, size, size.seconds * 5, "the mix alone", &mut figures);
    figures
}

pub(crate) fn measure_sqlite(size: Size) -> Figures {
    let dir = tempfile::tempdir_in(".").unwrap();
    let mut figures = Figures::new();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let connect = |synchronous| {
        let options = SqliteConnectOptions::new().filename(dir.path().join("sessions.db")).create_if_missing(true);
        let options = options.journal_mode(SqliteJournalMode::Wal).synchronous(synchronous);
        runtime.block_on(SqlitePoolOptions::new().max_connections(4).connect_with(options)).unwrap()
    };
    let pool = connect(SqliteSynchronous::Normal);
    let peer = Arc::new(Theirs { store: SqliteStore::new(pool.clone()) });
    let (before, begun) = (resident(), Instant::now());
    runtime.block_on(async {
        peer.store.migrate().await.unwrap();
        peer.create(0).await;
        fill_at_once(&pool, size).await;
    });
    figures.insert("creating them in bulk, s".to_owned(), begun.elapsed().as_secs_f64());
    figures.insert("bytes of memory a session".to_owned(), (resident() - before) / size.sessions as f64);
    loads_and_mix(&peer, size, &mut figures);
    changes(&peer, size, "kill -9 safe changes", &mut figures);
    pauses(&peer, size, size.seconds * 5, "the mix alone", &mut figures);
    drop(peer);
    runtime.block_on(pool.close());

    let pool = connect(SqliteSynchronous::Full);
    let peer = Arc::new(Theirs { store: SqliteStore::new(pool.clone()) });
    changes(&peer, size, "changes on the disk", &mut figures);
    runtime.block_on(pool.close());
    figures
}

/// As copies of the first one: one by one it takes minutes.
async fn fill_at_once(pool: &sqlx::SqlitePool, size: Size) {
    let ids: Vec<usize> = (1..size.sessions).collect();
    for some in ids.chunks(20_000) {
        let names: Vec<String> = some.iter().map(|session| id(*session).to_string()).collect();
        let copy = "insert into tower_sessions select new.value, one.data, one.expiry_date \
                    from json_each(?) new, (select data, expiry_date from tower_sessions limit 1) one";
        sqlx::query(copy).bind(serde_json::to_string(&names).unwrap()).execute(pool).await.unwrap();
    }
}

impl<S: SessionStore> Peer for Theirs<S> {
    async fn load(&self, session: usize) -> bool {
        std::hint::black_box(self.store.load(&id(session)).await.unwrap()).is_some()
    }

    async fn change(&self, session: usize, number: u64) {
        self.store.save(&record(session, number)).await.unwrap();
    }

    async fn create(&self, session: usize) {
        self.store.create(&mut record(session, 0)).await.unwrap();
    }

    async fn revoke(&self, session: usize) {
        self.store.delete(&id(session)).await.unwrap();
    }
}
