//! The same answer from a constant: what the framework itself costs.

use axum::Router;
use axum::routing::get;
use cloakroom_bench::TEXTS;

use crate::greeting;

pub fn router() -> Router {
    Router::new().route("/read", get(async || greeting(TEXTS[0].1, 1)))
}
