//! Tells the time, and writes and reads the times in a record.
//!
//! Only the stores in this process ask a [`Clock`]. The Redis store uses the time of the Redis server.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Tells the time to the stores [`Memory`](crate::store::Memory) and `Embedded`, and to a store of your own if it keeps its sessions in
/// this process. The Redis store uses the time of the Redis server.
///
/// An application needs no clock, because these stores use [`Clock::system`] by default. In tests, a manual clock lets sessions expire
/// without waiting:
///
/// ```
/// use cloakroom::{Clock, Config, Sessions, store::Memory};
/// use std::time::{Duration, SystemTime};
///
/// let clock = Clock::manual(SystemTime::now());
/// let sessions = Sessions::new(Memory::with_clock(clock.clone()), Config::default());
/// // ... a visitor comes, and then does nothing for an hour
/// clock.advance(Duration::from_secs(60 * 60));
/// // ... the visitor's session has ended
/// # drop(sessions);
/// ```
///
/// A clock is cheap to clone, and clones share the time.
#[derive(Clone)]
pub struct Clock(Source);

#[derive(Clone)]
enum Source {
    /// The difference between the latest time that the system's clock has shown and the monotonic time at that moment, in
    /// milliseconds.
    System(Arc<AtomicU64>),
    Manual(Arc<AtomicU64>),
}

impl Clock {
    /// Returns the operating system's clock, except that it never goes back. If the system's clock is set back, this one goes on from
    /// where it was, so that no session lives longer than it should. If the system's clock is set ahead, or the machine was suspended,
    /// this one follows.
    pub fn system() -> Clock {
        Clock(Source::System(Arc::default()))
    }

    /// Returns a clock for tests that stands still until you [advance](Clock::advance) it.
    pub fn manual(start: SystemTime) -> Clock {
        Clock(Source::Manual(Arc::new(AtomicU64::new(to_millis(start)))))
    }

    /// Returns the time, in whole milliseconds.
    pub fn now(&self) -> SystemTime {
        match &self.0 {
            Source::System(ahead) => {
                let (shown, running) = (to_millis(SystemTime::now()), running_millis());
                from_millis(running + at_least(ahead, shown.saturating_sub(running)))
            }
            Source::Manual(millis) => from_millis(millis.load(Ordering::SeqCst)),
        }
    }

    /// Makes the clock show at least this time from now on, because a store knows that this time has passed.
    #[cfg(feature = "embedded")]
    pub(crate) fn not_before(&self, time: SystemTime) {
        match &self.0 {
            Source::System(ahead) => at_least(ahead, to_millis(time).saturating_sub(running_millis())),
            Source::Manual(millis) => at_least(millis, to_millis(time)),
        };
    }

    /// Moves a manual clock forward, by whole milliseconds. Has no effect on [`Clock::system`].
    pub fn advance(&self, by: Duration) {
        if let Source::Manual(millis) = &self.0 {
            millis.fetch_add(by.as_millis() as u64, Ordering::SeqCst);
        }
    }
}

/// Raises a number to `least` if it is lower, and returns the number. It is rarely lower, and then nothing is written.
fn at_least(number: &AtomicU64, least: u64) -> u64 {
    let is = number.load(Ordering::SeqCst);
    if is >= least { is } else { number.fetch_max(least, Ordering::SeqCst).max(least) }
}

/// Returns the milliseconds since this process first called this function, on the monotonic clock.
fn running_millis() -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    START.elapsed().as_millis() as u64
}

impl Default for Clock {
    fn default() -> Self {
        Clock::system()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Source::System(_) => "Clock::system",
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

/// Writes a time as `2026-04-02T12:34:56.789+00:00`, which a person can read in redis-cli, and the ISO 8601 parser of every language
/// as well.
pub(crate) fn to_iso(time: SystemTime) -> String {
    let timestamp = jiff::Timestamp::from_millisecond(to_millis(time) as i64).unwrap_or(jiff::Timestamp::MAX);
    timestamp.strftime("%Y-%m-%dT%H:%M:%S%.3f+00:00").to_string()
}

/// Reads an ISO 8601 time with any offset. A time without an offset is taken as UTC, because Python's `utcnow` writes such times.
///
/// The text must have a date and at least hours and minutes, with their separators.
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
    fn a_clock_that_is_set_back_goes_on_from_where_it_was() {
        let clock = Clock::system();
        let shown = clock.now();
        let later = shown + Duration::from_secs(3600);
        clock.not_before(later); // as if the system's clock had shown it
        assert!(clock.now() >= later);
        std::thread::sleep(Duration::from_millis(5));
        let then = clock.now();
        assert!(then > later, "it goes on at its pace");
        clock.not_before(shown);
        assert!(clock.now() >= then);
    }

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
