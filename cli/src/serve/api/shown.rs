//! Sessions and devices as the answers show them: only public facts, never a secret.

use std::time::Duration;

use cloakroom::{Device, Ended, Error, Field, LiveSession, Session};
use serde_json::{Map, Value, json};

use crate::times::iso;

/// Returns a session as JSON.
///
/// # Errors
/// Returns an error if a field cannot be read.
pub(crate) fn session(session: &Session) -> Result<Value, Error> {
    let Some(id) = session.id() else {
        return Ok(match session.ended() {
            Some(Ended::SignedInElsewhere) => json!({ "state": "none", "ended": "signed-in-elsewhere" }),
            _ => json!({ "state": "none" }),
        });
    };
    let fields = fields(session.fields(), |field| session.try_get(field))?;
    let (user, remaining) = (session.user(), session.remaining().unwrap_or_default());
    let auth_time = session.auth_time().map(iso);
    Ok(shown(&id.to_string(), user.as_ref().map(|user| user.as_str()), auth_time, remaining, fields))
}

/// Returns a session that was found by its id as JSON.
///
/// # Errors
/// Returns an error if a field cannot be read.
pub(crate) fn live(live: &LiveSession) -> Result<Value, Error> {
    let fields = fields(live.fields(), |field| live.try_get(field))?;
    let user = live.user();
    let auth_time = live.auth_time().map(iso);
    Ok(shown(&live.id().to_string(), user.as_ref().map(|user| user.as_str()), auth_time, live.remaining(), fields))
}

fn shown(id: &str, user: Option<&str>, auth_time: Option<String>, remaining: Duration, fields: Value) -> Value {
    let state = if user.is_some() { "signed-in" } else { "visitor" };
    let mut shown = json!({ "state": state, "id": id, "expires_in": remaining.as_secs(), "fields": fields });
    if let Some(user) = user {
        shown["user"] = user.into();
    }
    if let Some(auth_time) = auth_time {
        shown["auth_time"] = auth_time.into();
    }
    shown
}

fn fields(names: Vec<String>, value_of: impl Fn(Field<Value>) -> Result<Option<Value>, Error>) -> Result<Value, Error> {
    let mut fields = Map::new();
    for name in names {
        if let Some(value) = value_of(Field::named(name.clone()))? {
            fields.insert(name, value);
        }
    }
    Ok(Value::Object(fields))
}

/// Returns an entry of a list of devices as JSON.
pub(crate) fn device(device: &Device) -> Value {
    let mut shown = json!({
        "id": device.id.to_string(),
        "current": device.current,
        "created_at": iso(device.created_at),
        "signed_in_at": iso(device.signed_in_at),
        "last_accessed_at": iso(device.last_seen_at),
        "expires_at": iso(device.ends_at),
    });
    for (name, text) in [("label", &device.label), ("ip", &device.ip)] {
        if let Some(text) = text {
            shown[name] = text.as_str().into();
        }
    }
    shown
}
