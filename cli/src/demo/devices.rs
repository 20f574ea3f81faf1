//! Where a user is signed in, and ending it: here, there, everywhere.

use std::sync::Arc;

use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use cloakroom::{Device, Error, Session, SessionId};
use serde::Serialize;

use crate::demo::Demo;
use crate::demo::absence::Absence;
use crate::demo::answer::{Code, Problem, Standing};
use crate::demo::posted::Posted;
use crate::times;

/// The routes; with plain tokens they say that there is nothing of the kind.
pub(crate) fn router(plain_tokens: bool) -> Router<Arc<Demo>> {
    let routes = Router::new()
        .route("/devices", get(list))
        .route("/devices/{id}", delete(sign_out_one))
        .route("/devices/{id}/sign-out", post(sign_out_one))
        .route("/devices/sign-out-others", post(sign_out_others))
        .route("/devices/sign-out-everywhere", post(sign_out_everywhere))
        .route("/rotate", post(rotate));
    if !plain_tokens {
        return routes;
    }
    let none = async || {
        let why =
            "with plain tokens there is no sign-in, no devices and no rotation: start the demo without --plain-tokens";
        Problem::no_such_route(StatusCode::NOT_FOUND, why)
    };
    ["/devices", "/devices/{*rest}", "/rotate"]
        .into_iter()
        .fold(Router::new(), |router, path| router.route(path, axum::routing::any(none)))
}

/// One of the places where a user is signed in, as the JSON has it.
#[derive(Serialize)]
struct Shown {
    id: String,
    created_at: String,
    signed_in_at: String,
    last_seen_at: String,
    ends_at: String,
    label: Option<String>,
    ip: Option<String>,
    current: bool,
}

impl From<Device> for Shown {
    fn from(device: Device) -> Shown {
        Shown {
            id: device.id.to_string(),
            created_at: times::iso(device.created_at),
            signed_in_at: times::iso(device.signed_in_at),
            last_seen_at: times::iso(device.last_seen_at),
            ends_at: times::iso(device.ends_at),
            label: device.label,
            ip: device.ip,
            current: device.current,
        }
    }
}

#[derive(Serialize)]
struct Devices {
    devices: Vec<Shown>,
}

/// How many sessions ended.
#[derive(Serialize)]
struct Ended {
    revoked: u64,
}

impl IntoResponse for Ended {
    fn into_response(self) -> Response {
        Json(self).into_response()
    }
}

/// `GET /devices`: the latest sign-in first. To list them is no use of the session, and extends nothing.
async fn list(session: Result<Session, Error>, headers: HeaderMap) -> Result<Json<Devices>, Problem> {
    let session = session?;
    session.peek();
    if session.user().is_none() {
        return Err(Problem::without(Absence::of(&headers, &session)));
    }
    Ok(Json(Devices { devices: session.devices().await?.into_iter().map(Shown::from).collect() }))
}

/// `DELETE /devices/{id}`, and `POST /devices/{id}/sign-out` for forms. A stranger's is answered as one that is not there.
async fn sign_out_one(id: Result<Path<String>, PathRejection>, posted: Posted) -> Response {
    let end = async {
        let session = posted.session()?;
        let id = id.ok().and_then(|Path(id)| SessionId::parse(&id).ok()).ok_or_else(no_device)?;
        match session.sign_out_device(&id).await? {
            true => Ok(Ended { revoked: 1 }),
            false => Err(no_device()),
        }
    };
    posted.wants.answer(end.await)
}

/// `POST /devices/sign-out-others`
async fn sign_out_others(posted: Posted) -> Response {
    let end = async { Ok(Ended { revoked: posted.session()?.sign_out_others().await? }) };
    posted.wants.answer(end.await)
}

/// `POST /devices/sign-out-everywhere`: here too.
async fn sign_out_everywhere(posted: Posted) -> Response {
    let end = async { Ok(Ended { revoked: posted.session()?.sign_out_everywhere().await? }) };
    posted.wants.answer(end.await)
}

/// `POST /rotate`: a new secret for the same session.
async fn rotate(posted: Posted) -> Response {
    let rotate = async {
        let session = posted.session()?;
        session.rotate().await?;
        session.commit().await?;
        Ok(Standing::of(&session))
    };
    posted.wants.answer(rotate.await)
}

fn no_device() -> Problem {
    let why = "there is no such device: it was signed out before, or it is not yours".to_owned();
    Problem { status: StatusCode::NOT_FOUND, code: Code::NoDevice, why }
}
