//! The response to an error, as actix-web has it.

use actix_web::body::{BoxBody, EitherBody, MessageBody};
use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, ResponseError};
use http::{HeaderMap, Method, Uri};

use super::head;
use crate::error::Error;
use crate::web::rejection::SignInRejection;
use crate::web::respond::{Asked, ErrorResponses, PlainErrors, complete, note};
use crate::web::untouched::{Untouched, is_plain, keep_head};

impl ErrorResponses<HttpResponse> for PlainErrors {
    type Asked = Asked;
    const NEEDS_ALL_HEADERS: bool = false;

    fn asked(&self, method: &Method, _: &Uri, headers: &HeaderMap) -> Asked {
        Asked::of(method, headers)
    }

    fn respond(&self, error: &Error, asked: &Asked) -> HttpResponse {
        let (head, body) = asked.plain(error).into_parts();
        let mut response = HttpResponse::with_body(status(error), BoxBody::new(body));
        head::write(&head.headers, response.headers_mut());
        response
    }
}

/// Answers with the text for visitors. The session layer around the route replaces this answer: with problem details if the
/// request asks for JSON, or as [`on_error`](crate::SessionLayer::on_error) says.
impl ResponseError for Error {
    fn status_code(&self) -> StatusCode {
        status(self)
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = respond(self.clone(), &PlainErrors, &Asked::default());
        response.extensions_mut().insert(Untouched);
        response
    }
}

/// Answers with a redirect to the sign-in page if there is one for this request, and otherwise with the error.
impl ResponseError for SignInRejection {
    fn status_code(&self) -> StatusCode {
        match self.page() {
            Some(_) => StatusCode::SEE_OTHER,
            None => status(self.error()),
        }
    }

    fn error_response(&self) -> HttpResponse {
        match self.redirect() {
            Some(page) => HttpResponse::SeeOther().insert_header((header::LOCATION, page.as_bytes())).finish(),
            None => self.error().error_response(),
        }
    }
}

/// Makes the response to an error. The error is in its extensions, for middleware further out.
pub(super) fn respond<E: ErrorResponses<HttpResponse>>(error: Error, errors: &E, asked: &E::Asked) -> HttpResponse {
    note(&error);
    let mut response = errors.respond(&error, asked);
    complete(&error, response.headers_mut());
    response.extensions_mut().remove::<Untouched>();
    response.extensions_mut().insert(error);
    response
}

/// Replaces a response that nobody has touched by the answer of the layer. Its headers stay, except those of the body.
pub(super) fn retell<B: MessageBody, E: ErrorResponses<HttpResponse>>(
    mut response: HttpResponse<EitherBody<B>>,
    errors: &E,
    asked: &E::Asked,
) -> HttpResponse<EitherBody<B>> {
    if response.extensions_mut().remove::<Untouched>().is_none() {
        return response;
    }
    let Some(error) = response.extensions().get::<Error>().cloned() else {
        return response;
    };
    let content_type = response.headers().get(header::CONTENT_TYPE).map(|value| value.as_bytes());
    if !is_plain(&error, response.status().as_u16(), content_type) {
        return response;
    }
    let told = errors.respond(&error, asked);
    let mut head = head::of(told.headers());
    keep_head(&head::of(response.headers()), &mut head);
    *response.status_mut() = told.status();
    response.headers_mut().clear();
    head::write(&head, response.headers_mut());
    response.map_body(|_, _| EitherBody::right(told.into_body()))
}

fn status(error: &Error) -> StatusCode {
    StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}
