//! Changing the fields of a session in one step.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use cloakroom::{Field, Session};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::body::Body;
use super::parameters::Browser;
use super::refused::{Refused, RefusedBody};
use super::shown::Shown;
use crate::serve::browser::answer_with_session;
use crate::serve::problem::{Kind, Problem};
use crate::serve::service::Service;

/// What to change, all of it in one step, and what must be true for it. Each field may be changed in one way only.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Patch {
    /// The id of the session that the caller has read, or null if it has read that there is none. A session of another id is
    /// not changed. Without it, the session of the cookie is changed, and whoever comes without a cookie gets a new session.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    session: Option<Option<String>>,
    /// Fields and their new values.
    #[serde(default)]
    #[schema(value_type = BTreeMap<String, Value>)]
    set: BTreeMap<String, Box<RawValue>>,
    /// The names of fields to remove.
    #[serde(default)]
    remove: Vec<String>,
    /// Counters and what to add to them. A counter that does not exist starts at 0.
    #[serde(default)]
    increment: BTreeMap<String, i64>,
    /// What must be stored in fields; null means that the field must not exist. Values are compared as JSON.
    #[serde(default)]
    #[schema(value_type = BTreeMap<String, Value>)]
    expect: BTreeMap<String, Box<RawValue>>,
}

/// Keeps null apart from what is missing.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Deserialize::deserialize(deserializer).map(Some)
}

/// Changes fields of the session in one step: all of the changes are made, or none.
#[utoipa::path(
    patch,
    path = "/v1/session",
    operation_id = "changeSession",
    tag = "session",
    params(Browser),
    request_body = Patch,
    responses(
        (status = 200, description = "The session as it is now", body = Shown),
        (status = 412, description = "`changed`: an expectation does not hold", body = Problem, content_type = "application/problem+json"),
        Refused, RefusedBody,
    ),
)]
pub(crate) async fn change(
    State(service): State<Arc<Service>>,
    headers: HeaderMap,
    Body(patch): Body<Patch>,
) -> Response {
    answer_with_session(&service, &headers, async |session| {
        patch.check_session(&session)?;
        patch.make(&session).await?;
        Ok(Json(Shown::session(&session)?))
    })
    .await
}

impl Patch {
    /// Checks that the cookie opens the session that the caller means.
    fn check_session(&self, session: &Session) -> Result<(), Problem> {
        let id = session.id().map(|id| id.to_string());
        let gone = || Err(Problem::new(Kind::Gone, "the cookie does not open the session that is to be changed"));
        match &self.session {
            None if session.is_gone() => gone(),
            Some(Some(meant)) if id.as_ref() != Some(meant) => gone(),
            Some(None) if id.is_some() => {
                Err(Problem::new(Kind::Changed, "the cookie opens a session, and there was expected to be none"))
            }
            _ => Ok(()),
        }
    }

    async fn make(self, session: &Session) -> Result<(), Problem> {
        let mut batch = session.batch();
        for (name, value) in self.set {
            batch = batch.set(Field::<Box<RawValue>>::named(name), &value);
        }
        for name in self.remove {
            batch = batch.remove(Field::<Value>::named(name));
        }
        for (name, by) in self.increment {
            batch = batch.increment(Field::named(name), by);
        }
        for (name, value) in self.expect {
            batch = match value.get() {
                "null" => batch.expect_absent(Field::<Value>::named(name)),
                _ => batch.expect(Field::<Box<RawValue>>::named(name), &value),
            };
        }
        batch.await.map_err(|error| Problem::of_conflict(error, Kind::Changed))
    }
}
