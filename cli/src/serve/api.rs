//! The API, version 1.

mod admin;
mod body;
mod devices;
mod session;
mod shown;
mod sign_in;

use std::sync::Arc;

use axum::Router;
use axum::routing::{delete, get, post};

use super::service::Service;

/// The session of the browser whose cookie is presented.
pub(crate) fn router() -> Router<Arc<Service>> {
    Router::new()
        .route("/v1/session", get(session::read).delete(sign_in::sign_out))
        .route("/v1/session/sign-in", post(sign_in::sign_in))
        .route("/v1/session/sign-out", post(devices::sign_out_elsewhere))
        .route("/v1/session/rotate", post(session::rotate))
        .route("/v1/session/elevate", post(session::elevate))
        .route("/v1/session/devices", get(devices::list))
        .route("/v1/session/devices/{id}", delete(devices::sign_out_device))
}

/// The sessions of all users, for administrators only.
pub(crate) fn administrators() -> Router<Arc<Service>> {
    Router::new()
        .route("/v1/users/{user}/sessions", get(admin::list).delete(admin::revoke_user))
        .route("/v1/sessions/{id}", get(admin::show).delete(admin::revoke))
}
