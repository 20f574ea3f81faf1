//! The tower layer: for axum, and for whatever else is made of tower services.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{Request, Response};
use tower_layer::Layer;
use tower_service::Service;

use super::respond::{ErrorResponses, OnError, PlainErrors, RequestHead, respond, retell};
use super::{FailedCommit, OngoingVisit, ResponseChanges, Visit};
use crate::error::{Error, Result};
use crate::sessions::Sessions;

impl Sessions {
    /// Returns the layer that gives sessions to the routes inside it. A route that does not ask for its session costs
    /// nothing.
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # doctest::with_sessions(async |sessions| {
    /// use axum::{Router, routing::get};
    /// use cloakroom::Session;
    ///
    /// let app: Router = Router::new()
    ///     .route("/", get(async |session: Session| format!("{:?}", session.user())))
    ///     .layer(sessions.layer());
    /// # assert_eq!(doctest::status_of(app, "/").await, 200);
    /// # Ok(())
    /// # });
    /// ```
    pub fn layer(&self) -> SessionLayer {
        if !self.config().cookie.secure {
            tracing::warn!(target: "cloakroom", "the session cookie is not Secure: for development over plain http only");
        }
        SessionLayer { sessions: self.clone(), errors: PlainErrors }
    }
}

/// Gives sessions to the services inside it. Made by [`Sessions::layer`].
///
/// By default the layer answers errors as [`PlainErrors`] does. This needs a response body that implements `From<String>`,
/// as that of axum does. With [`on_error`](SessionLayer::on_error) the body may be of any type.
#[derive(Debug, Clone)]
pub struct SessionLayer<E = PlainErrors> {
    sessions: Sessions,
    errors: E,
}

impl SessionLayer {
    /// Makes the application answer all errors in its own way: those of the layer itself, such as a request of another site
    /// or a commit that failed, and those that an extractor or a handler returned, unless something between them and the
    /// layer has answered already. `Set-Cookie`, `Vary`, `Retry-After` and similar headers are kept, whatever is answered.
    ///
    /// The head of each request is copied for this. [`RequestHead::default_response`] answers the errors that the
    /// application leaves to the layer.
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # doctest::with_sessions(async |sessions| {
    /// use axum::http::{StatusCode, header};
    /// use axum::response::{Html, IntoResponse, Response};
    /// use cloakroom::{Error, RequestHead};
    ///
    /// fn error_page(error: &Error, request: &RequestHead) -> Response {
    ///     let accept = request.headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    ///     if !accept.is_some_and(|accept| accept.contains("text/html")) {
    ///         return request.default_response(error);
    ///     }
    ///     let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    ///     (status, Html(format!("<!doctype html><title>Sorry</title><p>{}", error.public_message()))).into_response()
    /// }
    ///
    /// let app: axum::Router = axum::Router::new().layer(sessions.layer().on_error(error_page));
    /// # assert_eq!(doctest::status_of(app, "/").await, 404);
    /// # Ok(())
    /// # });
    /// ```
    pub fn on_error<F, B>(self, respond: F) -> SessionLayer<OnError<F>>
    where
        F: Fn(&Error, &RequestHead) -> Response<B>,
    {
        SessionLayer { sessions: self.sessions, errors: OnError::new(respond) }
    }
}

impl<S, E: Clone> Layer<S> for SessionLayer<E> {
    type Service = SessionService<S, E>;

    fn layer(&self, inner: S) -> SessionService<S, E> {
        SessionService { inner, sessions: self.sessions.clone(), errors: self.errors.clone() }
    }
}

/// The service that a [`SessionLayer`] makes.
#[derive(Debug, Clone)]
pub struct SessionService<S, E = PlainErrors> {
    inner: S,
    sessions: Sessions,
    errors: E,
}

impl<S, E, ReqBody, ResBody> Service<Request<ReqBody>> for SessionService<S, E>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    E: ErrorResponses<ResBody>,
{
    type Response = Response<ResBody>;
    type Error = S::Error;
    type Future = SessionFuture<S::Future, ResBody, E>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        // a layer of this manager further out does everything; another manager's visit is replaced for the services inside
        if request.extensions().get::<Visit>().is_some_and(|visit| visit.is_of(&self.sessions)) {
            return SessionFuture { step: Step::Answering { answer: self.inner.call(request), begun: None } };
        }
        let asked = self.errors.asked(&request);
        match Visit::begin(&self.sessions, request.method(), request.uri(), request.headers()) {
            Err(error) => {
                SessionFuture { step: Step::Refused { response: Some(respond(error, &self.errors, &asked)) } }
            }
            Ok(visit) => {
                request.extensions_mut().insert(visit.visit().clone());
                let answer = self.inner.call(request);
                let begun = Some(Begun { visit, errors: self.errors.clone(), asked });
                SessionFuture { step: Step::Answering { answer, begun } }
            }
        }
    }
}

pin_project_lite::pin_project! {
    /// The future of a [`SessionService`]: first the inner response, then the commit.
    pub struct SessionFuture<F, ResBody, E = PlainErrors>
    where
        E: ErrorResponses<ResBody>,
    {
        #[pin]
        step: Step<F, ResBody, E, E::Asked>,
    }
}

pin_project_lite::pin_project! {
    #[project = StepProjection]
    enum Step<F, ResBody, E, A> {
        Refused { response: Option<Response<ResBody>> },
        Answering { #[pin] answer: F, begun: Option<Begun<E, A>> },
        Finishing { finishing: Finishing, answered: Option<(Response<ResBody>, E, A)> },
    }
}

/// A visit whose response is on its way, and how it is answered if it becomes an error.
struct Begun<E, A> {
    visit: OngoingVisit,
    errors: E,
    asked: A,
}

type Finishing = Pin<Box<dyn Future<Output = Result<ResponseChanges, FailedCommit>> + Send>>;

impl<F, ResBody, E, Failure> Future for SessionFuture<F, ResBody, E>
where
    F: Future<Output = Result<Response<ResBody>, Failure>>,
    E: ErrorResponses<ResBody>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.step.as_mut().project() {
                StepProjection::Refused { response } => {
                    return Poll::Ready(Ok(response.take().expect("polled after it was ready")));
                }
                StepProjection::Answering { answer, begun } => {
                    let response = std::task::ready!(answer.poll(cx))?;
                    let Some(Begun { visit, errors, asked }) = begun.take() else {
                        return Poll::Ready(Ok(response));
                    };
                    let status = response.status().as_u16();
                    let session = match visit.finish_at_once(status) {
                        Ok(finish) => return Poll::Ready(Ok(finished(response, Ok(finish), &errors, &asked))),
                        Err(session) => session,
                    };
                    let finishing = Box::pin(async move { visit.finish_with(&session, status).await });
                    this.step.set(Step::Finishing { finishing, answered: Some((response, errors, asked)) });
                }
                StepProjection::Finishing { finishing, answered } => {
                    let committed = std::task::ready!(finishing.as_mut().poll(cx));
                    let (response, errors, asked) = answered.take().expect("polled after it was ready");
                    return Poll::Ready(Ok(finished(response, committed, &errors, &asked)));
                }
            }
        }
    }
}

fn finished<B, E: ErrorResponses<B>>(
    response: Response<B>,
    committed: Result<ResponseChanges, FailedCommit>,
    errors: &E,
    asked: &E::Asked,
) -> Response<B> {
    let (mut response, finish) = match committed {
        Ok(finish) => (retell(response, errors, asked), finish),
        Err(failed) => {
            let (error, finish) = failed.into_parts();
            (respond(error, errors, asked), finish)
        }
    };
    finish.apply(response.headers_mut());
    response
}
