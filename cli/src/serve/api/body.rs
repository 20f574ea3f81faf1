//! Reads the body of a question: strict JSON, and not more than a session can hold.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Bytes, to_bytes};
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use serde::de::DeserializeOwned;

use crate::serve::problem::Problem;
use crate::serve::service::Service;
use crate::strict_json;

/// The most bytes that a body may have. The most that a session may hold by default is a sixteenth of it, and JSON can need
/// six characters for one byte.
const MAX_BYTES: usize = 1024 * 1024;

pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Arc<Service>> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, service: &Arc<Service>) -> Result<Self, Problem> {
        let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let essence = kind.split(';').next().unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case("application/json") {
            let detail = "the body must be JSON: say so with Content-Type: application/json";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "invalid", detail));
        }
        let bytes = read(request.into_body(), service.body_timeout).await?;
        let text = std::str::from_utf8(&bytes).map_err(|_| Problem::invalid("the body is not UTF-8"))?;
        let value = strict_json::parse(text).map_err(|why| Problem::invalid(format!("the body: {why}")))?;
        let body = serde_json::from_value(value).map_err(|why| Problem::invalid(format!("the body: {why}")))?;
        Ok(Body(body))
    }
}

/// Reads the whole body, for a limited time only: whoever sends a byte a second holds a connection and memory.
async fn read(body: axum::body::Body, time: Duration) -> Result<Bytes, Problem> {
    match tokio::time::timeout(time, to_bytes(body, MAX_BYTES)).await {
        Ok(read) => read.map_err(|_| {
            let detail = format!("the body must be complete and have at most {MAX_BYTES} bytes");
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", detail)
        }),
        Err(_) => {
            let detail = format!("the body must be complete within {} seconds", time.as_secs());
            Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "invalid", detail))
        }
    }
}
