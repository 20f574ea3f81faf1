//! The fields of a session, which stand in one string: they are what a map of strings is.

use std::collections::BTreeMap;

use crate::store::Fields;

/// Checks a program, a step in each line: `name=text` inserts, `-name` removes, `>text` keeps what is greater, and `^` takes
/// all in the other order.
pub fn fields(input: &[u8]) {
    let Ok(program) = std::str::from_utf8(input) else { return };
    let (mut fields, mut map) = (Fields::new(), BTreeMap::new());
    for step in program.split('\n') {
        if let Some(name) = step.strip_prefix('-') {
            assert_eq!(fields.remove(name), map.remove(name).is_some());
        } else if let Some(least) = step.strip_prefix('>') {
            fields.retain(|_, text| text > least);
            map.retain(|_, text| *text > least);
        } else if step == "^" {
            fields = fields.iter().rev().chain(fields.iter()).collect();
        } else {
            let (name, text) = step.split_once('=').unwrap_or((step, ""));
            assert_eq!(fields.insert(name, text), map.insert(name, text).is_none());
            assert_eq!(fields.get(name), Some(text));
        }
        assert_eq!(fields.bytes(), map.iter().map(|(name, text)| name.len() + text.len()).sum::<usize>());
    }
    assert!(fields.iter().eq(map.iter().map(|(name, text)| (*name, *text))));
    assert_eq!(fields, map.into_iter().collect());
}
