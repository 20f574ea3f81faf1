//! The stores, and the [`Store`] trait with its contract for a store of your own.
//!
//! An application chooses one of the stores here and gives it to [`Sessions::new`](crate::Sessions::new).
//!
//! The author of a store implements a handful of methods, each of which is atomic. A store decides nothing by itself: what a
//! change makes of a record is in [`Record::apply`](crate::store::Record::apply), which the store calls. Where the record lives
//! in another program, the store plans with it and lets that program compare and write, as [`Redis`] does. The conformance kit
//! (feature `conformance`) tests whether it does that right.

use std::future::Future;
use std::pin::Pin;

pub use crate::error::StoreError;
pub use crate::record::{
    Change, Credentials, EVICTION_NOTICE, FieldChanges, Fields, IndexEntry, Loaded, Lookup, NewSession, Outcome,
    Previous, Record, Refusal, Rotation, Save, SecretHash, SignIn, SignedOut, Target, Terms, reserved_fields,
};
use crate::record::{Device, Page, SessionId, UserId};

#[cfg(feature = "embedded")]
pub(crate) mod embedded;
mod inspect;
mod memory;
#[cfg(feature = "redis")]
pub(crate) mod redis;
mod saved;
mod watchers;

#[cfg(feature = "embedded")]
pub use embedded::{Embedded, EmbeddedBuilder, Repaired};
pub use memory::Memory;
#[cfg(feature = "redis")]
pub use redis::{Durability, NearCache, Redis, RedisBuilder, RedisCredentials};
pub use watchers::{Watch, Watchers};

/// What the tools of an operator need of a store and a web application does not: to look at any session without its secret, and
/// to move sessions to another store.
pub mod operate {
    #[cfg(all(unix, feature = "embedded"))]
    pub use super::embedded::Attached;
    #[cfg(feature = "embedded")]
    pub use super::embedded::Snapshot;
    pub use super::inspect::{Inspect, Scanned};
    pub use super::saved::{Restore, Restored, Save, Saved};
}

/// A place that keeps sessions.
///
/// What must hold (the conformance kit checks all of it that one process can show):
///
/// - Only [`create`](Store::create) makes a record. Every other method on a session that is gone changes nothing.
/// - Every method is atomic: it happens entirely or not at all, and two at once happen one after the other. Only what touches
///   several sessions (the limit at a sign-in, a user's revocations, a list) may be several steps; between them there may
///   be too few sessions of a user, never too many, and never one that the user's list misses.
/// - A record goes away by itself when it expires: at its idle timeout or its absolute deadline.
/// - Time is the store's own, in whole milliseconds. If several servers share the store, it is never that of one of them.
/// - `Err` means that the store failed. That a session is gone, or a change is refused, is an answer.
/// - A future that is dropped at any point leaves the method done or not done, nothing between.
///
/// Implementors write plain `async fn`.
pub trait Store: Send + Sync + 'static {
    /// Creates a session. If the same session is created again with the same secret hash, because the first answer was lost, the
    /// answer is the same as the first time. If the session is there with another secret hash, or was evicted and is still remembered,
    /// the answer is [`Refusal::Conflict`].
    fn create(&self, new: &NewSession, terms: &Terms) -> impl Future<Output = Result<Outcome, StoreError>> + Send;

    /// Reads a session if the credentials open it.
    fn load(&self, presented: &Credentials, terms: &Terms) -> impl Future<Output = Result<Lookup, StoreError>> + Send;

    /// Reads a session from where it is stored, past every cache, for what must not rely on what was true a moment ago. A store
    /// without a cache does not implement this method: it then answers as [`load`](Store::load) does.
    fn load_fresh(
        &self,
        presented: &Credentials,
        terms: &Terms,
    ) -> impl Future<Output = Result<Lookup, StoreError>> + Send {
        self.load(presented, terms)
    }

    /// Returns what [`load`](Store::load) would answer, if the memory of this process is enough for it. This is called before
    /// `load`, which costs an allocation and a time-out. `None` means that `load` has to be called, and is always a right answer.
    #[allow(unused_variables)]
    fn load_at_hand(&self, presented: &Credentials, terms: &Terms) -> Option<Lookup> {
        None
    }

    /// Returns true if `load` may answer with what was true a moment ago, from a cache.
    fn may_be_near(&self) -> bool {
        false
    }

    /// Reads a live session by its id, whatever its secrets are, from where it is stored. It is asked for what an application does
    /// with a session outside a request of its visitor.
    fn load_by_id(
        &self,
        id: &SessionId,
        terms: &Terms,
    ) -> impl Future<Output = Result<Option<Loaded>, StoreError>> + Send;

    /// Begins to watch a session for somebody who waits for its end. The store tells the [`Watch`] at least when the session has ended
    /// or has another secret, and may tell more. `None` means that the store cannot tell: then it is asked at intervals, as it also is
    /// in case something was missed.
    #[allow(unused_variables)]
    fn watch(&self, id: &SessionId) -> Option<Watch> {
        None
    }

    /// Changes a session if the credentials open it. A change that rotates to the secret that is already the current one was made
    /// before: the answer is success, and nothing is changed a second time.
    ///
    /// A change that was made but may still be lost is not an `Err`: [`Outcome::Done`] says so in `not_durable`.
    fn apply(
        &self,
        presented: &Credentials,
        change: &Change,
        terms: &Terms,
    ) -> impl Future<Output = Result<Outcome, StoreError>> + Send;

    /// Changes a session as [`apply`](Store::apply) does. `loaded` is the session as the caller has seen it, perhaps long ago: a store
    /// that plans a change before it makes it can plan on that, and spares a question. A store that needs no plan does not implement
    /// this method.
    #[allow(unused_variables)]
    fn apply_to(
        &self,
        loaded: &Loaded,
        presented: &Credentials,
        change: &Change,
        terms: &Terms,
    ) -> impl Future<Output = Result<Outcome, StoreError>> + Send {
        self.apply(presented, change, terms)
    }

    /// Ends the session if the credentials open it, with its current secret or with the held previous one, whatever its grace
    /// ([`Record::is_opened_by`](crate::store::Record::is_opened_by)). Returns what became of the session. A live session with other
    /// secrets is left as it is.
    ///
    /// If the end of the session is not durable, the answer is an `Err` that says with [`StoreError::after_ending`] that one session
    /// has ended all the same.
    fn sign_out(&self, presented: &Credentials) -> impl Future<Output = Result<SignedOut, StoreError>> + Send;

    /// Ends sessions immediately and returns how many of them were live. Of a user's sessions, those that are bound to the user
    /// count. When all of a user's sessions end, or all but one, a session whose sign-in has begun and is not finished ends as well,
    /// and does not count. An `Err` says with [`StoreError::after_ending`] how many sessions have ended all the same.
    fn revoke(&self, target: &Target) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Returns the sessions of a user, the latest sign-in first. A page may be shorter than was asked for if sessions have ended.
    fn list(
        &self,
        user: &UserId,
        page: Page,
        terms: &Terms,
    ) -> impl Future<Output = Result<Vec<Device>, StoreError>> + Send;
}

/// A [`Store`] without its type, so that `Session` is not generic.
pub(crate) trait AnyStore: Send + Sync {
    fn create<'a>(&'a self, new: &'a NewSession, terms: &'a Terms) -> Answer<'a, Outcome>;
    fn load<'a>(&'a self, presented: &'a Credentials, terms: &'a Terms) -> Answer<'a, Lookup>;
    fn load_fresh<'a>(&'a self, presented: &'a Credentials, terms: &'a Terms) -> Answer<'a, Lookup>;
    fn load_at_hand(&self, presented: &Credentials, terms: &Terms) -> Option<Lookup>;
    fn may_be_near(&self) -> bool;
    fn load_by_id<'a>(&'a self, id: &'a SessionId, terms: &'a Terms) -> Answer<'a, Option<Loaded>>;
    fn watch(&self, id: &SessionId) -> Option<Watch>;
    fn apply<'a>(
        &'a self,
        loaded: Option<&'a Loaded>,
        presented: &'a Credentials,
        change: &'a Change,
        terms: &'a Terms,
    ) -> Answer<'a, Outcome>;
    fn sign_out<'a>(&'a self, presented: &'a Credentials) -> Answer<'a, SignedOut>;
    fn revoke<'a>(&'a self, target: &'a Target) -> Answer<'a, u64>;
    fn list<'a>(&'a self, user: &'a UserId, page: Page, terms: &'a Terms) -> Answer<'a, Vec<Device>>;
}

pub(crate) type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

impl<S: Store> AnyStore for S {
    fn create<'a>(&'a self, new: &'a NewSession, terms: &'a Terms) -> Answer<'a, Outcome> {
        Box::pin(Store::create(self, new, terms))
    }

    fn load<'a>(&'a self, presented: &'a Credentials, terms: &'a Terms) -> Answer<'a, Lookup> {
        Box::pin(Store::load(self, presented, terms))
    }

    fn load_fresh<'a>(&'a self, presented: &'a Credentials, terms: &'a Terms) -> Answer<'a, Lookup> {
        Box::pin(Store::load_fresh(self, presented, terms))
    }

    fn load_at_hand(&self, presented: &Credentials, terms: &Terms) -> Option<Lookup> {
        Store::load_at_hand(self, presented, terms)
    }

    fn may_be_near(&self) -> bool {
        Store::may_be_near(self)
    }

    fn load_by_id<'a>(&'a self, id: &'a SessionId, terms: &'a Terms) -> Answer<'a, Option<Loaded>> {
        Box::pin(Store::load_by_id(self, id, terms))
    }

    fn watch(&self, id: &SessionId) -> Option<Watch> {
        Store::watch(self, id)
    }

    fn apply<'a>(
        &'a self,
        loaded: Option<&'a Loaded>,
        presented: &'a Credentials,
        change: &'a Change,
        terms: &'a Terms,
    ) -> Answer<'a, Outcome> {
        match loaded {
            Some(loaded) => Box::pin(Store::apply_to(self, loaded, presented, change, terms)),
            None => Box::pin(Store::apply(self, presented, change, terms)),
        }
    }

    fn sign_out<'a>(&'a self, presented: &'a Credentials) -> Answer<'a, SignedOut> {
        Box::pin(Store::sign_out(self, presented))
    }

    fn revoke<'a>(&'a self, target: &'a Target) -> Answer<'a, u64> {
        Box::pin(Store::revoke(self, target))
    }

    fn list<'a>(&'a self, user: &'a UserId, page: Page, terms: &'a Terms) -> Answer<'a, Vec<Device>> {
        Box::pin(Store::list(self, user, page, terms))
    }
}
