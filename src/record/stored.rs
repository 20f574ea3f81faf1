//! Writes a record as the fields and texts that a store keeps, and reads it back.

use std::time::{Duration, SystemTime};

use super::terms::Terms;
use super::token::{SecretHash, TokenFormat};
use super::user::UserId;
use super::{Previous, Record, whole_second};
use crate::clock::{from_iso, from_millis, to_iso, to_millis};
use crate::meter;

pub(crate) const CREATED_AT: &str = "created_at";
pub(crate) const LAST_ACCESSED_AT: &str = "last_accessed_at";
pub(crate) const SESSION_TTL: &str = "session_ttl";
pub(crate) const EXPIRES_AT: &str = "expires_at";
pub(crate) const OWN_DEADLINE: &str = "own_deadline";
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
/// Only this and a secret hash are in the marker of a session that was evicted.
pub(crate) const ENDED: &str = "ended";

/// The names that no application's field may have.
pub(crate) const RESERVED: [&str; 18] = [
    CREATED_AT,
    LAST_ACCESSED_AT,
    SESSION_TTL,
    EXPIRES_AT,
    OWN_DEADLINE,
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

/// Returns the names that no application's field may have with this token format. The three names of the Redis tutorials come first.
/// With plain tokens they are the only ones.
pub fn reserved_fields(format: TokenFormat) -> &'static [&'static str] {
    match format {
        TokenFormat::Secret => &RESERVED,
        TokenFormat::Plain => &RESERVED[..RESERVED_WITH_PLAIN_TOKENS],
    }
}

/// How many of [`RESERVED`] are reserved with plain tokens: the three names of the tutorials, which come first.
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

/// Compares two texts in a `const fn`, where `==` is not possible.
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

impl Record {
    /// Returns every field with its name in the store and its text: the reserved ones first, then the application's.
    ///
    /// Times have at most milliseconds in the text, so a record comes back as it was only if the store's times are whole milliseconds.
    /// With plain tokens the absolute deadline is not in the text.
    pub fn to_stored(&self) -> Vec<(String, String)> {
        let reserved = self.to_reserved().into_iter().map(|(name, text)| (name.to_owned(), text));
        let own = self.fields.iter().map(|(name, text)| (name.to_owned(), text.to_owned()));
        reserved.chain(own).collect()
    }

    /// Returns true if all reserved fields but the last access are the same in another record.
    #[cfg(feature = "redis")]
    pub(crate) fn has_reserved_of(&self, other: &Record) -> bool {
        self.reserved_but_access() == other.reserved_but_access()
    }

    #[cfg(feature = "redis")]
    fn reserved_but_access(&self) -> impl PartialEq + '_ {
        // every field is named, so that a new one is not forgotten here
        let Record {
            fields: _,
            created_at,
            last_accessed_at: _,
            idle_timeout,
            expires_at,
            own_deadline,
            secret_hash,
            previous,
            rotated_at,
            user_id,
            auth_time,
            signed_in_at,
            absolute_lifetime,
            cookie_max_age,
            sign_in_secret_hash,
            device,
            ip,
        } = self;
        let lifetime = (created_at, idle_timeout, expires_at, own_deadline, absolute_lifetime, cookie_max_age);
        let secrets = (secret_hash, previous, rotated_at, sign_in_secret_hash);
        let user = (user_id, auth_time, signed_in_at, device, ip);
        (lifetime, secrets, user)
    }

    /// The reserved fields under their names in the store, as text.
    pub(crate) fn to_reserved(&self) -> Vec<(&'static str, String)> {
        let [idle_timeout, expires_at] = self.lifetime_texts();
        let mut stored = vec![
            (CREATED_AT, to_iso(self.created_at)),
            (LAST_ACCESSED_AT, to_iso(self.last_accessed_at)),
            idle_timeout,
        ];
        if let Some(hash) = self.secret_hash {
            // with plain tokens the deadline follows from created_at, because the layout of the other program has no field for it
            stored.push(expires_at);
            stored.push((SECRET_HASH, hash.as_str().to_owned()));
        }
        if let Some(previous) = self.previous {
            stored.push((PREVIOUS_SECRET_HASH, previous.secret_hash.as_str().to_owned()));
            stored.extend(previous.until.map(|until| (PREVIOUS_UNTIL, seconds(until))));
        }
        stored.extend(self.own_deadline_text().map(|text| (OWN_DEADLINE, text)));
        stored.extend(self.rotated_at.map(|at| (ROTATED_AT, seconds(at))));
        stored.extend(self.user_id.as_ref().map(|user| (USER_ID, user.as_str().to_owned())));
        stored.extend(self.auth_time.map(|at| (AUTH_TIME, seconds(at))));
        stored.extend(self.signed_in_at.map(|at| (SIGNED_IN_AT, seconds(at))));
        stored.extend(self.absolute_lifetime.map(|lifetime| (ABSOLUTE_LIFETIME, lifetime.as_secs().to_string())));
        stored.extend(self.cookie_max_age.map(|age| (COOKIE_MAX_AGE, age.as_secs().to_string())));
        stored.extend(self.sign_in_secret_hash.map(|hash| (SIGN_IN_SECRET_HASH, hash.as_str().to_owned())));
        stored.extend(self.device.clone().map(|label| (DEVICE, label)));
        stored.extend(self.ip.clone().map(|ip| (IP, ip)));
        stored
    }

    /// Returns the text of the session's own deadline, if it has one.
    pub(crate) fn own_deadline_text(&self) -> Option<String> {
        self.own_deadline.map(seconds)
    }

    /// The idle timeout and the absolute deadline under their names in the store, as text.
    pub(crate) fn lifetime_texts(&self) -> [(&'static str, String); 2] {
        [(SESSION_TTL, self.idle_timeout.as_secs().to_string()), (EXPIRES_AT, seconds(self.expires_at))]
    }

    /// Reads a record from the fields of a store. `plain` is what [`SessionId::is_plain`](crate::SessionId::is_plain) says of its id.
    ///
    /// Another program may have written the fields, so nothing in them is trusted. If `session_ttl` is not a number of at most nine
    /// digits, the configured idle timeout counts. No lifetime exceeds the configured absolute one.
    ///
    /// Returns `None` if the fields are not a session: if `created_at` cannot be read, or if there is no secret hash and the tokens are
    /// not plain.
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
            own_deadline: found.own_deadline,
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
            // a record of a plain token may be another program's, so what that program wrote is not made smaller
            record.idle_timeout = record.idle_timeout.min(record.longest_idle(terms));
        }
        Some(record)
    }
}

/// The reserved fields of a stored record that could be read.
#[derive(Default)]
struct Found {
    created_at: Option<SystemTime>,
    last_accessed_at: Option<SystemTime>,
    idle: Option<u64>,
    expires_at: Option<SystemTime>,
    own_deadline: Option<SystemTime>,
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
    /// Reads a field if it is a reserved one. Returns true if it is.
    fn take(&mut self, name: &str, text: &str, plain: bool) -> bool {
        let second = || second(text);
        let lifetime = || whole_number(text, 9).map(Duration::from_secs);
        match name {
            CREATED_AT => self.created_at = from_iso(text),
            LAST_ACCESSED_AT => self.last_accessed_at = from_iso(text),
            SESSION_TTL => self.idle = whole_number(text, 9).filter(|seconds| *seconds > 0),
            // with plain tokens the other names belong to the application
            _ if plain => return false,
            EXPIRES_AT => self.expires_at = second(),
            OWN_DEADLINE => self.own_deadline = second(),
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

fn seconds(time: SystemTime) -> String {
    (to_millis(time) / 1000).to_string()
}

/// Reads a time that is stored in whole seconds.
pub(crate) fn second(text: &str) -> Option<SystemTime> {
    whole_number(text, 11).map(|seconds| from_millis(seconds * 1000))
}

fn whole_number(text: &str, most_digits: usize) -> Option<u64> {
    let is_number = !text.is_empty() && text.len() <= most_digits && text.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}
