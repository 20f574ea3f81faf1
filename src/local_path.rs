//! Where a visitor may be sent on: paths of this site, and nothing else.

/// What fits into a redirect beside everything else, also when it is percent-encoded.
const MAX_BYTES: usize = 2048;

/// Returns the path if it is one of this site, otherwise `/`. For what came back from a browser, such as the page that a
/// visitor wanted before signing in: anybody can write a link with another one.
///
/// A path of this site begins with one `/`, has no other `/` beside one and no backslash, which browsers read as `/`. It is
/// written as browsers send paths, in printable ASCII without spaces and without `"`, `<`, `>` and `` ` ``, and has at most
/// 2048 bytes. A query and a fragment may follow.
///
/// ```
/// use cloakroom::local_path;
///
/// assert_eq!(local_path("/orders?page=2"), "/orders?page=2");
/// assert_eq!(local_path("https://evil.example/"), "/");
/// assert_eq!(local_path("//evil.example/"), "/");
/// assert_eq!(local_path("/\\evil.example/"), "/");
/// ```
pub fn local_path(text: &str) -> &str {
    if is_local_path(text) { text } else { "/" }
}

pub(crate) fn is_local_path(text: &str) -> bool {
    let path = text.split(['?', '#']).next().unwrap_or_default();
    // browsers drop tabs and line ends from a URL before they read it: `/\t/evil.example` is `//evil.example` to them
    let is_plain = text.bytes().all(|b| b.is_ascii_graphic() && !b"\\\"<>`".contains(&b));
    is_plain && text.len() <= MAX_BYTES && path.starts_with('/') && !path.contains("//")
}
