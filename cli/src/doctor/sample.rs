//! What lies under the prefix: a bounded part of it, found with SCAN and at a bounded rate.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use cloakroom::SessionId;
use cloakroom::store::Redis;
use futures_util::future::{try_join, try_join_all};
use indicatif::ProgressBar;
use serde_json::Value;

use super::answers::{self, Bound, Entries, OfIndex, OfSession};
use super::server::asked;
use crate::failure::Failure;
use crate::opened::Opened;
use crate::pace::{Pace, ScanFlags};

/// For each session that is wanted so many keys are looked at, before it is given up: the others are somebody else's.
const KEYS_FOR_A_SESSION: usize = 100;
/// How many keys are asked about at once.
const FLIGHT: usize = 50;
/// How many keys without an expiry are named.
const NAMED: usize = 5;
/// Of how many sessions the fields are measured, when they take much memory.
const MEASURED: u64 = 50;

/// What was found. Every number is of what was looked at.
#[derive(Default)]
pub(super) struct Sample {
    pub(super) sessions: u64,
    pub(super) indexes: u64,
    /// Keys that begin with the prefix, but are none of ours: another application's longer prefix, the other token format.
    pub(super) others: u64,
    /// Of these, sessions of the other token format.
    pub(super) of_other_format: u64,
    /// How many sessions of visitors have each idle timeout, in seconds.
    pub(super) idle_timeouts: BTreeMap<u64, u64>,
    /// The most entries that an index has.
    pub(super) longest_index: u64,
    /// Keys with the name of one of ours, but of another type.
    pub(super) strangers: u64,
    /// Whether all keys were looked at.
    pub(super) is_whole: bool,
    pub(super) without_expiry: u64,
    /// A few of them, as they may be shown.
    pub(super) named_without_expiry: Vec<String>,
    /// Sessions of which the encoding is known, and how many of them are no longer compact.
    pub(super) encoded: u64,
    pub(super) hashtables: u64,
    /// Of these, how long each field gets: its value, or its name.
    pub(super) longest: BTreeMap<String, usize>,
    measured: u64,
    pub(super) weighed: u64,
    pub(super) bytes: u64,
    /// Entries in indexes; those without a session, by index; the sessions of a user that the index does not know.
    pub(super) entries: u64,
    pub(super) ghosts: BTreeMap<String, Vec<SessionId>>,
    pub(super) bound: u64,
    pub(super) misses: u64,
    /// Commands that this user may not run.
    pub(super) refused: BTreeSet<&'static str>,
}

/// One key of ours.
enum Key {
    Session(String, SessionId),
    Index(String),
}

impl Sample {
    /// Looks at up to `most` sessions and `most` indexes, at all of them where there is no limit.
    ///
    /// # Errors
    /// When the store is not available. `None` where keys may not be listed.
    pub(super) async fn take(
        opened: &Opened<Redis>,
        scan: &ScanFlags,
        most: Option<usize>,
        bar: &ProgressBar,
    ) -> Result<Option<Sample>, Failure> {
        let mut sample = Sample { is_whole: true, ..Sample::default() };
        let servers = opened.store.servers();
        let share = most.map(|most| most.div_ceil(servers.len().max(1)));
        let mut pace = Pace::new(scan);
        for server in &servers {
            if !sample.take_of(opened, server, share, &mut pace, bar).await? {
                return Ok(None);
            }
        }
        Ok(Some(sample))
    }

    /// The part of one server; whether it may be looked at.
    async fn take_of(
        &mut self,
        opened: &Opened<Redis>,
        server: &str,
        share: Option<usize>,
        pace: &mut Pace,
        bar: &ProgressBar,
    ) -> Result<bool, Failure> {
        let (pattern, step) = (format!("{}*", opened.store.prefix()), pace.step());
        let mut seen = HashSet::new();
        let (mut sessions, mut indexes, mut looked_at) = (0, 0, 0);
        let mut cursor = "0".to_owned();
        loop {
            pace.wait(step).await;
            let command = ["SCAN", &cursor, "MATCH", &pattern, "COUNT", &step.to_string()];
            let Some(answer) = asked(&opened.store, server, &command).await? else { return Ok(false) };
            cursor = answer[0].as_str().unwrap_or("0").to_owned();
            looked_at += step;
            bar.inc(step as u64);
            let names = answer[1].as_array().cloned().unwrap_or_default();
            let mut keys = Vec::new();
            for name in names.iter().filter_map(Value::as_str) {
                if !seen.insert(name.to_owned()) {
                    continue;
                }
                let is_wanted = |met: &mut usize| {
                    *met += 1;
                    share.is_none_or(|share| *met <= share)
                };
                match key_of(opened, name) {
                    Some(key @ Key::Session(..)) if is_wanted(&mut sessions) => keys.push(key),
                    Some(key @ Key::Index(_)) if is_wanted(&mut indexes) => keys.push(key),
                    Some(_) => {}
                    None => {
                        self.others += 1;
                        self.of_other_format += u64::from(is_session(opened, name));
                    }
                }
            }
            for flight in keys.chunks(FLIGHT) {
                pace.wait(flight.len()).await;
                self.look_at(opened, flight).await?;
            }
            let (is_last, is_enough) =
                (cursor == "0", share.is_some_and(|share| looked_at >= share * KEYS_FOR_A_SESSION));
            let is_over = share.is_some_and(|share| sessions > share || indexes > share);
            self.is_whole &= !is_over && (is_last || !is_enough);
            if is_last || is_enough || share.is_some_and(|share| sessions >= share && indexes >= share) {
                self.is_whole &= is_last;
                return Ok(true);
            }
        }
    }

    async fn look_at(&mut self, opened: &Opened<Redis>, keys: &[Key]) -> Result<(), Failure> {
        let sessions = keys.iter().filter_map(|key| match key {
            Key::Session(key, id) => Some(OfSession::ask(opened, key, id)),
            Key::Index(_) => None,
        });
        let indexes = keys.iter().filter_map(|key| match key {
            Key::Index(key) => Some(OfIndex::ask(opened, key)),
            Key::Session(..) => None,
        });
        let (sessions, indexes) = try_join(try_join_all(sessions), try_join_all(indexes)).await?;
        for session in &sessions {
            self.add_session(opened, session).await?;
        }
        indexes.into_iter().for_each(|index| self.add_index(index));
        Ok(())
    }

    async fn add_session(&mut self, opened: &Opened<Redis>, session: &OfSession<'_>) -> Result<(), Failure> {
        let remaining = self.unless_forbidden("PTTL", &session.remaining).and_then(Value::as_i64);
        if remaining == Some(-2) {
            return Ok(()); // it has ended since it was found
        }
        self.sessions += 1;
        if remaining == Some(-1) {
            self.is_without_expiry(format!("{}{}", opened.store.prefix(), session.id));
        }
        if let Some(encoding) = self.unless_forbidden("OBJECT ENCODING", &session.encoding).and_then(Value::as_str) {
            self.encoded += 1;
            if encoding == "hashtable" {
                self.hashtables += 1;
                self.measure(opened, session.key).await?;
            }
        }
        if let Some(bytes) = self.unless_forbidden("MEMORY USAGE", &session.memory).and_then(Value::as_u64) {
            self.weighed += 1;
            self.bytes += bytes;
        }
        let fields = self.unless_forbidden("HMGET", &session.fields);
        self.strangers += u64::from(fields.is_some_and(Value::is_null));
        let text = |nth: usize| fields.and_then(|fields| fields[nth].as_str());
        if let (None, Some(seconds)) = (text(1), text(2).and_then(|text| text.parse().ok())) {
            *self.idle_timeouts.entry(seconds).or_default() += 1;
        }
        match session.bound {
            Bound::ToNobody => {}
            Bound::Indexed => self.bound += 1,
            Bound::Missed => {
                self.bound += 1;
                self.misses += 1;
            }
            Bound::Forbidden => {
                self.refused.insert("ZSCORE");
            }
        }
        Ok(())
    }

    /// Which fields make a session large.
    async fn measure(&mut self, opened: &Opened<Redis>, key: &str) -> Result<(), Failure> {
        if self.measured >= MEASURED {
            return Ok(());
        }
        self.measured += 1;
        let fields = answers::of(opened.store.command_for(key, &["HGETALL", key]).await)?.unwrap_or_default();
        let fields = fields.as_array().map(Vec::as_slice).unwrap_or_default();
        for pair in fields.chunks_exact(2) {
            let (name, text) = (pair[0].as_str().unwrap_or_default(), pair[1].as_str().unwrap_or_default());
            let longest = self.longest.entry(name.to_owned()).or_default();
            *longest = text.len().max(name.len()).max(*longest);
        }
        Ok(())
    }

    fn add_index(&mut self, index: OfIndex) {
        let remaining = self.unless_forbidden("PTTL", &index.remaining).and_then(Value::as_i64);
        if remaining == Some(-2) {
            return;
        }
        self.indexes += 1;
        if remaining == Some(-1) {
            self.is_without_expiry(index.key.clone());
        }
        match index.entries {
            Entries::Forbidden(command) => {
                self.refused.insert(command);
            }
            Entries::OfAnotherType => self.strangers += 1,
            Entries::Ids { all, ghosts } => {
                self.entries += all;
                self.longest_index = self.longest_index.max(all);
                if !ghosts.is_empty() {
                    self.ghosts.insert(index.key, ghosts);
                }
            }
        }
    }

    fn is_without_expiry(&mut self, shown: String) {
        self.without_expiry += 1;
        if self.named_without_expiry.len() < NAMED {
            self.named_without_expiry.push(shown);
        }
    }

    fn unless_forbidden<'a>(&mut self, command: &'static str, answer: &'a Option<Value>) -> Option<&'a Value> {
        if answer.is_none() {
            self.refused.insert(command);
        }
        answer.as_ref()
    }
}

/// Which key of ours this is.
fn key_of(opened: &Opened<Redis>, name: &str) -> Option<Key> {
    let rest = name.strip_prefix(opened.store.prefix())?;
    if rest.starts_with("user:") {
        return Some(Key::Index(name.to_owned()));
    }
    let id = SessionId::parse(rest).ok().filter(|id| opened.is_ours(id))?;
    Some(Key::Session(name.to_owned(), id))
}

/// Whether this is the key of a session, of either token format.
fn is_session(opened: &Opened<Redis>, name: &str) -> bool {
    name.strip_prefix(opened.store.prefix()).is_some_and(|rest| SessionId::parse(rest).is_ok())
}
