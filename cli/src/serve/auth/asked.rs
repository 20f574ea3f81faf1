//! The request that a proxy asks about, read from what this family of proxies sends.

use std::borrow::Cow;
use std::fmt;

use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use cloakroom::web::{OngoingVisit, Visit};
use cloakroom::{Result, Sessions};

use super::wanted::Wanted;

const FORWARDED_HOST: &str = "x-forwarded-host";
const FORWARDED_METHOD: &str = "x-forwarded-method";
const FORWARDED_PROTO: &str = "x-forwarded-proto";
const FORWARDED_URI: &str = "x-forwarded-uri";
const ORIGINAL_METHOD: &str = "x-original-method";
const ORIGINAL_URL: &str = "x-original-url";

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// A request to an application, which waits at a proxy for an answer.
pub(crate) struct Asked {
    method: Method,
    wanted: Wanted,
    /// What the browser sent, as far as it matters here.
    headers: HeaderMap,
}

/// Why a question is not understood. It is a mistake in the proxy's configuration, or somebody other than the proxy asks.
#[derive(Debug, PartialEq)]
pub(crate) struct Misunderstood(String);

impl fmt::Display for Misunderstood {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Asked {
    /// Reads the question of nginx's `auth_request`, whose configuration has to name the method and the URL.
    ///
    /// # Errors
    /// Returns an error if one of them is missing, doubled or unreadable, or if the question has a query.
    pub(crate) fn by_nginx(head: &Parts) -> Result<Asked, Misunderstood> {
        if head.uri.query().is_some() {
            return Err(Misunderstood("the question has a query, but there are no parameters here".to_owned()));
        }
        let url = only(&head.headers, ORIGINAL_URL)?;
        let wanted = Wanted::from_url(&url).ok_or_else(|| unreadable(ORIGINAL_URL))?;
        Asked::new(method(&head.headers, ORIGINAL_METHOD)?, wanted, &head.headers)
    }

    /// Reads the question of Caddy's `forward_auth` or of Traefik's ForwardAuth. The question's own query is ignored: Caddy leaves the
    /// visitor's query there. The header `Forwarded` is ignored, because Traefik passes on what a visitor has written into it.
    ///
    /// # Errors
    /// Returns an error if one of the `X-Forwarded` headers is missing, doubled or unreadable.
    pub(crate) fn by_forward_auth(head: &Parts) -> Result<Asked, Misunderstood> {
        let [scheme, host, target] =
            [FORWARDED_PROTO, FORWARDED_HOST, FORWARDED_URI].map(|name| only(&head.headers, name));
        let wanted = Wanted::new(&scheme?, &host?, &target?)
            .ok_or_else(|| unreadable(&[FORWARDED_PROTO, FORWARDED_HOST, FORWARDED_URI].join(", ")))?;
        Asked::new(method(&head.headers, FORWARDED_METHOD)?, wanted, &head.headers)
    }

    /// Reads the question of Envoy's `ext_authz`, which is the original request with a prefix before its path.
    ///
    /// # Errors
    /// Returns an error if a header is missing, doubled or unreadable.
    pub(crate) fn by_envoy(head: &Parts, prefix: &str) -> Result<Asked, Misunderstood> {
        let target = head.uri.path_and_query().map_or("", |target| target.as_str());
        let target = target.strip_prefix(prefix).unwrap_or_default();
        let host = only(&head.headers, header::HOST.as_str())?;
        let scheme = only(&head.headers, FORWARDED_PROTO)?;
        let wanted = Wanted::new(&scheme, &host, target)
            .ok_or_else(|| unreadable(&[FORWARDED_PROTO, header::HOST.as_str()].join(", ")))?;
        Asked::new(head.method.clone(), wanted, &head.headers)
    }

    fn new(method: Method, wanted: Wanted, sent: &HeaderMap) -> Result<Asked, Misunderstood> {
        let host = HeaderValue::try_from(wanted.host()).map_err(|_| unreadable("host"))?;
        let mut headers = HeaderMap::from_iter([(header::HOST, host)]);
        for name in [header::ACCEPT, header::COOKIE, header::USER_AGENT, header::ORIGIN, SEC_FETCH_SITE] {
            headers.extend(sent.get_all(&name).iter().map(|value| (name.clone(), value.clone())));
        }
        if opens_websocket(sent) {
            headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        }
        Ok(Asked { method, wanted, headers })
    }

    /// Begins the visit: refuses what another site made the browser send, as the application's own layer would. No I/O.
    ///
    /// # Errors
    /// Returns an error if the request comes from another site.
    pub(crate) fn begin(&self, sessions: &Sessions) -> Result<OngoingVisit> {
        Visit::begin_without_tokens(sessions, &self.method, &Uri::default(), &self.headers)
    }

    /// Returns what the visitor wants if they look at a page, so that a redirect to another page helps them.
    pub(crate) fn wanted_page(&self) -> Option<&Wanted> {
        let reads = [Method::GET, Method::HEAD].contains(&self.method) && !self.headers.contains_key(header::UPGRADE);
        let mut accept = self.headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        (reads && accept.any(|accept| accept.contains("text/html"))).then_some(&self.wanted)
    }
}

/// Returns true if the browser opens a WebSocket. `Upgrade` belongs to one connection, so proxies take it out of their question; the
/// others stay.
fn opens_websocket(headers: &HeaderMap) -> bool {
    let names = ["sec-websocket-key", "sec-websocket-version", "sec-websocket-protocol", "sec-websocket-extensions"];
    let upgrades = headers.get_all(header::UPGRADE).iter();
    let mut upgrades = upgrades.map(|value| value.as_bytes().to_ascii_lowercase());
    names.iter().any(|name| headers.contains_key(*name)) || upgrades.any(|value| value.starts_with(b"websocket"))
}

fn method(headers: &HeaderMap, name: &str) -> Result<Method, Misunderstood> {
    only(headers, name)?.parse().map_err(|_| unreadable(name))
}

/// Returns the value of a header that must be there exactly once. A visitor may write any bytes into a URL.
fn only<'a>(headers: &'a HeaderMap, name: &str) -> Result<Cow<'a, str>, Misunderstood> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => Ok(String::from_utf8_lossy(value.as_bytes())),
        (None, _) => Err(Misunderstood(format!("the question lacks the header {name}"))),
        (Some(_), Some(_)) => Err(Misunderstood(format!("the question has the header {name} more than once"))),
    }
}

fn unreadable(name: &str) -> Misunderstood {
    Misunderstood(format!("the question's {name} cannot be read"))
}
