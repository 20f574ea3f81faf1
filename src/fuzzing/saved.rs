//! Whole sessions as JSON: what is accepted is written as it was read, in every part, and is kept by the embedded store.

use serde_json::Value;

use super::records;
use crate::store::operate::Saved;
use crate::store::{Terms, embedded};

/// Checks a text that may be a session as `export` prints it.
pub fn saved(input: &[u8]) {
    let Ok(value) = serde_json::from_slice::<Value>(input) else { return };
    let terms = Terms::default();
    let Ok(saved) = Saved::from_json(&value, &terms) else { return };
    let mut written = saved.to_json();
    assert_eq!(Saved::from_json(&written, &terms).as_ref(), Ok(&saved), "it comes back");
    if value.get("signed_in_at").is_none() {
        // what is missing is written as null
        written.as_object_mut().expect("an object").remove("signed_in_at");
    }
    assert_eq!(written, value);
    records::use_it(&saved.record);
    embedded::fuzzing::keep(&saved);
}
