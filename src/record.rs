//! What a store holds for one session, and what a change makes of it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::clock::{from_iso, from_millis, to_iso, to_millis};
use crate::config::Terms;
use crate::delta::{Change, FieldChanges, SignIn};
use crate::fields::Fields;
use crate::meter;
use crate::store::{Loaded, Lookup, NewSession};
use crate::token::{Credentials, SecretHash, TokenFormat};
use crate::user::UserId;

pub(crate) const CREATED_AT: &str = "created_at";
pub(crate) const LAST_ACCESSED_AT: &str = "last_accessed_at";
pub(crate) const SESSION_TTL: &str = "session_ttl";
pub(crate) const EXPIRES_AT: &str = "expires_at";
pub(crate) const SECRET_HASH: &str = "secret_hash";
pub(crate) const PREVIOUS_SECRET_HASH: &str = "previous_secret_hash";
pub(crate) const PREVIOUS_UNTIL: &str = "previous_until";
pub(crate) const ROTATED_AT: &str = "rotated_at";
pub(crate) const USER_ID: &str = "user_id";
pub(crate) const AUTH_TIME: &str = "auth_time";
pub(crate) const DEVICE: &str = "device";
pub(crate) const IP: &str = "ip";
pub(crate) const SIGNED_IN_AT: &str = "signed_in_at";
pub(crate) const ABSOLUTE_LIFETIME: &str = "absolute_lifetime";
pub(crate) const COOKIE_MAX_AGE: &str = "cookie_max_age";
pub(crate) const SIGN_IN_SECRET_HASH: &str = "sign_in_secret_hash";
/// Stands alone beside a secret hash: the marker of a session that was evicted.
pub(crate) const ENDED: &str = "ended";

/// How long an evicted device can learn why.
pub(crate) const EVICTION_NOTICE: Duration = Duration::from_secs(5 * 60);

/// The names that no application's field may have.
pub(crate) const RESERVED: [&str; 17] = [
    CREATED_AT,
    LAST_ACCESSED_AT,
    SESSION_TTL,
    EXPIRES_AT,
    SECRET_HASH,
    PREVIOUS_SECRET_HASH,
    PREVIOUS_UNTIL,
    ROTATED_AT,
    USER_ID,
    AUTH_TIME,
    DEVICE,
    IP,
    SIGNED_IN_AT,
    ABSOLUTE_LIFETIME,
    COOKIE_MAX_AGE,
    SIGN_IN_SECRET_HASH,
    ENDED,
];

/// The names that no application's field may have, where tokens have this format: the three of the Redis tutorials come
/// first, and are the only ones with plain tokens.
pub fn reserved_fields(format: TokenFormat) -> &'static [&'static str] {
    match format {
        TokenFormat::Secret => &RESERVED,
        TokenFormat::Plain => &RESERVED[..RESERVED_WITH_PLAIN_TOKENS],
    }
}

/// How many of [`RESERVED`] are reserved with plain tokens: the three of the tutorials, which come first.
const RESERVED_WITH_PLAIN_TOKENS: usize = 3;

pub(crate) const fn is_reserved(name: &str) -> bool {
    is_among_first(RESERVED.len(), name)
}

pub(crate) const fn is_reserved_with_plain_tokens(name: &str) -> bool {
    is_among_first(RESERVED_WITH_PLAIN_TOKENS, name)
}

const fn is_among_first(count: usize, name: &str) -> bool {
    let mut i = 0;
    while i < count {
        if same(RESERVED[i].as_bytes(), name.as_bytes()) {
            return true;
        }
        i += 1;
    }
    false
}

/// `==` for a `const fn`.
const fn same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let mut i = 0;
    while i < a.len() && a[i] == b[i] {
        i += 1;
    }
    i == a.len()
}

/// One session, as a store holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The application's fields.
    pub fields: Fields,
    /// When it was made.
    pub created_at: SystemTime,
    /// When it was last extended: the idle timeout runs from here.
    pub last_accessed_at: SystemTime,
    /// How long without a request: the field `session_ttl`, whole seconds.
    pub idle_timeout: Duration,
    /// The absolute deadline, to the second.
    pub expires_at: SystemTime,
    /// The hash of the secret that opens it; `None` with plain tokens.
    pub secret_hash: Option<SecretHash>,
    /// The secret before the last rotation, while it is held.
    pub previous: Option<Previous>,
    /// When the secret was last rotated.
    pub rotated_at: Option<SystemTime>,
    /// Who is signed in. Once set it never changes.
    pub user_id: Option<UserId>,
    /// When that user proved who they are: at the sign-in, or earlier, where an identity provider said so.
    pub auth_time: Option<SystemTime>,
    /// When the user last signed in here, to the second. The absolute lifetime runs from then.
    pub signed_in_at: Option<SystemTime>,
    /// The absolute lifetime that a sign-in granted this session, where it is not the configured one.
    pub absolute_lifetime: Option<Duration>,
    /// How long the browser keeps the cookie, where a sign-in chose that; zero stands for until it is closed.
    pub cookie_max_age: Option<Duration>,
    /// The secret that the last sign-in replaced. It opens nothing. A second click that still brings it is the same
    /// sign-in, for as long as [`rotation_grace`](Terms::rotation_grace).
    pub sign_in_secret_hash: Option<SecretHash>,
    /// A label for the list of devices.
    pub device: Option<String>,
    /// The address, for the list of devices.
    pub ip: Option<String>,
}

/// The secret before the last rotation: for requests that were on their way, or whose answer got lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Previous {
    /// Its hash.
    pub secret_hash: SecretHash,
    /// Until when it reads; `None` until the new secret is first presented, for so long the browser may not have it.
    pub until: Option<SystemTime>,
}

/// Why a change was not made. Nothing of it was. Exhaustive on purpose: every caller must have an answer to each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The session does not exist, has ended, or what was presented is stale.
    Gone,
    /// An expectation does not hold (any more), or a held previous secret asked to rotate. A sign-in is answered so where
    /// the session lives with another secret or belongs to another user.
    Conflict,
    /// The user has as many sessions as allowed, and the policy refuses another.
    LimitReached,
    /// The change would break a limit, or does not fit what is there.
    Invalid {
        /// The field, or `session` for the whole.
        field: String,
        /// Why, with the limit.
        reason: &'static str,
    },
}

impl Refusal {
    /// It in a word.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Refusal::Gone => "gone",
            Refusal::Conflict => "conflict",
            Refusal::LimitReached => "limit",
            Refusal::Invalid { reason, .. } if [TOO_MANY_FIELDS, TOO_MANY_BYTES].contains(reason) => "too_large",
            Refusal::Invalid { .. } => "invalid",
        }
    }
}

pub(crate) const NOT_A_COUNTER: &str = "does not hold a whole number";
pub(crate) const COUNTER_OVERFLOW: &str = "would go beyond a 64-bit number";
pub(crate) const TOO_MANY_FIELDS: &str = "would have more fields than `max_fields` allows";
pub(crate) const TOO_MANY_BYTES: &str = "would be larger than `max_bytes` allows";

impl Record {
    /// The record of a new session, or why its fields do not fit.
    ///
    /// # Errors
    /// The [`Refusal::Invalid`] that says which limit is exceeded.
    pub fn new(new: &NewSession, terms: &Terms, now: SystemTime) -> Result<Record, Refusal> {
        check_size(&new.fields, terms)?;
        Ok(Record {
            fields: new.fields.clone(),
            created_at: now,
            last_accessed_at: now,
            idle_timeout: new.idle_timeout.unwrap_or(terms.idle_timeout).min(terms.absolute_lifetime),
            expires_at: whole_second(now + terms.absolute_lifetime),
            secret_hash: new.presented.secret_hash,
            previous: None,
            rotated_at: None,
            user_id: None,
            auth_time: None,
            signed_in_at: None,
            absolute_lifetime: None,
            cookie_max_age: None,
            sign_in_secret_hash: None,
            device: None,
            ip: None,
        })
    }

    /// When it ends if nobody comes: at its idle timeout or its absolute deadline, whichever is first.
    pub fn ends_at(&self) -> SystemTime {
        (self.last_accessed_at + self.idle_timeout).min(self.expires_at)
    }

    /// The longest idle timeout that this session may have: the configured absolute lifetime, or its own where that is
    /// longer.
    pub(crate) fn longest_idle(&self, terms: &Terms) -> Duration {
        let own = self.expires_at.duration_since(self.signed_in_at.unwrap_or(self.created_at));
        own.unwrap_or_default().max(terms.absolute_lifetime)
    }

    /// Whether what is presented is the current secret or the held previous one, whatever its grace.
    pub fn is_opened_by(&self, presented: &Credentials) -> bool {
        presented.secret_hash == self.secret_hash
            || self.previous.is_some_and(|held| presented.secret_hash == Some(held.secret_hash))
    }

    /// What is presented opens at this time. Compares in constant time.
    pub fn look_up(self: Arc<Record>, presented: &Credentials, now: SystemTime) -> Lookup {
        if now >= self.ends_at() {
            return Lookup::Gone;
        }
        if presented.secret_hash == self.secret_hash {
            return Lookup::Live(Loaded { record: self, now });
        }
        match self.previous {
            Some(held) if presented.secret_hash == Some(held.secret_hash) => match held.until {
                Some(until) if now >= until => Lookup::Replayed(Loaded { record: self, now }),
                _ => Lookup::Live(Loaded { record: self, now }),
            },
            _ => Lookup::Gone,
        }
    }

    /// Makes a change, or leaves everything as it was: what every store does, or repeats to the letter.
    ///
    /// The grace of the held previous secret is judged when a request loads, not here: an upload that began with
    /// it may still be saved. A rotation to the secret that is already current was made before, and changes nothing.
    ///
    /// A sign-in of the user who is signed in already, with the secret that this user's sign-in has just replaced, is that
    /// sign-in once more (a second click): it gets a secret of its own, and the one that the first was answered with is held.
    ///
    /// # Errors
    /// Why it was refused; the record is as it was.
    pub fn apply(
        &mut self,
        presented: &Credentials,
        change: &Change,
        terms: &Terms,
        now: SystemTime,
    ) -> Result<(), Refusal> {
        if now >= self.ends_at() {
            return Err(Refusal::Gone);
        }
        if change.rotate_to.is_some() && change.rotate_to == self.secret_hash {
            return Ok(());
        }
        let is_current = presented.secret_hash == self.secret_hash;
        let is_previous = self.previous.is_some_and(|held| presented.secret_hash == Some(held.secret_hash));
        let repeats_sign_in = self.repeats_sign_in(presented, change, terms, now);
        match &change.sign_in {
            _ if repeats_sign_in => {}
            // what lives is another sign-in's, or the browser's next secret
            Some(new) if new.only_again || !is_current && !is_previous || self.is_of_another(&new.user) => {
                return Err(Refusal::Conflict);
            }
            None if !is_current && !is_previous => return Err(Refusal::Gone),
            None if !is_current && change.rotate_to.is_some() => return Err(Refusal::Conflict),
            _ => {}
        }
        let binds = change.sign_in.as_ref().filter(|_| !repeats_sign_in);
        let keeps_fields = !binds.is_some_and(|new| new.discard_fields);
        let fields = if keeps_fields { &self.fields } else { &Fields::new() };
        self.fields = changed(fields, &change.delta, terms)?;
        if let Some(new) = change.rotate_to {
            let holds = !change.drop_previous && binds.is_none();
            self.previous = self.secret_hash.filter(|_| holds).map(|secret_hash| Previous { secret_hash, until: None });
            self.secret_hash = Some(new);
            self.rotated_at = Some(whole_second(now));
        } else if is_current
            && change.confirm
            && let Some(held) = &mut self.previous
        {
            // the browser has the new secret: the previous one's grace begins
            held.until.get_or_insert(whole_second(now + terms.rotation_grace + Duration::from_millis(999)));
        }
        if let Some(new) = binds {
            self.sign_in_secret_hash = presented.secret_hash;
            self.bind(new, terms, now);
        } else if !self.holds_sign_in(terms, now) {
            self.sign_in_secret_hash = None;
        }
        if let Some(idle) = change.delta.idle_timeout {
            self.idle_timeout = idle.min(self.longest_idle(terms));
        }
        if change.touch || change.sign_in.is_some() || change.delta.idle_timeout.is_some() {
            self.last_accessed_at = now;
        }
        Ok(())
    }

    fn is_of_another(&self, user: &UserId) -> bool {
        self.user_id.as_ref().is_some_and(|bound| bound != user)
    }

    /// Whether a change is the sign-in that was just made, asked for a second time.
    fn repeats_sign_in(&self, presented: &Credentials, change: &Change, terms: &Terms, now: SystemTime) -> bool {
        let is_theirs = change.sign_in.as_ref().is_some_and(|new| self.user_id.as_ref() == Some(&new.user));
        is_theirs
            && presented.secret_hash.is_some()
            && presented.secret_hash == self.sign_in_secret_hash
            && self.holds_sign_in(terms, now)
    }

    /// Whether the secret that the last sign-in replaced may still ask for that sign-in.
    fn holds_sign_in(&self, terms: &Terms, now: SystemTime) -> bool {
        // one second more, because the time of the sign-in was rounded down
        let grace = terms.rotation_grace + Duration::from_secs(1);
        !terms.rotation_grace.is_zero() && self.signed_in_at.is_some_and(|at| now < at + grace)
    }

    fn bind(&mut self, new: &SignIn, terms: &Terms, now: SystemTime) {
        self.user_id = Some(new.user.clone());
        self.signed_in_at = Some(whole_second(now));
        self.auth_time = Some(whole_second(new.auth_time.unwrap_or(now).min(now)));
        self.idle_timeout = new.idle_timeout.unwrap_or(terms.idle_timeout);
        self.expires_at = whole_second(now + new.absolute_lifetime.unwrap_or(terms.absolute_lifetime));
        self.absolute_lifetime = new.absolute_lifetime;
        self.cookie_max_age = new.cookie_max_age;
        self.device = new.device.clone();
        self.ip = new.ip.clone();
    }

    /// Every field under its name in the store, as text: the reserved ones first, then the application's.
    pub fn to_stored(&self) -> Vec<(String, String)> {
        let mut stored = vec![
            (CREATED_AT, to_iso(self.created_at)),
            (LAST_ACCESSED_AT, to_iso(self.last_accessed_at)),
            (SESSION_TTL, self.idle_timeout.as_secs().to_string()),
        ];
        if let Some(hash) = self.secret_hash {
            // with plain tokens the deadline follows from created_at: the other program's layout has no field for it
            stored.push((EXPIRES_AT, seconds(self.expires_at)));
            stored.push((SECRET_HASH, hash.as_str().to_owned()));
        }
        if let Some(previous) = self.previous {
            stored.push((PREVIOUS_SECRET_HASH, previous.secret_hash.as_str().to_owned()));
            stored.extend(previous.until.map(|until| (PREVIOUS_UNTIL, seconds(until))));
        }
        stored.extend(self.rotated_at.map(|at| (ROTATED_AT, seconds(at))));
        stored.extend(self.user_id.as_ref().map(|user| (USER_ID, user.as_str().to_owned())));
        stored.extend(self.auth_time.map(|at| (AUTH_TIME, seconds(at))));
        stored.extend(self.signed_in_at.map(|at| (SIGNED_IN_AT, seconds(at))));
        stored.extend(self.absolute_lifetime.map(|lifetime| (ABSOLUTE_LIFETIME, lifetime.as_secs().to_string())));
        stored.extend(self.cookie_max_age.map(|age| (COOKIE_MAX_AGE, age.as_secs().to_string())));
        stored.extend(self.sign_in_secret_hash.map(|hash| (SIGN_IN_SECRET_HASH, hash.as_str().to_owned())));
        stored.extend(self.device.clone().map(|label| (DEVICE, label)));
        stored.extend(self.ip.clone().map(|ip| (IP, ip)));
        let reserved = stored.into_iter().map(|(name, text)| (name.to_owned(), text));
        let own = self.fields.iter().map(|(name, text)| (name.to_owned(), text.to_owned()));
        reserved.chain(own).collect()
    }

    /// Reads a record from the fields of a store. It may have been written by something else, so nothing in it is
    /// trusted: a `session_ttl` that is no number of at most nine digits counts as the configured one, and no
    /// lifetime exceeds the configured absolute one.
    ///
    /// `None` where it is no session of ours: no readable `created_at`, or (unless `plain`) no secret hash.
    pub fn from_stored<N, T>(stored: impl IntoIterator<Item = (N, T)>, plain: bool, terms: &Terms) -> Option<Record>
    where
        N: AsRef<str>,
        T: AsRef<str>,
    {
        let mut found = Found::default();
        let own = stored.into_iter().filter(|(name, text)| !found.take(name.as_ref(), text.as_ref(), plain));
        let fields = own.collect();
        let created_at = found.created_at?;
        if found.idle.is_none() {
            tracing::warn!(target: "cloakroom", "a record has no readable session_ttl: the configured idle timeout counts");
            meter::unreadable("session_ttl", 1);
        }
        let mut record = Record {
            fields,
            created_at,
            last_accessed_at: found.last_accessed_at.unwrap_or(created_at),
            idle_timeout: found.idle.map_or(terms.idle_timeout, Duration::from_secs),
            expires_at: found.expires_at.unwrap_or_else(|| whole_second(created_at + terms.absolute_lifetime)),
            secret_hash: if plain { None } else { Some(found.secret_hash?) },
            previous: found.previous.map(|secret_hash| Previous { secret_hash, until: found.previous_until }),
            rotated_at: found.rotated_at,
            user_id: found.user_id,
            auth_time: found.auth_time,
            signed_in_at: found.signed_in_at,
            absolute_lifetime: found.absolute_lifetime,
            cookie_max_age: found.cookie_max_age,
            sign_in_secret_hash: found.sign_in_secret_hash,
            device: found.device,
            ip: found.ip,
        };
        if !plain {
            // a plain token's record is another program's, too: what that wrote is not made smaller
            record.idle_timeout = record.idle_timeout.min(record.longest_idle(terms));
        }
        Some(record)
    }
}

/// The reserved fields of a stored record, as far as they can be read.
#[derive(Default)]
struct Found {
    created_at: Option<SystemTime>,
    last_accessed_at: Option<SystemTime>,
    idle: Option<u64>,
    expires_at: Option<SystemTime>,
    secret_hash: Option<SecretHash>,
    previous: Option<SecretHash>,
    previous_until: Option<SystemTime>,
    rotated_at: Option<SystemTime>,
    user_id: Option<UserId>,
    auth_time: Option<SystemTime>,
    signed_in_at: Option<SystemTime>,
    absolute_lifetime: Option<Duration>,
    cookie_max_age: Option<Duration>,
    sign_in_secret_hash: Option<SecretHash>,
    device: Option<String>,
    ip: Option<String>,
}

impl Found {
    /// Reads a field, if it is one of ours. Whether it is.
    fn take(&mut self, name: &str, text: &str, plain: bool) -> bool {
        let second = || whole_number(text, 11).map(|seconds| from_millis(seconds * 1000));
        let lifetime = || whole_number(text, 9).map(Duration::from_secs);
        match name {
            CREATED_AT => self.created_at = from_iso(text),
            LAST_ACCESSED_AT => self.last_accessed_at = from_iso(text),
            SESSION_TTL => self.idle = whole_number(text, 9).filter(|seconds| *seconds > 0),
            // with plain tokens the others are an application's
            _ if plain => return false,
            EXPIRES_AT => self.expires_at = second(),
            SECRET_HASH => self.secret_hash = SecretHash::parse(text),
            PREVIOUS_SECRET_HASH => self.previous = SecretHash::parse(text),
            PREVIOUS_UNTIL => self.previous_until = second(),
            ROTATED_AT => self.rotated_at = second(),
            USER_ID => self.user_id = UserId::try_from(text).ok(),
            AUTH_TIME => self.auth_time = second(),
            SIGNED_IN_AT => self.signed_in_at = second(),
            ABSOLUTE_LIFETIME => self.absolute_lifetime = lifetime().filter(|lifetime| !lifetime.is_zero()),
            COOKIE_MAX_AGE => self.cookie_max_age = lifetime(),
            SIGN_IN_SECRET_HASH => self.sign_in_secret_hash = SecretHash::parse(text),
            DEVICE => self.device = Some(text.to_owned()),
            IP => self.ip = Some(text.to_owned()),
            ENDED => {}
            _ => return false,
        }
        true
    }
}

/// The fields after a delta, or why it cannot be made.
fn changed(fields: &Fields, delta: &FieldChanges, terms: &Terms) -> Result<Fields, Refusal> {
    if delta.expect.iter().any(|(name, text)| fields.get(name) != text.as_deref()) {
        return Err(Refusal::Conflict);
    }
    let mut after = fields.clone();
    after.extend(delta.set.iter());
    for name in &delta.remove {
        after.remove(name);
    }
    for (name, by) in &delta.add {
        let invalid = |reason| Refusal::Invalid { field: name.clone(), reason };
        let value = counter(after.get(name).unwrap_or("0")).ok_or(invalid(NOT_A_COUNTER))?;
        let sum = value.checked_add(*by).ok_or(invalid(COUNTER_OVERFLOW))?;
        after.insert(name, sum.to_string());
    }
    // a session that is too large already (another program, a lowered limit) may still be changed, but not grow
    if after.len() > fields.len() || after.bytes() > fields.bytes() {
        check_size(&after, terms)?;
    }
    Ok(after)
}

/// The value of a counter. "007" and "+7" are refused as Redis refuses them: what is a number must be one everywhere.
pub(crate) fn counter(text: &str) -> Option<i64> {
    text.parse::<i64>().ok().filter(|value| value.to_string() == text)
}

pub(crate) fn check_size(fields: &Fields, terms: &Terms) -> Result<(), Refusal> {
    let too_large = |reason| Err(Refusal::Invalid { field: "session".to_owned(), reason });
    if fields.len() > terms.max_fields {
        too_large(TOO_MANY_FIELDS)
    } else if fields.bytes() > terms.max_bytes {
        too_large(TOO_MANY_BYTES)
    } else {
        Ok(())
    }
}

/// Deadlines are kept in whole seconds, rounded down: nothing lives longer than it should.
fn whole_second(time: SystemTime) -> SystemTime {
    from_millis(to_millis(time) / 1000 * 1000)
}

fn seconds(time: SystemTime) -> String {
    (to_millis(time) / 1000).to_string()
}

fn whole_number(text: &str, most_digits: usize) -> Option<u64> {
    let is_number = !text.is_empty() && text.len() <= most_digits && text.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests;
