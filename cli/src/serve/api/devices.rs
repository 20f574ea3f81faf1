//! The devices of the user who is signed in: their own only.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::Body;
use super::parameters::{Browser, Path, public_id};
use super::refused::{Conflict, Refused, RefusedBody};
use super::shown::{Device, EndedSessions};
use crate::serve::browser::answer_with_session;
use crate::serve::service::Service;

/// The devices on which a user is signed in.
#[derive(Serialize, ToSchema)]
pub(crate) struct Devices {
    devices: Vec<Device>,
}

/// Which of the user's sessions end.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignOut {
    scope: Scope,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Scope {
    /// All but the one of the cookie.
    Others,
    /// The one of the cookie, too.
    Everywhere,
}

/// Returns the sessions of the user who is signed in, the latest sign-in first. The list is empty if nobody is.
#[utoipa::path(
    get,
    path = "/v1/session/devices",
    operation_id = "listDevices",
    tag = "session",
    params(Browser),
    responses((status = 200, description = "The user's sessions", body = Devices), Refused),
)]
pub(crate) async fn list(State(service): State<Arc<Service>>, headers: HeaderMap) -> Response {
    answer_with_session(&service, &headers, async |session| {
        let devices = session.devices().await?.into_iter().map(Device::from).collect();
        Ok(Json(Devices { devices }))
    })
    .await
}

/// Ends one of the user's sessions. Somebody else's session is left alone, as if it did not exist.
#[utoipa::path(
    delete,
    path = "/v1/session/devices/{id}",
    operation_id = "signOutDevice",
    tag = "session",
    params(("id" = String, Path, description = "The session's id, from the list of devices"), Browser),
    responses((status = 200, description = "How many sessions were ended: 1 or 0", body = EndedSessions), Refused, Conflict),
)]
pub(crate) async fn sign_out_device(
    State(service): State<Arc<Service>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    answer_with_session(&service, &headers, async |session| {
        let ended = match public_id(&id) {
            Some(id) => session.sign_out_device(&id).await?,
            None => false,
        };
        Ok(Json(EndedSessions::from(ended)))
    })
    .await
}

/// Ends all sessions of the user who is signed in, or all but the one of the cookie.
#[utoipa::path(
    post,
    path = "/v1/session/sign-out",
    operation_id = "signOutElsewhere",
    tag = "session",
    params(Browser),
    request_body = SignOut,
    responses(
        (status = 200, description = "How many sessions were ended", body = EndedSessions),
        Refused, RefusedBody, Conflict,
    ),
)]
pub(crate) async fn sign_out_elsewhere(
    State(service): State<Arc<Service>>,
    headers: HeaderMap,
    Body(wanted): Body<SignOut>,
) -> Response {
    answer_with_session(&service, &headers, async |session| {
        let ended = match wanted.scope {
            Scope::Others => session.sign_out_others().await?,
            Scope::Everywhere => session.sign_out_everywhere().await?,
        };
        Ok(Json(EndedSessions::from(ended)))
    })
    .await
}
