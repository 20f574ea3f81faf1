//! An error is answered twice: first by the code that made it, which does not know the request, then by the layer, which does.

use http::{HeaderMap, HeaderName, header};

use super::respond::TEXT;
use crate::error::Error;

/// The headers that describe the body of a response. They are removed when the body is replaced.
const OF_THE_BODY: [HeaderName; 11] = [
    header::CONTENT_TYPE,
    header::CONTENT_LENGTH,
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
    header::CONTENT_LOCATION,
    header::CONTENT_DISPOSITION,
    header::CONTENT_RANGE,
    header::ACCEPT_RANGES,
    header::TRANSFER_ENCODING,
    header::ETAG,
    header::LAST_MODIFIED,
];

/// Marks the response that an extractor or a handler made of an error without knowing the request. The layer answers in its
/// place, unless something between them has already done so.
#[derive(Clone)]
pub(super) struct Untouched;

/// Returns true if this is still the head of the text that was made of the error: if something has put another body into the
/// response, its head shows it.
pub(super) fn is_plain(error: &Error, status: u16, content_type: Option<&[u8]>) -> bool {
    status == error.status() && content_type == Some(TEXT.as_bytes())
}

/// Adds to the new head what only the old one has: `Set-Cookie`, `Vary` and `Retry-After` must reach the browser.
pub(super) fn keep_head(old: &HeaderMap, new: &mut HeaderMap) {
    for name in old.keys().filter(|name| !OF_THE_BODY.contains(name)) {
        let adds_up = [header::SET_COOKIE, header::VARY].contains(name);
        if adds_up || !new.contains_key(name) {
            for value in old.get_all(name) {
                new.append(name, value.clone());
            }
        }
    }
}
