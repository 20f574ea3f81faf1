//! Where a visitor is sent on: never to another site, as the URL standard reads it, which is how browsers read it.

use http::HeaderValue;
use url::Url;

use crate::local_path;

/// Checks the path that a text is taken for.
pub fn paths(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let path = local_path(text);
    assert!(path == text || path == "/");
    assert_eq!(local_path(path), path);
    assert!(HeaderValue::from_str(path).is_ok(), "it fits into `Location`");
    for page in ["https://site.example/sign-in/page?next=x", "http://localhost:8080/", "https://user@site.example/a//b"]
    {
        let page = Url::parse(page).expect("a URL");
        let there = page.join(path).expect("a path of this site");
        assert_eq!(there.origin(), page.origin(), "{path}");
        assert_eq!((there.username(), there.password()), (page.username(), page.password()));
    }
}
