//! The files that the page loads, built into the program.

use axum::Router;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::routing::get;

const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// Each file's path, its type, and the file.
const FILES: [(&str, &str, &str); 5] = [
    ("/assets/demo.css", CSS, include_str!("../../assets/demo.css")),
    ("/assets/ticket.css", CSS, include_str!("../../assets/ticket.css")),
    ("/assets/devices.css", CSS, include_str!("../../assets/devices.css")),
    ("/assets/demo.js", JS, include_str!("../../assets/demo.js")),
    ("/assets/ticket.svg", SVG, include_str!("../../assets/ticket.svg")),
];

/// The routes of all files. Browsers ask again each time, so that a newer program never shows an older file.
pub(crate) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    FILES.into_iter().fold(Router::new(), |router, (path, kind, text)| {
        let headers = [(CONTENT_TYPE, kind), (CACHE_CONTROL, "no-cache")];
        router.route(path, get(async move || (headers, text)))
    })
}
