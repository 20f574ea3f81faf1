//! What is known of a session without asking the store.

use std::time::SystemTime;

use super::{Ended, Session};
use crate::record::{PREVIOUS_SECRET_HASH, Record, SECRET_HASH, SIGN_IN_SECRET_HASH, SessionId, TokenFormat, UserId};

impl Session {
    /// Returns true if this request has a stored session, as it was last seen: when the request read or changed it. A handle that
    /// is kept after the response learns by [`refresh`](Session::refresh) whether the session is still live.
    pub fn exists(&self) -> bool {
        self.state().current.is_some()
    }

    /// Returns the session's id, or `None` if no session is stored. The id may be logged and shown: it opens nothing.
    pub fn id(&self) -> Option<SessionId> {
        self.presented().map(|presented| presented.id)
    }

    /// Returns the user who is signed in, as it was last seen (see [`exists`](Session::exists)), or `None`.
    pub fn user(&self) -> Option<UserId> {
        self.state().record()?.user_id.clone()
    }

    /// Returns when the user last proved who they are, or `None` if nobody is signed in.
    pub fn auth_time(&self) -> Option<SystemTime> {
        self.state().record()?.auth_time
    }

    /// Returns why the session of this request's token has ended, if that is known. It is known for five minutes after the session
    /// was evicted because its user signed in elsewhere.
    pub fn ended(&self) -> Option<Ended> {
        self.state().ended()
    }

    /// Returns the names and texts of all fields as the store held them when the session was last read or changed, the reserved ones
    /// first. The hashes of secrets are masked.
    pub fn stored(&self) -> Vec<(String, String)> {
        let mut stored = self.state().record().map(Record::to_stored).unwrap_or_default();
        for (name, text) in &mut stored {
            if self.format() == TokenFormat::Secret
                && [SECRET_HASH, PREVIOUS_SECRET_HASH, SIGN_IN_SECRET_HASH].contains(&name.as_str())
            {
                *text = format!("({} characters, not shown)", text.len());
            }
        }
        stored
    }
}
