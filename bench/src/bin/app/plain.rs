//! The same answer from a constant: what the framework itself costs, and what any layer costs that looks at the cookies,
//! leaves something for the handler, and tells caches that the answer depends on them.

use std::sync::Arc;

use axum::extract::{Extension, Request};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use axum::routing::{Router, get};
use cloakroom_bench::TEXTS;
use tower::util::{MapRequestLayer, MapResponseLayer};

use crate::greeting;

pub fn router() -> Router {
    Router::new().route("/read", get(async || greeting(TEXTS[0].1, 1)))
}

/// How many bytes of cookies a request brought.
#[derive(Clone)]
struct Seen(Arc<usize>);

pub fn router_with_layer() -> Router {
    let look = |mut request: Request| {
        let bytes = request.headers().get(header::COOKIE).map_or(0, |cookies| cookies.len());
        request.extensions_mut().insert(Seen(Arc::new(bytes)));
        request
    };
    let tell = |mut response: Response| {
        response.headers_mut().append(header::VARY, HeaderValue::from_static("Cookie"));
        response
    };
    let read = async |Extension(Seen(bytes)): Extension<Seen>| greeting(TEXTS[0].1, i64::from(*bytes > 0));
    Router::new().route("/read", get(read)).layer(MapRequestLayer::new(look)).layer(MapResponseLayer::new(tell))
}
