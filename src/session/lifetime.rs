//! How long a session lives.

use std::time::Duration;

use super::Session;
use crate::error::{Error, Result};
use crate::record::{Loaded, problem_with_lifetime};

impl Session {
    /// Returns the idle timeout of this session, or `None` if no session is stored.
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # use std::time::Duration;
    /// # doctest::with_session(async |session| {
    /// session.sign_in("ada").await?;
    /// assert_eq!(session.idle_timeout(), Some(Duration::from_secs(30 * 60)));
    /// # Ok(())
    /// # });
    /// ```
    pub fn idle_timeout(&self) -> Option<Duration> {
        self.state().record().map(|record| record.idle_timeout)
    }

    /// Gives this session its own idle timeout from now on. Deferred. A visitor without a session does not get one by this
    /// alone.
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # use std::time::Duration;
    /// # doctest::with_session(async |session| {
    /// session.sign_in("ada").await?;
    /// session.set_idle_timeout(Duration::from_secs(5 * 60))?;
    /// session.commit().await?;
    /// assert_eq!(session.idle_timeout(), Some(Duration::from_secs(5 * 60)));
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// Returns [`is_invalid`](Error::is_invalid) unless the timeout is in whole seconds, at least one second and at most
    /// the absolute lifetime. Returns an error if the head of the response was already sent.
    pub fn set_idle_timeout(&self, idle: Duration) -> Result<()> {
        self.check_idle_timeout(idle)?;
        self.open_state()?.pending.idle_timeout = Some(idle);
        Ok(())
    }

    pub(super) fn check_idle_timeout(&self, idle: Duration) -> Result<()> {
        let terms = self.0.sessions.config().terms();
        let own = self.state().record().map(|record| record.longest_idle(terms));
        let absolute = own.unwrap_or(terms.absolute_lifetime);
        if let Some(why) = problem_with_lifetime(idle) {
            return Err(Error::malformed("idle timeout", why));
        }
        if idle > absolute {
            return Err(Error::malformed(
                "idle timeout",
                format!("must not exceed the absolute lifetime, {absolute:?}"),
            ));
        }
        Ok(())
    }

    /// Returns how much time the session had left when it was last read or changed, or `None` if no session is stored.
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # use std::time::Duration;
    /// # doctest::with_session(async |session| {
    /// assert_eq!(session.remaining(), None);
    /// session.sign_in("ada").await?;
    /// assert!(session.remaining() <= Some(Duration::from_secs(30 * 60)));
    /// # Ok(())
    /// # });
    /// ```
    pub fn remaining(&self) -> Option<Duration> {
        let state = self.state();
        let Loaded { record, now } = &state.current.as_ref()?.loaded;
        Some(record.ends_at().duration_since(*now).unwrap_or_default())
    }

    /// Keeps this request from extending the session: it does not count as activity. Call it in routes that a page asks
    /// again and again by itself, so that an open page does not keep its user signed in for ever.
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # use cloakroom::Field;
    /// # doctest::with_session(async |session| {
    /// const UNREAD: Field<u32> = Field::new("unread");
    ///
    /// session.peek();
    /// let unread = session.get(UNREAD)?.unwrap_or_default();
    /// # Ok(())
    /// # });
    /// ```
    pub fn peek(&self) {
        self.state().peeking = true;
    }
}
