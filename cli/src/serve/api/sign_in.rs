//! Signing in and out.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use cloakroom::{Session, SigningIn};
use jiff::Timestamp;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::body::Body;
use super::parameters::Browser;
use super::refused::{Conflict, Refused, RefusedBody};
use super::shown::Shown;
use crate::serve::browser::answer_with_session;
use crate::serve::problem::Problem;
use crate::serve::service::Service;

/// Who signs in, after the application has found out who they are, and on which terms. Durations are whole seconds. What is
/// left out is as the service is configured.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignIn {
    /// The id of the user.
    #[schema(min_length = 1, max_length = 255)]
    user: String,
    /// How long the session lives without a request.
    #[schema(minimum = 1, maximum = 999_999_999)]
    idle_timeout: Option<u64>,
    /// How long the session lives, regardless of activity.
    #[schema(minimum = 1, maximum = 999_999_999)]
    absolute_lifetime: Option<u64>,
    /// When the session ends in any case.
    #[schema(value_type = Option<String>, format = DateTime)]
    deadline: Option<Timestamp>,
    /// For how long the browser keeps the cookie. Otherwise it forgets it when it is closed.
    cookie_max_age: Option<u64>,
    /// When the user proved who they are, if that was not just now.
    #[schema(value_type = Option<String>, format = DateTime)]
    auth_time: Option<Timestamp>,
    /// What the list of devices calls this one, instead of what is made from `User-Agent`. At most 64 bytes are kept.
    device: Option<String>,
    /// The address of the device, for the list of devices. At most 64 bytes are kept.
    ip: Option<String>,
    /// Forgets the fields of the visitor, instead of keeping them for the user.
    #[serde(default)]
    discard_fields: bool,
}

impl SignIn {
    fn begin<'a>(self, session: &'a Session) -> SigningIn<'a> {
        let mut signing_in = session.sign_in(self.user.as_str());
        if let Some(seconds) = self.idle_timeout {
            signing_in = signing_in.idle_timeout(Duration::from_secs(seconds));
        }
        if let Some(seconds) = self.absolute_lifetime {
            signing_in = signing_in.absolute_lifetime(Duration::from_secs(seconds));
        }
        if let Some(deadline) = self.deadline {
            signing_in = signing_in.deadline(deadline.into());
        }
        if let Some(seconds) = self.cookie_max_age {
            signing_in = signing_in.cookie_max_age(Duration::from_secs(seconds));
        }
        if let Some(time) = self.auth_time {
            signing_in = signing_in.auth_time(time.into());
        }
        if let Some(label) = self.device {
            signing_in = signing_in.device(label);
        }
        if let Some(ip) = self.ip {
            signing_in = signing_in.ip(ip);
        }
        if self.discard_fields { signing_in.discard_fields() } else { signing_in }
    }
}

/// How a sign-in is named, so that it can be asked for again.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "it is documentation: `idempotency_key` reads the header")]
struct Repeatable {
    /// A name that the caller gives to this one sign-in, such as a UUID. If the answer is lost, ask again with everything as it
    /// was: the answer has the token that the lost one had.
    #[param(rename = "Idempotency-Key", required = false, value_type = String, min_length = 1, max_length = 255)]
    idempotency_key: Option<String>,
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let mut keys = headers.get_all("idempotency-key").iter();
    let Some(key) = keys.next() else { return Ok(None) };
    match (key.to_str(), keys.next()) {
        (Ok(key), None) => Ok(Some(key)),
        _ => Err(Problem::invalid("Idempotency-Key must be one header in visible ASCII characters")),
    }
}

/// Signs a user in: the session gets a new secret, and the browser a new token.
#[utoipa::path(
    post,
    path = "/v1/session/sign-in",
    operation_id = "signIn",
    tag = "session",
    params(Repeatable, Browser),
    request_body = SignIn,
    responses(
        (status = 200, description = "The session, and its new token in `Set-Cookie`", body = Shown),
        Refused, RefusedBody, Conflict,
    ),
)]
pub(crate) async fn sign_in(
    State(service): State<Arc<Service>>,
    headers: HeaderMap,
    Body(wanted): Body<SignIn>,
) -> Response {
    answer_with_session(&service, &headers, async |session| {
        let mut signing_in = wanted.begin(&session);
        if let Some(key) = idempotency_key(&headers)? {
            signing_in = signing_in.repeatable(service.keys.idempotency_secret(), key);
        }
        signing_in.await?;
        Ok(Json(Shown::session(&session)?))
    })
    .await
}

/// Ends the session. To do it twice is a success.
#[utoipa::path(
    delete,
    path = "/v1/session",
    operation_id = "signOut",
    tag = "session",
    params(Browser),
    responses((status = 204, description = "There is no session any more; `Set-Cookie` removes the cookie"), Refused, Conflict),
)]
pub(crate) async fn sign_out(State(service): State<Arc<Service>>, headers: HeaderMap) -> Response {
    answer_with_session(&service, &headers, async |session| {
        session.sign_out().await?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}
