//! Values: what is stored comes back, and foreign text is a value or none, never a panic.

use std::collections::BTreeMap;
use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::record::value::{from_raw_text, from_text, to_raw_text, to_text};

/// Checks what becomes of a text that is stored, and of one that somebody else has stored.
pub fn values(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    comes_back(&text.to_owned());
    assert_eq!(to_raw_text(text).as_deref(), Ok(text), "with plain tokens a text stays as it is");
    assert_eq!(from_raw_text::<String>(text).as_deref(), Ok(text));
    comes_back(&vec![text.to_owned()]);
    comes_back(&BTreeMap::from([(text.to_owned(), 1)]));
    comes_back(&Value::from(text));
    is_read::<String>(text);
    is_read::<bool>(text);
    is_read::<char>(text);
    is_read::<i64>(text);
    is_read::<u64>(text);
    is_read::<i128>(text);
    is_read::<f64>(text);
    is_read::<f32>(text);
    is_read::<()>(text);
    is_read::<Option<String>>(text);
    is_read::<Option<Option<f64>>>(text);
    is_read::<Vec<Option<bool>>>(text);
    is_read::<(i64, String)>(text);
    is_read::<BTreeMap<String, Vec<f64>>>(text);
    is_read::<BTreeMap<u8, char>>(text);
    is_read::<Result<String, Vec<u8>>>(text);
    is_read::<Value>(text);
}

/// What can be read is written so that it reads the same.
fn is_read<T: Serialize + DeserializeOwned + PartialEq + Debug>(text: &str) {
    if let Ok(value) = from_text::<T>(text) {
        comes_back(&value);
    }
    // with plain tokens another program's text is what it looks like
    let _ = from_raw_text::<T>(text);
}

fn comes_back<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) {
    if let Ok(text) = to_text(value) {
        assert_eq!(from_text::<T>(&text).as_ref(), Ok(value), "{text:?}");
    }
}
