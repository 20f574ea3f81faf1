//! Finds out why a request has no session, or no signed-in user.

use super::Session;
use super::state::{CookieChange, Unopened};
use crate::error::{Absence, Error};

impl Session {
    /// Returns the error for a request that needs a signed-in user and has none.
    pub(crate) fn signed_out(&self) -> Error {
        Error::signed_out(self.absence())
    }

    pub(super) fn absence(&self) -> Absence {
        let state = self.state();
        if state.current.is_some() {
            Absence::Anonymous
        } else if matches!(state.cookie, CookieChange::Remove) {
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
