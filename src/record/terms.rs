//! The numbers of the configuration that a store needs.

use std::time::Duration;

/// The longest duration of a lifetime: nine digits of seconds, about 31 years.
pub(crate) const MAX_SECONDS: u64 = 999_999_999;

/// What the configuration grants every session: the numbers that a store needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// How long without a request, where a session has no idle timeout of its own.
    pub idle_timeout: Duration,
    /// How long at all.
    pub absolute_lifetime: Duration,
    /// How long the previous secret still reads once the new one was presented.
    pub rotation_grace: Duration,
    /// How many fields the application may have in a session.
    pub max_fields: usize,
    /// How many bytes names and values of these fields may have together.
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

/// What is wrong with a lifetime that is no whole number of seconds from 1 to nine digits.
pub(crate) fn problem_with_lifetime(duration: Duration) -> Option<String> {
    let fits = duration.subsec_nanos() == 0 && (1..=MAX_SECONDS).contains(&duration.as_secs());
    (!fits).then(|| format!("must be whole seconds from 1 to {MAX_SECONDS}, not {duration:?}"))
}
