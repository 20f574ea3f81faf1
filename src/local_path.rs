//! Where a visitor may be redirected to: paths of this site, and nothing else.

/// So that the path fits into a redirect together with everything else in it, even when it is percent-encoded.
const MAX_BYTES: usize = 2048;

/// Returns the text if it is a path on this site, otherwise `/`.
///
/// Use it before you redirect to a path that came from a browser, such as the page that a visitor wanted before signing in.
/// Anybody can write a link to your sign-in page that contains the address of another site.
///
/// A path on this site begins with `/`. It contains no `//` and no backslash, which browsers read as `/`. It consists of
/// printable ASCII without spaces and without `"`, `<`, `>` and `` ` ``, as browsers send paths, and has at most 2048 bytes. A
/// query and a fragment may follow.
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
    // browsers remove tabs and line breaks from a URL before they read it: `/\t/evil.example` is `//evil.example` to them
    let is_plain = text.bytes().all(|b| b.is_ascii_graphic() && !b"\\\"<>`".contains(&b));
    is_plain && text.len() <= MAX_BYTES && path.starts_with('/') && !path.contains("//")
}
