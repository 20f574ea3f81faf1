//! What the scenarios are written with: a store, its terms, and the verbs without their errors.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::{Fixture, mint, new_session, with_new_secret};
use crate::record::{
    Change, Credentials, Device, FieldChanges, Fields, OnLimit, Page, Record, Refusal, Rotation, Save, SecretHash,
    SessionId, SignIn, Terms, UserId,
};
use crate::store::{Loaded, Lookup, NewSession, Outcome, Store, Target};

/// A store to ask. Clones ask the same one.
pub(super) struct Given<S> {
    pub(super) store: Arc<S>,
    pub(super) terms: Terms,
}

impl<S> Clone for Given<S> {
    fn clone(&self) -> Self {
        Given { store: self.store.clone(), terms: self.terms }
    }
}

/// A fresh store, asked on the default terms.
pub(super) async fn given<F: Fixture>(fixture: &F) -> Given<F::Store> {
    Given { store: Arc::new(fixture.fresh().await), terms: Terms::default() }
}

/// A fresh store with these lifetimes, in seconds.
pub(super) async fn given_lifetimes<F: Fixture>(fixture: &F, idle: u64, absolute: u64) -> Given<F::Store> {
    let mut given = given(fixture).await;
    given.terms.idle_timeout = Duration::from_secs(idle);
    given.terms.absolute_lifetime = Duration::from_secs(absolute);
    given
}

impl<S: Store> Given<S> {
    /// A new session with these fields.
    pub(super) async fn session(&self, stored: &[(&str, &str)]) -> Credentials {
        let presented = mint();
        self.create(&new_session(presented, fields(stored))).await.made();
        presented
    }

    pub(super) async fn create(&self, new: &NewSession) -> Outcome {
        self.store.create(new, &self.terms).await.expect("the store answers")
    }

    pub(super) async fn load(&self, presented: &Credentials) -> Option<Loaded> {
        self.store.load(presented, &self.terms).await.expect("the store answers").live()
    }

    pub(super) async fn apply(&self, presented: &Credentials, change: &Change) -> Outcome {
        self.store.apply(presented, change, &self.terms).await.expect("the store answers")
    }

    pub(super) async fn revoke(&self, presented: &Credentials) -> u64 {
        self.store.revoke(&Target::Session(presented.id)).await.expect("the store answers")
    }

    /// The record of a session that must be there.
    pub(super) async fn record(&self, presented: &Credentials) -> Arc<Record> {
        self.load(presented).await.expect("the session is there").record
    }

    /// The record of a session by its id, without a secret.
    pub(super) async fn by_id(&self, presented: &Credentials) -> Option<Arc<Record>> {
        let loaded = self.store.load_by_id(&presented.id, &self.terms).await.expect("the store answers");
        loaded.map(|loaded| loaded.record)
    }

    pub(super) async fn fields(&self, presented: &Credentials) -> Fields {
        self.record(presented).await.fields.clone()
    }

    /// What a token opens, or why it opens nothing.
    pub(super) async fn look_up(&self, presented: &Credentials) -> Lookup {
        self.store.load(presented, &self.terms).await.expect("the store answers")
    }

    /// Signs in. Returns what the browser presents from then on if the sign-in was done, and the outcome.
    pub(super) async fn sign_in(&self, presented: &Credentials, new: &SignIn) -> (Credentials, Outcome) {
        let rotated = with_new_secret(presented);
        (rotated, self.apply(presented, &bind(&rotated, new)).await)
    }

    /// A new session in which this user has signed in.
    pub(super) async fn signed_in(&self, new: &SignIn) -> Credentials {
        let visitor = self.session(&[]).await;
        let (presented, answer) = self.sign_in(&visitor, new).await;
        answer.made();
        presented
    }

    /// This many new sessions in which this user has signed in, made one after the other.
    pub(super) async fn signed_in_times(&self, times: usize, new: &SignIn) -> Vec<Credentials> {
        let mut all = Vec::new();
        for _ in 0..times {
            all.push(self.signed_in(new).await);
        }
        all
    }

    pub(super) async fn devices(&self, user: &UserId, page: Page) -> Vec<Device> {
        self.store.list(user, page, &self.terms).await.expect("the store answers")
    }

    /// The ids of a user's sessions, as they are listed.
    pub(super) async fn listed(&self, user: &UserId) -> Vec<SessionId> {
        let page = Page { offset: 0, limit: 1000 };
        self.devices(user, page).await.into_iter().map(|device| device.id).collect()
    }

    pub(super) async fn end(&self, target: Target) -> u64 {
        self.store.revoke(&target).await.expect("the store answers")
    }

    /// Asserts that nothing brings this session back: every verb but `create` says that the session is gone, before and after
    /// all other verbs.
    pub(super) async fn assert_gone(&self, presented: &Credentials) {
        let (longer, other) = (idle(Duration::from_secs(3600)), with_new_secret(presented));
        let changes = [
            set("revived", "yes"),
            add("revived", 1),
            remove("a"),
            touch(),
            rotate_to(&other),
            longer,
            bind(&other, &sign_in(&user("a ghost"))),
            nothing(),
        ];
        for change in changes {
            assert_eq!(self.load(presented).await, None);
            assert_eq!(self.apply(presented, &change).await, Outcome::Refused(Refusal::Gone), "{change:?}");
        }
        assert_eq!(self.load(presented).await, None);
        assert_eq!(self.revoke(presented).await, 0);
    }
}

impl Outcome {
    /// What the change made. The change must have been done.
    #[track_caller]
    pub(super) fn made(self) -> Loaded {
        match self {
            Outcome::Done { loaded, .. } => loaded,
            Outcome::Refused(refusal) => panic!("refused: {refusal:?}"),
        }
    }

    /// The sessions that the sign-in ended. The change must have been done.
    #[track_caller]
    pub(super) fn evicted(self) -> Vec<SessionId> {
        match self {
            Outcome::Done { evicted, .. } => evicted,
            Outcome::Refused(refusal) => panic!("refused: {refusal:?}"),
        }
    }

    /// Why the change was refused. It must have been refused.
    #[track_caller]
    pub(super) fn refused(self) -> Refusal {
        match self {
            Outcome::Done { loaded, .. } => panic!("made: {loaded:?}"),
            Outcome::Refused(refusal) => refusal,
        }
    }

    /// Which field was refused.
    #[track_caller]
    pub(super) fn invalid_field(self) -> String {
        match self.refused() {
            Refusal::Invalid { field, .. } => field,
            other => panic!("refused, but because of {other:?}"),
        }
    }
}

impl From<FieldChanges> for Change {
    fn from(fields: FieldChanges) -> Change {
        Save { fields, ..Save::default() }.into()
    }
}

/// A change that changes nothing.
pub(super) fn nothing() -> Change {
    Save::default().into()
}

pub(super) fn fields(stored: &[(&str, &str)]) -> Fields {
    stored.iter().copied().collect()
}

pub(super) fn set(name: &str, text: &str) -> Change {
    FieldChanges { set: fields(&[(name, text)]), ..FieldChanges::default() }.into()
}

pub(super) fn remove(name: &str) -> Change {
    FieldChanges { remove: [name.to_owned()].into(), ..FieldChanges::default() }.into()
}

pub(super) fn add(name: &str, by: i64) -> Change {
    FieldChanges { add: [(name.to_owned(), by)].into(), ..FieldChanges::default() }.into()
}

pub(super) fn touch() -> Change {
    Save { touch: true, ..Save::default() }.into()
}

pub(super) fn idle(timeout: Duration) -> Change {
    FieldChanges { idle_timeout: Some(timeout), ..FieldChanges::default() }.into()
}

pub(super) fn deadline(own: impl Into<Option<SystemTime>>) -> Change {
    FieldChanges { own_deadline: Some(own.into()), ..FieldChanges::default() }.into()
}

/// The confirmation that a request makes whose browser presented the token.
pub(super) fn confirm() -> Change {
    Save { confirm: true, ..Save::default() }.into()
}

pub(super) fn rotate_to(new: &Credentials) -> Change {
    nothing().rotating_to(new)
}

/// A user. Any text of 1 to 255 bytes is one.
pub(super) fn user(id: &str) -> UserId {
    UserId::try_from(id).expect("1 to 255 bytes")
}

/// A sign-in with the configured lifetimes and far from any limit.
pub(super) fn sign_in(user: &UserId) -> SignIn {
    SignIn::new(user.clone(), 100, OnLimit::EvictOldest)
}

/// A sign-in with the configured lifetimes and with this limit.
pub(super) fn limited(user: &UserId, max_sessions: usize, on_limit: OnLimit) -> SignIn {
    SignIn { max_sessions, on_limit, ..sign_in(user) }
}

/// The change that signs in, after which the browser presents `rotated`.
pub(super) fn bind(rotated: &Credentials, new: &SignIn) -> Change {
    Change::SignIn { new: new.clone(), secret_hash: secret_hash_of(rotated) }
}

fn secret_hash_of(presented: &Credentials) -> SecretHash {
    presented.secret_hash.expect("it was minted with a secret")
}

/// The ids of the sessions whose tokens these are.
pub(super) fn ids_of(presented: &[Credentials]) -> Vec<SessionId> {
    presented.iter().map(|presented| presented.id).collect()
}

/// Gives the session a new secret. The secret from before opens nothing any more.
pub(super) fn elevate_to(new: &Credentials) -> Change {
    Rotation { secret_hash: secret_hash_of(new), drop_previous: true, fields: FieldChanges::default() }.into()
}

/// These ids in sorted order, for comparing where their order does not matter.
pub(super) fn sorted(mut ids: Vec<SessionId>) -> Vec<SessionId> {
    ids.sort();
    ids
}

impl Change {
    /// This change, made only if the field still holds this text (or is still absent).
    pub(super) fn expecting(mut self, name: &str, text: Option<&str>) -> Change {
        self.fields_mut().expect.insert(name.to_owned(), text.map(str::to_owned));
        self
    }

    /// This change, made by a request that used the session and whose browser presented the token.
    pub(super) fn of_a_request(self) -> Change {
        match self {
            Change::Save(save) => Save { touch: true, confirm: true, ..save }.into(),
            other => other,
        }
    }

    /// This change together with a new secret. The presented secret is held.
    pub(super) fn rotating_to(self, new: &Credentials) -> Change {
        let fields = self.fields().cloned().unwrap_or_default();
        Rotation { secret_hash: secret_hash_of(new), drop_previous: false, fields }.into()
    }

    /// The part of the change that is about fields. A sign-in has none, so this panics for a sign-in.
    pub(super) fn fields_mut(&mut self) -> &mut FieldChanges {
        match self {
            Change::Save(save) => &mut save.fields,
            Change::Rotate(rotation) => &mut rotation.fields,
            Change::SignIn { .. } => panic!("a sign-in changes no fields"),
        }
    }
}

/// A time rounded down to whole seconds, as stores keep deadlines.
pub(super) fn whole_second(time: SystemTime) -> SystemTime {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).expect("it is after 1970");
    SystemTime::UNIX_EPOCH + Duration::from_secs(since.as_secs())
}

/// Lets other tasks run for a while. Different numbers of rounds give different orders.
pub(super) async fn pause(rounds: usize) {
    for _ in 0..rounds {
        tokio::task::yield_now().await;
    }
}
