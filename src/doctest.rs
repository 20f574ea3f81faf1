// What the examples in the documentation share: sessions without a server. A hidden line of each example includes this file,
// so it is no module of the library.

use cloakroom::web::{OngoingVisit, Visit};
use cloakroom::{Config, Error, Session, Sessions, store::Memory};
use http::{HeaderMap, Method, Uri};

/// Runs an example with the session of a visitor who comes for the first time.
pub fn with_session(example: impl AsyncFnOnce(Session) -> Result<(), Error>) {
    with_sessions(async |sessions| {
        let ongoing = request(&sessions)?;
        example(ongoing.visit().session().await?).await
    });
}

/// Runs an example with two sessions in one store.
pub fn with_two_sessions(example: impl AsyncFnOnce(Session, Session) -> Result<(), Error>) {
    with_sessions(async |sessions| {
        let (one, other) = (request(&sessions)?, request(&sessions)?);
        example(one.visit().session().await?, other.visit().session().await?).await
    });
}

/// Runs an example with the sessions of an application, in memory.
pub fn with_sessions(example: impl AsyncFnOnce(Sessions) -> Result<(), Error>) {
    let config = Config::builder().bearer_tokens().build().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(example(Sessions::new(Memory::new(), config))).unwrap();
}

/// Begins a request that brings no cookie.
pub fn request(sessions: &Sessions) -> Result<OngoingVisit, Error> {
    Visit::begin(sessions, &Method::GET, &Uri::from_static("/"), &HeaderMap::new())
}

/// Asks an application for a page. Returns the status of its answer.
#[cfg(feature = "axum")]
pub async fn status_of(app: axum::Router, path: &str) -> u16 {
    let request = http::Request::get(path).body(axum::body::Body::empty()).unwrap();
    tower::ServiceExt::oneshot(app, request).await.unwrap().status().as_u16()
}
