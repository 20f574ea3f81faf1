//! What administrators ask: the sessions of any user, and any session by its id.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use cloakroom::Page;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::parameters::{Path, Query, public_id};
use super::refused::Refused;
use super::shown::{Device, EndedSessions, Shown};
use crate::serve::problem::{Kind, Problem};
use crate::serve::service::Service;

/// Which part of a list.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Part {
    /// How many sessions to leave out at the beginning.
    #[param(default = 0)]
    offset: usize,
    /// The most sessions to return.
    limit: usize,
}

impl Default for Part {
    fn default() -> Self {
        let Page { offset, limit } = Page::default();
        Part { offset, limit }
    }
}

/// The sessions of a user.
#[derive(Serialize, ToSchema)]
pub(crate) struct UserSessions {
    sessions: Vec<Device>,
}

/// Returns a page of a user's sessions, the latest sign-in first.
#[utoipa::path(
    get,
    path = "/v1/users/{user}/sessions",
    operation_id = "listUserSessions",
    tag = "administration",
    params(("user" = String, Path, description = "The user's id"), Part),
    responses((status = 200, description = "The user's sessions", body = UserSessions), Refused),
)]
pub(crate) async fn list(
    State(service): State<Arc<Service>>,
    Path(user): Path<String>,
    Query(Part { offset, limit }): Query<Part>,
) -> Result<Json<UserSessions>, Problem> {
    let devices = service.sessions.devices(user.as_str(), Page { offset, limit }).await?;
    Ok(Json(UserSessions { sessions: devices.into_iter().map(Device::from).collect() }))
}

/// Ends all sessions of a user.
#[utoipa::path(
    delete,
    path = "/v1/users/{user}/sessions",
    operation_id = "endUserSessions",
    tag = "administration",
    params(("user" = String, Path, description = "The user's id")),
    responses((status = 200, description = "How many sessions were ended", body = EndedSessions), Refused),
)]
pub(crate) async fn revoke_user(
    State(service): State<Arc<Service>>,
    Path(user): Path<String>,
) -> Result<Json<EndedSessions>, Problem> {
    Ok(Json(service.sessions.revoke_user(user.as_str()).await?.into()))
}

/// Returns one session.
#[utoipa::path(
    get,
    path = "/v1/sessions/{id}",
    operation_id = "showSession",
    tag = "administration",
    params(("id" = String, Path, description = "The session's id")),
    responses(
        (status = 200, description = "The session", body = Shown),
        (status = 404, description = "`not-found`", body = Problem, content_type = "application/problem+json"),
        Refused,
    ),
)]
pub(crate) async fn show(State(service): State<Arc<Service>>, Path(id): Path<String>) -> Result<Json<Shown>, Problem> {
    let live = match public_id(&id) {
        Some(id) => service.sessions.find(&id).await?,
        None => None,
    };
    let live = live.ok_or_else(|| Problem::new(Kind::NotFound, "there is no such session"))?;
    Ok(Json(Shown::live(&live)?))
}

/// Ends one session.
#[utoipa::path(
    delete,
    path = "/v1/sessions/{id}",
    operation_id = "endSession",
    tag = "administration",
    params(("id" = String, Path, description = "The session's id")),
    responses((status = 200, description = "How many sessions were ended: 1 or 0", body = EndedSessions), Refused),
)]
pub(crate) async fn revoke(
    State(service): State<Arc<Service>>,
    Path(id): Path<String>,
) -> Result<Json<EndedSessions>, Problem> {
    let ended = match public_id(&id) {
        Some(id) => service.sessions.revoke(&id).await?,
        None => false,
    };
    Ok(Json(ended.into()))
}
