//! Finds out why a request has no session, or no signed-in user.

use super::Session;
use super::state::{TokenChange, Unopened};
use crate::error::{Absence, Error};

impl Session {
    /// Returns the error for a request that needs a signed-in user and has none.
    pub(crate) fn signed_out(&self) -> Error {
        Error::signed_out(self.absence())
    }

    /// Returns the error for a change of a session that is not there any more, and notes that the token of this request is of
    /// no use.
    pub(super) fn gone_because(&self, absence: Absence) -> Error {
        self.state().is_lost = true;
        Error::gone_because(absence)
    }

    pub(super) fn absence(&self) -> Absence {
        let state = self.state();
        if state.current.is_some() {
            Absence::Anonymous
        } else if matches!(state.token, TokenChange::Remove) {
            Absence::EndedHere
        } else if state.unopened.contains(&Unopened::Evicted) {
            Absence::Evicted
        } else if !state.rivals.is_empty() {
            Absence::Rivals
        } else if state.unopened.contains(&Unopened::Replayed) {
            Absence::Replayed
        } else if !state.unopened.is_empty() {
            Absence::Unknown
        } else {
            self.0.without_session
        }
    }
}
