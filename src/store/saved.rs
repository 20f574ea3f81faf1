//! Whole sessions, on their way from one store to another.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use super::inspect::Inspect;
use crate::error::StoreError;
use crate::record::{EXPIRES_AT, Fields, Record, SECRET_HASH, SessionId, Terms};

/// The longest lifetime that an application can configure.
const LONGEST: Duration = Duration::from_secs(999_999_999);

/// A whole session, as one store held it and as another store is to hold it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    /// Its id.
    pub id: SessionId,
    /// Everything about the session except its place in the user's index.
    pub record: Arc<Record>,
    /// When the user signed in, to the microsecond. This is the session's place in the user's index. `None` if nobody is
    /// signed in.
    pub signed_in_at: Option<SystemTime>,
}

/// What happened to a session that was to be restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restored {
    /// The session was made.
    Made,
    /// Something was at its place already, and was left as it is: perhaps the same session, or the trace of an evicted one.
    Taken,
    /// The session is not there: it has ended by the store's clock, or all sessions of its user were ended while it was made.
    Ended,
}

/// A store out of which sessions can be moved.
pub trait Save: Inspect {
    /// Returns whole sessions by their ids, in the same order, with `None` for each session that has ended. Takes up to some
    /// hundred ids at once.
    fn save(
        &self,
        ids: &[SessionId],
        terms: &Terms,
    ) -> impl Future<Output = Result<Vec<Option<Saved>>, StoreError>> + Send;
}

/// A store into which sessions can be moved. No web application needs it.
pub trait Restore: Send + Sync + 'static {
    /// Makes sessions that another store holds or has held, with their ids, secret hashes, deadlines and places in their
    /// users' indexes. Only creates sessions, and changes nothing that is there already. Takes up to some hundred sessions at
    /// once, and returns for each what happened to it, in the same order. If the call fails, some of the sessions may have
    /// been made.
    ///
    /// This store knows nothing of the other store. So the caller looks there again afterwards, and revokes here the sessions
    /// that have ended there meanwhile.
    fn restore(&self, sessions: &[Saved]) -> impl Future<Output = Result<Vec<Restored>, StoreError>> + Send;
}

impl Saved {
    /// Writes the session as one JSON object: the id, the fields as Redis stores them, and the score in the user's index.
    ///
    /// The object holds the hash of the secret. The hash opens no session. But the id of a plain token does.
    pub fn to_json(&self) -> Value {
        let stored: Map<_, _> = self.record.to_stored().into_iter().map(|(name, text)| (name, text.into())).collect();
        json!({ "id": self.id.expose(), "signed_in_at": self.signed_in_at.map(seconds), "stored": stored })
    }

    /// Reads what [`to_json`](Saved::to_json) has written, and refuses anything that cannot be read completely.
    ///
    /// The caller must refuse two more things, as `cloakroom import` does. One is a key that stood twice in the text, because
    /// a [`Value`] keeps only one of them. The other is a time in the future, because this function compares nothing with a
    /// clock.
    ///
    /// # Errors
    /// Returns what is wrong, with the name of the field. The message repeats no secrets and no values.
    pub fn from_json(value: &Value, terms: &Terms) -> Result<Saved, String> {
        let object = value.as_object().ok_or("it is no JSON object")?;
        if let Some(name) = object.keys().find(|name| !["id", "signed_in_at", "stored"].contains(&name.as_str())) {
            return Err(format!("`{}` is not known here", name.escape_debug()));
        }
        let id = object.get("id").and_then(Value::as_str).ok_or("`id` is missing, or no text")?;
        let id = SessionId::parse(id).map_err(|error| format!("`id`: {error}"))?;
        let stored = object.get("stored").and_then(Value::as_object).ok_or("`stored` is missing, or no object")?;
        let record = record_of(stored, id.is_plain(), terms)?;
        let signed_in_at = match object.get("signed_in_at") {
            None | Some(Value::Null) => None,
            Some(at) => Some(at.as_str().and_then(from_seconds).ok_or(
                "`signed_in_at` must be the text of seconds since 1970 with six decimals, such as 1775133296.123456",
            )?),
        };
        match (&record.user_id, signed_in_at) {
            (Some(_), None) => Err("`signed_in_at` is missing beside a `user_id`".to_owned()),
            (None, Some(_)) => Err("`signed_in_at` stands beside no `user_id`".to_owned()),
            _ => Ok(Saved { id, record: record.into(), signed_in_at }),
        }
    }
}

/// Reads a record strictly. The ordinary reading is lenient with records that other programs wrote. Here a record is refused
/// if writing it again would give different fields, because then some field was not understood.
fn record_of(stored: &Map<String, Value>, plain: bool, terms: &Terms) -> Result<Record, String> {
    let mut fields = Fields::new();
    for (name, text) in stored {
        let text = text.as_str().ok_or_else(|| format!("the field `{}` is no text", name.escape_debug()))?;
        fields.insert(name, text);
    }
    let needed: &[&str] = if plain { &[] } else { &[SECRET_HASH, EXPIRES_AT] };
    if let Some(name) = needed.iter().find(|name| !fields.contains_key(name)) {
        return Err(format!("the field `{name}` is missing"));
    }
    let record = Record::from_stored(fields.iter(), plain, &terms_of(&fields, plain, terms))
        .ok_or("the fields are no session: `created_at` or `secret_hash` is missing, or cannot be read")?;
    let written: Fields = record.to_stored().into_iter().collect();
    match fields.keys().chain(written.keys()).find(|name| fields.get(name) != written.get(name)) {
        Some(name) => Err(format!("the field `{}` is missing, or is not as it is written here", name.escape_debug())),
        None => Ok(record),
    }
}

/// Returns the terms with which a record is read unchanged. If the record carries its own deadline, the configured lifetime
/// must not shorten it.
pub(super) fn terms_of(stored: &Fields, plain: bool, terms: &Terms) -> Terms {
    match !plain && stored.contains_key(EXPIRES_AT) {
        true => Terms { absolute_lifetime: LONGEST, ..*terms },
        false => *terms,
    }
}

pub(super) fn to_micros(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
}

pub(super) fn from_micros(micros: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_micros(micros)
}

/// Returns the seconds since 1970, in the form in which the score in an index is written.
pub(super) fn seconds(time: SystemTime) -> String {
    let micros = to_micros(time);
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

fn from_seconds(text: &str) -> Option<SystemTime> {
    let (whole, fraction) = text.split_once('.')?;
    let are_digits = whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit());
    if !are_digits || !(1..=11).contains(&whole.len()) || fraction.len() != 6 {
        return None;
    }
    let time = from_micros(format!("{whole}{fraction}").parse().ok()?);
    // only in the exact form in which it is written, without a zero in front
    (seconds(time) == text).then_some(time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Previous;
    use crate::record::UserId;
    use crate::record::{Token, TokenFormat};

    fn saved() -> Saved {
        let at = |millis: u64| crate::clock::from_millis(1_775_133_296_000 + millis);
        let presented = || Token::mint(TokenFormat::Secret).unwrap().presented();
        let record = Record {
            fields: [("name", "Ä \"b\"\n")].into(),
            created_at: at(7),
            last_accessed_at: at(1007),
            idle_timeout: Duration::from_secs(600),
            expires_at: at(43_200_000),
            own_deadline: Some(at(43_200_000)),
            secret_hash: presented().secret_hash,
            previous: Some(Previous { secret_hash: presented().secret_hash.unwrap(), until: Some(at(30_000)) }),
            rotated_at: Some(at(1000)),
            user_id: Some(UserId::from(42)),
            auth_time: Some(at(1000)),
            signed_in_at: Some(at(2000)),
            absolute_lifetime: Some(Duration::from_secs(86_400)),
            cookie_max_age: Some(Duration::ZERO),
            sign_in_secret_hash: presented().secret_hash,
            device: Some("Firefox on Linux".into()),
            ip: Some("192.0.2.7".into()),
        };
        let signed_in_at = Some(from_micros(1_775_133_297_000_042));
        Saved { id: presented().id, record: record.into(), signed_in_at }
    }

    fn why(change: impl FnOnce(&mut Value)) -> String {
        let mut value = saved().to_json();
        change(&mut value);
        Saved::from_json(&value, &Terms::default()).unwrap_err()
    }

    #[test]
    fn what_is_written_is_read_back_in_every_part() {
        let saved = saved();
        let json = saved.to_json();
        assert_eq!(json["signed_in_at"], "1775133297.000042");
        assert_eq!(Saved::from_json(&json, &Terms::default()), Ok(saved));
    }

    #[test]
    fn what_is_wrong_is_named_and_no_value_is_repeated() {
        let set = |name: &'static str, text: &'static str| move |value: &mut Value| value["stored"][name] = text.into();
        let remove = |name: &'static str| {
            move |value: &mut Value| drop(value["stored"].as_object_mut().unwrap().remove(name).unwrap())
        };
        let wrong = "is missing, or is not as it is written here";
        for (said, expected) in [
            (why(|value| *value = json!([1])), "it is no JSON object".to_owned()),
            (why(|value| value["x"] = 1.into()), "`x` is not known here".to_owned()),
            (why(|value| value["id"] = "x".into()), "`id`: ".to_owned()),
            (why(set("session_ttl", "soon")), format!("`session_ttl` {wrong}")),
            (why(set("session_ttl", "0600")), format!("`session_ttl` {wrong}")),
            (why(set("last_accessed_at", "soon")), format!("`last_accessed_at` {wrong}")),
            (why(set("user_id", "")), format!("`user_id` {wrong}")),
            (why(set("ended", "x")), format!("`ended` {wrong}")),
            (why(set("previous_secret_hash", "hunter2")), "previous_".to_owned()),
            (why(set("created_at", "yesterday")), "`created_at` or `secret_hash`".to_owned()),
            (why(remove("expires_at")), "`expires_at` is missing".to_owned()),
            (why(remove("last_accessed_at")), format!("`last_accessed_at` {wrong}")),
            (why(remove("user_id")), "`signed_in_at` stands beside no `user_id`".to_owned()),
            (why(|value| value["stored"]["n"] = 1.into()), "the field `n` is no text".to_owned()),
            (why(|value| value["signed_in_at"] = "1775133297".into()), "`signed_in_at` must be".to_owned()),
            (why(|value| value["signed_in_at"] = Value::Null), "`signed_in_at` is missing".to_owned()),
        ] {
            assert!(said.contains(&expected), "{said}, not {expected}");
            assert!(!said.contains("hunter2"), "{said}");
        }
    }
}
