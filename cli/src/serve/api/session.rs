//! The session of a browser: reading it, changing it, and giving it a new secret.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;

use super::shown;
use crate::serve::browser::{answer, answer_with_session};
use crate::serve::service::Service;

/// How a session is read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReadOptions {
    /// Reads past the near cache.
    #[serde(default)]
    fresh: bool,
    /// Counts as activity of the user, so that the session lives longer.
    #[serde(default = "yes")]
    extend: bool,
}

fn yes() -> bool {
    true
}

/// Returns the session, also for nobody.
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
        Ok(Json(shown::session(&session)?))
    })
    .await
}

/// Gives the session a new secret, and the browser a new token.
pub(crate) async fn rotate(State(service): State<Arc<Service>>, headers: HeaderMap) -> Response {
    answer_with_session(&service, &headers, async |session| {
        session.rotate().await?;
        Ok(Json(shown::session(&session)?))
    })
    .await
}

/// Does so at a change of privilege: the old secret is worthless immediately.
pub(crate) async fn elevate(State(service): State<Arc<Service>>, headers: HeaderMap) -> Response {
    answer_with_session(&service, &headers, async |session| {
        session.elevate().await?;
        Ok(Json(shown::session(&session)?))
    })
    .await
}
