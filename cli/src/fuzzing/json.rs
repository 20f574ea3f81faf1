//! JSON in which no key stands twice: it is read as JSON is, everything else is refused, and no value is repeated.

use serde_json::Value;

use crate::strict_json::parse;

/// Stands for a secret in the corpus.
pub(super) const SECRET: &str = "hunter2";

/// Checks a text as a line of JSON.
pub fn json(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let strict = parse(text);
    let lenient = serde_json::from_str::<Value>(text);
    match (&strict, &lenient) {
        (Ok(read), Ok(value)) => {
            assert_eq!(read, value);
            assert_eq!(colons(text), entries(value), "each key is there once");
        }
        (Err(why), Ok(value)) => {
            assert_ne!(colons(text), entries(value), "{why}");
            assert!(why.starts_with("the key `"), "{why}");
            assert_no_value_is_repeated(why, value);
        }
        // after a key that is given twice, nothing is read
        (Err(why), Err(_)) => {
            assert!(why.starts_with("the line is not JSON (") || why.starts_with("the key `"), "{why}")
        }
        (Ok(_), Err(error)) => panic!("this is not JSON: {error}"),
    }
}

/// Checks that a message about a value shows a secret only where that is part of a key.
pub(super) fn assert_no_value_is_repeated(why: &str, value: &Value) {
    assert!(!why.contains(SECRET) || keys(value).iter().any(|key| key.contains(SECRET)), "{why}");
}

/// How many keys are written in a text that is JSON: as many as there are colons outside of its strings.
fn colons(text: &str) -> usize {
    let (mut count, mut is_string, mut is_escaped) = (0, false, false);
    for b in text.bytes() {
        match b {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = is_string,
            b'"' => is_string = !is_string,
            b':' if !is_string => count += 1,
            _ => {}
        }
    }
    count
}

fn entries(value: &Value) -> usize {
    keys(value).len()
}

fn keys(value: &Value) -> Vec<&str> {
    match value {
        Value::Object(map) => map.keys().map(String::as_str).chain(map.values().flat_map(keys)).collect(),
        Value::Array(all) => all.iter().flat_map(keys).collect(),
        _ => Vec::new(),
    }
}
