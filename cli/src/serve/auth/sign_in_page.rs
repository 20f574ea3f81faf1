//! The sign-in page that a visitor is sent to, and what it is told.

use axum::http::HeaderValue;
use axum::http::uri::Authority;
use url::Url;

use super::wanted::Wanted;

/// The parameter in which the sign-in page is told what the visitor wanted.
const NEXT: &str = "next";

/// Where visitors sign in, and on which hosts they may have been before.
pub(crate) struct SignInPage {
    url: Url,
    allowed_hosts: Vec<Authority>,
}

impl SignInPage {
    /// Returns the page at this URL. It is told what the visitor wanted if that is on one of these hosts.
    pub(crate) fn new(url: Url, allowed_hosts: Vec<Authority>) -> SignInPage {
        SignInPage { url, allowed_hosts }
    }

    /// Returns where to send a visitor who wanted this: always to the sign-in page.
    pub(crate) fn location(&self, wanted: &Wanted) -> HeaderValue {
        let mut url = self.url.clone();
        if let Some(next) = wanted.url_at(&self.allowed_hosts) {
            url.query_pairs_mut().append_pair(NEXT, &next);
        }
        HeaderValue::try_from(url.as_str()).expect("a URL is printable ASCII")
    }
}

/// Reads the URL of a sign-in page.
///
/// # Errors
/// Returns what such a URL has to look like.
pub(crate) fn sign_in_url(text: &str) -> Result<Url, String> {
    let is_page = |url: &Url| {
        let is_bare = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
        ["https", "http"].contains(&url.scheme()) && is_bare && url.query_pairs().all(|(name, _)| name != NEXT)
    };
    text.parse().ok().filter(is_page).ok_or_else(|| {
        "it must be the whole URL of a page, such as https://accounts.example/sign-in, without a user, a fragment or a \
         parameter `next`, which says what the visitor wanted"
            .to_owned()
    })
}

/// Reads the name of a host, with its port if that is not the scheme's own.
///
/// # Errors
/// Returns what such a name has to look like.
pub(crate) fn allowed_host(text: &str) -> Result<Authority, String> {
    text.parse().ok().filter(|host: &Authority| !host.as_str().contains('@')).ok_or_else(|| {
        "it must be the name of a host, such as app.example or app.example:8443, without a scheme or a path".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location(page: &str, host: &str, target: &str) -> String {
        let hosts = vec![allowed_host("app.example").expect("a host")];
        let page = SignInPage::new(sign_in_url(page).expect("a page"), hosts);
        let location = page.location(&Wanted::new("https", host, target).expect("a URL"));
        location.to_str().expect("ASCII").to_owned()
    }

    #[test]
    fn the_sign_in_page_is_told_what_the_visitor_wanted_on_an_allowed_host() {
        let page = "https://accounts.example/sign-in";
        assert_eq!(
            location(page, "app.example", "/a?b=c&d=é#\"<"),
            format!("{page}?next=https%3A%2F%2Fapp.example%2Fa%3Fb%3Dc%26d%3D%C3%A9%23%22%3C")
        );
        assert_eq!(
            location("https://accounts.example/?lang=en", "app.example", "/"),
            "https://accounts.example/?lang=en&next=https%3A%2F%2Fapp.example%2F"
        );
        assert_eq!(location(page, "evil.example", "/"), page);
    }

    #[test]
    fn a_sign_in_page_is_a_whole_url_and_an_allowed_host_is_a_name() {
        for url in ["", "/sign-in", "accounts.example/sign-in", "//accounts.example", "javascript:alert(1)"] {
            sign_in_url(url).expect_err(url);
        }
        for url in ["https://a@accounts.example/", "https://accounts.example/#x", "https://accounts.example/?next=x"] {
            sign_in_url(url).expect_err(url);
        }
        for host in ["", "https://app.example", "app.example/x", "a@app.example", "app example"] {
            allowed_host(host).expect_err(host);
        }
    }
}
