//! What administrators ask: the sessions of any user, and any session by its id.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use cloakroom::{Page, SessionId};
use serde::Deserialize;
use serde_json::{Value, json};

use super::shown;
use crate::serve::problem::Problem;
use crate::serve::service::Service;

type Answer = Result<Json<Value>, Problem>;

/// Which part of a list.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Part {
    offset: usize,
    limit: usize,
}

impl Default for Part {
    fn default() -> Self {
        let Page { offset, limit } = Page::default();
        Part { offset, limit }
    }
}

/// Returns a page of a user's sessions, the latest sign-in first.
pub(crate) async fn list(
    State(service): State<Arc<Service>>,
    Path(user): Path<String>,
    Query(Part { offset, limit }): Query<Part>,
) -> Answer {
    let devices = service.sessions.devices(user.as_str(), Page { offset, limit }).await?;
    let sessions: Vec<Value> = devices.iter().map(shown::device).collect();
    Ok(Json(json!({ "sessions": sessions })))
}

/// Ends all sessions of a user.
pub(crate) async fn revoke_user(State(service): State<Arc<Service>>, Path(user): Path<String>) -> Answer {
    let ended = service.sessions.revoke_user(user.as_str()).await?;
    Ok(Json(json!({ "ended": ended })))
}

/// Returns one session.
pub(crate) async fn show(State(service): State<Arc<Service>>, Path(id): Path<String>) -> Answer {
    let live = match SessionId::parse(&id) {
        Ok(id) => service.sessions.find(&id).await?,
        Err(_) => None,
    };
    let live = live.ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, "not-found", "there is no such session"))?;
    Ok(Json(shown::live(&live)?))
}

/// Ends one session.
pub(crate) async fn revoke(State(service): State<Arc<Service>>, Path(id): Path<String>) -> Answer {
    let ended = match SessionId::parse(&id) {
        Ok(id) => service.sessions.revoke(&id).await?,
        Err(_) => false,
    };
    Ok(Json(json!({ "ended": u64::from(ended) })))
}
