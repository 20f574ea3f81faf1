//! The headers of a message, in whatever types a framework has them.

use http::{HeaderMap, HeaderName, HeaderValue};

/// The headers of a request or a response. Implemented for [`http::HeaderMap`] and for the headers of actix-web.
pub trait Headers {
    /// Returns all values of a header.
    fn values(&self, name: &HeaderName) -> impl Iterator<Item = &[u8]>;
}

/// The headers of a response, which can be changed.
pub trait ResponseHeaders: Headers {
    /// Adds a value.
    fn append(&mut self, name: HeaderName, value: HeaderValue);

    /// Replaces all values.
    fn replace(&mut self, name: HeaderName, value: HeaderValue);

    /// Adds a value if there is none.
    fn default(&mut self, name: HeaderName, value: HeaderValue) {
        if self.values(&name).next().is_none() {
            self.append(name, value);
        }
    }
}

impl Headers for HeaderMap {
    fn values(&self, name: &HeaderName) -> impl Iterator<Item = &[u8]> {
        self.get_all(name).iter().map(HeaderValue::as_bytes)
    }
}

impl ResponseHeaders for HeaderMap {
    fn append(&mut self, name: HeaderName, value: HeaderValue) {
        HeaderMap::append(self, name, value);
    }

    fn replace(&mut self, name: HeaderName, value: HeaderValue) {
        self.insert(name, value);
    }
}
