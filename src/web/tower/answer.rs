//! The response to an error, as services of tower have it.

use http::{HeaderMap, HeaderValue, Method, Response, Uri, header};

use crate::error::Error;
use crate::web::respond::{Asked, ErrorResponses, PlainErrors, complete, note};
use crate::web::untouched::{Untouched, is_plain, keep_head};

impl<B: From<String>> ErrorResponses<Response<B>> for PlainErrors {
    type Asked = Asked;
    const NEEDS_ALL_HEADERS: bool = false;

    fn asked(&self, method: &Method, _: &Uri, headers: &HeaderMap) -> Asked {
        Asked::of(method, headers)
    }

    fn respond(&self, error: &Error, asked: &Asked) -> Response<B> {
        asked.plain(error).map(B::from)
    }
}

/// Makes the response to an error. The error is in its extensions, for layers further out.
pub(super) fn respond<B, E: ErrorResponses<Response<B>>>(error: Error, errors: &E, asked: &E::Asked) -> Response<B> {
    note(&error);
    let mut response = errors.respond(&error, asked);
    complete(&error, response.headers_mut());
    response.extensions_mut().remove::<Untouched>();
    response.extensions_mut().insert(error);
    response
}

/// Makes the response to an error without knowing the request.
#[cfg(feature = "axum")]
pub(in crate::web) fn untouched<B: From<String>>(error: Error) -> Response<B> {
    let mut response = respond(error, &PlainErrors, &Asked::default());
    response.extensions_mut().insert(Untouched);
    response
}

/// Replaces a response that nobody has touched by the answer of the layer. Its headers stay, except those of the body.
pub(super) fn retell<B, E: ErrorResponses<Response<B>>>(
    mut response: Response<B>,
    errors: &E,
    asked: &E::Asked,
) -> Response<B> {
    if response.extensions_mut().remove::<Untouched>().is_none() {
        return response;
    }
    let Some(error) = response.extensions().get::<Error>().cloned() else {
        return response;
    };
    let content_type = response.headers().get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    if !is_plain(&error, response.status().as_u16(), content_type) {
        return response;
    }
    let mut told = errors.respond(&error, asked);
    told.extensions_mut().remove::<Untouched>();
    let (old, _) = response.into_parts();
    let (mut new, body) = told.into_parts();
    keep_head(&old.headers, &mut new.headers);
    let mut extensions = old.extensions;
    extensions.extend(new.extensions);
    new.extensions = extensions;
    Response::from_parts(new, body)
}
