//! Forward-auth: the answer to a proxy's question who is there. Nothing else below /auth/ ever lets anybody in.

use std::sync::Arc;

use axum::Router;

use super::service::Service;

pub(crate) fn router() -> Router<Arc<Service>> {
    Router::new()
}
