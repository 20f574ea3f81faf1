//! What the end of a visit does to the head of the response.

use http::{HeaderName, HeaderValue, header};

use crate::config::Config;
use crate::cookie;
use crate::error::Error;
use crate::headers::{Headers, ResponseHeaders};
use crate::session::{ClientChanges, TokenChange};

/// What an adapter does to the head of the response. See [`apply`](ResponseChanges::apply).
#[derive(Debug)]
#[must_use = "without it the client does not get its token, and caches do not learn that the response is one person's"]
pub struct ResponseChanges {
    /// What the response depends on, if the session was read.
    vary: &'static [&'static str],
    set_cookie: Option<HeaderValue>,
    /// Removes the cookie of the former system.
    remove_former: Option<HeaderValue>,
    /// The header that hands a new token over.
    new_token: Option<(HeaderName, HeaderValue)>,
    /// The response carries a token or removes one, so no cache may keep it.
    is_secret: bool,
    challenge: Option<HeaderValue>,
}

/// The error of a commit: the changes of a request were not stored. The response has to become this
/// [error](FailedCommit::error). The response of the handler must not be sent, because it would report as done what was
/// not.
#[derive(Debug)]
#[must_use = "the response has to become an error"]
pub struct FailedCommit {
    error: Error,
    finish: ResponseChanges,
}

impl ResponseChanges {
    pub(super) fn new(config: &Config, is_refused: bool, changes: Option<ClientChanges>) -> ResponseChanges {
        let vary: &[_] = match (&changes, config.bearer.is_on) {
            (None, _) => &[],
            (Some(_), false) => &["Cookie"],
            (Some(_), true) => &["Cookie", "Authorization"],
        };
        let ClientChanges { cookie, bearer, is_taken, token_is_invalid, former_is_over } = changes.unwrap_or_default();
        let set_cookie = match cookie {
            TokenChange::None => None,
            TokenChange::Set(token, max_age) => Some(cookie::set(&token, max_age, &config.cookie)),
            TokenChange::Remove => Some(cookie::remove(&config.cookie)),
        };
        // if a browser keeps only one of the two cookies, it has ours already, or is given it now
        let former = config.adoption.as_ref().filter(|former| former_is_over && !former.is_replaced_by(&config.cookie));
        let remove_former = former.map(|former| cookie::remove(&former.cookie));
        let new_token = bearer.as_ref().and_then(|token| config.bearer.hand_over(token));
        if let (Some(token), None) = (bearer, &new_token) {
            let session = token.presented().id;
            tracing::warn!(target: "cloakroom", %session, "nobody got the new token of a session: a handler takes it with \
                `take_token`, or `bearer_token_header` hands it over");
        }
        let is_secret = set_cookie.is_some() || remove_former.is_some() || new_token.is_some() || is_taken;
        let challenge = if is_refused { config.bearer.challenge(token_is_invalid) } else { None };
        ResponseChanges { vary, set_cookie, remove_former, new_token, is_secret, challenge }
    }

    /// Adds the headers that clients and caches need:
    ///
    /// - `Vary: Cookie` if the session was read, and `Vary: Authorization` if
    ///   [`bearer_tokens`](crate::ConfigBuilder::bearer_tokens) are on.
    /// - `Set-Cookie` if a cookie is set or removed, and the
    ///   [`bearer_token_header`](crate::ConfigBuilder::bearer_token_header) if it hands a token over. With either of them, and
    ///   if the handler has taken a token, `Cache-Control: no-store`, whatever the application had set.
    /// - `WWW-Authenticate: Bearer` on a response of 401, if bearer tokens are on and the application has set no such header.
    pub fn apply(self, headers: &mut impl ResponseHeaders) {
        for name in self.vary {
            if !varies_by(headers, name) {
                headers.append(header::VARY, HeaderValue::from_static(name));
            }
        }
        for cookie in self.set_cookie.into_iter().chain(self.remove_former) {
            headers.append(header::SET_COOKIE, cookie);
        }
        if let Some((name, token)) = self.new_token {
            headers.replace(name, token);
        }
        if self.is_secret {
            headers.replace(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        if let Some(challenge) = self.challenge {
            headers.default(header::WWW_AUTHENTICATE, challenge);
        }
    }
}

impl FailedCommit {
    pub(super) fn new(error: Error, finish: ResponseChanges) -> FailedCommit {
        FailedCommit { error, finish }
    }

    /// Returns why the changes were not stored.
    pub fn error(&self) -> &Error {
        &self.error
    }

    /// Returns why the changes were not stored, and what to do to the head of the response that says so. Immediate changes
    /// from before the commit stay, so their token must reach the client all the same.
    pub fn into_parts(self) -> (Error, ResponseChanges) {
        (self.error, self.finish)
    }
}

fn varies_by(headers: &impl Headers, name: &str) -> bool {
    let mut varies = headers.values(&header::VARY).flat_map(|value| value.split(|b| *b == b','));
    varies.any(|other| {
        let other = other.trim_ascii();
        other == b"*" || other.eq_ignore_ascii_case(name.as_bytes())
    })
}
