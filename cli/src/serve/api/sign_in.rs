//! Signing in and out.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use jiff::Timestamp;
use serde::Deserialize;

use super::body::Body;
use super::shown;
use crate::serve::browser::answer_with_session;
use crate::serve::service::Service;

/// Who signs in, after the application has found out who they are, and on which terms. Durations are whole seconds.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignIn {
    user: String,
    idle_timeout: Option<u64>,
    absolute_lifetime: Option<u64>,
    deadline: Option<Timestamp>,
    cookie_max_age: Option<u64>,
    auth_time: Option<Timestamp>,
    device: Option<String>,
    ip: Option<String>,
    #[serde(default)]
    discard_fields: bool,
}

/// Signs a user in: the session gets a new secret, and the browser a new token.
pub(crate) async fn sign_in(
    State(service): State<Arc<Service>>,
    headers: HeaderMap,
    Body(wanted): Body<SignIn>,
) -> Response {
    answer_with_session(&service, &headers, async |session| {
        let mut signing_in = session.sign_in(wanted.user.as_str());
        if let Some(seconds) = wanted.idle_timeout {
            signing_in = signing_in.idle_timeout(Duration::from_secs(seconds));
        }
        if let Some(seconds) = wanted.absolute_lifetime {
            signing_in = signing_in.absolute_lifetime(Duration::from_secs(seconds));
        }
        if let Some(deadline) = wanted.deadline {
            signing_in = signing_in.deadline(SystemTime::from(deadline));
        }
        if let Some(seconds) = wanted.cookie_max_age {
            signing_in = signing_in.cookie_max_age(Duration::from_secs(seconds));
        }
        if let Some(time) = wanted.auth_time {
            signing_in = signing_in.auth_time(SystemTime::from(time));
        }
        if let Some(label) = wanted.device {
            signing_in = signing_in.device(label);
        }
        if let Some(ip) = wanted.ip {
            signing_in = signing_in.ip(ip);
        }
        if wanted.discard_fields {
            signing_in = signing_in.discard_fields();
        }
        signing_in.await?;
        Ok(Json(shown::session(&session)?))
    })
    .await
}

/// Ends the session. To do it twice is a success.
pub(crate) async fn sign_out(State(service): State<Arc<Service>>, headers: HeaderMap) -> Response {
    answer_with_session(&service, &headers, async |session| {
        session.sign_out().await?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}
