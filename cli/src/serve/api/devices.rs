//! The devices of the user who is signed in: their own only.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use cloakroom::SessionId;
use serde::Deserialize;
use serde_json::{Value, json};

use super::body::Body;
use super::shown;
use crate::serve::browser::answer_with_session;
use crate::serve::service::Service;

/// Which of the user's sessions end.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignOut {
    scope: Scope,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Scope {
    /// All but this one.
    Others,
    /// This one, too.
    Everywhere,
}

/// Returns the user's sessions, the latest sign-in first.
pub(crate) async fn list(State(service): State<Arc<Service>>, headers: HeaderMap) -> Response {
    answer_with_session(&service, &headers, async |session| {
        let devices: Vec<Value> = session.devices().await?.iter().map(shown::device).collect();
        Ok(Json(json!({ "devices": devices })))
    })
    .await
}

/// Ends one of the user's sessions. The answer for somebody else's is that of one that does not exist.
pub(crate) async fn sign_out_device(
    State(service): State<Arc<Service>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    answer_with_session(&service, &headers, async |session| {
        let ended = match SessionId::parse(&id) {
            Ok(id) => session.sign_out_device(&id).await?,
            Err(_) => false,
        };
        Ok(Json(json!({ "ended": u64::from(ended) })))
    })
    .await
}

/// Ends all sessions of the user, or all others.
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
        Ok(Json(json!({ "ended": ended })))
    })
    .await
}
