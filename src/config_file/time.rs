//! A time with its unit, as people write it.

use std::fmt;
use std::time::Duration;

use serde::de::{self, Deserialize, Deserializer, Visitor};

/// A time such as `"30m"`, `"12h"` or `"500ms"`.
#[derive(Clone, Copy)]
pub(super) struct Time(Duration);

impl From<Time> for Duration {
    fn from(time: Time) -> Duration {
        time.0
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(WithUnit)
    }
}

struct WithUnit;

impl Visitor<'_> for WithUnit {
    type Value = Time;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a time with its unit, such as \"30m\", \"12h\" or \"500ms\"")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Time, E> {
        // the text is not repeated: somebody may have put a secret in the wrong place
        let duration = humantime::parse_duration(text)
            .map_err(|_| E::custom("this must be a time with its unit, such as \"30m\", \"12h\" or \"500ms\""))?;
        Ok(Time(duration))
    }
}
