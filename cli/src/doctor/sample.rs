//! What lies under the prefix: a bounded part of it, found with SCAN and at a bounded rate.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use cloakroom::{SessionId, StoreError};
use futures_util::future::{join, join4, try_join_all};
use indicatif::ProgressBar;
use serde_json::Value;

use super::server::{asked, unless_forbidden};
use crate::failure::Failure;
use crate::opened::Opened;
use crate::survey::{Pace, ScanFlags};

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
    /// Fields with a long value, in how many of the sessions that were measured, and how long the longest is.
    pub(super) long_fields: BTreeMap<String, (u64, usize)>,
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

/// What the server said of a session's key; `None` where it refused.
struct Answers {
    remaining: Option<Value>,
    encoding: Option<Value>,
    memory: Option<Value>,
    fields: Option<Value>,
}

impl Sample {
    /// Looks at up to `most` sessions and `most` indexes, at all of them where there is no limit.
    ///
    /// # Errors
    /// When the store is not available. `None` where keys may not be listed.
    pub(super) async fn take(
        opened: &Opened,
        scan: &ScanFlags,
        most: Option<usize>,
        bar: &ProgressBar,
    ) -> Result<Option<Sample>, Failure> {
        let mut sample = Sample { is_whole: true, ..Sample::default() };
        let servers = opened.redis.servers();
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
        opened: &Opened,
        server: &str,
        share: Option<usize>,
        pace: &mut Pace,
        bar: &ProgressBar,
    ) -> Result<bool, Failure> {
        let (pattern, step) = (format!("{}*", opened.redis.prefix()), pace.step());
        let mut seen = HashSet::new();
        let (mut sessions, mut indexes, mut looked_at) = (0, 0, 0);
        let mut cursor = "0".to_owned();
        loop {
            pace.wait(step).await;
            let command = ["SCAN", &cursor, "MATCH", &pattern, "COUNT", &step.to_string()];
            let Some(answer) = asked(&opened.redis, server, &command).await? else { return Ok(false) };
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
                    None => self.others += 1,
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

    async fn look_at(&mut self, opened: &Opened, keys: &[Key]) -> Result<(), Failure> {
        let sessions =
            keys.iter().filter_map(|key| if let Key::Session(key, id) = key { Some((key, id)) } else { None });
        let sessions: Vec<_> = sessions.collect();
        let answers = try_join_all(sessions.iter().map(|(key, _)| Answers::of(opened, key))).await?;
        for ((key, id), answers) in sessions.into_iter().zip(answers) {
            self.add_session(opened, key, id, &answers).await?;
        }
        for key in keys {
            if let Key::Index(key) = key {
                self.add_index(opened, key).await?;
            }
        }
        Ok(())
    }

    async fn add_session(
        &mut self,
        opened: &Opened,
        key: &str,
        id: &SessionId,
        answers: &Answers,
    ) -> Result<(), Failure> {
        let remaining = self.unless_missing("PTTL", &answers.remaining).and_then(Value::as_i64);
        if remaining == Some(-2) {
            return Ok(()); // it has ended since it was found
        }
        self.sessions += 1;
        if remaining == Some(-1) {
            self.is_without_expiry(format!("{}{id}", opened.redis.prefix()));
        }
        if let Some(encoding) = self.unless_missing("OBJECT ENCODING", &answers.encoding).and_then(Value::as_str) {
            self.encoded += 1;
            if encoding == "hashtable" {
                self.hashtables += 1;
                self.measure(opened, key).await?;
            }
        }
        if let Some(bytes) = self.unless_missing("MEMORY USAGE", &answers.memory).and_then(Value::as_u64) {
            self.weighed += 1;
            self.bytes += bytes;
        }
        let fields = self.unless_missing("HMGET", &answers.fields);
        let (is_stranger, user) = (fields.is_some_and(Value::is_null), fields.and_then(|fields| fields[1].as_str()));
        self.strangers += u64::from(is_stranger);
        match user {
            Some(user) if !opened.plain_tokens => self.add_bound(opened, key, id, user).await,
            _ => Ok(()),
        }
    }

    /// Which fields make a session large.
    async fn measure(&mut self, opened: &Opened, key: &str) -> Result<(), Failure> {
        if self.measured >= MEASURED {
            return Ok(());
        }
        self.measured += 1;
        let fields = answer_of(opened.redis.command_for(key, &["HGETALL", key]).await)?.unwrap_or_default();
        let fields = fields.as_array().map(Vec::as_slice).unwrap_or_default();
        for pair in fields.chunks_exact(2) {
            let (name, length) = (pair[0].as_str().unwrap_or_default(), pair[1].as_str().unwrap_or_default().len());
            if length > 64 || name.len() > 64 {
                let (sessions, longest) = self.long_fields.entry(name.to_owned()).or_default();
                *sessions += 1;
                *longest = length.max(name.len()).max(*longest);
            }
        }
        Ok(())
    }

    /// Whether the index of its user knows a session.
    async fn add_bound(&mut self, opened: &Opened, key: &str, id: &SessionId, user: &str) -> Result<(), Failure> {
        let index = format!("{}user:{user}", opened.redis.prefix());
        let score = opened.redis.command_for(&index, &["ZSCORE", &index, id.expose()]).await;
        let Some(score) = answer_of(score)? else {
            self.refused.insert("ZSCORE");
            return Ok(());
        };
        self.bound += 1;
        // the index forgets a session only after it has ended: asked in this order, that is no miss
        if score.is_null() && exists(opened, key).await? == Some(true) {
            self.misses += 1;
        }
        Ok(())
    }

    async fn add_index(&mut self, opened: &Opened, key: &str) -> Result<(), Failure> {
        let (remaining, entries) = join(
            opened.redis.command_for(key, &["PTTL", key]),
            opened.redis.command_for(key, &["ZRANGE", key, "0", "-1"]),
        )
        .await;
        let (remaining, entries) = (answer_of(remaining)?, answer_of(entries)?);
        let remaining = self.unless_missing("PTTL", &remaining).and_then(Value::as_i64);
        if remaining == Some(-2) {
            return Ok(());
        }
        self.indexes += 1;
        if remaining == Some(-1) {
            self.is_without_expiry(key.to_owned());
        }
        let Some(entries) = self.unless_missing("ZRANGE", &entries) else { return Ok(()) };
        let Some(entries) = entries.as_array() else {
            self.strangers += 1;
            return Ok(());
        };
        let ids: Vec<_> = entries.iter().filter_map(|entry| SessionId::parse(entry.as_str()?).ok()).collect();
        self.entries += ids.len() as u64;
        let ghosts = ghosts_among(opened, &ids).await?;
        if ghosts.is_none() && !ids.is_empty() {
            self.refused.insert("HEXISTS");
        }
        if let Some(ghosts) = ghosts.filter(|ghosts| !ghosts.is_empty()) {
            self.ghosts.insert(key.to_owned(), ghosts);
        }
        Ok(())
    }

    fn is_without_expiry(&mut self, shown: String) {
        self.without_expiry += 1;
        if self.named_without_expiry.len() < NAMED {
            self.named_without_expiry.push(shown);
        }
    }

    fn unless_missing<'a>(&mut self, command: &'static str, answer: &'a Option<Value>) -> Option<&'a Value> {
        if answer.is_none() {
            self.refused.insert(command);
        }
        answer.as_ref()
    }
}

impl Answers {
    async fn of(opened: &Opened, key: &str) -> Result<Answers, StoreError> {
        let redis = &opened.redis;
        let (remaining, encoding, memory, fields) = join4(
            redis.command_for(key, &["PTTL", key]),
            redis.command_for(key, &["OBJECT", "ENCODING", key]),
            redis.command_for(key, &["MEMORY", "USAGE", key]),
            redis.command_for(key, &["HMGET", key, "created_at", "user_id"]),
        )
        .await;
        Ok(Answers {
            remaining: answer_of(remaining)?,
            encoding: answer_of(encoding)?,
            memory: answer_of(memory)?,
            fields: answer_of(fields)?,
        })
    }
}

/// The ids behind which no session stands. None of them can ever come to live: a session is made before its id is written
/// to an index, and ids are never used again.
///
/// # Errors
/// When the store is not available. `None` where it may not be asked.
pub(super) async fn ghosts_among(opened: &Opened, ids: &[SessionId]) -> Result<Option<Vec<SessionId>>, Failure> {
    let mut ghosts = Vec::new();
    for flight in ids.chunks(FLIGHT) {
        let keys: Vec<_> = flight.iter().map(|id| format!("{}{}", opened.redis.prefix(), id.expose())).collect();
        let exist = try_join_all(keys.iter().map(|key| exists(opened, key))).await?;
        for (id, exists) in flight.iter().zip(exist) {
            match exists {
                None => return Ok(None),
                Some(false) => ghosts.push(*id),
                Some(true) => {}
            }
        }
    }
    Ok(Some(ghosts))
}

/// Whether a session stands there. What is left of one that was evicted stands at its key, too, but was never created.
async fn exists(opened: &Opened, key: &str) -> Result<Option<bool>, Failure> {
    let answer = answer_of(opened.redis.command_for(key, &["HEXISTS", key, "created_at"]).await)?;
    Ok(answer.map(|answer| answer != 0))
}

/// What a server said of a key; null where the key is of another type, `None` where this user may not ask.
pub(super) fn answer_of(answer: Result<Value, StoreError>) -> Result<Option<Value>, StoreError> {
    match answer {
        Err(error) if error.to_string().contains("refused: WRONGTYPE") => Ok(Some(Value::Null)),
        answer => unless_forbidden(answer),
    }
}

/// Which key of ours this is.
fn key_of(opened: &Opened, name: &str) -> Option<Key> {
    let rest = name.strip_prefix(opened.redis.prefix())?;
    if rest.starts_with("user:") {
        return Some(Key::Index(name.to_owned()));
    }
    let id = SessionId::parse(rest).ok().filter(|id| opened.is_ours(id))?;
    Some(Key::Session(name.to_owned(), id))
}
