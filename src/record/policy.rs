//! What to do when a rule is met: the choices of the configuration that are more than a number.

/// What happens to a sign-in that would be one session too many for its user. (ASVS 7.1.2)
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnLimit {
    /// The session that signed in longest ago ends; its next request can learn why. The default.
    #[default]
    EvictOldest,
    /// The new one is refused: [`is_limit`](crate::Error::is_limit).
    RefuseNew,
}

/// What happens when a previous secret shows up after its grace: somebody kept a copy of an old token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OnReplay {
    /// It is reported as an [event](crate::Event::Replayed), and opens nothing. The default.
    #[default]
    Report,
    /// The session is revoked as well: its owner has to sign in again, and so has the thief.
    Revoke,
}

/// The most that `max_sessions_per_user` may be: a sign-in beyond the limit looks at all of them.
pub(crate) const MAX_SESSIONS_PER_USER: usize = 1000;
