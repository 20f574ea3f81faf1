//! The extractors.

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::{FromRequest, HttpMessage as _, HttpRequest, HttpResponse, ResponseError};

use super::Discarded;
use crate::error::{Error, Result};
use crate::session::Session;
use crate::web::Visit;
use crate::web::extract::{Fresh, RecentSignIn, SignedIn};
use crate::web::rejection::SignInRejection;
use crate::web::respond::note;

type Extracting<T> = Pin<Box<dyn Future<Output = Result<T, ExtractError>>>>;

/// Loads the session: one round trip with a token, none without. Take `Result<Session, Error>` in a handler that should
/// keep working without the store.
impl FromRequest for Session {
    type Error = ExtractError;
    type Future = Extracting<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        extract(request, async |visit| Ok(visit.session().await?))
    }
}

impl FromRequest for Fresh {
    type Error = ExtractError;
    type Future = Extracting<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        extract(request, async |visit| Ok(Fresh(visit.fresh_session().await?)))
    }
}

impl FromRequest for SignedIn {
    type Error = ExtractError;
    type Future = Extracting<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        extract(request, async |visit| visit.signed_in().await)
    }
}

impl<const SECONDS: u64> FromRequest for RecentSignIn<SECONDS> {
    type Error = ExtractError;
    type Future = Extracting<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        extract(request, async |visit| visit.recent_sign_in().await)
    }
}

fn extract<T: 'static>(
    request: &HttpRequest,
    open: impl AsyncFnOnce(&Visit) -> Result<T, SignInRejection> + 'static,
) -> Extracting<T> {
    let extensions = request.extensions();
    let (visit, discarded) = (extensions.get::<Visit>().cloned(), extensions.get::<Discarded>().cloned());
    Box::pin(async move {
        let opened = match Visit::found(visit.as_ref()) {
            Ok(visit) => open(visit).await,
            Err(error) => Err(error.into()),
        };
        opened.map_err(|rejection| ExtractError { rejection, is_taken: Cell::new(false), discarded })
    })
}

/// Why an extractor of this library failed. It turns into an [`Error`], into a [`SignInRejection`], or into the response:
///
/// | the handler takes | if the store does not answer | if nobody is signed in |
/// | --- | --- | --- |
/// | `SignedIn` | 503, and the handler is not called | 401, or the redirect to the sign-in page |
/// | `Result<SignedIn, SignInRejection>` | it gets the error, and answers as it likes | it gets the reason |
/// | `Option<SignedIn>` | 503: what the handler does with its `None` is not sent | `None` |
///
/// actix-web discards the error for an `Option`. When an error is dropped that nobody has taken, and it is not that nobody is
/// signed in, the session layer answers with it. If there is no session layer around the route, the log says so.
pub struct ExtractError {
    rejection: SignInRejection,
    is_taken: Cell<bool>,
    discarded: Option<Discarded>,
}

impl ExtractError {
    fn take(&self) -> &SignInRejection {
        self.is_taken.set(true);
        &self.rejection
    }
}

impl Drop for ExtractError {
    fn drop(&mut self) {
        let SignInRejection::Failed(error) = &self.rejection else {
            return;
        };
        match &self.discarded {
            _ if self.is_taken.get() => {}
            Some(discarded) => drop(discarded.0.replace(Some(error.clone()))),
            None => note(error),
        }
    }
}

impl From<ExtractError> for Error {
    fn from(error: ExtractError) -> Error {
        error.take().error().clone()
    }
}

impl From<ExtractError> for SignInRejection {
    fn from(error: ExtractError) -> SignInRejection {
        error.take().clone()
    }
}

impl ResponseError for ExtractError {
    fn status_code(&self) -> StatusCode {
        self.rejection.status_code()
    }

    fn error_response(&self) -> HttpResponse {
        self.take().error_response()
    }
}

impl fmt::Debug for ExtractError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.rejection, f)
    }
}

impl fmt::Display for ExtractError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.rejection, f)
    }
}
