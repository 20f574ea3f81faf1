//! What time it is, and how a time is written into a record.
//!
//! Only stores that keep their own time ask a [`Clock`]; with Redis, the time is Redis's.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Tells the time to a store that keeps its own. Cheap to clone.
#[derive(Clone)]
pub struct Clock(Source);

#[derive(Clone)]
enum Source {
    System,
    Manual(Arc<AtomicU64>),
}

impl Clock {
    /// The operating system's clock.
    pub fn system() -> Clock {
        Clock(Source::System)
    }

    /// A clock that stands still until it is [advanced](Clock::advance), for tests. Clones share the time.
    pub fn manual(start: SystemTime) -> Clock {
        Clock(Source::Manual(Arc::new(AtomicU64::new(to_millis(start)))))
    }

    /// The time, to the millisecond.
    pub fn now(&self) -> SystemTime {
        match &self.0 {
            Source::System => from_millis(to_millis(SystemTime::now())),
            Source::Manual(millis) => from_millis(millis.load(Ordering::SeqCst)),
        }
    }

    /// Moves a manual clock forward, to the millisecond. The system's clock is not ours to move: it stays.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual(millis) = &self.0 {
            millis.fetch_add(by.as_millis() as u64, Ordering::SeqCst);
        }
    }
}

impl Default for Clock {
    fn default() -> Self {
        Clock::system()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Source::System => "Clock::system",
            Source::Manual(_) => "Clock::manual",
        })
    }
}

pub(crate) fn to_millis(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

pub(crate) fn from_millis(millis: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(millis)
}

/// `2026-04-02T12:34:56.789+00:00`: what a person reads in redis-cli, and every language's ISO 8601 parser.
pub(crate) fn to_iso(time: SystemTime) -> String {
    let timestamp = jiff::Timestamp::from_millisecond(to_millis(time) as i64).unwrap_or(jiff::Timestamp::MAX);
    timestamp.strftime("%Y-%m-%dT%H:%M:%S%.3f+00:00").to_string()
}

/// Reads ISO 8601 with any offset; without one it is taken as UTC, which is what Python's `utcnow` writes.
///
/// A date and at least hours and minutes, with their separators: what the scripts in Redis read too.
pub(crate) fn from_iso(text: &str) -> Option<SystemTime> {
    let at = |i: usize| text.as_bytes().get(i).copied().unwrap_or_default();
    let has_separators = (at(4), at(7), at(13)) == (b'-', b'-', b':') && matches!(at(10), b'T' | b' ');
    if !has_separators || !text.bytes().all(|b| b.is_ascii_digit() || b"-:. +TZ".contains(&b)) {
        return None;
    }
    let timestamp = text.parse::<jiff::Timestamp>().ok().or_else(|| {
        let civil = text.parse::<jiff::civil::DateTime>().ok()?;
        civil.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
    })?;
    u64::try_from(timestamp.as_millisecond()).ok().map(from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_utc_with_milliseconds_and_read_back() {
        let time = from_millis(1_775_133_296_007);
        assert_eq!(to_iso(time), "2026-04-02T12:34:56.007+00:00");
        assert_eq!(from_iso(&to_iso(time)), Some(time));
    }

    #[test]
    fn times_of_other_programs_are_read_whatever_their_offset() {
        let noon = from_iso("2026-04-02T12:00:00+00:00");
        for text in [
            "2026-04-02T14:00:00+02:00",
            "2026-04-02T12:00:00Z",
            "2026-04-02T12:00:00",
            "2026-04-02T12:00:00.000000+00:00",
            "2026-04-02 12:00+00",
        ] {
            assert_eq!(from_iso(text), noon, "{text}");
        }
        for text in [
            "",
            "yesterday",
            "1775133296",
            "2026-04-02",
            "20260402T120000Z",
            "2026-13-02T12:00:00Z",
            "1950-01-01T00:00:00Z",
        ] {
            assert_eq!(from_iso(text), None, "{text}");
        }
    }
}
