//! The session of a browser: reading it, and giving it a new secret.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use utoipa::IntoParams;

use super::parameters::{Browser, Query};
use super::refused::{Conflict, Refused};
use super::shown::Shown;
use crate::serve::access;
use crate::serve::browser::{answer, answer_with_session};
use crate::serve::service::Service;

/// How a session is read.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReadOptions {
    /// Reads what is in the store, past the near cache.
    #[serde(default)]
    fresh: bool,
    /// Counts as activity of the user, so that the session lives longer.
    #[serde(default = "yes")]
    #[param(default = true)]
    extend: bool,
}

fn yes() -> bool {
    true
}

/// Returns the session, also if there is none.
#[utoipa::path(
    get,
    path = "/v1/session",
    operation_id = "readSession",
    tag = "session",
    params(ReadOptions, Browser),
    responses((status = 200, description = "The session, or `none`", body = Shown), Refused),
)]
pub(crate) async fn read(
    State(service): State<Arc<Service>>,
    Query(options): Query<ReadOptions>,
    headers: HeaderMap,
) -> Response {
    answer(&service, &headers, async |visit| {
        let session = if options.fresh { visit.fresh_session().await? } else { visit.session().await? };
        if !options.extend {
            session.peek();
        }
        Ok((access::about(&session), Json(Shown::session(&session)?)))
    })
    .await
}

/// Gives the session a new secret, and the browser a new token. The old one stays valid for a moment, for parallel requests.
#[utoipa::path(
    post,
    path = "/v1/session/rotate",
    operation_id = "rotate",
    tag = "session",
    params(Browser),
    responses((status = 200, description = "The session, and its new token in `Set-Cookie`", body = Shown), Refused, Conflict),
)]
pub(crate) async fn rotate(State(service): State<Arc<Service>>, headers: HeaderMap) -> Response {
    answer_with_session(&service, &headers, async |session| {
        session.rotate().await?;
        Ok(Json(Shown::session(&session)?))
    })
    .await
}

/// Gives the session a new secret at a change of privilege: the old one is worthless immediately.
#[utoipa::path(
    post,
    path = "/v1/session/elevate",
    operation_id = "elevate",
    tag = "session",
    params(Browser),
    responses((status = 200, description = "The session, and its new token in `Set-Cookie`", body = Shown), Refused, Conflict),
)]
pub(crate) async fn elevate(State(service): State<Arc<Service>>, headers: HeaderMap) -> Response {
    answer_with_session(&service, &headers, async |session| {
        session.elevate().await?;
        Ok(Json(Shown::session(&session)?))
    })
    .await
}
