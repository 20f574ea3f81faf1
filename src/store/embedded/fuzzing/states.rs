//! What the journal says of sessions: bytes that are read say what is written for it, and others are refused.

use super::super::format::{self, Reader, State};
use crate::SessionId;
use crate::fuzzing::use_record;

/// Checks bytes as what follows a frame's head: sessions, and what has become of each; and as that alone.
pub fn states(input: &[u8]) {
    let mut from = Reader(input);
    while let Some((id, written)) = from.change() {
        check(&id, written);
    }
    check(&SessionId::parse("AAAAAAAAAAAAAAAAAAAAAA").expect("an id"), input);
}

fn check(id: &SessionId, written: &[u8]) {
    let Some(state) = Reader(written).state() else { return };
    let mut again = Vec::new();
    format::write(&mut again, id, Some(&state));
    let mut from = Reader(&again);
    let (read, written_again) = from.change().expect("it was just written");
    assert!(read == *id && from.0.is_empty());
    // fields may have stood in another order
    assert!(written_again.len() <= written.len());
    assert_eq!(Reader(written_again).state().as_ref(), Some(&state));
    if let State::Live(record, _) = &state {
        use_record(record);
    }
}
