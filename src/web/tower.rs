//! The tower layer: for axum, and for whatever else is made of tower services.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{HeaderValue, Request, Response, StatusCode, header};
use tower_layer::Layer;
use tower_service::Service;

use super::{FailedCommit, Finish, OngoingVisit, Visit};
use crate::error::{Error, Result};
use crate::sessions::Sessions;

/// How long a client should wait before it asks again when the store is away, in seconds.
const RETRY_AFTER: u64 = 1;

impl Sessions {
    /// The layer that gives the routes inside it sessions. A route that does not ask for its session costs nothing.
    pub fn layer(&self) -> SessionLayer {
        if !self.config().cookie.secure {
            tracing::warn!(target: "cloakroom", "the session cookie is not Secure: for development over plain http only");
        }
        SessionLayer { sessions: self.clone() }
    }
}

/// See [`Sessions::layer`].
#[derive(Debug, Clone)]
pub struct SessionLayer {
    sessions: Sessions,
}

impl<S> Layer<S> for SessionLayer {
    type Service = SessionService<S>;

    fn layer(&self, inner: S) -> SessionService<S> {
        SessionService { inner, sessions: self.sessions.clone() }
    }
}

/// The service that [`SessionLayer`] makes.
#[derive(Debug, Clone)]
pub struct SessionService<S> {
    inner: S,
    sessions: Sessions,
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for SessionService<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ResBody: Default,
{
    type Response = Response<ResBody>;
    type Error = S::Error;
    type Future = SessionFuture<S::Future, ResBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        // the same manager's layer further out does all of it; another manager's visit is replaced for what is inside
        if request.extensions().get::<Visit>().is_some_and(|visit| visit.is_of(&self.sessions)) {
            return SessionFuture { step: Step::Answering { answer: self.inner.call(request), ongoing: None } };
        }
        match Visit::begin(&self.sessions, request.method(), request.uri(), request.headers()) {
            Err(error) => SessionFuture { step: Step::Refused { response: Some(error_response(error)) } },
            Ok(ongoing) => {
                request.extensions_mut().insert(ongoing.visit().clone());
                let answer = self.inner.call(request);
                SessionFuture { step: Step::Answering { answer, ongoing: Some(ongoing) } }
            }
        }
    }
}

pin_project_lite::pin_project! {
    /// The future of [`SessionService`]: the inner response, then the commit.
    pub struct SessionFuture<F, ResBody> {
        #[pin]
        step: Step<F, ResBody>,
    }
}

pin_project_lite::pin_project! {
    #[project = StepProjection]
    enum Step<F, ResBody> {
        Refused { response: Option<Response<ResBody>> },
        Answering { #[pin] answer: F, ongoing: Option<OngoingVisit> },
        Finishing { response: Option<Response<ResBody>>, finishing: Finishing },
    }
}

type Finishing = Pin<Box<dyn Future<Output = Result<Finish, FailedCommit>> + Send>>;

impl<F, ResBody, E> Future for SessionFuture<F, ResBody>
where
    F: Future<Output = Result<Response<ResBody>, E>>,
    ResBody: Default,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.step.as_mut().project() {
                StepProjection::Refused { response } => {
                    return Poll::Ready(Ok(response.take().expect("polled after it was ready")));
                }
                StepProjection::Answering { answer, ongoing } => {
                    let response = std::task::ready!(answer.poll(cx))?;
                    let Some(visit) = ongoing.take() else {
                        return Poll::Ready(Ok(response));
                    };
                    let session = match visit.finish_at_once() {
                        Ok(finish) => return Poll::Ready(Ok(finished(response, Ok(finish)))),
                        Err(session) => session,
                    };
                    let status = response.status().as_u16();
                    let finishing = Box::pin(async move { visit.finish_with(&session, status).await });
                    this.step.set(Step::Finishing { response: Some(response), finishing });
                }
                StepProjection::Finishing { response, finishing } => {
                    let finish = std::task::ready!(finishing.as_mut().poll(cx));
                    let response = response.take().expect("polled after it was ready");
                    return Poll::Ready(Ok(finished(response, finish)));
                }
            }
        }
    }
}

fn finished<B: Default>(response: Response<B>, committed: Result<Finish, FailedCommit>) -> Response<B> {
    let (mut response, finish) = match committed {
        Ok(finish) => (response, finish),
        Err(failed) => {
            let (error, finish) = failed.into_parts();
            (error_response(error), finish)
        }
    };
    finish.apply(response.headers_mut());
    response
}

/// The response for an error: its status and no body. The error itself is in the extensions, so that a layer further out
/// can render it.
pub(crate) fn error_response<B: Default>(error: Error) -> Response<B> {
    let mut response = Response::new(B::default());
    let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if status.is_server_error() {
        tracing::error!(target: "cloakroom", %error, "a request failed for its session");
    }
    *response.status_mut() = status;
    if error.is_store() {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER));
    }
    response.extensions_mut().insert(error);
    response
}
