//! Reads the journal back, and finds out what is missing.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::Path;
use std::time::SystemTime;

use super::directory::Directory;
use super::format::Reader;
use super::journal::{HEAD_LEN, MARKER, NUMBER_LEN, TITLE_LEN, checksum, part_name, part_path, title};
use super::seal::Seal;
use crate::clock::to_iso;
use crate::record::SessionId;

/// Parts are numbered from 1. Without a seal the oldest part that is there counts as the first.
pub(super) const ANY_PART: u64 = 0;

/// What has been read.
pub(super) struct Recovered {
    /// The number of the last change.
    pub(super) commit: u64,
    /// The latest time that the store has seen.
    pub(super) time: SystemTime,
    /// The parts of the journal, and how long they are.
    pub(super) parts: VecDeque<(u64, u64)>,
    /// What is missing and was on the disk, one sentence each.
    pub(super) damage: Vec<String>,
    /// What is missing from the time after the seal, which a power cut may lose, one sentence each.
    pub(super) unsealed: Vec<String>,
    /// The last part, and the incomplete change at its end.
    torn: Option<(u64, Torn)>,
    /// A part whose first line is incomplete.
    unfinished: Option<u64>,
    /// Older parts that were removed, but whose removal did not reach the disk.
    outdated: Vec<u64>,
    /// When the last complete change was made.
    last_change: Option<SystemTime>,
}

/// The bytes at the end of a part that are not a complete change.
struct Torn {
    at: u64,
    bytes: usize,
    /// How many changes seem to begin in it.
    begun: usize,
}

/// A session, its state as it is written, and where that is in the journal.
pub(super) struct Change<'a> {
    pub(super) id: SessionId,
    /// `None` if the session is gone.
    pub(super) state: &'a [u8],
    pub(super) part: u64,
    /// How many bytes it has in the journal.
    pub(super) size: u64,
    /// The number of the change.
    pub(super) commit: u64,
}

struct Frame<'a> {
    commit: u64,
    time: SystemTime,
    changes: &'a [u8],
    end: usize,
}

/// Reads everything that can be read, in the order in which it was written. Changes nothing.
pub(super) fn read(dir: &Path, seal: &Seal, mut each: impl FnMut(&Change<'_>)) -> io::Result<Recovered> {
    let mut read = Recovered {
        commit: 0,
        time: seal.time,
        parts: VecDeque::new(),
        damage: Vec::new(),
        unsealed: Vec::new(),
        torn: None,
        unfinished: None,
        outdated: Vec::new(),
        last_change: None,
    };
    let parts;
    (read.outdated, parts) = parts_of(dir)?.into_iter().partition(|part| *part < seal.first_part);
    let first = if seal.first_part == ANY_PART { parts.first() } else { Some(&seal.first_part) };
    let mut expected = first.copied().unwrap_or_default();
    for (i, part) in parts.iter().enumerate() {
        if *part != expected {
            read.damage.push(format!("{} is missing", names(expected, part - 1)));
        }
        expected = part + 1;
        read.part(dir, *part, i + 1 == parts.len(), seal, &mut each)?;
    }
    if read.commit < seal.synced {
        let lost = changes(read.commit + 1, seal.synced);
        let are = are(read.commit + 1, seal.synced);
        read.damage.push(format!("{lost} {are} missing at the end, although the disk had been written"));
        read.commit = seal.synced; // a number is never used again
    }
    Ok(read)
}

impl Recovered {
    fn part(
        &mut self,
        dir: &Path,
        part: u64,
        is_last: bool,
        seal: &Seal,
        each: &mut impl FnMut(&Change<'_>),
    ) -> io::Result<()> {
        let bytes = fs::read(part_path(dir, part))?;
        let name = names(part, part);
        self.parts.push_back((part, bytes.len() as u64));
        if bytes.get(..TITLE_LEN) != Some(title(part).as_bytes()) {
            if is_last && title(part).as_bytes().starts_with(&bytes) {
                self.unfinished = Some(part);
                return Ok(());
            }
            self.damage.push(format!("the first line of {name} is damaged"));
        }
        let mut at = TITLE_LEN.min(bytes.len());
        while at < bytes.len() {
            if let Some(frame) = frame(&bytes, at, part) {
                self.frame(&frame, part, seal, each);
                at = frame.end;
                continue;
            }
            let unreadable = |end: usize| format!("{name} cannot be read from byte {at} to {}", end - 1);
            match (at + 1..bytes.len()).find(|next| frame(&bytes, *next, part).is_some()) {
                Some(next) => {
                    self.note(self.commit + 1, seal, unreadable(next));
                    at = next;
                }
                None if is_last => {
                    let begun = bytes[at..].windows(MARKER.len()).filter(|bytes| *bytes == MARKER).count();
                    self.torn = Some((part, Torn { at: at as u64, bytes: bytes.len() - at, begun }));
                    break;
                }
                None => {
                    self.note(self.commit + 1, seal, unreadable(bytes.len()));
                    break;
                }
            }
        }
        Ok(())
    }

    fn frame(&mut self, frame: &Frame<'_>, part: u64, seal: &Seal, each: &mut impl FnMut(&Change<'_>)) {
        let (first, before) = (self.commit + 1, frame.commit.saturating_sub(1));
        // the oldest part may begin with any number, because what was before it is not needed any more
        if self.commit != 0 && first <= before {
            self.note(first, seal, format!("{} {} missing", changes(first, before), are(first, before)));
        }
        self.commit = self.commit.max(frame.commit);
        self.time = self.time.max(frame.time);
        self.last_change = Some(frame.time);
        let mut from = Reader(frame.changes);
        while !from.0.is_empty() {
            let before = from.0.len();
            let Some((id, state)) = from.change() else {
                self.damage.push(format!("change {} is written in a way that is not known here", frame.commit));
                return;
            };
            let size = (before - from.0.len()) as u64;
            each(&Change { id, state, part, size, commit: frame.commit });
        }
    }

    /// Notes something that is missing: as damage if the disk had it, otherwise as a loss that a power cut may cause.
    fn note(&mut self, first_missing: u64, seal: &Seal, what: String) {
        let notes = if first_missing <= seal.synced { &mut self.damage } else { &mut self.unsealed };
        notes.push(what);
    }

    /// Describes the incomplete change at the end.
    pub(super) fn torn_in_words(&self) -> Option<String> {
        let (part, Torn { bytes, begun, .. }) = self.torn.as_ref()?;
        let last = match self.last_change {
            Some(time) => format!("the last whole change is number {} of {}", self.commit, to_iso(time)),
            None => "no whole change stands before them".to_owned(),
        };
        Some(format!(
            "{bytes} bytes at the end of {}, in which {begun} changes begin, are not whole and are cut off; {last}. After a \
             kill this is one change that had not been answered; after a power cut or a crash of the machine, changes that \
             were answered later than that may be lost with it, ends of sessions among them",
            part_name(*part)
        ))
    }

    /// Removes what the journal does not need any more, and the incomplete change at its end.
    pub(super) fn cut(&mut self, dir: &Directory) -> io::Result<()> {
        self.outdated.drain(..).try_for_each(|part| dir.remove(&part_name(part)))?;
        if let Some(part) = self.unfinished.take() {
            dir.remove(&part_name(part))?;
            self.parts.pop_back();
        }
        if let Some((part, torn)) = self.torn.take() {
            let file = dir.open(&part_name(part))?;
            file.set_len(torn.at)?;
            file.sync_all()?;
            if let Some(last) = self.parts.back_mut() {
                last.1 = torn.at;
            }
        }
        Ok(())
    }
}

/// Returns the frame at this place, if it is complete.
fn frame(bytes: &[u8], at: usize, part: u64) -> Option<Frame<'_>> {
    let rest = bytes.get(at..)?.strip_prefix(&MARKER)?;
    let mut head = Reader(rest);
    let (len, check) = (u32::from_le_bytes(head.array()?) as usize, head.number()?);
    let payload = head.0.get(..len)?;
    if checksum(part, payload) != check {
        return None;
    }
    let mut from = Reader(payload);
    let (commit, time) = (from.number()?, from.time()?);
    Some(Frame { commit, time, changes: from.0, end: at + HEAD_LEN + len })
}

/// Returns the numbers of the parts, the oldest first.
fn parts_of(dir: &Path) -> io::Result<Vec<u64>> {
    let mut parts = Vec::new();
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix("journal-")).filter(|n| n.len() == NUMBER_LEN);
        parts.extend(number.and_then(|number| number.parse::<u64>().ok()));
    }
    parts.sort_unstable();
    Ok(parts)
}

fn names(first: u64, last: u64) -> String {
    if first == last { part_name(first) } else { format!("{} to {}", part_name(first), part_name(last)) }
}

fn changes(first: u64, last: u64) -> String {
    if first == last { format!("change {first}") } else { format!("changes {first} to {last}") }
}

fn are(first: u64, last: u64) -> &'static str {
    if first == last { "is" } else { "are" }
}
