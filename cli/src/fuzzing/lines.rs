//! What `import` reads: each line is one session or is refused by its number, and none costs another its place.

use std::time::{Duration, SystemTime};

use cloakroom::store::Terms;
use cloakroom::store::operate::Saved;
use serde_json::Value;

use super::json::assert_no_value_is_repeated;
use crate::import::lines::{BYTE_ORDER_MARK, Lines, session_of};

/// Short enough for the fuzzer to write a longer one.
const LONGEST: usize = 1024;
/// More than clocks may be apart.
const SOON: Duration = Duration::from_secs(6 * 60);

/// Checks a text as what stands on stdin.
pub fn lines(input: &[u8]) {
    let mut lines = Lines::new(input, LONGEST as u64);
    let mut read = Vec::new();
    while let Some(line) = lines.next().expect("bytes can always be read") {
        read.push((lines.number(), line));
    }
    assert_eq!(read, expected(input));
    for (_, line) in read {
        let Ok(line) = line else { continue };
        let [secret, plain] = [false, true].map(|plain| session_of(&line, &Terms::default(), plain));
        assert!(secret.is_err() || plain.is_err());
        for (session, is_plain) in [(secret, false), (plain, true)] {
            check(&line, session, is_plain);
        }
    }
}

fn expected(input: &[u8]) -> Vec<(u64, Result<String, String>)> {
    let lines = input.split(|b| *b == b'\n').enumerate().map(|(i, line)| match i {
        0 if line.len() <= LONGEST => (1, line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line)),
        _ => (i as u64 + 1, line),
    });
    let there = lines.filter(|(_, line)| line.len() > LONGEST || !line.trim_ascii().is_empty());
    let read = there.map(|(number, line)| match std::str::from_utf8(line) {
        _ if line.len() > LONGEST => (number, Err(format!("the line is longer than {LONGEST} bytes"))),
        Ok(line) => (number, Ok(line.to_owned())),
        Err(_) => (number, Err("the line is not UTF-8".to_owned())),
    });
    read.collect()
}

/// What is accepted is printed again as it was read, and has happened already.
fn check(line: &str, session: Result<Saved, String>, is_plain: bool) {
    let value = serde_json::from_str::<Value>(line);
    let saved = match (session, &value) {
        (Ok(saved), _) => saved,
        (Err(why), Ok(value)) => return assert_no_value_is_repeated(&why, value),
        (Err(_), Err(_)) => return,
    };
    assert_eq!(saved.id.is_plain(), is_plain);
    let printed = saved.to_json();
    assert_eq!(session_of(&printed.to_string(), &Terms::default(), is_plain), Ok(saved.clone()), "it comes back");
    let mut value = value.expect("it was read");
    // what is missing is printed as null
    value.as_object_mut().expect("an object").entry("signed_in_at").or_insert(Value::Null);
    assert_eq!(printed, value);
    let record = &saved.record;
    let happened = [Some(record.created_at), Some(record.last_accessed_at), record.rotated_at, record.auth_time];
    for time in happened.into_iter().chain([record.signed_in_at, saved.signed_in_at]).flatten() {
        assert!(time <= SystemTime::now() + SOON, "{time:?} has not happened yet");
    }
}
