//! The policies of the configuration: what happens at a limit, and when an old token is used.

/// What happens when a user signs in who already has the most sessions that are allowed. (ASVS 7.1.2)
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "config-file", derive(serde::Deserialize), serde(rename_all = "kebab-case"))]
pub enum OnLimit {
    /// The user's session that signed in longest ago ends. Its next request can [find out why](crate::Session::ended). The default.
    #[default]
    EvictOldest,
    /// The sign-in is refused with an error for which [`is_limit`](crate::Error::is_limit) is true.
    RefuseNew,
}

/// What happens when an old token is used after its grace period. Somebody has kept a copy of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "config-file", derive(serde::Deserialize), serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum OnReplay {
    /// The token opens nothing, and an [event](crate::Event::Replayed) reports it. The default.
    #[default]
    Report,
    /// As [`Report`](OnReplay::Report), and the session is revoked, so that its owner and a possible thief have to sign in again.
    Revoke,
}

/// The maximum of `max_sessions_per_user`. A sign-in beyond the limit looks at all sessions of the user.
pub(crate) const MAX_SESSIONS_PER_USER: usize = 1000;
