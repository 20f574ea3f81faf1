//! The manager of an application's sessions: one store and one configuration. What belongs to one request is in
//! [`Session`](crate::Session).

use std::fmt;
use std::sync::Arc;

use crate::config::Config;
use crate::error::{Error, Result, StoreError};
use crate::events::{Event, Events, RevokeReason};
use crate::meter::{self, Verb};
use crate::record::{
    Change, Credentials, Device, Loaded, Lookup, NewSession, OnReplay, Outcome, Page, Refusal, SessionId, SignedOut,
    Target, Terms, TokenFormat, UserId,
};
use crate::store::{AnyStore, Store, Watch};

mod ask;
mod counted;
mod open;

/// The sessions of an application: a store and the configuration. A clone is cheap and shares both.
///
/// ```
/// use cloakroom::{Config, Sessions, store::Memory};
///
/// let sessions = Sessions::new(Memory::new(), Config::default());
/// ```
#[derive(Clone)]
pub struct Sessions(Arc<Shared>);

/// Where a session may be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReadFrom {
    /// In a near cache, if there is one.
    Nearest,
    /// In the store itself.
    Store,
}

struct Shared {
    store: Box<dyn AnyStore>,
    config: Config,
    events: Events,
}

impl Sessions {
    /// Creates the manager of the sessions in this store.
    pub fn new(store: impl Store, config: Config) -> Sessions {
        let events = Events::new(config.hook.as_ref());
        Sessions::with_events(store, config, events)
    }

    pub(crate) fn with_events(store: impl Store, config: Config, events: Events) -> Sessions {
        #[cfg(feature = "metrics")]
        crate::metrics::describe();
        Sessions(Arc::new(Shared { store: Box::new(store), config, events }))
    }

    /// Returns the configuration with which this manager was made.
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # use std::time::Duration;
    /// # doctest::with_sessions(async |sessions| {
    /// assert_eq!(sessions.config().terms().idle_timeout, Duration::from_secs(30 * 60));
    /// # Ok(())
    /// # });
    /// ```
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// Ends a session immediately, whoever uses it. Returns true if the session was live. One round trip.
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # doctest::with_sessions(async |sessions| {
    /// # let ongoing = doctest::request(&sessions)?;
    /// # let session = ongoing.visit().session().await?;
    /// session.sign_in("ada").await?;
    /// let id = session.id().unwrap();
    ///
    /// assert!(sessions.revoke(&id).await?);
    /// assert!(!sessions.revoke(&id).await?); // it has ended already
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// Returns a store error ([`is_store`](Error::is_store)) if the store does not answer; the session may then still be
    /// live.
    pub async fn revoke(&self, id: &SessionId) -> Result<bool> {
        let ended = self.end(Target::Session(*id), RevokeReason::Application, None).await?;
        Ok(ended > 0)
    }

    /// Ends all sessions of a user immediately, for example after a change of the password or when an account is closed.
    /// Returns how many sessions were live. Two round trips, and the sessions in one parallel flight. (ASVS 7.4.2, 7.4.3)
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # doctest::with_sessions(async |sessions| {
    /// # let ongoing = doctest::request(&sessions)?;
    /// # let session = ongoing.visit().session().await?;
    /// session.sign_in(42).await?;
    /// assert_eq!(sessions.revoke_user(42).await?, 1);
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// Returns [`is_invalid`](Error::is_invalid) for a user id that is not allowed, and a store error
    /// ([`is_store`](Error::is_store)) if the store does not answer; some sessions may then still be live.
    pub async fn revoke_user<U>(&self, user: U) -> Result<u64>
    where
        U: TryInto<UserId>,
        Error: From<U::Error>,
    {
        self.end(Target::AllOf(user.try_into()?), RevokeReason::Application, None).await
    }

    /// Returns a page of a user's sessions, the latest sign-in first. Two round trips, and one more if some of the sessions
    /// have expired.
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # use cloakroom::Page;
    /// # doctest::with_sessions(async |sessions| {
    /// # let ongoing = doctest::request(&sessions)?;
    /// # let session = ongoing.visit().session().await?;
    /// session.sign_in("ada").device("Ada's phone").await?;
    /// let first_page = sessions.devices("ada", Page { offset: 0, limit: 20 }).await?;
    /// assert_eq!(first_page[0].label.as_deref(), Some("Ada's phone"));
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// Returns [`is_invalid`](Error::is_invalid) for a user id that is not allowed, and a store error
    /// ([`is_store`](Error::is_store)) if the store does not answer.
    pub async fn devices<U>(&self, user: U, page: Page) -> Result<Vec<Device>>
    where
        U: TryInto<UserId>,
        Error: From<U::Error>,
    {
        self.need_secrets()?;
        let user = user.try_into()?;
        Ok(self.ask(Verb::List, None, self.0.store.list(&user, page, self.terms())).await?)
    }

    /// Tells the application's hook and the log what happened, and counts it.
    pub(crate) fn tell(&self, event: Event) {
        counted::happened(&event);
        self.0.events.tell(event);
    }

    pub(crate) fn is_same(&self, other: &Sessions) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Returns an error with plain tokens, which cannot do everything.
    pub(crate) fn need_secrets(&self) -> Result<()> {
        match self.config().token_format {
            TokenFormat::Secret => Ok(()),
            TokenFormat::Plain => Err(Error::config(
                "token_format",
                "Plain has no rotation, no sign-in, no list of a user's sessions and no deadline of a session's own",
            )),
        }
    }

    pub(crate) async fn make(&self, new: &NewSession) -> Result<Outcome> {
        let answer = self.0.store.create(new, self.terms());
        Ok(self.ask(Verb::Create, Some(&new.presented.id), answer).await?)
    }

    /// Whether a session that was loaded may be out of date, because it came out of a near cache.
    pub(crate) fn may_be_near(&self) -> bool {
        self.0.store.may_be_near()
    }

    /// Whether a session is ended when a browser presents one of its old secrets.
    pub(crate) fn ends_replayed(&self) -> bool {
        self.config().on_replay == OnReplay::Revoke
    }

    /// Tells that a previous secret was presented after its grace, and ends its session if that is the policy.
    pub(crate) async fn replayed(&self, session: SessionId, user: Option<UserId>) -> Result<()> {
        self.tell(Event::Replayed { session, user });
        if self.ends_replayed() {
            self.end(Target::Session(session), RevokeReason::Replayed, None).await?;
        }
        Ok(())
    }

    /// Loads a session for a request that has loaded it before. If the grace of a held secret has ended since, that is no
    /// theft: it was judged when the request came.
    pub(crate) async fn load_again(&self, presented: &Credentials) -> Result<Option<Loaded>> {
        Ok(match self.load(presented, ReadFrom::Store).await? {
            Lookup::Live(loaded) | Lookup::Replayed(loaded) => Some(loaded),
            Lookup::Gone | Lookup::Evicted => None,
        })
    }

    pub(crate) async fn load(&self, presented: &Credentials, from: ReadFrom) -> Result<Lookup> {
        let answer = match from {
            ReadFrom::Nearest => match self.at_hand(presented) {
                Some(lookup) => return Ok(lookup),
                None => self.0.store.load(presented, self.terms()),
            },
            ReadFrom::Store => self.0.store.load_fresh(presented, self.terms()),
        };
        Ok(self.ask(Verb::Load, Some(&presented.id), answer).await?)
    }

    /// Reads a session by its id, whatever its secret is.
    pub(crate) async fn load_by_id(&self, id: &SessionId) -> Result<Option<Loaded>> {
        Ok(self.ask(Verb::Load, Some(id), self.0.store.load_by_id(id, self.terms())).await?)
    }

    /// Begins to watch a session, if the store can tell when something happens to it.
    pub(crate) fn watch(&self, id: &SessionId) -> Option<Watch> {
        self.0.store.watch(id)
    }

    /// Changes a session that the application knows by its id. It needs no secret of the session, so a secret that was
    /// replaced meanwhile is no reason to refuse: a change that was refused for it is asked for again.
    pub(crate) async fn apply_by_id(&self, mut loaded: Loaded, id: &SessionId, change: &Change) -> Result<Outcome> {
        loop {
            let presented = Credentials { id: *id, secret_hash: loaded.record.secret_hash };
            let outcome = self.apply(Some(&loaded), &presented, change).await?;
            if !matches!(outcome, Outcome::Refused(Refusal::Gone)) {
                return Ok(outcome);
            }
            match self.load_by_id(id).await? {
                Some(now) if now.record.secret_hash != presented.secret_hash => loaded = now,
                _ => return Ok(outcome),
            }
        }
    }

    /// Changes a session, which this request has loaded before, if it has.
    pub(crate) async fn apply(
        &self,
        loaded: Option<&Loaded>,
        presented: &Credentials,
        change: &Change,
    ) -> Result<Outcome> {
        let answer = self.0.store.apply(loaded, presented, change, self.terms());
        let applied = self.ask(Verb::Apply, Some(&presented.id), answer).await?;
        if change.is_touch() && matches!(applied, Outcome::Done { .. }) {
            meter::touched();
        }
        Ok(applied)
    }

    /// Ends sessions, and then tells of it.
    pub(crate) async fn end(&self, target: Target, reason: RevokeReason, by: Option<SessionId>) -> Result<u64> {
        if !matches!(target, Target::Session(_)) {
            self.need_secrets()?;
        }
        let answer = self.ask(Verb::Revoke, target.session(), self.0.store.revoke(&target)).await;
        if let Some(ended) = has_ended(&answer, |ended| *ended) {
            self.tell(Event::Revoked { target, ended, reason, by });
        }
        Ok(answer?)
    }

    /// Ends the session that these credentials open, and tells of it.
    pub(crate) async fn sign_out(&self, presented: &Credentials, reason: RevokeReason) -> Result<SignedOut> {
        let id = presented.id;
        let answer = self.ask(Verb::Revoke, Some(&id), self.0.store.sign_out(presented)).await;
        let ended = has_ended(&answer, |signed_out| (*signed_out == SignedOut::Ended).into());
        if let Some(ended) = ended {
            self.tell(Event::Revoked { target: Target::Session(id), ended, reason, by: Some(id) });
        }
        Ok(answer?)
    }

    fn terms(&self) -> &Terms {
        &self.0.config.terms
    }
}

/// Returns how many sessions a revoke has ended, or `None` if it failed before it ended any.
fn has_ended<T>(answer: &Result<T, StoreError>, of: impl FnOnce(&T) -> u64) -> Option<u64> {
    match answer {
        Ok(answer) => Some(of(answer)),
        Err(error) => Some(error.ended()).filter(|ended| *ended > 0 || error.is_not_durable()),
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").field("config", &self.0.config).finish_non_exhaustive()
    }
}
