//! Between the types of actix-web, which are those of the crate `http` 0.2, and those of `http` 1.

use actix_web::dev::ServiceRequest;
use actix_web::http::header::{HeaderMap as ActixHeaders, HeaderName as ActixName, HeaderValue as ActixValue};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};

use crate::headers::{Headers, ResponseHeaders};
use crate::web::Visit;

impl Headers for ActixHeaders {
    fn values(&self, name: &HeaderName) -> impl Iterator<Item = &[u8]> {
        self.get_all(name.as_str()).map(ActixValue::as_bytes)
    }
}

impl ResponseHeaders for ActixHeaders {
    fn append(&mut self, name: HeaderName, value: HeaderValue) {
        // what one version of the crate takes for a name and a value, the other one does as well
        let name = ActixName::from_bytes(name.as_str().as_bytes());
        let same = ActixValue::from_bytes(value.as_bytes());
        if let (Ok(name), Ok(mut same)) = (name, same) {
            same.set_sensitive(value.is_sensitive());
            ActixHeaders::append(self, name, same);
        }
    }

    fn replace(&mut self, name: HeaderName, value: HeaderValue) {
        self.remove(name.as_str());
        ResponseHeaders::append(self, name, value);
    }
}

/// Returns the head of a request: all of its headers, or only those that a visit looks at.
pub(super) fn read(request: &ServiceRequest, all_headers: bool) -> (Method, Uri, HeaderMap) {
    let method = Method::from_bytes(request.method().as_str().as_bytes()).expect("it is a method");
    let uri = request.uri().to_string().parse().unwrap_or_default();
    let headers = match all_headers {
        true => of(request.headers()),
        false => only(request.headers(), Visit::HEADERS),
    };
    (method, uri, headers)
}

/// Returns all headers.
pub(super) fn of(headers: &ActixHeaders) -> HeaderMap {
    headers.iter().filter_map(|(name, value)| Some((name_of(name)?, value_of(value)?))).collect()
}

/// Adds these headers.
pub(super) fn write(headers: &HeaderMap, to: &mut ActixHeaders) {
    for (name, value) in headers {
        ResponseHeaders::append(to, name.clone(), value.clone());
    }
}

fn only(headers: &ActixHeaders, names: impl IntoIterator<Item = HeaderName>) -> HeaderMap {
    let mut found = HeaderMap::new();
    for name in names {
        for value in headers.get_all(name.as_str()).filter_map(value_of) {
            found.append(name.clone(), value);
        }
    }
    found
}

fn name_of(name: &ActixName) -> Option<HeaderName> {
    HeaderName::from_bytes(name.as_str().as_bytes()).ok()
}

fn value_of(value: &ActixValue) -> Option<HeaderValue> {
    let mut same = HeaderValue::from_bytes(value.as_bytes()).ok()?;
    same.set_sensitive(value.is_sensitive());
    Some(same)
}
