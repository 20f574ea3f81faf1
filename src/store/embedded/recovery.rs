//! Reads the journal back, and finds out what is missing.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::thread;
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

/// Reads everything that can be read, the last change first, so that the first state of a session that is seen is its last one, and
/// what is outdated costs no more than a look. Changes nothing.
pub(super) fn read(dir: &Path, seal: &Seal, mut each: impl FnMut(&Change<'_>)) -> io::Result<Recovered> {
    let (outdated, parts): (Vec<_>, Vec<_>) = parts_of(dir)?.into_iter().partition(|part| *part < seal.first_part);
    let mut found = Vec::with_capacity(parts.len());
    let mut unknown = Vec::new();
    thread::scope(|scope| {
        let (sender, files) = sync_channel(1);
        let newest_first = parts.iter().rev().enumerate();
        // one part is read and checked while the changes in another are looked at
        scope.spawn(move || {
            for (i, part) in newest_first {
                // nobody waits for the others if one could not be read
                let Ok(()) = sender.send(Part::read(dir, *part, i == 0)) else { return };
            }
        });
        for part in files {
            let part = part?;
            unknown.extend(part.each_from_the_last(&mut each));
            found.push(Part { bytes: Vec::new(), frames: Vec::new(), ..part });
        }
        io::Result::Ok(())
    })?;
    let mut read = Recovered {
        commit: 0,
        time: seal.time,
        parts: VecDeque::new(),
        damage: Vec::new(),
        unsealed: Vec::new(),
        torn: None,
        unfinished: None,
        outdated,
        last_change: None,
    };
    let first = if seal.first_part == ANY_PART { parts.first() } else { Some(&seal.first_part) };
    let mut expected = first.copied().unwrap_or_default();
    for part in found.into_iter().rev() {
        if part.number != expected {
            let last = part.number - 1;
            read.damage.push(format!("{} {} missing", names(expected, last), are(expected, last)));
        }
        expected = part.number + 1;
        read.part(part, seal);
    }
    read.damage.extend(unknown.iter().rev().map(|commit| unknown_change(*commit)));
    if read.commit < seal.synced {
        let lost = changes(read.commit + 1, seal.synced);
        let are = are(read.commit + 1, seal.synced);
        read.damage.push(format!("{lost} {are} missing at the end, although the disk had been written"));
        read.commit = seal.synced; // a number is never used again
    }
    Ok(read)
}

/// One file of the journal.
struct Part {
    number: u64,
    bytes: Vec<u8>,
    len: u64,
    /// The changes that are complete, each with its number and where it is in the file.
    frames: Vec<(u64, Range<usize>)>,
    /// What the file contains, in order.
    sections: Vec<Section>,
    /// The latest time in it, and the time of its last change.
    time: Option<(SystemTime, SystemTime)>,
    torn: Option<Torn>,
    is_title_damaged: bool,
    is_unfinished: bool,
}

/// A section of a part of the journal.
enum Section {
    /// Changes whose numbers follow one another: the first and the last of them.
    Changes(u64, u64),
    /// Bytes that are not a change.
    Unreadable(Range<usize>),
}

impl Part {
    fn read(dir: &Path, number: u64, is_last: bool) -> io::Result<Part> {
        let bytes = fs::read(part_path(dir, number))?;
        let title = title(number);
        let is_title_damaged = bytes.get(..TITLE_LEN) != Some(title.as_bytes());
        let mut part = Part {
            number,
            len: bytes.len() as u64,
            frames: Vec::new(),
            sections: Vec::new(),
            time: None,
            torn: None,
            is_title_damaged,
            is_unfinished: is_title_damaged && is_last && title.as_bytes().starts_with(&bytes),
            bytes,
        };
        if !part.is_unfinished {
            part.check(is_last);
        }
        Ok(part)
    }

    fn check(&mut self, is_last: bool) {
        let bytes = &self.bytes;
        let mut at = TITLE_LEN.min(bytes.len());
        while at < bytes.len() {
            if let Some(frame) = frame(bytes, at, self.number) {
                match self.sections.last_mut() {
                    Some(Section::Changes(_, last)) if *last + 1 == frame.commit => *last = frame.commit,
                    _ => self.sections.push(Section::Changes(frame.commit, frame.commit)),
                }
                let latest = self.time.map_or(frame.time, |(latest, _)| latest.max(frame.time));
                self.time = Some((latest, frame.time));
                at = frame.changes.end;
                self.frames.push((frame.commit, frame.changes));
                continue;
            }
            let next = (at..bytes.len()).find(|next| frame(bytes, *next, self.number).is_some());
            if next.is_none() && is_last {
                let begun = bytes[at..].windows(MARKER.len()).filter(|bytes| *bytes == MARKER).count();
                self.torn = Some(Torn { at: at as u64, bytes: bytes.len() - at, begun });
                return;
            }
            let end = next.unwrap_or(bytes.len());
            self.sections.push(Section::Unreadable(at..end));
            at = end;
        }
    }

    /// Looks at all changes, the last one first. Returns the numbers of those that are written in a way that is not known here.
    fn each_from_the_last(&self, each: &mut impl FnMut(&Change<'_>)) -> Vec<u64> {
        let (mut unknown, mut changes) = (Vec::new(), Vec::new());
        for (commit, at) in self.frames.iter().rev() {
            let mut from = Reader(&self.bytes[at.clone()]);
            while !from.0.is_empty() {
                let before = from.0.len();
                let Some((id, state)) = from.change() else {
                    unknown.push(*commit);
                    break;
                };
                let size = (before - from.0.len()) as u64;
                changes.push(Change { id, state, part: self.number, size, commit: *commit });
            }
            changes.drain(..).rev().for_each(|change| each(&change));
        }
        unknown
    }
}

impl Recovered {
    /// Adds what was found in the next part.
    fn part(&mut self, part: Part, seal: &Seal) {
        let name = names(part.number, part.number);
        self.parts.push_back((part.number, part.len));
        if part.is_unfinished {
            self.unfinished = Some(part.number);
            return;
        }
        if part.is_title_damaged {
            self.damage.push(format!("the first line of {name} is damaged"));
        }
        for section in part.sections {
            match section {
                Section::Changes(first, last) => self.changes(first, last, seal),
                Section::Unreadable(at) => {
                    let what = format!("{name} cannot be read from byte {} to {}", at.start, at.end - 1);
                    self.note(self.commit + 1, seal, what);
                }
            }
        }
        if let Some((latest, last)) = part.time {
            self.time = self.time.max(latest);
            self.last_change = Some(last);
        }
        self.torn = part.torn.map(|torn| (part.number, torn));
    }

    fn changes(&mut self, begin: u64, end: u64, seal: &Seal) {
        let (first, before) = (self.commit + 1, begin.saturating_sub(1));
        // the oldest part may begin with any number, because what was before it is not needed any more
        if self.commit != 0 && first <= before {
            self.note(first, seal, format!("{} {} missing", changes(first, before), are(first, before)));
        }
        self.commit = self.commit.max(end);
    }

    /// Notes something that is missing: as damage if the disk had it, otherwise as a loss that a power cut may cause.
    fn note(&mut self, first_missing: u64, seal: &Seal, what: String) {
        let notes = if first_missing <= seal.synced { &mut self.damage } else { &mut self.unsealed };
        notes.push(what);
    }

    /// Describes the incomplete change at the end.
    pub(super) fn torn_in_words(&self) -> Option<String> {
        let (part, Torn { bytes, begun, .. }) = self.torn.as_ref()?;
        let begun = if *begun == 1 { "1 change begins".to_owned() } else { format!("{begun} changes begin") };
        let last = match self.last_change {
            Some(time) => format!("the last whole change is number {} of {}", self.commit, to_iso(time)),
            None => "no whole change stands before them".to_owned(),
        };
        Some(format!(
            "{bytes} bytes at the end of {}, in which {begun}, are not whole and are cut off; {last}. After a \
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

/// A complete entry of the journal: a change of one or more sessions.
struct Frame {
    commit: u64,
    time: SystemTime,
    /// Where the sessions are. The next entry begins where they end.
    changes: Range<usize>,
}

/// Returns the frame at this place, if it is complete.
fn frame(bytes: &[u8], at: usize, part: u64) -> Option<Frame> {
    let rest = bytes.get(at..)?.strip_prefix(&MARKER)?;
    let mut head = Reader(rest);
    let (len, check) = (u32::from_le_bytes(head.array()?) as usize, head.number()?);
    let payload = head.0.get(..len)?;
    if checksum(part, payload) != check {
        return None;
    }
    let mut from = Reader(payload);
    let (commit, time) = (from.number()?, from.time()?);
    let end = at + HEAD_LEN + len;
    Some(Frame { commit, time, changes: end - from.0.len()..end })
}

/// Returns about how many bytes the journal has, outdated parts included. A part may be removed meanwhile.
pub(super) fn journal_bytes(dir: &Path) -> io::Result<u64> {
    let len = |part| fs::metadata(part_path(dir, part)).map_or(0, |metadata| metadata.len());
    Ok(parts_of(dir)?.into_iter().map(len).sum())
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

/// Says that a change was written by something else, perhaps a newer version.
pub(super) fn unknown_change(commit: u64) -> String {
    format!("change {commit} is written in a way that is not known here")
}

fn are(first: u64, last: u64) -> &'static str {
    if first == last { "is" } else { "are" }
}
