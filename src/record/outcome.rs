//! The answers of a store.

use std::sync::Arc;
use std::time::SystemTime;

use super::Record;
use super::token::SessionId;
use crate::error::StoreError;

/// A session, as it is in the store, and the store's time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// The record. It is shared, so that a store in memory does not have to copy it.
    pub record: Arc<Record>,
    /// When the record was read, by the store's clock, in whole milliseconds.
    pub now: SystemTime,
}

/// What credentials open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup {
    /// A live session.
    Live(Loaded),
    /// Nothing: there is no such session, it has ended, or the secret is not one of its secrets.
    Gone,
    /// Nothing any more: the session was ended because its user signed in elsewhere and had too many sessions. A store knows this for
    /// [`EVICTION_NOTICE`](crate::store::EVICTION_NOTICE).
    Evicted,
    /// Nothing: the secret is the previous one and its grace period is over, so somebody must have kept it. The session itself is live.
    Replayed(Loaded),
}

impl Lookup {
    /// Returns the session if it is live.
    pub fn live(self) -> Option<Loaded> {
        match self {
            Lookup::Live(loaded) => Some(loaded),
            Lookup::Gone | Lookup::Evicted | Lookup::Replayed(_) => None,
        }
    }
}

/// What became of a change.
// nearly every answer is the large variant, so a box would only cost time
#[allow(clippy::large_enum_variant)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The change was made, now or when it was asked for before.
    Done {
        /// The session after the change.
        loaded: Loaded,
        /// The sessions of the same user that a sign-in has ended.
        evicted: Vec<SessionId>,
        /// Why the change may be undone if the store's machine fails now: it was asked to be on disks or replicas, and they do not have
        /// it. `None` if they have it, or if this was not asked for.
        ///
        /// The request then fails with this error. The change still counts as made: its token reaches the browser, and its event is
        /// sent.
        not_durable: Option<StoreError>,
    },
    /// The change was not made, for this reason.
    Refused(Refusal),
}

impl Outcome {
    /// Returns the answer to a change that was made and is as durable as was asked for.
    pub fn done(loaded: Loaded, evicted: Vec<SessionId>) -> Outcome {
        Outcome::Done { loaded, evicted, not_durable: None }
    }
}

/// Why a change was not made. No part of it was made. The enum is exhaustive on purpose, because every caller has to handle each case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The session does not exist, has ended, or the credentials are stale.
    Gone,
    /// An expectation of the change does not hold, or the change is a rotation and the credentials contain the held previous secret. For
    /// a sign-in: the session is live with another secret, or belongs to another user.
    Conflict,
    /// The user has as many sessions as are allowed, and the policy refuses another.
    LimitReached,
    /// The change would exceed a limit, or does not fit the stored value.
    Invalid {
        /// The name of the field, or `session` for the session as a whole.
        field: String,
        /// The reason, which names the limit.
        reason: &'static str,
    },
}

impl Refusal {
    /// Returns the word for the metrics' label `reason`.
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
pub(crate) const COUNTER_OVERFLOW: &str = "would become larger or smaller than a 64-bit number can be";
pub(crate) const DEADLINE_HAS_PASSED: &str = "has passed, by the clock of the store";
pub(crate) const TOO_MANY_FIELDS: &str = "would have more fields than `max_fields` allows";
pub(crate) const TOO_MANY_BYTES: &str = "would be larger than `max_bytes` allows";

/// What a sign-out did to the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignedOut {
    /// The session has ended now.
    Ended,
    /// The session had ended before, or never existed.
    Gone,
    /// The session is still live, because the credentials contain an old secret or one that never was the session's. The visitor gets an
    /// error.
    Stale,
}
