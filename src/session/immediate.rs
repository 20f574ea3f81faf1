//! Immediate methods: they run one at a time, and none is left half-done.

use std::time::{Duration, SystemTime};

use super::Session;
use super::commit::Accepted;
use super::state::{Candidate, Minted, Purpose, Source};
use crate::credential::Carrier;
use crate::error::{Error, Result};
use crate::record::{Change, FieldChanges, Fields, NewSession, Save, Token};

impl Session {
    /// Waits for this method's turn, and finishes what a dropped future has left half-done.
    pub(super) async fn turn(&self) -> Result<tokio::sync::MutexGuard<'_, ()>> {
        let turn = self.0.turn.lock().await;
        drop(self.open_state()?);
        match self.settle().await {
            // the refusal is the answer to the dropped future, and not to this method
            Err(error) if !error.is_store() => {
                tracing::warn!(target: "cloakroom", %error, "a token that was on its way was refused");
            }
            settled => settled?,
        }
        Ok(turn)
    }

    /// Makes the session with these fields and the deferred lifetime.
    ///
    /// A client whose bearer token opens nothing gets no session by writing to one: it would not get to know the token.
    pub(super) async fn create(&self, fields: Fields) -> Result<()> {
        let is_bearer = self.state().carrier == Carrier::Bearer;
        if is_bearer && self.sessions().config().bearer.token_header.is_none() {
            return Err(self.gone_because(self.absence()));
        }
        let (idle_timeout, own_deadline) = {
            let pending = &self.state().pending;
            (pending.idle_timeout, pending.own_deadline.flatten())
        };
        self.create_with(fields, idle_timeout, own_deadline).await
    }

    pub(super) async fn create_with(
        &self,
        fields: Fields,
        idle_timeout: Option<Duration>,
        own_deadline: Option<SystemTime>,
    ) -> Result<()> {
        let token = match std::mem::take(&mut self.state().minted) {
            Minted::ForCreation(token) => token,
            _ => Token::mint(self.format())?,
        };
        self.create_as(token, fields, idle_timeout, own_deadline).await
    }

    /// Makes the session that this token opens.
    pub(super) async fn create_as(
        &self,
        token: Token,
        fields: Fields,
        idle_timeout: Option<Duration>,
        own_deadline: Option<SystemTime>,
    ) -> Result<()> {
        let new = NewSession { presented: token.presented(), fields, idle_timeout, own_deadline };
        self.send(token, Purpose::Create(Box::new(new))).await
    }

    /// Asks the store to take a new token.
    pub(super) async fn send(&self, token: Token, purpose: Purpose) -> Result<()> {
        self.state().check_tokens()?;
        self.state().minted = Minted::OnItsWay(Candidate { token, purpose });
        self.settle().await
    }

    /// Changes the stored session, and takes in what it is afterwards.
    pub(super) async fn change(&self, fields: FieldChanges) -> Result<()> {
        let touch = !self.state().peeking;
        self.save(fields, touch).await
    }

    /// Changes the stored session. A touch extends it.
    pub(super) async fn save(&self, fields: FieldChanges, touch: bool) -> Result<()> {
        let (current, loaded, change) = {
            let state = self.state();
            let current = state.current.clone().ok_or_else(Error::gone)?;
            let listed = if fields.own_deadline.is_some() {
                current.listed_until_its_latest_deadline(self.sessions())
            } else if touch {
                current.listed_if_due(self.sessions())
            } else {
                None
            };
            let loaded = if state.is_outside { current.reckoned() } else { current.loaded.clone() };
            let save = Save { fields, touch, confirm: current.is_brought(), listed };
            (current, loaded, Change::Save(save))
        };
        let answer = match current.source {
            Source::ById => self.sessions().apply_by_id(loaded, &current.presented.id, &change).await?,
            _ => self.sessions().apply(Some(&loaded), &current.presented, &change).await?,
        };
        let Accepted { loaded, durable, .. } = self.accept(answer)?;
        let mut state = self.state();
        if let Some(fields) = change.fields() {
            state.pending.forget(fields);
        }
        state.see(loaded);
        durable
    }

    /// Answers a method that needs a session if there is none. This is not an error for a visitor who never had one.
    pub(super) fn nothing_there(&self) -> Result<()> {
        let is_stale = !self.state().unopened.is_empty();
        if is_stale { Err(self.gone_because(self.absence())) } else { Ok(()) }
    }
}
