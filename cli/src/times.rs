//! Times as the JSON, the page and the operators' verbs have them.

use std::time::SystemTime;

use jiff::Timestamp;

/// ISO 8601 with milliseconds, in UTC: `2026-04-02T12:34:56.789+00:00`, as in the session's fields.
pub(crate) fn iso(time: SystemTime) -> String {
    timestamp(time).strftime("%Y-%m-%dT%H:%M:%S%.3f+00:00").to_string()
}

/// `12:34:56 UTC`. The page's script shows the visitor's own time instead.
pub(crate) fn of_day(time: SystemTime) -> String {
    timestamp(time).strftime("%H:%M:%S UTC").to_string()
}

/// `2026-04-02 12:34:56 UTC`.
pub(crate) fn to_the_second(time: SystemTime) -> String {
    timestamp(time).strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

fn timestamp(time: SystemTime) -> Timestamp {
    Timestamp::try_from(time).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn a_time_is_iso_in_the_json_and_short_on_the_page() {
        let time = UNIX_EPOCH + Duration::from_millis(1_775_133_296_789);
        assert_eq!(iso(time), "2026-04-02T12:34:56.789+00:00");
        assert_eq!(of_day(time), "12:34:56 UTC");
        assert_eq!(to_the_second(time), "2026-04-02 12:34:56 UTC");
    }
}
