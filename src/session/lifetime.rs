//! How long a session lives.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::Session;
use crate::error::{Error, Result};
use crate::record::{Loaded, Record, problem_with_lifetime};

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

    /// Returns when the session ends regardless of activity, or `None` if no session is stored.
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # use std::time::{Duration, SystemTime};
    /// # doctest::with_session(async |session| {
    /// session.sign_in("ada").await?;
    /// assert!(session.deadline() <= Some(SystemTime::now() + Duration::from_secs(12 * 3600)));
    /// # Ok(())
    /// # });
    /// ```
    pub fn deadline(&self) -> Option<SystemTime> {
        self.state().record().map(|record| record.expires_at)
    }

    /// Returns when the session ends if there is no further request, as it was last read or changed, or `None` if no session is
    /// stored.
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # doctest::with_session(async |session| {
    /// session.sign_in("ada").await?;
    /// assert!(session.ends_at() <= session.deadline());
    /// # Ok(())
    /// # });
    /// ```
    pub fn ends_at(&self) -> Option<SystemTime> {
        self.state().record().map(Record::ends_at)
    }

    /// Lets this session end at a point in time of its own: the end of an exam, or of a shift. With `None` it has no deadline
    /// of its own any more. Deferred. A visitor without a session does not get one by this alone.
    ///
    /// The session never lives longer than by its absolute lifetime, and the idle timeout still counts. If several managers with
    /// different lifetimes share a store, a deadline that is taken away or moved to later leaves what the lifetime of the sign-in
    /// allows, or, if the sign-in has not chosen one, the lifetime of the manager that does it. The deadline is rounded
    /// down to whole seconds, and compared with the store's clock. It stays with the session: no request moves it, and it is
    /// still there after a sign-in that gives no other one. [`SigningIn::deadline`](crate::SigningIn::deadline) sets it in one
    /// step with a sign-in.
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # use std::time::{Duration, SystemTime};
    /// # doctest::with_session(async |session| {
    /// session.sign_in("ada").await?;
    /// let in_an_hour = SystemTime::now() + Duration::from_secs(3600);
    /// session.set_deadline(in_an_hour)?;
    /// session.commit().await?;
    /// assert!(session.deadline() <= Some(in_an_hour));
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// Returns an error if the head of the response was already sent, and a configuration error with plain tokens, in whose
    /// layout there is no place for a deadline. A deadline that has passed is refused when it is stored, by
    /// [`commit`](Session::commit) or at the end of the request: [`is_invalid`](Error::is_invalid), 400. Call
    /// [`sign_out`](Session::sign_out) to end a session now.
    pub fn set_deadline(&self, at: impl Into<Option<SystemTime>>) -> Result<()> {
        self.sessions().need_secrets()?;
        self.open_state()?.pending.own_deadline = Some(at.into().map(stored_deadline));
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

/// Returns a deadline as it is stored: in whole seconds, rounded down, with at most eleven digits.
pub(super) fn stored_deadline(at: SystemTime) -> SystemTime {
    const LATEST: Duration = Duration::from_secs(99_999_999_999);
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default().min(LATEST);
    UNIX_EPOCH + Duration::from_secs(since.as_secs())
}
