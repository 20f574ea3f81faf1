//! How a session is changed: planned here, by [`Record::apply`] on the session as it was last seen, and sent as the difference
//! that it makes, together with what the plan rests on. A script compares, writes and answers little; or it answers what is there
//! instead, and the change is planned again. What others changed in other fields meanwhile is no obstacle.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use redis::Value;

use super::scripts::Call;
use super::{Pair, Redis, packed, pairs_of, read, texts_of};
use crate::clock::{from_millis, to_iso, to_millis};
use crate::error::StoreError;
use crate::record::{
    Change, Credentials, EXPIRES_AT, FieldChanges, LAST_ACCESSED_AT, OWN_DEADLINE, PREVIOUS_UNTIL, Record, Refusal,
    SECRET_HASH, SESSION_TTL, Terms,
};
use crate::store::{Loaded, Outcome};

/// How often a change is planned at most. Each time but the first, somebody else has changed what it rests on.
const ATTEMPTS: usize = 16;

/// What PTTL answers for a key without an expiry, and for how long such a key stays.
const NO_EXPIRY: i64 = -1;
const ENDLESS: Duration = Duration::from_secs(100 * 366 * 24 * 60 * 60);

/// The reserved fields that plans rest on, as they stand there. They may have been written by somebody else.
const RESTS_ON: [&str; 4] = [SESSION_TTL, EXPIRES_AT, LAST_ACCESSED_AT, OWN_DEADLINE];

/// A session as somebody has seen it: what a change is planned on.
pub(super) struct Seen {
    pub(super) record: Arc<Record>,
    /// The server's time.
    now: SystemTime,
    /// What stands at the key, if it was just looked at. A session that was loaded earlier may be different by now.
    found: Option<Found>,
}

/// The fields at a session's key, as they stand there.
struct Found {
    reserved: Vec<(String, String)>,
    /// When the key expires.
    expires_at: SystemTime,
    /// How many there are, also of those that are no text.
    count: usize,
    /// How many of them are no text, and their bytes. No limit counts them.
    unreadable: (usize, usize),
}

/// A change, and what it rests on.
struct Plan<'a> {
    seen: &'a Seen,
    after: Record,
    /// Fields that must have these texts.
    equal: Vec<(&'a str, Cow<'a, str>)>,
    /// Fields that must not be there.
    absent: Vec<&'a str>,
    /// How large the session may be.
    room: Room,
    removed: Vec<&'a str>,
    /// What is written of the reserved fields.
    set: Vec<(&'static str, String)>,
    /// What the request changes itself; nothing where the change was made before.
    changes: Option<&'a FieldChanges>,
    /// Whether it is a new access.
    touches: bool,
    /// Where the session gets another end.
    ends_at: Option<SystemTime>,
}

/// What the script looks at of a session's size, before it makes a change.
enum Room {
    /// Nothing: the change cannot make it too large.
    Any,
    /// How many fields there are: no other request may have added one.
    Stored(usize),
    /// What it would have of the application's afterwards: no more fields and bytes than this, if it grows.
    Own { fields: usize, bytes: usize },
}

/// What the script answers.
pub(super) enum Answer {
    /// Done, and what the counters have become.
    Done { sums: Vec<String> },
    /// The time with which it was planned is too long ago.
    Later { now: SystemTime },
    /// The session is something else by now, or is not there.
    Other { now: SystemTime, remaining: i64, packed: Vec<u8> },
}

impl Redis {
    /// Makes a change. One round trip if the session was loaded before and nobody has changed meanwhile what the change rests
    /// on; one more each time it must be planned again.
    pub(super) async fn change(
        &self,
        presented: &Credentials,
        change: &Change,
        loaded: Option<&Loaded>,
        terms: &Terms,
    ) -> Result<Outcome, StoreError> {
        let mut seen = match loaded {
            Some(loaded) => Some(Seen { record: loaded.record.clone(), now: loaded.now, found: None }),
            None => Box::pin(self.look(presented, terms)).await?,
        };
        for _ in 0..ATTEMPTS {
            let Some(now) = &seen else { return Ok(Outcome::Refused(Refusal::Gone)) };
            seen = match now.plan(presented, change, terms) {
                Ok(plan) => match self.ask_for(presented, &plan).await? {
                    Answer::Done { sums } => return Ok(plan.done(sums)),
                    Answer::Later { now: later } => Some(Seen { now: later, record: now.record.clone(), found: None }),
                    Answer::Other { now, remaining, packed } => {
                        let pairs = packed::unpack(&packed).ok_or_else(unreadable)?;
                        Seen::found(pairs, remaining, now, presented, terms)
                    }
                },
                // what was loaded earlier may be different by now: only what is there refuses
                Err(_) if now.found.is_none() => Box::pin(self.look(presented, terms)).await?,
                Err(refusal) => {
                    if let Some(end) = now.end_beyond_deadline() {
                        Box::pin(self.ask_for(presented, &end)).await?;
                    }
                    return Ok(Outcome::Refused(refusal));
                }
            };
        }
        Err(StoreError::new(format!("other requests have changed the session first, {ATTEMPTS} times in a row")))
    }

    /// Looks at what stands at a session's key: one round trip.
    async fn look(&self, presented: &Credentials, terms: &Terms) -> Result<Option<Seen>, StoreError> {
        let (hash, remaining, now) = self.read_with_time(&presented.id).await?;
        if let Value::ServerError(_) = hash {
            return Ok(None);
        }
        Ok(Seen::found(pairs_of(&hash)?, remaining, now, presented, terms))
    }

    async fn ask_for(&self, presented: &Credentials, plan: &Plan<'_>) -> Result<Answer, StoreError> {
        let key = self.prefix.session(&presented.id);
        let mut script = Call::new(&self.scripts.change, &key);
        plan.add_to(&mut script);
        Answer::read(self.run(&presented.id, &script, None).await?)
    }
}

impl Answer {
    pub(super) fn read(answer: Vec<Value>) -> Result<Answer, StoreError> {
        let mut answer = answer.into_iter();
        let mut next = || answer.next().ok_or_else(unreadable);
        let now = from_millis(read(next()?)?);
        match read::<String>(next()?)?.as_str() {
            "done" => Ok(Answer::Done { sums: answer.map(read).collect::<Result<_, _>>()? }),
            "later" => Ok(Answer::Later { now }),
            "other" => Ok(Answer::Other { now, remaining: read(next()?)?, packed: read(next()?)? }),
            _ => Err(unreadable()),
        }
    }
}

impl Seen {
    /// What was found at a key; `None` where that is no session.
    pub(super) fn found(
        pairs: Vec<Pair<'_>>,
        remaining: i64,
        now: SystemTime,
        presented: &Credentials,
        terms: &Terms,
    ) -> Option<Seen> {
        let is_plain = presented.secret_hash.is_none();
        let expires_at = match remaining {
            1.. => now + Duration::from_millis(remaining as u64),
            // somebody took the expiry of a session of ours away; the key of another program would be no session
            NO_EXPIRY if !is_plain => now + ENDLESS,
            _ => return None,
        };
        let count = pairs.len();
        let bytes: usize = pairs.iter().map(|(name, text)| name.len() + text.len()).sum();
        let texts = texts_of(pairs);
        let readable: usize = texts.iter().map(|(name, text)| name.len() + text.len()).sum();
        let unreadable = (count - texts.len(), bytes - readable);
        let mut record = Record::from_stored(texts.iter().copied(), is_plain, terms)?;
        if remaining != NO_EXPIRY && now >= record.ends_at() && now < record.expires_at {
            // another program keeps it by its expiry alone
            record.last_accessed_at = now;
        }
        let reserved = texts.into_iter().filter(|(name, _)| RESTS_ON.contains(name));
        let reserved = reserved.map(|(name, text)| (name.to_owned(), text.to_owned())).collect();
        Some(Seen { record: Arc::new(record), now, found: Some(Found { reserved, expires_at, count, unreadable }) })
    }

    /// Plans a change. Whatever decides about it is compared when it is written, so that it is made as planned or not at all.
    fn plan<'a>(&'a self, presented: &Credentials, change: &'a Change, terms: &Terms) -> Result<Plan<'a>, Refusal> {
        let before = self.record.as_ref();
        let mut after = before.clone();
        after.apply(presented, change, terms, self.now)?;
        let mut plan = self.plan_of(after);
        self.rest_on_reserved(&mut plan);
        let decides_about_it =
            change.sign_in().is_some() || change.fields().is_some_and(|fields| fields.own_deadline.is_some());
        if decides_about_it && before.secret_hash.is_some() {
            self.rest_on_own_deadline(&mut plan);
        }
        if change.was_made_in(before) {
            return Ok(plan);
        }
        plan.changes = change.fields();
        plan.write_reserved();
        // two milliseconds, because the time and what is left of the key's life are asked for one after the other
        let is_kept_longer = |found: &Found| found.expires_at > plan.after.expires_at + Duration::from_millis(2);
        if change.touches() {
            (plan.touches, plan.ends_at) = (true, Some(plan.after.ends_at()));
        } else if self.found.as_ref().is_some_and(is_kept_longer) {
            plan.ends_at = Some(plan.after.expires_at);
        }
        if let Some(changes) = plan.changes {
            plan.removed.extend(changes.remove.iter().map(String::as_str));
            for (name, text) in &changes.expect {
                match text {
                    Some(text) => plan.equal.push((name, text.into())),
                    None => plan.absent.push(name),
                }
            }
        }
        let discards = change.sign_in().is_some_and(|new| new.discard_fields) && plan.after.fields.is_empty();
        if discards {
            plan.removed.extend(before.fields.keys());
            plan.rest_on_all_fields();
        }
        if plan.may_fill_it(terms) {
            let (fields, bytes) = self.found.as_ref().map(|found| found.unreadable).unwrap_or_default();
            plan.room = Room::Own {
                fields: terms.max_fields.saturating_add(fields),
                bytes: terms.max_bytes.saturating_add(bytes),
            };
        }
        Ok(plan)
    }

    /// With which secret it is opened, and when it ends. With plain tokens it has no secret, and its deadline is not written
    /// down.
    fn rest_on_reserved<'a>(&'a self, plan: &mut Plan<'a>) {
        let [idle_timeout, expires_at] = self.record.lifetime_texts();
        let mut lifetime = vec![idle_timeout];
        if let Some(secret_hash) = &self.record.secret_hash {
            plan.equal.push((SECRET_HASH, secret_hash.as_str().into()));
            lifetime.push(expires_at);
        }
        for (name, text) in lifetime {
            match self.stands(name, &text) {
                Some(stands) => plan.equal.push((name, stands)),
                None => plan.absent.push(name),
            }
        }
    }

    /// Which deadline it has of its own. While that is later than its absolute lifetime allows, its end does not show it.
    fn rest_on_own_deadline<'a>(&'a self, plan: &mut Plan<'a>) {
        let stands = match &self.found {
            Some(found) => found.text_of(OWN_DEADLINE).map(Cow::Borrowed),
            None => self.record.own_deadline_text().map(Cow::Owned),
        };
        match stands {
            Some(stands) => plan.equal.push((OWN_DEADLINE, stands)),
            None => plan.absent.push(OWN_DEADLINE),
        }
    }

    /// What stands in a reserved field; as we write it, where nobody has looked.
    fn stands<'a>(&'a self, name: &str, ours: &str) -> Option<Cow<'a, str>> {
        match &self.found {
            Some(found) => found.text_of(name).map(Cow::Borrowed),
            None => Some(Cow::Owned(ours.to_owned())),
        }
    }

    /// How many fields are stored.
    fn count(&self) -> usize {
        let as_loaded = || self.record.to_reserved().len() + self.record.fields.len();
        self.found.as_ref().map_or_else(as_loaded, |found| found.count)
    }

    /// What ends a session that another program has kept beyond its absolute deadline.
    fn end_beyond_deadline(&self) -> Option<Plan<'_>> {
        let is_beyond = self.found.is_some() && self.now >= self.record.expires_at;
        is_beyond.then(|| {
            let mut plan = self.plan_of(self.record.as_ref().clone());
            self.rest_on_reserved(&mut plan);
            plan.ends_at = Some(self.record.expires_at);
            plan
        })
    }

    fn plan_of<'a>(&'a self, after: Record) -> Plan<'a> {
        Plan {
            seen: self,
            after,
            equal: Vec::new(),
            absent: Vec::new(),
            room: Room::Any,
            removed: Vec::new(),
            set: Vec::new(),
            changes: None,
            touches: false,
            ends_at: None,
        }
    }
}

impl Found {
    fn text_of(&self, name: &str) -> Option<&str> {
        self.reserved.iter().find(|(other, _)| other == name).map(|(_, text)| text.as_str())
    }
}

impl<'a> Plan<'a> {
    /// What becomes of the reserved fields.
    fn write_reserved(&mut self) {
        if self.seen.found.is_none() && self.after.has_reserved_of(&self.seen.record) {
            return;
        }
        let before = self.seen.record.to_reserved();
        let after = self.after.to_reserved();
        for (name, text) in &after {
            let stands = match &self.seen.found {
                Some(found) if RESTS_ON.contains(name) => found.text_of(name),
                _ => before.iter().find(|(other, _)| other == name).map(|(_, text)| text.as_str()),
            };
            if stands != Some(text.as_str()) && *name != LAST_ACCESSED_AT {
                self.set.push((name, text.clone()));
            }
        }
        let is_gone = |name: &str| !after.iter().any(|(other, _)| *other == name);
        self.removed.extend(before.iter().map(|(name, _)| *name).filter(|name| is_gone(name)));
        // another request may have begun the grace of the secret that was held until now
        if self.after.secret_hash != self.seen.record.secret_hash && !self.removed.contains(&PREVIOUS_UNTIL) {
            self.removed.push(PREVIOUS_UNTIL);
        }
        // of two requests that show the new secret for the first time, one begins the grace
        if self.seen.record.previous.is_some_and(|held| held.until.is_none())
            && self.set.iter().any(|(name, _)| *name == PREVIOUS_UNTIL)
        {
            self.absent.push(PREVIOUS_UNTIL);
        }
    }

    /// Whether this change writes so much, or the session is so large, that the size is looked at when it is made: otherwise
    /// several requests at the same time could each stay within the limits, and all of them together not. All that it
    /// writes counts: what it writes over may have been removed meanwhile, and something else may be there in its place.
    fn may_fill_it(&self, terms: &Terms) -> bool {
        const MOST_AT_ONCE: usize = 16;
        const LONGEST_COUNTER: usize = "-9223372036854775808".len();
        let Some(changes) = self.changes else { return false };
        let counters = changes.add.keys().map(|name| name.len() + LONGEST_COUNTER).sum::<usize>();
        let fields_written = changes.set.len() + changes.add.len();
        let is_near = |written: usize, after: usize, most: usize| 2 * after > most || written * MOST_AT_ONCE > most;
        let after = &self.after.fields;
        fields_written > 0
            && (is_near(fields_written, after.len(), terms.max_fields)
                || is_near(changes.set.bytes() + counters, after.bytes(), terms.max_bytes))
    }

    /// Lets nobody change or add any field meanwhile.
    fn rest_on_all_fields(&mut self) {
        let seen = self.seen;
        self.room = Room::Stored(seen.count());
        self.equal.extend(seen.record.fields.iter().map(|(name, text)| (name, Cow::Borrowed(text))));
    }

    /// As the script wants it.
    fn add_to(&self, script: &mut Call<'_>) {
        let seen = self.seen;
        let last_access = to_iso(seen.record.last_accessed_at);
        let lifetime = |record: &Record| (record.idle_timeout, record.expires_at);
        let only_touches = self.touches && lifetime(&self.after) == lifetime(&seen.record);
        script
            .arg(to_millis(seen.now))
            .arg(u8::from(seen.record.secret_hash.is_none()))
            .arg(seen.stands(LAST_ACCESSED_AT, &last_access).as_deref().unwrap_or_default())
            .arg(u8::from(only_touches))
            .arg(to_millis(seen.record.ends_at()))
            .arg(self.ends_at.map(|end| to_millis(end).to_string()).unwrap_or_default());
        match self.room {
            Room::Any => script.arg("").arg(""),
            Room::Stored(fields) => script.arg("").arg(fields),
            Room::Own { fields, bytes } => script.arg(bytes).arg(fields),
        };
        script.arg(self.equal.len());
        for (name, _) in &self.equal {
            script.arg(*name);
        }
        for (_, text) in &self.equal {
            script.arg(text.as_ref());
        }
        script.arg(self.absent.len()).arg(self.absent.as_slice());
        let none = FieldChanges::default();
        let changes = self.changes.unwrap_or(&none);
        script.arg(changes.add.len());
        for (name, by) in &changes.add {
            script.arg(name).arg(by);
        }
        script.arg(self.removed.len()).arg(self.removed.as_slice());
        if self.touches {
            script.arg(LAST_ACCESSED_AT).arg(to_iso(self.after.last_accessed_at));
        }
        for (name, text) in &self.set {
            script.arg(*name).arg(text);
        }
        for (name, text) in changes.set.iter() {
            script.arg(name).arg(text);
        }
    }

    /// What the session is after it, at the time with which it was planned.
    fn done(mut self, sums: Vec<String>) -> Outcome {
        let counters = self.changes.into_iter().flat_map(|changes| changes.add.keys());
        for (name, sum) in counters.zip(sums) {
            self.after.fields.insert(name, sum);
        }
        Outcome::done(Loaded { record: self.after.into(), now: self.seen.now }, Vec::new())
    }
}

fn unreadable() -> StoreError {
    StoreError::unknown("a script's answer cannot be read")
}
