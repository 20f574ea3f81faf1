//! The description of the API, and of its problems.

use std::sync::Arc;

use axum::routing::get;
use axum::{Json, Router};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{of_administrators, of_browsers};
use crate::serve::problem;
use crate::serve::service::Service;

/// What the description says of the whole API.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Cloakroom session service",
        description = "Server-side sessions over HTTP, for applications in any language. The caller hands on the browser's header \
            `Cookie` (and `User-Agent`) as it came, and hands every `Set-Cookie` of an answer back to the browser; any answer may \
            have one, also that of a GET and that of an error. Durations are whole seconds; times are RFC 3339. The answer to an \
            error is `application/problem+json` (RFC 9457) with a `code` that stays the same from version to version. No answer \
            may be stored (`Cache-Control: no-store`).",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    tags(
        (name = "session", description = "The session of the browser whose cookie is presented. To read it needs a key with the \
            rights `read`, to change it `app`."),
        (name = "administration", description = "The sessions of all users. This needs a key with the rights `admin`."),
        (name = "about", description = "What the service says about itself, without a key."),
    ),
    security(("key" = [])),
    modifiers(&Key),
)]
struct Description;

/// The API key of the caller.
struct Key;

impl Modify for Key {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let key = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("An API key of the caller, which `cloakroom key new` makes. It is not the visitor's."));
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme("key", SecurityScheme::Http(key.build()));
    }
}

/// Returns the description of the whole API (OpenAPI 3.1).
pub(crate) fn document() -> utoipa::openapi::OpenApi {
    let about = OpenApiRouter::<Arc<Service>>::new().routes(routes!(problem::explain));
    OpenApiRouter::with_openapi(Description::openapi())
        .merge(of_browsers())
        .merge(of_administrators())
        .merge(about)
        .into_openapi()
}

/// Answers what the service says about itself.
pub(crate) fn router() -> Router<Arc<Service>> {
    let document = document();
    Router::new()
        .route("/openapi.json", get(async move || Json(document)))
        .route("/problems/{code}", get(problem::explain))
}
