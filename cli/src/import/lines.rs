//! The lines that `import` reads: where each of them begins and ends, and the session in it.

use std::io::{self, BufRead, Read as _};
use std::time::{Duration, SystemTime};

use cloakroom::store::Terms;
use cloakroom::store::operate::Saved;

use crate::strict_json;

/// How far the clock of the machine on which the sessions were made may be ahead of this one's.
const CLOCKS_APART: Duration = Duration::from_secs(5 * 60);
/// What some editors and shells put in front of a text in UTF-8.
pub(crate) const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Lines that are not empty, with their numbers.
pub(crate) struct Lines<R> {
    from: R,
    longest: u64,
    number: u64,
}

impl<R: BufRead> Lines<R> {
    /// Reads lines of at most `longest` bytes.
    pub(crate) fn new(from: R, longest: u64) -> Lines<R> {
        Lines { from, longest, number: 0 }
    }

    /// Returns the next line, or why it cannot be read as one, or `None` at the end.
    ///
    /// # Errors
    /// Returns an error if the input cannot be read.
    pub(crate) fn next(&mut self) -> io::Result<Option<Result<String, String>>> {
        loop {
            let mut line = Vec::new();
            // one byte more shows whether the line goes on
            if (&mut self.from).take(self.longest.saturating_add(1)).read_until(b'\n', &mut line)? == 0 {
                return Ok(None);
            }
            self.number += 1;
            if line.ends_with(b"\n") {
                line.pop();
            } else if line.len() as u64 > self.longest {
                self.from.skip_until(b'\n')?;
                return Ok(Some(Err(format!("the line is longer than {} bytes", self.longest))));
            }
            if self.number == 1 && line.starts_with(BYTE_ORDER_MARK) {
                line.drain(..BYTE_ORDER_MARK.len());
            }
            if !line.trim_ascii().is_empty() {
                return Ok(Some(String::from_utf8(line).map_err(|_| "the line is not UTF-8".to_owned())));
            }
        }
    }

    /// Returns the number of the line that was read last. The first one is 1.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }
}

/// Returns the session in a line, for a store in which tokens are plain or are not.
///
/// # Errors
/// Returns what is wrong with the line. No value is repeated.
pub(crate) fn session_of(line: &str, terms: &Terms, plain_tokens: bool) -> Result<Saved, String> {
    let saved = Saved::from_json(&strict_json::parse(line)?, terms)?;
    check_not_ahead(&saved)?;
    match (saved.id.is_plain(), plain_tokens) {
        (false, true) => Err("the session does not have a plain token: leave out --plain-tokens".to_owned()),
        (true, false) => Err("the session has a plain token: add --plain-tokens".to_owned()),
        _ => Ok(saved),
    }
}

/// Refuses times in the future. A sign-in in the future would count as its user's latest until the clock reaches it, and the limit on
/// a user's sessions could not tell which of the others is the oldest. An `auth_time` in the future would count as recent for just as
/// long. A session that was created or used in the future would live longer than it should.
fn check_not_ahead(saved: &Saved) -> Result<(), String> {
    let latest = SystemTime::now() + CLOCKS_APART;
    let Saved { record, signed_in_at, .. } = saved;
    let times = [
        ("signed_in_at", (*signed_in_at).max(record.signed_in_at)),
        ("auth_time", record.auth_time),
        ("created_at", Some(record.created_at)),
        ("last_accessed_at", Some(record.last_accessed_at)),
        ("rotated_at", record.rotated_at),
    ];
    match times.iter().find(|(_, time)| time.is_some_and(|time| time > latest)) {
        Some((name, _)) => Err(format!("`{name}` is in the future, compared with this machine's clock")),
        None => Ok(()),
    }
}
