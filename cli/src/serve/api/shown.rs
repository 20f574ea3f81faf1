//! Sessions and devices as the answers show them: only public facts, never a secret.

use std::collections::BTreeMap;
use std::time::Duration;

use cloakroom::{Error, Field, LiveSession, Session};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::times::iso;

/// A session. If there is none, `state` is `none`, and nothing else is there but perhaps `ended`. Times are in UTC.
#[derive(Default, Serialize, ToSchema)]
#[schema(as = Session)]
pub(crate) struct Shown {
    state: State,
    /// Why the session of this cookie has ended, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    ended: Option<Ended>,
    /// The session's id. It may be logged and shown: it opens nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Zk3V0pXq1mB8sT5rYw2uCg")]
    id: Option<String>,
    /// The user who is signed in.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    created_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    signed_in_at: Option<String>,
    /// When the user last proved who they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    auth_time: Option<String>,
    /// When the session ends if there is no further request.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    expires_at: Option<String>,
    /// How many seconds were left until then, when the session was last read or changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    expires_in: Option<u64>,
    /// The application's fields.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<BTreeMap<String, serde_json::Value>>)]
    fields: Option<Fields>,
}

/// Whether there is a session, and whether somebody is signed in.
#[derive(Default, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
enum State {
    #[default]
    None,
    Visitor,
    SignedIn,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
enum Ended {
    SignedInElsewhere,
}

/// Values as JSON, to the digit as they are stored: a number may have more of them than most languages can hold.
type Fields = BTreeMap<String, Box<RawValue>>;

/// Shows what a session and a live session both tell of themselves.
macro_rules! shown {
    ($session:expr, $id:expr) => {{
        let user = $session.user();
        Shown {
            state: if user.is_some() { State::SignedIn } else { State::Visitor },
            ended: None,
            id: Some($id.to_string()),
            user: user.map(|user| user.to_string()),
            created_at: $session.created_at().map(iso),
            signed_in_at: $session.signed_in_at().map(iso),
            auth_time: $session.auth_time().map(iso),
            expires_at: $session.ends_at().map(iso),
            expires_in: Option::from($session.remaining()).map(|remaining: Duration| remaining.as_secs()),
            fields: Some(fields($session.fields(), |field| $session.try_get(field))?),
        }
    }};
}

impl Shown {
    /// Shows the session of a request.
    ///
    /// # Errors
    /// Returns an error if a field cannot be read.
    pub(crate) fn session(session: &Session) -> Result<Shown, Error> {
        let Some(id) = session.id() else {
            let ended = match session.ended() {
                Some(cloakroom::Ended::SignedInElsewhere) => Some(Ended::SignedInElsewhere),
                _ => None,
            };
            return Ok(Shown { ended, ..Shown::default() });
        };
        Ok(shown!(session, id))
    }

    /// Shows a session that was found by its id.
    ///
    /// # Errors
    /// Returns an error if a field cannot be read.
    pub(crate) fn live(live: &LiveSession) -> Result<Shown, Error> {
        Ok(shown!(live, live.id()))
    }
}

fn fields(
    names: Vec<String>,
    read: impl Fn(Field<Box<RawValue>>) -> Result<Option<Box<RawValue>>, Error>,
) -> Result<Fields, Error> {
    let mut fields = Fields::new();
    for name in names {
        if let Some(value) = read(Field::named(name.clone()))? {
            fields.insert(name, value);
        }
    }
    Ok(fields)
}

/// One of a user's sessions.
#[derive(Serialize, ToSchema)]
pub(crate) struct Device {
    /// The id of the session.
    id: String,
    /// What kind of device it is, such as `Firefox on Windows 10`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    label: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    ip: Option<String>,
    /// Whether this is the session of the cookie.
    current: bool,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    signed_in_at: String,
    /// When the session was last extended.
    #[schema(format = DateTime)]
    last_seen_at: String,
    /// When the session ends if there is no further request.
    #[schema(format = DateTime)]
    expires_at: String,
}

impl From<cloakroom::Device> for Device {
    fn from(device: cloakroom::Device) -> Device {
        Device {
            id: device.id.to_string(),
            label: device.label,
            ip: device.ip,
            current: device.current,
            created_at: iso(device.created_at),
            signed_in_at: iso(device.signed_in_at),
            last_seen_at: iso(device.last_seen_at),
            expires_at: iso(device.ends_at),
        }
    }
}

/// How many sessions were ended.
#[derive(Serialize, ToSchema)]
pub(crate) struct EndedSessions {
    ended: u64,
}

impl From<bool> for EndedSessions {
    fn from(has_ended: bool) -> EndedSessions {
        EndedSessions::from(u64::from(has_ended))
    }
}

impl From<u64> for EndedSessions {
    fn from(ended: u64) -> EndedSessions {
        EndedSessions { ended }
    }
}
