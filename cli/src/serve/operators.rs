//! What operators and their tools ask: whether the process lives, whether it can answer, and what it has counted.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use cloakroom::{SessionId, Sessions};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use crate::failure::Failure;
use crate::serve::access;
use crate::serve::service::Service;

/// How long the store may take. Whoever asks whether the service is ready asks often, and does not wait long.
const STORE_ANSWERS_WITHIN: Duration = Duration::from_secs(1);
/// How often the recorder tidies up what it has counted.
const BETWEEN_UPKEEPS: Duration = Duration::from_secs(5);
/// The upper bounds of the histograms, in seconds: from a read in memory to a store that hardly answers.
const SECONDS: &[f64] =
    &[0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];
/// A valid id that no session has, because ids are random.
const NOBODY: &str = "AAAAAAAAAAAAAAAAAAAAAA";

/// Begins to count, and returns what reads the numbers.
///
/// # Errors
/// Returns an error if this process counts already.
pub(crate) fn count() -> Result<PrometheusHandle, Failure> {
    let cannot = |error: &dyn std::error::Error| Failure::failed(format!("nothing can be counted: {error}"));
    let builder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)
        .map_err(|error| cannot(&error))?;
    let numbers = builder.install_recorder().map_err(|error| cannot(&error))?;
    metrics::describe_counter!(access::REQUESTS, "Requests that were answered, by method, route and status.");
    metrics::describe_histogram!(
        access::SECONDS,
        metrics::Unit::Seconds,
        "How long the answers to requests took, by method and route."
    );
    let kept = numbers.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(BETWEEN_UPKEEPS).await;
            kept.run_upkeep();
        }
    });
    Ok(numbers)
}

/// Whether the process lives, and whether it can answer. Nobody needs a key for this.
pub(crate) fn health() -> Router<Arc<Service>> {
    Router::new().route("/livez", get(async || "alive\n")).route("/readyz", get(ready))
}

/// What was counted.
pub(crate) fn numbers(numbers: PrometheusHandle) -> Router<Arc<Service>> {
    let shown = async move || ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], numbers.render());
    Router::new().route("/metrics", get(shown))
}

async fn ready(State(service): State<Arc<Service>>) -> impl IntoResponse {
    match tokio::time::timeout(STORE_ANSWERS_WITHIN, store_answers(&service.sessions)).await {
        Ok(true) => (StatusCode::OK, "ready\n"),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "the store does not answer\n"),
    }
}

async fn store_answers(sessions: &Sessions) -> bool {
    match SessionId::parse(NOBODY) {
        Ok(id) => !sessions.find(&id).await.is_err_and(|error| error.is_store()),
        Err(_) => false,
    }
}
