//! The API, version 1: an application in any language hands on a browser's cookies, and an administrator asks for any session.

mod admin;
mod body;
mod devices;
mod openapi;
mod parameters;
mod patch;
mod refused;
mod session;
mod shown;
mod sign_in;

use std::sync::Arc;

use axum::Router;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) use self::openapi::{document, router as about};
use super::service::Service;

/// The session of the browser whose cookie is presented.
pub(crate) fn router() -> Router<Arc<Service>> {
    of_browsers().into()
}

/// The sessions of all users, for administrators only.
pub(crate) fn administrators() -> Router<Arc<Service>> {
    of_administrators().into()
}

fn of_browsers() -> OpenApiRouter<Arc<Service>> {
    OpenApiRouter::new()
        .routes(routes!(session::read, patch::change, sign_in::sign_out))
        .routes(routes!(sign_in::sign_in))
        .routes(routes!(devices::sign_out_elsewhere))
        .routes(routes!(session::rotate))
        .routes(routes!(session::elevate))
        .routes(routes!(devices::list))
        .routes(routes!(devices::sign_out_device))
}

fn of_administrators() -> OpenApiRouter<Arc<Service>> {
    OpenApiRouter::new().routes(routes!(admin::list, admin::revoke_user)).routes(routes!(admin::show, admin::revoke))
}
