//! What a store answers.

use std::sync::Arc;
use std::time::SystemTime;

use super::Record;
use super::token::SessionId;
use crate::error::StoreError;

/// A session as the store holds it, and the store's time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// What is stored. Shared, so that a store that holds it in memory hands it out without copying it.
    pub record: Arc<Record>,
    /// When it was read, by the store's clock.
    pub now: SystemTime,
}

/// What a presented token opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup {
    /// A session that lives.
    Live(Loaded),
    /// Nothing.
    Gone,
    /// Nothing any more: its user signed in elsewhere, once too often. Known for a short while.
    Evicted,
    /// Nothing: a previous secret after its grace, which somebody must have kept. The session lives, for its owner.
    Replayed(Loaded),
}

impl Lookup {
    /// The session, if it lives.
    pub fn live(self) -> Option<Loaded> {
        match self {
            Lookup::Live(loaded) => Some(loaded),
            Lookup::Gone | Lookup::Evicted | Lookup::Replayed(_) => None,
        }
    }
}

/// What became of a change.
// nearly every answer is the large one: a box would only cost
#[allow(clippy::large_enum_variant)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Made (now, or already when asked before).
    Done {
        /// The session now.
        loaded: Loaded,
        /// The sessions of the same user that a sign-in has ended.
        evicted: Vec<SessionId>,
        /// Why the change may be undone if the store's machine fails now: the disk or the replicas have not taken it, although
        /// that was asked for. `None` where they have, or where nobody asked for it.
        ///
        /// The request then answers with this error, but what was made counts as made: its token reaches the browser, and
        /// events tell of it.
        not_durable: Option<StoreError>,
    },
    /// Not made, and why.
    Refused(Refusal),
}

impl Outcome {
    /// Returns the answer to a change that was made, and that is as durable as was asked for.
    pub fn done(loaded: Loaded, evicted: Vec<SessionId>) -> Outcome {
        Outcome::Done { loaded, evicted, not_durable: None }
    }
}

/// Why a change was not made. Nothing of it was. Exhaustive on purpose: every caller must have an answer to each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The session does not exist, has ended, or what was presented is stale.
    Gone,
    /// An expectation does not hold (any more), or a held previous secret asked to rotate. A sign-in is answered so where
    /// the session lives with another secret or belongs to another user.
    Conflict,
    /// The user has as many sessions as allowed, and the policy refuses another.
    LimitReached,
    /// The change would break a limit, or does not fit what is there.
    Invalid {
        /// The field, or `session` for the whole.
        field: String,
        /// Why, with the limit.
        reason: &'static str,
    },
}

impl Refusal {
    /// It in a word.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Refusal::Gone => "gone",
            Refusal::Conflict => "conflict",
            Refusal::LimitReached => "limit",
            Refusal::Invalid { reason, .. } if [TOO_MANY_FIELDS, TOO_MANY_BYTES].contains(reason) => "too_large",
            Refusal::Invalid { .. } => "invalid",
        }
    }
}

pub(crate) const NOT_A_COUNTER: &str = "does not hold a whole number";
pub(crate) const COUNTER_OVERFLOW: &str = "would go beyond a 64-bit number";
pub(crate) const TOO_MANY_FIELDS: &str = "would have more fields than `max_fields` allows";
pub(crate) const TOO_MANY_BYTES: &str = "would be larger than `max_bytes` allows";

/// What became of a session whose browser signs out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignedOut {
    /// It has ended now.
    Ended,
    /// It had ended before, or never was.
    Gone,
    /// It lives on: what was presented is an old secret, or never was one of its secrets. The visitor gets an error.
    Stale,
}
