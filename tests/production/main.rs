//! Redis as it is run in production: cluster, sentinels, TLS, a unix socket, and what goes wrong with them.

#[path = "../support/mod.rs"]
mod support;

mod cluster;
mod connections;
mod credentials;
mod demoted;
mod durable;
mod failover;
mod faults;
mod near;
mod plain_text;
mod reread;
mod sentinels;
mod states;
mod stores;

use std::time::Duration;

use cloakroom::conformance::{mint, new_session, with_new_secret};
use cloakroom::store::{Loaded, Outcome, Redis, RedisBuilder, Store, Target};
use cloakroom::{
    OnLimit, UserId,
    store::{Change, Credentials, FieldChanges, Save, SignIn, StoreError, Terms},
};
use support::RedisCluster;

/// Long enough for a server that answers on a busy machine.
const PATIENT: Duration = Duration::from_secs(20);
/// Short, because what hangs costs as much.
const SHORT: Duration = Duration::from_millis(700);

/// A store, and how to ask it. Clones are the same store.
#[derive(Clone)]
struct Kept {
    store: Redis,
    terms: Terms,
}

impl Kept {
    async fn on(builder: RedisBuilder) -> Kept {
        Kept { store: builder.connect().await.expect("the test's servers answer"), terms: Terms::default() }
    }

    /// The same, without waiting for the servers.
    fn lazily_on(builder: RedisBuilder) -> Kept {
        Kept { store: builder.connect_lazy().expect("nothing is refused"), terms: Terms::default() }
    }

    async fn create(&self) -> Result<Credentials, StoreError> {
        let presented = mint();
        match self.store.create(&new_session(presented, Default::default()), &self.terms).await? {
            Outcome::Done { .. } => Ok(presented),
            Outcome::Refused(refusal) => panic!("a new session was refused: {refusal:?}"),
        }
    }

    async fn session(&self) -> Credentials {
        self.create().await.expect("the server answers")
    }

    async fn sessions(&self, count: usize) -> Vec<Credentials> {
        let mut all = Vec::new();
        for _ in 0..count {
            all.push(self.session().await);
        }
        all
    }

    async fn load(&self, presented: &Credentials) -> Result<Option<Loaded>, StoreError> {
        Ok(self.store.load(presented, &self.terms).await?.live())
    }

    async fn lives(&self, presented: &Credentials) -> bool {
        self.load(presented).await.expect("the server answers").is_some()
    }

    /// Adds one to its counter, as a request does that has loaded it before: what it is then.
    async fn count(&self, presented: &Credentials) -> Result<u64, StoreError> {
        let loaded = self.load(presented).await?.expect("the session is there");
        self.count_in(&loaded, presented).await
    }

    async fn count_in(&self, loaded: &Loaded, presented: &Credentials) -> Result<u64, StoreError> {
        let fields = FieldChanges { add: [("n".to_owned(), 1)].into(), ..FieldChanges::default() };
        let change = Save { fields, ..Save::default() }.into();
        match self.store.apply_to(loaded, presented, &change, &self.terms).await? {
            Outcome::Done { loaded, .. } => Ok(counter_of(&loaded)),
            Outcome::Refused(refusal) => panic!("the session was lost: {refusal:?}"),
        }
    }

    async fn counter(&self, presented: &Credentials) -> u64 {
        counter_of(&self.load(presented).await.expect("the server answers").expect("the session is there"))
    }

    /// Signs a new session in: what its browser presents from then on.
    async fn sign_in(&self, user: &str, max_sessions: usize) -> Result<Credentials, StoreError> {
        let visitor = self.create().await?;
        let presented = with_new_secret(&visitor);
        let change =
            Change::SignIn { new: sign_in_of(user, max_sessions), secret_hash: presented.secret_hash.unwrap() };
        match self.store.apply(&visitor, &change, &self.terms).await? {
            Outcome::Done { .. } => Ok(presented),
            Outcome::Refused(refusal) => panic!("a sign-in was refused: {refusal:?}"),
        }
    }

    async fn devices(&self, user: &str) -> usize {
        let page = cloakroom::Page { offset: 0, limit: 1000 };
        self.store.list(&user_of(user), page, &self.terms).await.expect("the server answers").len()
    }

    async fn revoke(&self, presented: &Credentials) -> Result<u64, StoreError> {
        self.store.revoke(&Target::Session(presented.id)).await
    }

    /// Makes a session, however often it fails before.
    async fn until_it_works(&self) -> Credentials {
        for _ in 0..6000 {
            if let Ok(presented) = self.create().await {
                return presented;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the store did not find its servers again");
    }

    /// A session that is there, however often the store fails before.
    async fn until_it_is_loaded(&self, presented: &Credentials) -> Loaded {
        for _ in 0..6000 {
            if let Ok(loaded) = self.load(presented).await {
                return loaded.expect("the session is there");
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the store did not find its servers again");
    }

    /// Asks for a session until the store answers: how often it failed before.
    async fn until_it_answers(&self, presented: &Credentials) -> usize {
        for failed in 0..6000 {
            match self.load(presented).await {
                Ok(_) => return failed,
                Err(error) => assert!(!error.is_not_durable(), "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the store did not find its servers again");
    }
}

fn counter_of(loaded: &Loaded) -> u64 {
    loaded.record.fields.get("n").map_or(0, |text| text.parse().expect("a number"))
}

/// A sign-in with nothing special about it.
fn sign_in_of(user: &str, max_sessions: usize) -> SignIn {
    SignIn::new(user_of(user), max_sessions, OnLimit::EvictOldest)
}

fn user_of(user: &str) -> UserId {
    UserId::try_from(user).expect("a user id")
}

fn key_of(presented: &Credentials) -> String {
    format!("session:{}", presented.id.expose())
}

/// Moves a slot, and does this on the way.
fn move_around<T>(cluster: &RedisCluster, slot: u16, to: usize, midway: impl AsyncFnOnce() -> T) -> T {
    let from = cluster.primary_of_slot(slot, 0);
    let mut answer = None;
    tokio::task::block_in_place(|| {
        cluster.move_slot(slot, from, to, || answer = Some(tokio::runtime::Handle::current().block_on(midway())));
    });
    answer.expect("it was asked midway")
}
