//! The verbs that stand at once, whatever the response.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::commit::{Accepted, is_done};
use super::pending::Pending;
use super::{Candidate, MintedAhead, Purpose, Session, Unopened};
use crate::error::{Error, Result};
use crate::record::{Change, Field, FieldChanges, Fields, Lookup, NewSession, SessionId, Token};
use crate::sessions::ReadFrom;

impl Session {
    /// Adds to a counter and returns its new value. A counter that does not exist starts at 0. Immediate: one round trip. A visitor
    /// without a session gets one.
    ///
    /// Increments add up exactly, however many requests make them. If this request has [set](Session::set) the same field before, it
    /// counts from there.
    ///
    /// ```
    /// # use cloakroom::{Error, Field, Session};
    /// const VIEWS: Field<i64> = Field::new("page_views");
    ///
    /// async fn count(session: Session) -> Result<String, Error> {
    ///     Ok(format!("You have been here {} times.", session.increment(VIEWS, 1).await?))
    /// }
    /// ```
    ///
    /// # Errors
    /// Returns [`is_invalid`](Error::is_invalid), and leaves the field unchanged, if the field does not hold a whole number or the sum
    /// exceeds `i64`. Returns [`is_unknown`](Error::is_unknown) if the answer was lost: the increment was then made once or not at
    /// all.
    pub async fn increment(&self, field: Field<i64>, by: i64) -> Result<i64> {
        self.check(field.name())?;
        let _turn = self.turn().await?;
        let name = field.name().to_owned();
        let (pending, seen) = {
            let state = self.state();
            (state.pending.of(&name).map(|text| text.map(str::to_owned)), state.pending.seen(&name))
        };
        let start = match &pending {
            Some(text) => Some(text.as_deref().unwrap_or("0")),
            None => (!self.exists()).then_some("0"),
        };
        let mut delta = FieldChanges::default();
        match start {
            None => drop(delta.add.insert(name.clone(), by)),
            Some(text) => drop(delta.set.insert(name.clone(), sum(&name, text, by)?.to_string())),
        }
        let changed = if self.exists() { self.change(delta).await } else { self.create(delta.set).await };
        let mut state = self.state();
        if is_done(&changed) {
            state.pending.forget_seen(&name, &seen);
        }
        changed?;
        let text = state.stored_text(&name).unwrap_or_default();
        text.parse().map_err(|_| Error::invalid(format!("field `{name}`"), crate::record::NOT_A_COUNTER))
    }

    /// Gives the session a new secret and the browser a new token. The old secret is accepted until shortly after the browser has
    /// first presented the new one, so that requests that run in parallel are not lost. Immediate: one round trip. Without a session
    /// nothing happens.
    ///
    /// # Errors
    /// Returns [`is_conflict`](Error::is_conflict) if another request has just rotated the session, [`is_gone`](Error::is_gone) if the
    /// session has ended, and a configuration error with plain tokens, which cannot rotate.
    pub async fn rotate(&self) -> Result<()> {
        self.sessions().need_secrets()?;
        let _turn = self.turn().await?;
        match self.id() {
            Some(id) => self.change_secret(&id, Change { touch: true, ..Change::default() }).await,
            None => self.nothing_there(),
        }
    }

    /// Rotates the session at a change of privilege. The old secret is worthless immediately, so that a token that leaked before does
    /// not gain the new privilege. A sign-in does this by itself. Immediate: one round trip.
    ///
    /// # Errors
    /// Returns the errors of [`rotate`](Session::rotate). A request that brought a held previous secret gets
    /// [`is_conflict`](Error::is_conflict).
    pub async fn elevate(&self) -> Result<()> {
        self.sessions().need_secrets()?;
        let _turn = self.turn().await?;
        match self.id() {
            Some(id) => self.change_secret(&id, Change { touch: true, drop_previous: true, ..Change::default() }).await,
            None => self.nothing_there(),
        }
    }

    /// Makes a change together with a new secret.
    pub(super) async fn change_secret(&self, id: &SessionId, mut change: Change) -> Result<()> {
        let ahead = match self.state().minted_ahead.take() {
            Some(MintedAhead::Rotation(token)) if token.presented().id == *id => Some(token),
            _ => None,
        };
        let token = ahead.map_or_else(|| Token::with_new_secret(id), Ok)?;
        change.rotate_to = token.presented().secret_hash;
        self.state().candidate = Some(Candidate { token, purpose: Purpose::Change(Box::new(change)) });
        self.settle().await
    }

    /// Reads a value and removes it in one step: only one of several requests gets it. Immediate: one round trip, or none if there is
    /// no value. It suits messages that are shown once.
    ///
    /// A stored text that is not a `T` is removed as well and returns `None`, with a warning in the log as for
    /// [`get`](Session::get).
    ///
    /// # Errors
    /// Returns [`is_conflict`](Error::is_conflict) if other requests changed the field first at every attempt, and a store error
    /// ([`is_store`](Error::is_store)) if the store does not answer.
    pub async fn take<T: DeserializeOwned>(&self, field: Field<T>) -> Result<Option<T>> {
        let name = field.name().to_owned();
        let mut taken = None;
        self.replace(&name, |session| {
            taken = session.get(field.clone())?;
            Ok(None)
        })
        .await?;
        Ok(taken)
    }

    /// Reads, changes and writes a field without losing the change of another request. If another request came first, the field is
    /// read again and `change` is called again, a few times. Immediate: one round trip, and two more for each repetition.
    ///
    /// If this request has [set](Session::set) the same field before, `change` gets that value. If there is no value, or the stored
    /// text is not a `T` because another version of the application wrote it, `change` gets the default; the latter is logged as for
    /// [`get`](Session::get). To keep such a text, ask [`try_get`](Session::try_get) first.
    ///
    /// ```
    /// # use cloakroom::{Error, Field, Session};
    /// const CART: Field<Vec<u32>> = Field::new("cart");
    ///
    /// async fn add_to_cart(session: Session) -> Result<(), Error> {
    ///     session.update(CART, |cart| cart.push(7)).await
    /// }
    /// ```
    ///
    /// # Errors
    /// Returns [`is_conflict`](Error::is_conflict) if other requests came first at every attempt, [`is_invalid`](Error::is_invalid) if
    /// the new value does not fit or would not be read back unchanged, and a store error ([`is_store`](Error::is_store)) if the store
    /// does not answer.
    pub async fn update<T, R>(&self, field: Field<T>, mut change: impl FnMut(&mut T) -> R) -> Result<R>
    where
        T: DeserializeOwned + Serialize + Default,
    {
        let name = field.name().to_owned();
        let mut answer = None;
        self.replace(&name, |session| {
            let mut value = session.get(field.clone())?.unwrap_or_default();
            answer = Some(change(&mut value));
            session.text_for(&name, &value).map(Some)
        })
        .await?;
        Ok(answer.expect("the change was made at least once"))
    }

    /// Replaces a field's text by what is made of it, as a compare-and-set that is repeated when another request came first.
    /// Without text before and after nothing is asked of the store.
    async fn replace(&self, name: &str, mut make: impl FnMut(&Session) -> Result<Option<String>>) -> Result<()> {
        const ATTEMPTS: u32 = 8;
        self.check(name)?;
        let _turn = self.turn().await?;
        for attempt in 1.. {
            let (is_there, before, seen) = {
                let state = self.state();
                let before = state.stored_text(name).map(str::to_owned);
                (state.text_of(name).is_some(), before, state.pending.seen(name))
            };
            let text = make(self)?;
            if text.is_none() && !is_there {
                return Ok(());
            }
            let replaced = self.replace_once(name, before, text).await;
            match replaced {
                Err(error) if error.is_conflict() && attempt < ATTEMPTS => self.reload(attempt).await?,
                Err(error) if error.is_conflict() => {
                    return Err(Error::conflict(format!(
                        "field `{name}` was changed by others {ATTEMPTS} times in a row"
                    )));
                }
                replaced => {
                    if is_done(&replaced) {
                        self.state().pending.forget_seen(name, &seen);
                    }
                    return replaced;
                }
            }
        }
        unreachable!("attempts are counted")
    }

    async fn replace_once(&self, name: &str, before: Option<String>, text: Option<String>) -> Result<()> {
        if !self.exists() {
            // a pending value of a visitor without a session that is taken out again was never stored
            return match text {
                Some(text) => self.create(Fields::from([(name, text)])).await,
                None => Ok(()),
            };
        }
        let mut delta = FieldChanges { expect: [(name.to_owned(), before)].into(), ..FieldChanges::default() };
        match text {
            Some(text) => delta.set(name, text),
            None => delta.remove(name),
        }
        self.change(delta).await
    }

    /// Reads the session from the store again, past a [near cache](crate::store::NearCache), for a route that must not rely on what
    /// was true a moment ago. Immediate: one round trip with a near cache, unless this request has already asked the store; none
    /// without. If the session has ended, this request has none afterwards.
    ///
    /// A handle that is kept after the response, in a stream, a socket or a task, shows the session as it was then. On such a handle
    /// this always reads the session again: one round trip. It uses the token of its request, which is still accepted after one
    /// rotation. After a second rotation, or after a sign-in, the handle has no session any more.
    ///
    /// # Errors
    /// Returns a store error ([`is_store`](Error::is_store)) if the store does not answer.
    pub async fn refresh(&self) -> Result<()> {
        let is_over = self.state().over;
        // whoever only looks may do so after the head has left
        let _turn = if is_over { self.0.turn.lock().await } else { self.turn().await? };
        let presented = {
            let state = self.state();
            state.presented.filter(|_| is_over || !state.fresh && self.sessions().may_be_near())
        };
        if let Some(presented) = presented {
            let lookup = match self.sessions().load(&presented, ReadFrom::Store).await? {
                // the secret was good when its request came: that another one has replaced it since is no theft
                Lookup::Replayed(loaded) if is_over => Lookup::Live(loaded),
                Lookup::Replayed(loaded) => {
                    self.sessions().replayed(presented.id, loaded.record.user_id.clone()).await?;
                    Lookup::Replayed(loaded)
                }
                other => other,
            };
            let mut state = self.state();
            (state.loaded, state.presented) = (None, None);
            state.found(presented, lookup, ReadFrom::Store);
            if state.loaded.is_none() {
                state.forget_session();
            }
        }
        Ok(())
    }

    /// Sees the session anew, after a moment that is different for everybody.
    pub(super) async fn reload(&self, attempt: u32) -> Result<()> {
        let mut random = [0; 1];
        getrandom::fill(&mut random).map_err(|_| Error::no_randomness())?;
        tokio::time::sleep(Duration::from_micros(u64::from(attempt) * (200 + 20 * u64::from(random[0])))).await;
        let presented = self.state().presented.ok_or_else(Error::gone)?;
        let loaded = self.sessions().load_again(&presented).await?.ok_or_else(Error::gone)?;
        self.state().see(loaded);
        Ok(())
    }

    /// Ends the session on the server and then removes the cookie. Immediate: one round trip. What is set afterwards belongs to a new
    /// session.
    ///
    /// To sign out twice is a success: a second click, and a session that has expired or was ended elsewhere, remove the cookie too.
    /// If the request brought several tokens that each open a session, all of these sessions end: one round trip each.
    ///
    /// # Errors
    /// Returns a store error ([`is_store`](Error::is_store)) if the store does not answer; the session may then still be live. Returns
    /// [`is_gone`](Error::is_gone) if the request brought an old secret of a live session: the session was not ended and the cookie
    /// stays, because the browser may already have the new secret.
    pub async fn sign_out(&self) -> Result<()> {
        let _turn = self.turn().await?;
        let (current, rivals, unopened) = {
            let state = self.state();
            (state.loaded.as_ref().and(state.presented), state.rivals.clone(), state.unopened.clone())
        };
        let opened: Vec<_> = current.into_iter().chain(rivals).collect();
        if opened.is_empty() && unopened.is_empty() {
            // a visitor who never had a session
            self.state().pending = Pending::default();
            return Ok(());
        }
        let is_replayed = unopened.iter().any(|token| matches!(token, Unopened::Replayed));
        // where a replay ends its session, it has ended by now
        if opened.is_empty() && is_replayed && !self.sessions().ends_replayed() {
            return Err(Error::gone_because(self.absence()));
        }
        let tokens = match opened.is_empty() {
            false => opened,
            true => unopened.iter().filter_map(Unopened::unknown).collect(),
        };
        self.sign_out_of(&tokens).await.map(drop)
    }

    /// Stores the deferred changes now instead of when the response is ready: for responses that show what was stored, and before a
    /// stream begins, because nothing can be changed once the head of the response was sent. At most one round trip.
    ///
    /// # Errors
    /// Returns [`is_gone`](Error::is_gone) if the session has ended meanwhile, and a store error ([`is_store`](Error::is_store)) if the
    /// store does not answer.
    pub async fn commit(&self) -> Result<()> {
        let _turn = self.turn().await?;
        self.commit_pending().await
    }

    /// Waits for its turn and finishes what a dropped future left half-done.
    pub(super) async fn turn(&self) -> Result<tokio::sync::MutexGuard<'_, ()>> {
        let turn = self.0.turn.lock().await;
        drop(self.open_state()?);
        match self.settle().await {
            // what a dropped future began was refused: that was its answer, and is none of this verb's
            Err(error) if !error.is_store() => {
                tracing::warn!(target: "cloakroom", %error, "a token that was on its way was refused");
            }
            settled => settled?,
        }
        Ok(turn)
    }

    /// Makes the session with these fields and the idle timeout, which are not pending any more.
    pub(super) async fn create(&self, fields: Fields) -> Result<()> {
        let idle_timeout = self.state().pending.idle_timeout;
        self.create_with(fields, idle_timeout).await
    }

    pub(super) async fn create_with(&self, fields: Fields, idle_timeout: Option<Duration>) -> Result<()> {
        let ahead = match self.state().minted_ahead.take() {
            Some(MintedAhead::Creation(token)) => Some(token),
            _ => None,
        };
        let token = ahead.map_or_else(|| Token::mint(self.format()), Ok)?;
        let new = NewSession { presented: token.presented(), fields, idle_timeout };
        self.state().candidate = Some(Candidate { token, purpose: Purpose::Create(Box::new(new)) });
        self.settle().await
    }

    /// Changes the stored session, which exists, and sees it anew.
    pub(super) async fn change(&self, delta: FieldChanges) -> Result<()> {
        let (presented, change) = {
            let state = self.state();
            let listed = state.listed().filter(|_| state.touch_is_due(self.sessions()));
            let change = Change { delta, touch: !state.peeking, confirm: !state.minted, listed, ..Change::default() };
            (state.presented.ok_or_else(Error::gone)?, change)
        };
        let Accepted { loaded, durable, .. } = self.accept(self.sessions().apply(&presented, &change).await?)?;
        let mut state = self.state();
        state.pending.forget(&change.delta);
        state.see(loaded);
        durable
    }

    /// The answer to a verb that needs a session where there is none: fine for a visitor who never had one.
    pub(super) fn nothing_there(&self) -> Result<()> {
        let is_stale = !self.state().unopened.is_empty();
        if is_stale { Err(Error::gone_because(self.absence())) } else { Ok(()) }
    }
}

fn sum(name: &str, text: &str, by: i64) -> Result<i64> {
    let field = || format!("field `{name}`");
    let value = crate::record::counter(text).ok_or_else(|| Error::invalid(field(), crate::record::NOT_A_COUNTER))?;
    value.checked_add(by).ok_or_else(|| Error::malformed(field(), crate::record::COUNTER_OVERFLOW))
}
