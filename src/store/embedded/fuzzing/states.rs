//! What the journal says of sessions: bytes that are read say what is written for it, and others are refused. What comes from
//! another store is read back as it came.

use super::super::format::{self, Reader, State};
use crate::SessionId;
use crate::fuzzing::use_record;
use crate::store::operate::Saved;
use crate::store::saved::to_micros;

/// Checks bytes as what follows a frame's head: sessions, and what has become of each; and as that alone.
pub fn states(input: &[u8]) {
    let mut from = Reader(input);
    while let Some((id, written)) = from.change() {
        check(&id, written);
    }
    check(&SessionId::parse("AAAAAAAAAAAAAAAAAAAAAA").expect("an id"), input);
}

/// Checks that a session which comes from elsewhere is in the journal what it was.
pub(crate) fn keep(saved: &Saved) {
    let state = State::Live(saved.record.clone(), saved.signed_in_at.map_or(0, to_micros));
    let mut written = Vec::new();
    format::write(&mut written, &saved.id, Some(&state));
    let (id, read) = Reader(&written).change().expect("it was just written");
    assert_eq!((id, Reader(read).state()), (saved.id, Some(state)));
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
