//! `cloakroom serve`: sessions over HTTP, for applications in any language and for proxies.

mod api;
mod auth;
mod browser;
mod flags;
mod keys;
mod listen;
mod operators;
mod problem;
mod service;

use std::sync::Arc;

use axum::Router;

pub(crate) use self::flags::Flags;
use crate::failure::Failure;
use crate::serve::service::Service;

/// Serves until the program is told to stop.
///
/// # Errors
/// Returns an error if the store is not available, a setting is refused, or the program cannot listen on an address.
pub(crate) async fn run(flags: Flags) -> Result<(), Failure> {
    let service = Arc::new(Service::open(&flags).await?);
    listen::serve(&flags, &service, router(&service)).await
}

/// Returns all that the service answers.
fn router(service: &Arc<Service>) -> Router {
    Router::new()
        .merge(api::router())
        .merge(auth::router())
        .merge(operators::router())
        .fallback(problem::not_found)
        .method_not_allowed_fallback(problem::wrong_method)
        .with_state(Arc::clone(service))
}
