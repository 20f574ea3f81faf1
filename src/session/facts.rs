//! What is known of a session without asking the store.

use std::time::SystemTime;

use super::{Ended, Session};
use crate::record::{PREVIOUS_SECRET_HASH, Record, SECRET_HASH, SIGN_IN_SECRET_HASH, SessionId, TokenFormat, UserId};

impl Session {
    /// Returns true if this request has a stored session, as it was last seen: when the request read or changed it. A
    /// handle that is kept after the response learns by [`refresh`](Session::refresh) whether the session is still live.
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # use cloakroom::Field;
    /// # doctest::with_session(async |session| {
    /// assert!(!session.exists());
    /// session.increment(Field::new("page_views"), 1).await?;
    /// assert!(session.exists());
    /// # Ok(())
    /// # });
    /// ```
    pub fn exists(&self) -> bool {
        self.state().current.is_some()
    }

    /// Returns true if the request brought a token that opens no session: the session has ended, its secret was replaced, or
    /// nobody ever made this token. False for a visitor who came without a token, or with something that is no token.
    ///
    /// Such a visitor has an empty session, like any new one, and gets a new session with the first thing that is written.
    /// Ask this where that would hide from them that they were signed out. [`ended`](Session::ended) may know why.
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # doctest::with_session(async |session| {
    /// let title = match (session.exists(), session.is_gone()) {
    ///     (true, _) => "Your cart",
    ///     (false, true) => "Your session has ended",
    ///     (false, false) => "Welcome!",
    /// };
    /// assert_eq!(title, "Welcome!");
    /// # Ok(())
    /// # });
    /// ```
    pub fn is_gone(&self) -> bool {
        let state = self.state();
        state.current.is_none() && state.rivals.is_empty() && !state.unopened.is_empty()
    }

    /// Returns the session's id, or `None` if no session is stored. The id may be logged and shown: it opens nothing.
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # doctest::with_session(async |session| {
    /// session.sign_in("ada").await?;
    /// let id = session.id().expect("a session that is signed in is stored");
    /// println!("session {id} signed in");
    /// # Ok(())
    /// # });
    /// ```
    pub fn id(&self) -> Option<SessionId> {
        self.presented().map(|presented| presented.id)
    }

    /// Returns the user who is signed in, as it was last seen (see [`exists`](Session::exists)), or `None`.
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # doctest::with_session(async |session| {
    /// assert_eq!(session.user(), None);
    /// session.sign_in(42).await?;
    /// let user = session.user().expect("somebody is signed in");
    /// assert_eq!(user.parse::<u64>().unwrap(), 42);
    /// # Ok(())
    /// # });
    /// ```
    pub fn user(&self) -> Option<UserId> {
        self.state().record()?.user_id.clone()
    }

    /// Returns when the session was created, or `None` if no session is stored.
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # doctest::with_session(async |session| {
    /// assert_eq!(session.created_at(), None);
    /// session.sign_in("ada").await?;
    /// assert!(session.created_at().is_some());
    /// # Ok(())
    /// # });
    /// ```
    pub fn created_at(&self) -> Option<SystemTime> {
        Some(self.state().record()?.created_at)
    }

    /// Returns when the user signed in with this session, in whole seconds, or `None` if nobody is signed in.
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # doctest::with_session(async |session| {
    /// assert_eq!(session.signed_in_at(), None);
    /// session.sign_in("ada").await?;
    /// assert!(session.signed_in_at().is_some());
    /// # Ok(())
    /// # });
    /// ```
    pub fn signed_in_at(&self) -> Option<SystemTime> {
        self.state().record()?.signed_in_at
    }

    /// Returns when the user last proved who they are, or `None` if nobody is signed in.
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # doctest::with_session(async |session| {
    /// assert_eq!(session.auth_time(), None);
    /// session.sign_in("ada").await?;
    /// assert!(session.auth_time().is_some());
    /// # Ok(())
    /// # });
    /// ```
    pub fn auth_time(&self) -> Option<SystemTime> {
        self.state().record()?.auth_time
    }

    /// Returns why the session of this request's token has ended, if that is known. It is known for five minutes after the
    /// session was evicted because its user signed in elsewhere.
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # use cloakroom::Ended;
    /// # doctest::with_session(async |session| {
    /// let greeting = match session.ended() {
    ///     Some(Ended::SignedInElsewhere) => "You were signed out here, because you signed in on another device.",
    ///     _ => "Welcome!",
    /// };
    /// assert_eq!(greeting, "Welcome!");
    /// # Ok(())
    /// # });
    /// ```
    pub fn ended(&self) -> Option<Ended> {
        self.state().ended()
    }

    /// Returns the names and texts of all fields as the store held them when the session was last read or changed, the
    /// reserved ones first. The hashes of secrets are masked.
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # use cloakroom::Field;
    /// # doctest::with_session(async |session| {
    /// session.increment(Field::new("page_views"), 1).await?;
    /// assert!(session.stored().contains(&("page_views".to_owned(), "1".to_owned())));
    /// # Ok(())
    /// # });
    /// ```
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
