//! A store of one's own, over a `BTreeMap`. The test `examples` runs the conformance kit on it.
//!
//! The library's [`Memory`](cloakroom::store::Memory) does the same faster. This one is as short as a store can be, to show what
//! a store has to do: hold one lock or one transaction for each verb, and leave every decision to [`Record`] and [`SignIn`].

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use axum::{Router, routing::get};
use cloakroom::store::{EVICTION_NOTICE, Loaded, Lookup, NewSession, Outcome, SignedOut, Store, Target};
use cloakroom::{
    Clock, Config, Device, Error, Field, Page, Session, SessionId, Sessions, UserId,
    store::{Change, Credentials, Record, Refusal, SecretHash, SignIn, StoreError, Terms},
};

pub(crate) struct TreeStore {
    clock: Clock,
    tree: Mutex<Tree>,
}

#[derive(Default)]
struct Tree {
    records: BTreeMap<SessionId, Arc<Record>>,
    /// The sessions of all users, by the order of sign-in.
    signed_in: BTreeMap<u64, (UserId, SessionId)>,
    /// The secrets of sessions that were evicted, and until when their browsers can learn why.
    evicted: BTreeMap<SessionId, (Option<SecretHash>, SystemTime)>,
}

impl TreeStore {
    pub(crate) fn with_clock(clock: Clock) -> TreeStore {
        TreeStore { clock, tree: Mutex::default() }
    }

    /// The tree and the time. Whatever a method does, it does with this lock in hand, so that each method is one step.
    fn lock(&self) -> (MutexGuard<'_, Tree>, SystemTime) {
        let tree = self.tree.lock().unwrap_or_else(PoisonError::into_inner);
        (tree, self.clock.now())
    }
}

impl Store for TreeStore {
    async fn create(&self, new: &NewSession, terms: &Terms) -> Result<Outcome, StoreError> {
        let (mut tree, now) = self.lock();
        tree.forget_what_has_ended(now);
        let id = new.presented.id;
        if let Some(record) = tree.records.get(&id) {
            // the answer to the first attempt was lost, or somebody has the same id
            let is_the_same = record.secret_hash == new.presented.secret_hash;
            return Ok(match is_the_same {
                true => done(record, now),
                false => Outcome::Refused(Refusal::Conflict),
            });
        }
        if tree.evicted.contains_key(&id) {
            return Ok(Outcome::Refused(Refusal::Conflict));
        }
        Ok(match Record::new(new, terms, now) {
            Ok(record) => {
                let record = Arc::new(record);
                tree.records.insert(id, record.clone());
                done(&record, now)
            }
            Err(refusal) => Outcome::Refused(refusal),
        })
    }

    async fn load(&self, presented: &Credentials, _terms: &Terms) -> Result<Lookup, StoreError> {
        let (mut tree, now) = self.lock();
        tree.forget_what_has_ended(now);
        if let Some(record) = tree.records.get(&presented.id) {
            return Ok(record.clone().look_up(presented, now));
        }
        let was_evicted = tree.evicted.get(&presented.id).is_some_and(|(secret, _)| *secret == presented.secret_hash);
        Ok(if was_evicted { Lookup::Evicted } else { Lookup::Gone })
    }

    async fn load_by_id(&self, id: &SessionId, _terms: &Terms) -> Result<Option<Loaded>, StoreError> {
        let (mut tree, now) = self.lock();
        tree.forget_what_has_ended(now);
        Ok(tree.records.get(id).map(|record| Loaded { record: record.clone(), now }))
    }

    async fn apply(&self, presented: &Credentials, change: &Change, terms: &Terms) -> Result<Outcome, StoreError> {
        let (mut tree, now) = self.lock();
        tree.forget_what_has_ended(now);
        Ok(match tree.apply(presented, change, terms, now) {
            Ok((record, evicted)) => Outcome::done(Loaded { record, now }, evicted),
            Err(refusal) => Outcome::Refused(refusal),
        })
    }

    async fn sign_out(&self, presented: &Credentials) -> Result<SignedOut, StoreError> {
        let (mut tree, now) = self.lock();
        tree.forget_what_has_ended(now);
        Ok(match tree.records.get(&presented.id) {
            None => SignedOut::Gone,
            Some(record) if !record.is_opened_by(presented) => SignedOut::Stale,
            Some(_) => {
                tree.end(&presented.id);
                SignedOut::Ended
            }
        })
    }

    async fn revoke(&self, target: &Target) -> Result<u64, StoreError> {
        let (mut tree, now) = self.lock();
        tree.forget_what_has_ended(now);
        let ids = match target {
            Target::Session(id) => vec![*id],
            Target::SessionOf(user, id) => tree.sessions_of(user).into_iter().filter(|other| other == id).collect(),
            Target::OthersOf(user, kept) => tree.sessions_of(user).into_iter().filter(|id| id != kept).collect(),
            Target::AllOf(user) => tree.sessions_of(user),
        };
        Ok(ids.iter().filter(|id| tree.end(id).is_some()).count() as u64)
    }

    async fn list(&self, user: &UserId, page: Page, _terms: &Terms) -> Result<Vec<Device>, StoreError> {
        let (mut tree, now) = self.lock();
        tree.forget_what_has_ended(now);
        let latest_first = tree.sessions_of(user).into_iter().rev();
        let part = latest_first.skip(page.offset).take(page.limit);
        Ok(part.map(|id| Device::of(id, &tree.records[&id])).collect())
    }
}

fn done(record: &Arc<Record>, now: SystemTime) -> Outcome {
    Outcome::done(Loaded { record: record.clone(), now }, Vec::new())
}

impl Tree {
    fn apply(
        &mut self,
        presented: &Credentials,
        change: &Change,
        terms: &Terms,
        now: SystemTime,
    ) -> Result<(Arc<Record>, Vec<SessionId>), Refusal> {
        let id = presented.id;
        // a copy is changed: a refused change leaves the record as it was
        let mut record = self.records.get(&id).ok_or(Refusal::Gone)?.as_ref().clone();
        let needs_room = change.needs_room(&record);
        record.apply(presented, change, terms, now)?;
        let mut evicted = Vec::new();
        if let Some(new) = needs_room {
            evicted = self.sign_in(id, new, now)?;
        }
        let record = Arc::new(record);
        self.records.insert(id, record.clone());
        Ok((record, evicted))
    }

    /// Puts a session last in the order of sign-in, and ends those of its user that are too many.
    fn sign_in(&mut self, id: SessionId, new: &SignIn, now: SystemTime) -> Result<Vec<SessionId>, Refusal> {
        let (evicted, is_latest) = new.make_room(id, &self.sessions_of(&new.user))?;
        for victim in &evicted {
            if let Some(record) = self.end(victim) {
                self.evicted.insert(*victim, (record.secret_hash, now + EVICTION_NOTICE));
            }
        }
        if is_latest {
            self.signed_in.retain(|_, (_, other)| *other != id);
            let next = self.signed_in.last_key_value().map_or(0, |(last, _)| last + 1);
            self.signed_in.insert(next, (new.user.clone(), id));
        }
        Ok(evicted)
    }

    /// A user's sessions, the one that signed in longest ago first.
    fn sessions_of(&self, user: &UserId) -> Vec<SessionId> {
        self.signed_in.values().filter(|(owner, _)| owner == user).map(|(_, id)| *id).collect()
    }

    fn end(&mut self, id: &SessionId) -> Option<Arc<Record>> {
        self.signed_in.retain(|_, (_, other)| other != id);
        self.records.remove(id)
    }

    /// A store with many sessions does this now and then instead, and asks `ends_at` of each record that it reads.
    fn forget_what_has_ended(&mut self, now: SystemTime) {
        self.records.retain(|_, record| now < record.ends_at());
        self.signed_in.retain(|_, (_, id)| self.records.contains_key(id));
        self.evicted.retain(|_, (_, until)| now < *until);
    }
}

const VIEWS: Field<i64> = Field::new("page_views");

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = Config::builder().plain_http_for_development().build()?;
    let sessions = Sessions::new(TreeStore::with_clock(Clock::system()), config);
    let hello = async |session: Session| -> Result<String, Error> {
        Ok(format!("You have been here {} times.\n", session.increment(VIEWS, 1).await?))
    };
    let app = Router::new().route("/", get(hello)).layer(sessions.layer());
    axum::serve(tokio::net::TcpListener::bind("127.0.0.1:3000").await?, app).await?;
    Ok(())
}
