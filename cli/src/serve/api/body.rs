//! Reads the body of a question: strict JSON, and not more than a session can hold.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Bytes, to_bytes};
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::serve::problem::{Kind, Problem};
use crate::serve::service::Service;
use crate::strict_json;

/// How many characters JSON can need for one byte of a value: `\u0000`.
const JSON_OF_A_BYTE: usize = 6;
/// What a body may have beside the values: the names of fields, and what is expected of them.
const BESIDE_VALUES: usize = 256 * 1024;

pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Arc<Service>> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, service: &Arc<Service>) -> Result<Self, Problem> {
        let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let essence = kind.split(';').next().unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case("application/json") {
            let problem = Problem::invalid("the body must be JSON: say so with Content-Type: application/json");
            return Err(problem.with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE));
        }
        let most = service.sessions.config().terms().max_bytes * JSON_OF_A_BYTE + BESIDE_VALUES;
        let bytes = read(request.into_body(), most, service.body_timeout).await?;
        parsed(&bytes).map(Body)
    }
}

/// Reads the whole body, for a limited time only: whoever sends a byte a second holds a connection and memory.
async fn read(body: axum::body::Body, most: usize, time: Duration) -> Result<Bytes, Problem> {
    match tokio::time::timeout(time, to_bytes(body, most)).await {
        Ok(read) => read.map_err(|_| {
            Problem::new(Kind::TooLarge, format!("the body must be complete and have at most {most} bytes"))
        }),
        Err(_) => {
            let problem = Problem::invalid(format!("the body must be complete within {} seconds", time.as_secs()));
            Err(problem.with_status(StatusCode::REQUEST_TIMEOUT))
        }
    }
}

/// Reads what the body says. It is read twice: once with every digit of its numbers, and once to refuse a key that is given twice.
fn parsed<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let refused = |why: &dyn std::fmt::Display| Problem::invalid(format!("the body: {why}"));
    let text = std::str::from_utf8(bytes).map_err(|error| refused(&error))?;
    let body = serde_json::from_str(text).map_err(|error| refused(&error))?;
    match strict_json::parse(text).map_err(|why| refused(&why))? {
        Value::Object(_) => Ok(body),
        // serde takes a list for the fields in their order
        _ => Err(refused(&"it must be an object")),
    }
}
