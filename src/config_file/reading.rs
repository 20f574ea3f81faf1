//! Reads TOML, and says what is wrong with it without repeating a text that stands in it, because it may be secret.

use std::fmt;
use std::time::Duration;

use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error, Visitor};

/// Reads a text. The error names the line, and the key if there is one.
pub(super) fn read<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    toml::from_str(text).map_err(|error| {
        let line = error.span().map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
        let line = line.map(|line| format!("line {line}: ")).unwrap_or_default();
        format!("{line}{}", without_texts(error.message()))
    })
}

/// Takes out the value in "invalid type: string "hunter2", expected a boolean" or "unknown variant `hunter2`, expected ...". The
/// name of an unknown key stays.
fn without_texts(message: &str) -> String {
    let is_key = message.starts_with("unknown field");
    let quote = message.find(|c| c == '"' || (c == '`' && !is_key));
    match (quote, message.rsplit_once(", expected")) {
        (Some(quote), Some((_, expected))) => format!("{}, expected{expected}", message[..quote].trim_end()),
        (Some(quote), None) => message[..quote].trim_end().to_owned(),
        (None, _) => message.to_owned(),
    }
}

/// A duration as it is written in a file: a number with its unit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span(pub(super) Duration);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Span, D::Error> {
        deserializer.deserialize_any(InWords)
    }
}

struct InWords;

impl Visitor<'_> for InWords {
    type Value = Span;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration with its unit in quotes, such as '30m', '12h' or '500ms'")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Span, E> {
        humantime::parse_duration(text).map(Span).map_err(|_| {
            E::custom("invalid duration, expected a number with its unit in quotes, such as '30m', '12h' or '500ms'")
        })
    }
}
