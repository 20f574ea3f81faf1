//! The tower layer: for axum, and for whatever else is made of tower services.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{Request, Response};
use tower_layer::Layer;
use tower_service::Service;

use super::layer::SessionLayer;
use super::respond::{ErrorResponses, PlainErrors};
use super::{FailedCommit, OngoingVisit, ResponseChanges, Visit};
use crate::error::Result;
use crate::sessions::Sessions;

pub(super) mod answer;

use answer::{respond, retell};

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
    E: ErrorResponses<Response<ResBody>>,
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
        let asked = self.errors.asked(request.method(), request.uri(), request.headers());
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
        E: ErrorResponses<Response<ResBody>>,
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
    E: ErrorResponses<Response<ResBody>>,
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

fn finished<B, E: ErrorResponses<Response<B>>>(
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
