//! The middleware and the extractors for actix-web.
//!
//! [`Sessions::layer`](crate::Sessions::layer) makes the middleware. Handlers take [`Session`](crate::Session),
//! [`SignedIn`](crate::SignedIn), `Option<SignedIn>`, [`RecentSignIn`](crate::RecentSignIn) or [`Fresh`](crate::Fresh), and
//! all of it behaves as with axum. Only the mounting is different:
//!
//! ```
//! use actix_web::{App, http::header, test, web};
//! use cloakroom::{Config, Error, Field, Session, Sessions, SignedIn, store::Memory};
//!
//! const VIEWS: Field<i64> = Field::new("page_views");
//!
//! async fn hello(session: Session) -> Result<String, Error> {
//!     let views = session.increment(VIEWS, 1).await?;
//!     Ok(format!("You have been here {views} times."))
//! }
//!
//! async fn account(SignedIn { user, .. }: SignedIn) -> String {
//!     format!("This is your account, {user}.")
//! }
//!
//! # #[actix_web::main]
//! # async fn main() {
//! // made once, outside the closure of `HttpServer::new`: all workers share it
//! let sessions = Sessions::new(Memory::new(), Config::default());
//! let app = App::new()
//!     .route("/", web::get().to(hello))
//!     .route("/account", web::get().to(account))
//!     .wrap(sessions.layer());
//!
//! // a test of this application
//! let app = test::init_service(app).await;
//! let first = test::call_service(&app, test::TestRequest::get().to_request()).await;
//! let cookie = first.headers().get(header::SET_COOKIE).unwrap().to_str().unwrap().split(';').next().unwrap().to_owned();
//! assert_eq!(test::read_body(first).await, "You have been here 1 times.");
//!
//! let again = test::TestRequest::get().insert_header((header::COOKIE, cookie)).to_request();
//! assert_eq!(test::call_and_read_body(&app, again).await, "You have been here 2 times.");
//!
//! let stranger = test::TestRequest::get().uri("/account").to_request();
//! assert_eq!(test::call_service(&app, stranger).await.status(), 401);
//! # }
//! ```
//!
//! - **The order.** What is wrapped later is further out. What may answer in a handler's place (time-outs, caught panics)
//!   belongs inside, so it is wrapped before `sessions.layer()`. CORS, compression and logs belong outside.
//! - **Errors.** A handler's `?` is enough: [`Error`] is a `ResponseError`, and the middleware gives it the form
//!   that the request asks for, or that [`on_error`](crate::SessionLayer::on_error) says. For middleware further out, the
//!   error is in the extensions of the response.
//! - **A store that does not answer** is never a visitor who is not signed in. actix-web gives a handler `None` for every
//!   error of an extractor inside `Option`, so the middleware answers with 503 whatever the handler does with this `None`.
//!   Take `Result<Session, Error>` in a handler that should keep working without the store. See [`ExtractError`].
//! - **In your own middleware** take the session with `request.extract::<Session>()`, or as an argument of
//!   `actix_web::middleware::from_fn`.
//! - **Runtimes.** Each worker of actix-web has a runtime of its own. A [`Session`](crate::Session) and the
//!   [`Sessions`] may be used on any of them, and in `tokio::spawn`.

use std::cell::RefCell;
use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{Service, ServiceRequest, ServiceResponse, Transform};
use actix_web::error::InternalError;
use actix_web::{HttpMessage, HttpResponse};

use super::layer::SessionLayer;
use super::respond::{ErrorResponses, PlainErrors};
use super::{OngoingVisit, Visit};
use crate::error::Error;
use crate::sessions::Sessions;

mod answer;
mod extract;
mod head;

pub use extract::ExtractError;

impl<S, B, E> Transform<S, ServiceRequest> for SessionLayer<E>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = actix_web::Error>,
    S::Future: 'static,
    B: MessageBody + 'static,
    E: ErrorResponses<HttpResponse> + 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = actix_web::Error;
    type Transform = SessionMiddleware<S, E>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, inner: S) -> Self::Future {
        ready(Ok(SessionMiddleware { inner, sessions: self.sessions.clone(), errors: self.errors.clone() }))
    }
}

/// The service that a [`SessionLayer`] makes of an application of actix-web.
#[derive(Debug, Clone)]
pub struct SessionMiddleware<S, E = PlainErrors> {
    inner: S,
    sessions: Sessions,
    errors: E,
}

impl<S, B, E> Service<ServiceRequest> for SessionMiddleware<S, E>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = actix_web::Error>,
    S::Future: 'static,
    B: MessageBody + 'static,
    E: ErrorResponses<HttpResponse> + 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = actix_web::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>>>>;

    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&self, request: ServiceRequest) -> Self::Future {
        // the same middleware further out does everything; another manager's visit is replaced for what is inside
        if request.extensions().get::<Visit>().is_some_and(|visit| visit.is_of(&self.sessions)) {
            let answer = self.inner.call(request);
            return Box::pin(async { Ok(answer.await?.map_into_left_body()) });
        }
        let (method, uri, headers) = head::read(&request, E::NEEDS_ALL_HEADERS);
        let asked = self.errors.asked(&method, &uri, &headers);
        let ongoing = match Visit::begin(&self.sessions, &method, &uri, &headers) {
            Ok(ongoing) => ongoing,
            Err(error) => {
                let refused = answer::respond(error, &self.errors, &asked).map_into_right_body();
                return Box::pin(ready(Ok(request.into_response(refused))));
            }
        };
        let discarded = Discarded::default();
        let outer = leave(&request, ongoing.visit().clone(), discarded.clone());
        let begun = Begun { ongoing, discarded, errors: self.errors.clone(), asked };
        let answer = self.inner.call(request);
        Box::pin(async {
            match answer.await {
                Ok(response) => {
                    let (request, response) = response.into_parts();
                    if let Some((visit, discarded)) = outer {
                        leave(&request, visit, discarded);
                    }
                    Ok(ServiceResponse::new(request, begun.finish(response).await))
                }
                // a middleware inside failed: the error becomes a response here, because its status says what is stored
                Err(error) => {
                    let response = begun.finish(error.error_response()).await.map_into_boxed_body();
                    Err(InternalError::from_response(error, response).into())
                }
            }
        })
    }
}

/// Leaves a visit where the extractors find it, and returns the one that was there, which is another manager's.
fn leave(request: &impl HttpMessage, visit: Visit, discarded: Discarded) -> Option<(Visit, Discarded)> {
    let mut extensions = request.extensions_mut();
    extensions.insert(visit).zip(extensions.insert(discarded))
}

/// The error of an extractor that nobody has heard of, because actix-web discards it for an `Option`.
#[derive(Clone, Default)]
struct Discarded(Rc<RefCell<Option<Error>>>);

/// A visit whose response is on its way, and how it is answered if it becomes an error.
struct Begun<E: ErrorResponses<HttpResponse>> {
    ongoing: OngoingVisit,
    discarded: Discarded,
    errors: E,
    asked: E::Asked,
}

impl<E: ErrorResponses<HttpResponse>> Begun<E> {
    async fn finish<B: MessageBody>(self, response: HttpResponse<B>) -> HttpResponse<EitherBody<B>> {
        let Begun { ongoing, discarded, errors, asked } = self;
        let discarded = discarded.0.take();
        let response = match discarded {
            Some(error) => answer::respond(error, &errors, &asked).map_into_right_body(),
            None => response.map_into_left_body(),
        };
        let (mut response, changes) = match ongoing.finish(response.status().as_u16()).await {
            Ok(changes) => (answer::retell(response, &errors, &asked), changes),
            Err(failed) => {
                let (error, changes) = failed.into_parts();
                (answer::respond(error, &errors, &asked).map_into_right_body(), changes)
            }
        };
        changes.apply(response.headers_mut());
        response
    }
}
