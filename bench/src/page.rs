//! The generated part of a page.

use std::fs;
use std::io::{Error, Result};
use std::path::Path;

/// Puts a text between two marks of a page, in place of what an earlier run has put there.
pub fn put_between(page: &Path, begin: &str, end: &str, text: &str) -> Result<()> {
    let before = fs::read_to_string(page)?;
    let parts = before.split_once(begin).and_then(|(head, rest)| Some((head, rest.split_once(end)?.1)));
    let (head, tail) =
        parts.ok_or_else(|| Error::other(format!("{} has no `{begin}` and `{end}`", page.display())))?;
    fs::write(page, format!("{head}{begin}\n{text}{end}{tail}"))
}
