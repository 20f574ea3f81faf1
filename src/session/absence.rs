//! Finds out why a request has no session, or no signed-in user.

use super::{Ended, Session, Unopened};
use crate::error::{Absence, Error};

impl Session {
    /// Returns the error for where somebody must be signed in and nobody is.
    pub(crate) fn signed_out(&self) -> Error {
        Error::signed_out(self.absence())
    }

    pub(super) fn absence(&self) -> Absence {
        let state = self.state();
        match (&state.loaded, state.ended) {
            (Some(_), _) => Absence::Anonymous,
            (None, Some(Ended::SignedInElsewhere)) => Absence::Evicted,
            (None, None) if !state.rivals.is_empty() => Absence::Rivals,
            (None, None) if state.unopened.iter().any(|token| matches!(token, Unopened::Replayed)) => Absence::Replayed,
            (None, None) if !state.unopened.is_empty() => Absence::Unknown,
            (None, None) if self.0.has_cookie => Absence::NoToken,
            (None, None) => Absence::NoCookie,
        }
    }
}
