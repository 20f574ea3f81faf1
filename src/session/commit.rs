//! Brings a request's changes to the store: settles the token that is on its way, and commits the deferred changes.

use super::Session;
use super::pending::Pending;
use super::state::{Candidate, ClientChanges, Minted, Purpose, State};
use crate::error::{Absence, Error, Result};
use crate::events::Event;
use crate::meter;
use crate::record::{
    COUNTER_OVERFLOW, DEADLINE_HAS_PASSED, FieldChanges, Fields, Loaded, Outcome, Refusal, Rotation, SessionId,
};
use crate::sessions::Sessions;

/// A change that a store has made.
pub(super) struct Accepted {
    pub(super) loaded: Loaded,
    /// The sessions that were ended for it.
    pub(super) evicted: Vec<SessionId>,
    /// An error if a failure of the store may still undo the change.
    pub(super) durable: Result<()>,
}

impl Session {
    /// Stores the deferred changes now instead of when the response is ready: for responses that show what was stored, and
    /// before a stream begins, because nothing can be changed once the head of the response was sent. At most one round
    /// trip.
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # use cloakroom::Field;
    /// # doctest::with_session(async |session| {
    /// session.set(Field::<String>::new("theme"), "dark")?;
    /// assert!(!session.exists());
    /// session.commit().await?;
    /// assert!(session.exists());
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// Returns [`is_gone`](Error::is_gone) if the session has ended meanwhile, and a store error
    /// ([`is_store`](Error::is_store)) if the store does not answer.
    pub async fn commit(&self) -> Result<()> {
        let _turn = self.turn().await?;
        self.commit_pending().await
    }

    pub(super) fn sessions(&self) -> &Sessions {
        &self.0.sessions
    }

    /// Asks the store to take the token that is on its way, if there is one. Asking again is harmless. So a method calls
    /// this to do its work, and the next method calls it to finish that work if the future was dropped.
    pub(super) async fn settle(&self) -> Result<()> {
        let Minted::OnItsWay(Candidate { token, purpose }) = self.state().minted.clone() else {
            return Ok(());
        };
        let answer = match &purpose {
            Purpose::Create(new) => self.sessions().make(new).await,
            Purpose::Change(presented, change) => {
                let loaded = self.state().loaded_as(presented);
                self.sessions().apply(loaded.as_ref(), presented, change).await
            }
        };
        // after an answer there is nothing left to ask, unless it is unknown what was done
        if !answer.as_ref().is_err_and(Error::is_unknown) {
            self.state().minted = Minted::Nothing;
        }
        let answer = answer?;
        let Accepted { loaded, evicted, durable } = self.accept(answer)?;
        self.tell(&purpose, token.presented().id, evicted);
        let mut state = self.state();
        match purpose {
            Purpose::Create(new) => {
                state.pending.forget(&FieldChanges {
                    set: new.fields,
                    idle_timeout: new.idle_timeout,
                    own_deadline: new.own_deadline.map(Some),
                    ..FieldChanges::default()
                });
            }
            Purpose::Change(_, change) => {
                if let Some(fields) = change.fields() {
                    state.pending.forget(fields);
                }
            }
        }
        // even if it is not durable: a token that opens a session must reach its browser
        state.hand_out(token, loaded, self.sessions());
        durable
    }

    fn tell(&self, purpose: &Purpose, session: SessionId, evicted: Vec<SessionId>) {
        let Purpose::Change(_, change) = purpose else {
            return self.sessions().tell(Event::Created { session });
        };
        let Some(new) = change.sign_in().filter(|new| !new.only_again) else {
            return self.sessions().tell(Event::Rotated { session });
        };
        if !self.state().is_taking_over {
            self.sessions().tell(Event::SignedIn { session, user: new.user.clone() });
        }
        for other in evicted {
            self.sessions().tell(Event::Evicted { session: other, user: new.user.clone(), by: session });
        }
    }

    /// Returns what the store has done, or the error that says why it has not.
    pub(super) fn accept(&self, answer: Outcome) -> Result<Accepted> {
        match answer {
            Outcome::Done { loaded, evicted, not_durable } => {
                Ok(Accepted { loaded, evicted, durable: not_durable.map_or(Ok(()), |error| Err(error.into())) })
            }
            Outcome::Refused(Refusal::LimitReached) => {
                Err(Error::limit(self.sessions().config().max_sessions_per_user))
            }
            Outcome::Refused(Refusal::Gone) => Err(self.gone_because(Absence::Meanwhile)),
            Outcome::Refused(Refusal::Conflict) => {
                Err(Error::conflict("another request has changed the session meanwhile"))
            }
            Outcome::Refused(Refusal::Invalid { reason: DEADLINE_HAS_PASSED, .. }) => {
                Err(Error::malformed("the deadline", DEADLINE_HAS_PASSED))
            }
            Outcome::Refused(Refusal::Invalid { field, reason }) if field == "session" => {
                Err(Error::too_large("the session", reason))
            }
            Outcome::Refused(Refusal::Invalid { field, reason: COUNTER_OVERFLOW }) => {
                Err(Error::malformed(format!("field `{field}`"), COUNTER_OVERFLOW))
            }
            Outcome::Refused(Refusal::Invalid { field, reason }) => {
                Err(Error::invalid(format!("field `{field}`"), reason))
            }
        }
    }

    /// Stores the deferred changes. Without any, extends or rotates the session if that is due.
    pub(super) async fn commit_pending(&self) -> Result<()> {
        let (pending, exists, touch, rotate) = {
            let state = self.state();
            let (touch, rotate) = (state.touch_is_due(self.sessions()), state.rotation_is_due(self.sessions()));
            (state.pending.clone(), state.current.is_some(), touch, rotate)
        };
        if !exists {
            if !pending.makes_a_session() {
                return Ok(());
            }
            let created = self.ask_pending(async |delta| self.create(delta.set).await).await;
            return created.inspect(|()| meter::committed());
        }
        if pending.is_empty() && !touch && !rotate {
            return Ok(());
        }
        let stored = self.store_pending(rotate).await;
        match stored {
            // nothing that the visitor asked for has failed; the next request tries again to touch or to rotate
            stored if pending.is_empty() => {
                self.note_untouched(stored);
                Ok(())
            }
            stored => stored.inspect(|()| meter::committed()),
        }
    }

    /// Extends the session if that is due. A failure is only logged, because the visitor did not ask for this.
    async fn touch_alone(&self) -> Result<()> {
        if self.exists() && self.state().touch_is_due(self.sessions()) {
            let touched = self.change(FieldChanges::default()).await;
            self.note_untouched(touched);
        }
        Ok(())
    }

    fn note_untouched(&self, touched: Result<()>) {
        if let Err(error) = touched {
            tracing::warn!(target: "cloakroom", session = ?self.id(), %error, "the session was not extended");
        }
    }

    /// Stores the deferred changes. If another request has pushed to the same list first, the list is read again and what
    /// this request has pushed is appended to it. Of several requests at the same time, one succeeds each time.
    async fn store_pending(&self, rotate: bool) -> Result<()> {
        const ATTEMPTS: u32 = 64;
        const LONGEST_PAUSE: u32 = 8;
        for attempt in 1.. {
            let has_pushed = self.state().pending.has_pushed();
            match self.ask_pending(async |delta| self.store_once(&delta, rotate).await).await {
                Err(error) if error.is_conflict() && has_pushed && attempt < ATTEMPTS => {
                    self.reload(attempt.min(LONGEST_PAUSE)).await?;
                }
                stored => return stored,
            }
        }
        unreachable!("attempts are counted")
    }

    /// Asks the store for the deferred changes. If the answer is lost or the future is dropped, nothing is pushed a second
    /// time.
    async fn ask_pending(&self, ask: impl AsyncFnOnce(FieldChanges) -> Result<()>) -> Result<()> {
        let (delta, pushed) = {
            let mut state = self.state();
            let State { pending, current, .. } = &mut *state;
            pending.ask(current.as_ref().map_or(&Fields::new(), |current| &current.record().fields))
        };
        let answer = ask(delta).await;
        if !is_done(&answer) && answer.as_ref().is_err_and(|error| !error.is_unknown()) {
            self.state().pending.take_back(pushed);
        }
        answer
    }

    async fn store_once(&self, delta: &FieldChanges, rotate: bool) -> Result<()> {
        // a rotation writes nothing to the index, which must know a later deadline
        if rotate && delta.own_deadline.is_none() && self.rotate_with(delta.clone()).await? {
            return Ok(());
        }
        self.change(delta.clone()).await
    }

    /// Rotates as configured, and makes the deferred changes in the same step. Returns false, and has changed nothing, if a
    /// parallel request has just rotated: that is not an error.
    async fn rotate_with(&self, fields: FieldChanges) -> Result<bool> {
        let Some(presented) = self.presented() else { return Ok(false) };
        let rotation = |secret_hash| Rotation { secret_hash, drop_previous: false, fields }.into();
        match self.change_secret(presented, rotation).await {
            Ok(()) => Ok(true),
            Err(error) if error.is_conflict() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Finishes at once if nothing is left to do, as after most requests, and returns what to tell the client. Returns
    /// `None` if there is something to wait for: [`finish`](Session::finish) does it.
    pub(crate) fn finish_at_once(&self) -> Option<ClientChanges> {
        let _turn = self.0.turn.try_lock().ok()?;
        let mut state = self.state();
        let is_settled = matches!(state.minted, Minted::Nothing) && state.pending.is_empty();
        if !is_settled || state.touch_is_due(self.sessions()) || state.rotation_is_due(self.sessions()) {
            return None;
        }
        state.over = true;
        Some(state.tell_client())
    }

    /// Commits, and allows no more changes. Returns the result of the commit, and what to tell the client.
    pub(crate) async fn finish(&self, status: u16) -> (Result<()>, ClientChanges) {
        // a future of an immediate method that was polled and then kept would hold its turn for ever
        let Ok(_turn) = tokio::time::timeout(self.sessions().config().store_timeout, self.0.turn.lock()).await else {
            self.close();
            let error = Error::conflict("a verb of this session was begun and never finished");
            return (Err(error), ClientChanges::default());
        };
        // before anything else, so that a clone that sets something from now on gets an error
        self.close();
        let settled = self.settle().await;
        // a time-out (408) has dropped the handler half-way, and a handler that failed (5xx) must not leave half of its
        // changes; but the visitor was there, so the session is extended
        let is_dropped = status >= 500 || status == 408;
        let committed = if is_dropped { self.touch_alone().await } else { self.commit_pending().await };
        let mut state = self.state();
        // nobody waits for what a dropped future began: its failure matters only if it also makes the commit fail
        if let Err(error) = settled {
            tracing::warn!(target: "cloakroom", %error, "a token that was on its way was not settled");
        }
        // a handle that is kept does not show what was not stored
        (state.pending, state.minted) = (Pending::default(), Minted::Nothing);
        (committed, state.tell_client())
    }

    /// Allows no more changes.
    pub(crate) fn close(&self) {
        self.state().over = true;
    }
}

/// Returns true if a change was made, durable or not.
pub(super) fn is_done<T>(changed: &Result<T>) -> bool {
    changed.as_ref().map_or_else(Error::is_not_durable, |_| true)
}
