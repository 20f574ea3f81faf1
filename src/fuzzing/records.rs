//! Records as somebody has stored them: they are read as they are written, or are none; and what is done with them does not
//! depend on whether their numbers make sense.

use std::sync::Arc;
use std::time::Duration;

use crate::store::Lookup;
use crate::{
    SessionId,
    store::{Change, Credentials, Record, Save, Terms},
};

/// Checks a record, a field in each line: its name, `=` and its text.
pub fn records(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let stored: Vec<_> = text.split('\n').map(|line| line.split_once('=').unwrap_or((line, ""))).collect();
    for plain in [false, true] {
        if let Some(record) = Record::from_stored(stored.iter().copied(), plain, &Terms::default()) {
            check(&record, plain);
        }
    }
}

/// Checks that a record comes back, and what each verb does with it.
pub(crate) fn check(record: &Record, plain: bool) {
    let terms = Terms::default();
    let again = Record::from_stored(record.to_stored(), plain, &terms);
    assert_eq!(again.as_ref(), Some(record), "it is written as it was read");
    use_it(record);
}

/// Does with a record what stores do.
pub(crate) fn use_it(record: &Record) {
    let id = SessionId::parse("AAAAAAAAAAAAAAAAAAAAAA").expect("an id");
    let presented = Credentials { id, secret_hash: record.secret_hash };
    for now in [record.created_at, record.last_accessed_at + Duration::from_millis(1), record.ends_at()] {
        let lives = now < record.ends_at();
        let found = Arc::new(record.clone()).look_up(&presented, now);
        assert_eq!(matches!(found, Lookup::Live(_)), lives);

        let mut touched = record.clone();
        let touch = Change::Save(Save { touch: true, confirm: true, ..Save::default() });
        assert_eq!(touched.apply(&presented, &touch, &Terms::default(), now).is_ok(), lives);
        assert!(touched.expires_at == record.expires_at && touched.fields == record.fields);
        assert!(touched.ends_at() >= record.ends_at() || touched.last_accessed_at < record.last_accessed_at);
    }
}
