//! The seal says what is certainly on the disk. It shows when a part of the journal is missing, even its end or all of it.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::time::SystemTime;

use xxhash_rust::xxh3::xxh3_64;

use super::directory::Directory;
use crate::clock::{from_millis, to_millis};

/// The name of the file in the store's directory.
pub(super) const NAME: &str = "seal";
/// The name of the next seal until it is complete.
pub(super) const NEW: &str = "seal.new";
/// Contains the version of the format, which rises with every change of the seal or the journal.
const TITLE: &str = "cloakroom sessions 2";

/// What the seal says. It is written after each sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seal {
    /// The oldest part of the journal.
    pub(super) first_part: u64,
    /// The last change that is certainly on the disk.
    pub(super) synced: u64,
    /// The store's time then.
    pub(super) time: SystemTime,
}

/// Why there is no seal.
#[derive(Debug)]
pub(super) enum Unsealed {
    Missing,
    Unreadable,
    /// It is of a version that this one does not know.
    Unknown(String),
    Io(io::Error),
}

impl Seal {
    pub(super) fn read(dir: &Path) -> Result<Seal, Unsealed> {
        let text = match fs::read_to_string(dir.join(NAME)) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Unsealed::Missing),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(Unsealed::Unreadable),
            Err(error) => return Err(Unsealed::Io(error)),
        };
        Seal::parse(&text).ok_or_else(|| match text.lines().next() {
            Some(title) if title != TITLE && is_title(title) => Unsealed::Unknown(title.to_owned()),
            _ => Unsealed::Unreadable,
        })
    }

    pub(super) fn parse(text: &str) -> Option<Seal> {
        let (body, check) = text.split_once("checksum ")?;
        if check != format!("{:016x}\n", xxh3_64(body.as_bytes())) {
            return None;
        }
        let mut lines = body.strip_prefix(TITLE)?.strip_prefix('\n')?.lines();
        let mut number = |name: &str| lines.next()?.strip_prefix(name)?.parse().ok();
        let (first_part, synced, millis) = (number("first part ")?, number("synced ")?, number("time ")?);
        // a time beyond this cannot have been written, and adding to it must not overflow
        let time = Some(millis).filter(|millis| *millis < 1 << 53).map(from_millis)?;
        let seal = Seal { first_part, synced, time };
        // accepted only exactly as it is written, because a number can be written in more than one way
        (seal.text() == text).then_some(seal)
    }

    pub(super) fn text(&self) -> String {
        let Seal { first_part, synced, time } = self;
        let body = format!("{TITLE}\nfirst part {first_part}\nsynced {synced}\ntime {}\n", to_millis(*time));
        format!("{body}checksum {:016x}\n", xxh3_64(body.as_bytes()))
    }

    /// Replaces the seal before, completely or not at all.
    pub(super) fn write(&self, dir: &Directory) -> io::Result<()> {
        // it was left by a process that was killed, or put there by somebody else
        dir.remove(NEW)?;
        let mut file = dir.create(NEW)?;
        file.write_all(self.text().as_bytes())?;
        file.sync_all()?;
        dir.rename(NEW, NAME)?;
        dir.sync()
    }
}

/// Returns true if a seal of any version begins with this text.
fn is_title(line: &str) -> bool {
    let version = line.strip_prefix("cloakroom sessions ");
    version.is_some_and(|version| !version.is_empty() && version.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_seal_says_why() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(Seal::read(dir.path()), Err(Unsealed::Missing)));
        let place = dir.path().join(NAME);
        let later = "cloakroom sessions 4711";
        let texts: [&[u8]; 6] =
            [b"", b"\xff", TITLE.as_bytes(), b"cloakroom sessions ", b"cloakroom sessions x", b"other 1"];
        for text in texts {
            fs::write(&place, text).unwrap();
            assert!(matches!(Seal::read(dir.path()), Err(Unsealed::Unreadable)), "{}", text.escape_ascii());
        }
        fs::write(&place, format!("{later}\nmore\n")).unwrap();
        assert!(matches!(Seal::read(dir.path()), Err(Unsealed::Unknown(title)) if title == later));
        // the disk or missing rights are the reason, which must not count as damage
        fs::remove_file(&place).unwrap();
        fs::create_dir(&place).unwrap();
        assert!(matches!(Seal::read(dir.path()), Err(Unsealed::Io(_))));
    }

    #[test]
    fn a_seal_with_any_byte_changed_is_none() {
        let seal = Seal { first_part: 3, synced: 12_345, time: from_millis(1_775_133_296_007) };
        let text = seal.text();
        assert_eq!(Seal::parse(&text), Some(seal));
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            assert_eq!(Seal::parse(&String::from_utf8(bytes).unwrap()), None, "byte {at}");
            assert_eq!(Seal::parse(&text[..at]), None, "cut at {at}");
        }
    }
}
