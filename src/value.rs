//! Values as text that a person can read, and that comes back exactly as it went in.
//!
//! A string is stored raw (`andrew`), everything else as JSON (`3`, `true`, `{"id":1}`). A string that would
//! itself parse as JSON (`3`, `"x"`) is stored JSON-quoted, so that `"3"` the string and `3` the number stay
//! different.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Why a value could not be written or read, in a few words and without the value.
pub(crate) type Problem = &'static str;

/// The text under which a value is stored.
pub(crate) fn to_text<V: Serialize + ?Sized>(value: &V) -> Result<String, Problem> {
    let json = serde_json::to_string(value).map_err(|_| "cannot be written as JSON")?;
    if !json.starts_with('"') {
        return Ok(json);
    }
    let raw: String = serde_json::from_str(&json).map_err(|_| "cannot be written as JSON")?;
    Ok(if is_json(&raw) { json } else { raw })
}

/// The value that a stored text stands for.
pub(crate) fn from_text<T: DeserializeOwned>(text: &str) -> Result<T, Problem> {
    const MISFIT: Problem = "does not hold a value of the type that was asked for";
    if may_be_json(text) {
        match serde_json::from_str(text) {
            Ok(value) => return Ok(value),
            Err(_) if is_json(text) => return Err(MISFIT),
            Err(_) => {}
        }
    }
    // raw text is what a JSON string of it would be, for any type that reads from a string
    T::deserialize(serde_json::Value::String(text.to_owned())).map_err(|_| MISFIT)
}

/// With plain tokens strings are written raw, whatever they look like: the other program reads what was meant.
pub(crate) fn to_raw_text<V: Serialize + ?Sized>(value: &V) -> Result<String, Problem> {
    let text = to_text(value)?;
    match serde_json::from_str::<String>(&text) {
        Ok(raw) => Ok(raw),
        Err(_) => Ok(text),
    }
}

/// Reads text that may have been written raw: what asks for a string gets it even where it looks like a number.
pub(crate) fn from_raw_text<T: DeserializeOwned>(text: &str) -> Result<T, Problem> {
    match serde_json::from_str::<T>(text) {
        Ok(value) if !text.starts_with('"') => Ok(value),
        _ => T::deserialize(serde_json::Value::String(text.to_owned())).or_else(|_| from_text(text)),
    }
}

fn is_json(text: &str) -> bool {
    may_be_json(text) && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

/// By its beginning: to have a parser refuse what a person wrote costs more than to read it.
fn may_be_json(text: &str) -> bool {
    matches!(text.trim_ascii_start().bytes().next(), Some(b'"' | b'{' | b'[' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n'))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fmt::Debug;

    use super::*;

    fn comes_back<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: T, text: &str) {
        assert_eq!(to_text(&value).unwrap(), text);
        assert_eq!(from_text::<T>(text).unwrap(), value);
    }

    #[test]
    fn a_person_can_read_what_is_stored() {
        comes_back("andrew".to_owned(), "andrew");
        comes_back(3_i64, "3");
        comes_back(true, "true");
        comes_back(vec![1, 2], "[1,2]");
        comes_back(BTreeMap::from([("a".to_owned(), 1)]), r#"{"a":1}"#);
    }

    #[test]
    fn a_string_that_looks_like_json_stays_a_string() {
        comes_back("3".to_owned(), r#""3""#);
        comes_back("true".to_owned(), r#""true""#);
        comes_back("null".to_owned(), r#""null""#);
        comes_back(r#""x""#.to_owned(), r#""\"x\"""#);
        comes_back("{}".to_owned(), r#""{}""#);
        comes_back(" 3 ".to_owned(), r#"" 3 ""#);
    }

    #[test]
    fn odd_values_come_back_too() {
        comes_back(String::new(), "");
        comes_back("line\nbreak\0\u{fffd}".to_owned(), "line\nbreak\0\u{fffd}");
        comes_back(Some("x".to_owned()), "x");
        comes_back(None::<String>, "null");
        comes_back(Some("null".to_owned()), r#""null""#);
        comes_back('x', "x");
        comes_back(i64::MIN, "-9223372036854775808");
        comes_back(u64::MAX, "18446744073709551615");
        comes_back(0.1_f64, "0.1");
        comes_back((), "null");
    }

    #[test]
    fn raw_text_of_another_program_reads_as_the_type_that_is_asked_for() {
        assert_eq!(from_raw_text::<String>("3").unwrap(), "3");
        assert_eq!(from_raw_text::<i64>("3").unwrap(), 3);
        assert_eq!(from_raw_text::<String>(r#""x""#).unwrap(), r#""x""#);
        assert_eq!(from_raw_text::<String>(&to_raw_text("true").unwrap()).unwrap(), "true");
        assert!(from_raw_text::<i64>("three").is_err());
    }
}
