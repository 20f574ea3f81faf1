//! How an immediate method changes the store: one at a time, and never left half-done.

use std::time::Duration;

use super::Session;
use super::commit::Accepted;
use super::state::{Candidate, Minted, Purpose};
use crate::error::{Error, Result};
use crate::record::{Change, FieldChanges, Fields, NewSession, Token};

impl Session {
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
        let token = match std::mem::take(&mut self.state().minted) {
            Minted::ForCreation(token) => token,
            _ => Token::mint(self.format())?,
        };
        let new = NewSession { presented: token.presented(), fields, idle_timeout };
        self.send(token, Purpose::Create(Box::new(new))).await
    }

    /// Brings a new token to the store.
    pub(super) async fn send(&self, token: Token, purpose: Purpose) -> Result<()> {
        self.state().minted = Minted::OnItsWay(Candidate { token, purpose });
        self.settle().await
    }

    /// Changes the stored session, which exists, and sees it anew.
    pub(super) async fn change(&self, delta: FieldChanges) -> Result<()> {
        let (presented, change) = {
            let state = self.state();
            let current = state.current.as_ref().ok_or_else(Error::gone)?;
            let listed = current.listed().filter(|_| state.touch_is_due(self.sessions()));
            let confirm = !current.is_minted();
            (current.presented, Change { delta, touch: !state.peeking, confirm, listed, ..Change::default() })
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
