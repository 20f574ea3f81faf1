//! How the store is asked: within the time-out, in a span, and counted. Every verb of the store passes here.

use tracing::{Instrument, field};

use super::Sessions;
use crate::device::Device;
use crate::error::StoreError;
use crate::meter::{self, Verb};
use crate::record::Refusal;
use crate::store::{Answer, Applied, Lookup};
use crate::token::SessionId;

impl Sessions {
    /// No call into a store waits longer than the configured time-out, whoever wrote the store. That a read was lost
    /// leaves nothing unknown.
    pub(super) async fn ask<T: Outcome>(
        &self,
        verb: Verb,
        session: Option<&SessionId>,
        answer: Answer<'_, T>,
    ) -> Result<T, StoreError> {
        let span = tracing::debug_span!(
            target: "cloakroom", "store", verb = verb.name(), session = session.map(field::display), outcome = field::Empty
        );
        let timing = meter::begin(verb);
        let timeout = self.0.config.store_timeout;
        let answer = match tokio::time::timeout(timeout, answer).instrument(span.clone()).await {
            Ok(answer) => answer.map_err(|error| (error.kind(), error)),
            Err(_) => Err(("timeout", StoreError::unknown(format!("no answer within store_timeout, {timeout:?}")))),
        };
        timing.end();
        let outcome = match &answer {
            Ok(answer) => {
                answer.count();
                answer.name()
            }
            Err((kind, _)) => {
                meter::failed(verb, kind);
                kind
            }
        };
        span.record("outcome", outcome);
        span.in_scope(|| tracing::debug!(target: "cloakroom", "the store was asked"));
        answer.map_err(|(_, error)| if verb.is_read() { error.of_read() } else { error })
    }
}

/// What a store answered, in a word.
pub(super) trait Outcome {
    fn name(&self) -> &'static str {
        "done"
    }

    fn count(&self) {}
}

impl Outcome for Lookup {
    fn name(&self) -> &'static str {
        match self {
            Lookup::Live(_) => "live",
            Lookup::Gone => "gone",
            Lookup::Evicted => "evicted",
            Lookup::Replayed(_) => "replayed",
        }
    }

    fn count(&self) {
        meter::loaded(self);
    }
}

impl Outcome for Applied {
    fn name(&self) -> &'static str {
        match self {
            Applied::Done { .. } => "done",
            Applied::Refused(refusal) => refusal.name(),
        }
    }

    fn count(&self) {
        match self {
            Applied::Done { .. } => {}
            Applied::Refused(Refusal::Conflict) => meter::conflicted(),
            Applied::Refused(refusal) => meter::refused(refusal.name()),
        }
    }
}

impl Outcome for u64 {}
impl Outcome for Vec<Device> {}
