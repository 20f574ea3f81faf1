//! The verbs that stand at once, whatever the response.

use super::{Candidate, CookieChange, Purpose, Session, State};
use crate::delta::{Change, Delta};
use crate::error::{Error, Result};
use crate::field::Field;
use crate::record::Fields;
use crate::store::{NewSession, Target};
use crate::token::{Token, TokenFormat};

impl Session {
    /// Adds to a counter and returns the new value. One that is not there starts at 0. At once: one round trip; for a
    /// visitor without a session it makes one.
    ///
    /// Increments add up exactly, however many requests make them. A [`set`](Session::set) of the same field that is
    /// still pending counts first.
    ///
    /// # Errors
    /// [`is_invalid`](Error::is_invalid) when the field holds no whole number, or the sum goes beyond `i64`: it stays
    /// as it is. [`is_unknown`](Error::is_unknown) when the answer was lost: it counted 0 or 1 times.
    pub async fn increment(&self, field: Field<i64>, by: i64) -> Result<i64> {
        self.check(field.name())?;
        let _turn = self.turn().await?;
        let name = field.name().to_owned();
        let pending = self.state().pending.of(&name).map(|text| text.map(str::to_owned));
        let start = match &pending {
            Some(text) => Some(text.as_deref().unwrap_or("0")),
            None => (!self.exists()).then_some("0"),
        };
        let mut delta = Delta::default();
        match start {
            None => drop(delta.add.insert(name.clone(), by)),
            Some(text) => drop(delta.set.insert(name.clone(), sum(&name, text, by)?.to_string())),
        }
        if self.exists() {
            self.change(delta).await?;
        } else {
            self.create(delta.set).await?;
        }
        let mut state = self.state();
        state.pending.set.remove(&name);
        state.pending.remove.remove(&name);
        let text = state.text_of(&name).unwrap_or_default();
        text.parse().map_err(|_| Error::invalid(format!("field `{name}`"), crate::record::NOT_A_COUNTER))
    }

    /// Gives the session a new secret. The old one still reads until shortly after the new one was first presented, so
    /// that parallel requests are not lost. At once: one round trip. Without a session there is nothing to rotate.
    ///
    /// # Errors
    /// [`is_conflict`](Error::is_conflict) when another request has just rotated; [`is_gone`](Error::is_gone); a
    /// configuration error with plain tokens, which cannot rotate.
    pub async fn rotate(&self) -> Result<()> {
        if self.format() == TokenFormat::Plain {
            return Err(Error::config("token_format", "Plain has no secret that could be rotated"));
        }
        let _turn = self.turn().await?;
        let Some(id) = self.id() else {
            return self.nothing_there();
        };
        let token = Token::with_new_secret(&id)?;
        self.state().candidate = Some(Candidate { token, purpose: Purpose::Rotate });
        self.settle().await
    }

    /// Ends the session, on the server first, and takes the cookie away. At once: one round trip. What is set afterwards
    /// belongs to a new session. Where the session has just ended anyway the cookie stays: the browser may already
    /// have that of the next one.
    ///
    /// # Errors
    /// The store's: then the session may live on. [`is_gone`](Error::is_gone) when the request came with a stale token:
    /// whatever session it once opened was not ended by it.
    pub async fn sign_out(&self) -> Result<()> {
        let _turn = self.turn().await?;
        let Some(id) = self.id() else {
            let answer = self.nothing_there();
            self.state().pending = Delta::default();
            return answer;
        };
        let ended = self.sessions().revoke_target(&Target::Session(id)).await?;
        let cookie = if ended > 0 { CookieChange::Remove } else { CookieChange::None };
        let mut state = self.state();
        *state = State { cookie, peeking: state.peeking, ..State::default() };
        Ok(())
    }

    /// Stores the deferred changes now, as is done when the response is ready: for streams that go on after the head,
    /// and for answers that show what was stored. At most one round trip.
    ///
    /// # Errors
    /// [`is_gone`](Error::is_gone) when the session ended meanwhile; the store's.
    pub async fn commit(&self) -> Result<()> {
        let _turn = self.turn().await?;
        self.commit_pending().await
    }

    /// Waits for its turn and finishes what a dropped future left half-done.
    async fn turn(&self) -> Result<tokio::sync::MutexGuard<'_, ()>> {
        let turn = self.0.turn.lock().await;
        drop(self.open_state()?);
        self.settle().await?;
        Ok(turn)
    }

    /// Makes the session with these fields, which are not pending any more.
    pub(super) async fn create(&self, fields: Fields) -> Result<()> {
        let token = Token::mint(self.format())?;
        let idle_timeout = self.state().pending.idle_timeout;
        let new = NewSession { presented: token.presented(), fields, idle_timeout };
        self.state().candidate = Some(Candidate { token, purpose: Purpose::Create(new) });
        self.settle().await
    }

    /// Changes the stored session, which exists, and sees it anew.
    pub(super) async fn change(&self, delta: Delta) -> Result<()> {
        let (presented, change) = {
            let state = self.state();
            let change = Change { delta, touch: !state.peeking, confirm: !state.minted, rotate_to: None };
            (state.presented.ok_or_else(Error::gone)?, change)
        };
        let loaded = self.accept(self.sessions().apply(&presented, &change).await?)?;
        self.state().loaded = Some(loaded);
        Ok(())
    }

    /// The answer to a verb that needs a session where there is none: fine for a visitor who never had one.
    fn nothing_there(&self) -> Result<()> {
        if self.state().stale { Err(Error::gone()) } else { Ok(()) }
    }
}

fn sum(name: &str, text: &str, by: i64) -> Result<i64> {
    let invalid = |why| Error::invalid(format!("field `{name}`"), why);
    let value = crate::record::counter(text).ok_or_else(|| invalid(crate::record::NOT_A_COUNTER))?;
    value.checked_add(by).ok_or_else(|| invalid(crate::record::COUNTER_OVERFLOW))
}
