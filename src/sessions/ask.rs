//! Asks the store: within the time-out, in a span, and counted. Every verb of the store passes here.

use tracing::{Instrument, Level, Span, field};

use super::{Sessions, counted};
use crate::error::StoreError;
use crate::meter::{self, Verb};
use crate::record::{Credentials, Device, Loaded, Lookup, Outcome, Refusal, SessionId, SignedOut};
use crate::store::Answer;

/// The kind of a failure in one word, and the error.
type Failure = (&'static str, StoreError);

impl Sessions {
    /// Asks the store. A read whose answer was lost has changed nothing, so nothing is unknown after it.
    pub(super) async fn ask<T: StoreAnswer>(
        &self,
        verb: Verb,
        session: Option<&SessionId>,
        answer: Answer<'_, T>,
    ) -> Result<T, StoreError> {
        // mostly nobody listens, and then not even the memory of a span is needed
        let answer = if is_traced() {
            Box::pin(self.traced(verb, session, answer)).await
        } else {
            self.counted(verb, answer).await
        };
        answer.map_err(|(_, error)| if verb.is_read() { error.of_read() } else { error })
    }

    async fn traced<T: StoreAnswer>(
        &self,
        verb: Verb,
        session: Option<&SessionId>,
        answer: Answer<'_, T>,
    ) -> Result<T, Failure> {
        let span = span(verb, session);
        let answer = self.counted(verb, answer).instrument(span.clone()).await;
        tell(&span, answer.as_ref().map_or_else(|(kind, _)| *kind, StoreAnswer::name));
        answer
    }

    /// Reads a session that the store has at hand, which nobody has to wait for.
    pub(super) fn at_hand(&self, presented: &Credentials) -> Option<Lookup> {
        let timing = meter::begin(Verb::Load);
        let lookup = self.0.store.load_at_hand(presented, self.terms())?;
        timing.end();
        lookup.count(Verb::Load);
        if is_traced() {
            tell(&span(Verb::Load, Some(&presented.id)), lookup.name());
        }
        Some(lookup)
    }

    /// Waits for an answer no longer than the configured time-out, whoever wrote the store, and counts it.
    async fn counted<T: StoreAnswer>(&self, verb: Verb, answer: Answer<'_, T>) -> Result<T, Failure> {
        let timeout = self.0.config.store_timeout;
        let timing = meter::begin(verb);
        let answer = match tokio::time::timeout(timeout, answer).await {
            Ok(answer) => answer.map_err(|error| (error.kind(), error)),
            Err(_) => Err(("timeout", StoreError::unknown(format!("no answer within store_timeout, {timeout:?}")))),
        };
        timing.end();
        match &answer {
            Ok(answer) => answer.count(verb),
            Err((kind, _)) => meter::failed(verb, kind),
        }
        answer
    }
}

fn is_traced() -> bool {
    tracing::enabled!(target: "cloakroom", Level::DEBUG)
}

fn span(verb: Verb, session: Option<&SessionId>) -> Span {
    let session = session.map(field::display);
    tracing::debug_span!(target: "cloakroom", "store", verb = verb.name(), session, outcome = field::Empty)
}

fn tell(span: &Span, outcome: &'static str) {
    span.record("outcome", outcome);
    span.in_scope(|| tracing::debug!(target: "cloakroom", "the store was asked"));
}

/// An answer of a store, which has a name of one word.
pub(super) trait StoreAnswer {
    fn name(&self) -> &'static str {
        "done"
    }

    fn count(&self, _verb: Verb) {}
}

impl StoreAnswer for Lookup {
    fn name(&self) -> &'static str {
        match self {
            Lookup::Live(_) => "live",
            Lookup::Gone => "gone",
            Lookup::Evicted => "evicted",
            Lookup::Replayed(_) => "replayed",
        }
    }

    fn count(&self, _verb: Verb) {
        counted::loaded(self);
    }
}

impl StoreAnswer for Outcome {
    fn name(&self) -> &'static str {
        match self {
            Outcome::Done { not_durable: None, .. } => "done",
            Outcome::Done { not_durable: Some(error), .. } => error.kind(),
            Outcome::Refused(refusal) => refusal.name(),
        }
    }

    fn count(&self, verb: Verb) {
        match self {
            Outcome::Done { not_durable: None, .. } => {}
            Outcome::Done { not_durable: Some(error), .. } => meter::failed(verb, error.kind()),
            Outcome::Refused(Refusal::Conflict) => meter::conflicted(),
            Outcome::Refused(refusal) => meter::refused(refusal.name()),
        }
    }
}

impl StoreAnswer for SignedOut {
    fn name(&self) -> &'static str {
        match self {
            SignedOut::Ended => "done",
            SignedOut::Gone => "gone",
            SignedOut::Stale => "stale",
        }
    }
}

impl StoreAnswer for Option<Loaded> {
    fn name(&self) -> &'static str {
        if self.is_some() { "live" } else { "gone" }
    }
}

impl StoreAnswer for u64 {}
impl StoreAnswer for Vec<Device> {}
