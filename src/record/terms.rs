//! The settings of the configuration that a store needs.

use std::time::{Duration, SystemTime};

/// The longest lifetime, in seconds: nine digits, about 31 years.
pub(crate) const MAX_SECONDS: u64 = 999_999_999;

/// The settings that a store needs: what the configuration grants to every session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// How long a session lives after its last request, unless the session has an idle timeout of its own.
    pub idle_timeout: Duration,
    /// Absolute lifetime, regardless of activity.
    pub absolute_lifetime: Duration,
    /// How long the previous secret is accepted after the new one was first presented.
    pub rotation_grace: Duration,
    /// The most fields that the application may have in a session.
    pub max_fields: usize,
    /// The most bytes that the names and values of these fields may have in total.
    pub max_bytes: usize,
}

impl Default for Terms {
    fn default() -> Self {
        Terms {
            idle_timeout: Duration::from_secs(30 * 60),
            absolute_lifetime: Duration::from_secs(12 * 60 * 60),
            rotation_grace: Duration::from_secs(10),
            max_fields: 128,
            max_bytes: 64 * 1024,
        }
    }
}

impl Terms {
    /// Returns true if the secret that a sign-in replaced may still ask for that sign-in. It may do so during the grace period, and for one
    /// second more because the time of the sign-in was rounded down.
    pub(crate) fn holds_sign_in(&self, signed_in_at: SystemTime, now: SystemTime) -> bool {
        !self.rotation_grace.is_zero() && now < signed_in_at + self.rotation_grace + Duration::from_secs(1)
    }
}

/// Returns what is wrong with a lifetime, or `None` if it is a whole number of seconds from 1 to [`MAX_SECONDS`].
pub(crate) fn problem_with_lifetime(duration: Duration) -> Option<String> {
    let fits = duration.subsec_nanos() == 0 && (1..=MAX_SECONDS).contains(&duration.as_secs());
    (!fits).then(|| format!("must be a whole number of seconds from 1 to {MAX_SECONDS}, not {duration:?}"))
}
