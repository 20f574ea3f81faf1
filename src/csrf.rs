//! Recognises requests that another site made a browser send: by the headers in which the browser says where a request comes
//! from, and by a token in forms.

use http::{HeaderMap, HeaderName, Method, Uri, header};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::config::{Config, Csrf};
use crate::record::SecretHash;

/// Where a browser says that a request comes from.
pub(crate) const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The name of the request header in which a script sends the CSRF token (a form sends it in a field): `x-csrf-token`.
pub const CSRF_HEADER: HeaderName = HeaderName::from_static("x-csrf-token");

/// Why a form is refused.
pub(crate) const WRONG_TOKEN: &str = "the form's CSRF token is missing or does not belong to this session";

/// Where a request that may pass comes from, according to its headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Judged {
    /// From a page of this site.
    SameOrigin,
    /// From a client that has put its token into a header, which no other site can make a browser do.
    Bearer,
    /// From anywhere else that is allowed: a trusted origin, a program that is not a browser, or the address bar. Also where
    /// nothing is checked, because the request only reads or the check is off.
    Unknown,
}

/// Decides whether a request may change something. `Sec-Fetch-Site` decides first, then the full `Origin`. A request that has
/// neither does not come from a current browser, and passes unless the setting is `Strict`. (OWASP CSRF cheat sheet; ASVS 3.5.1)
///
/// tower-http's layer decides in a similar way, but it compares the `Origin` without its scheme, has no strict mode, and lets
/// WebSockets pass.
///
/// # Errors
/// Returns the reason why the request is refused.
pub(crate) fn judge(method: &Method, uri: &Uri, headers: &HeaderMap, config: &Config) -> Result<Judged, &'static str> {
    if config.csrf == Csrf::Off || only_reads(method, headers) {
        return Ok(Judged::Unknown);
    }
    let origin = only(headers, &header::ORIGIN)?;
    if origin.is_some_and(|origin| config.trusted_origins.iter().any(|trusted| trusted.as_bytes() == origin)) {
        // an application may list its own origin among the trusted ones: its own pages are still of the same origin
        return match only(headers, &SEC_FETCH_SITE) {
            Ok(Some(b"same-origin")) => Ok(Judged::SameOrigin),
            _ => Ok(Judged::Unknown),
        };
    }
    match only(headers, &SEC_FETCH_SITE)? {
        Some(b"same-origin") => return Ok(Judged::SameOrigin),
        Some(b"none") => return Ok(Judged::Unknown),
        Some(_) => return Err("the header Sec-Fetch-Site says that another site sent it"),
        None => {}
    }
    match origin {
        Some(origin) if is_own(origin, uri, headers, config) => Ok(Judged::SameOrigin),
        Some(_) => Err("the header Origin names another site, which is not among the trusted origins"),
        None if config.csrf == Csrf::Strict => Err("it has neither the header Sec-Fetch-Site nor the header Origin"),
        None => Ok(Judged::Unknown),
    }
}

/// Returns true if a request cannot change anything: GET, HEAD and OPTIONS, except a GET that opens a WebSocket.
///
/// Browsers let every site open a WebSocket, and send the cookie along, and what comes through the socket later is not checked
/// again. Opening one therefore counts as a change. The header `Connection` is not looked at, so that servers which look only at
/// `Upgrade` are protected as well. In HTTP/2 and HTTP/3 a WebSocket is opened by CONNECT, which counts as a change anyway.
/// (RFC 6455, section 10.2; RFC 8441, section 4)
fn only_reads(method: &Method, headers: &HeaderMap) -> bool {
    [Method::GET, Method::HEAD, Method::OPTIONS].contains(method) && !upgrades_to_websocket(headers)
}

fn upgrades_to_websocket(headers: &HeaderMap) -> bool {
    let mut protocols =
        headers.get_all(header::UPGRADE).iter().flat_map(|value| value.as_bytes().split(|b| *b == b','));
    protocols.any(|protocol| {
        let name = protocol.split(|b| *b == b'/').next().unwrap_or_default();
        name.trim_ascii().eq_ignore_ascii_case(b"websocket")
    })
}

/// Returns the value of a header, or `None` if it is missing or empty.
///
/// # Errors
/// Returns an error if the request has the header more than once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a [u8]>, &'static str> {
    let mut values = headers.get_all(name).iter().map(|value| value.as_bytes()).filter(|value| !value.is_empty());
    match (values.next(), values.next()) {
        (value, None) => Ok(value),
        _ => Err("it has the header Sec-Fetch-Site or Origin more than once"),
    }
}

/// Returns true if an `Origin` is this site's own. Browsers leave the scheme's default port out of `Origin`, but other programs
/// and proxies may write it in `Host`.
fn is_own(origin: &[u8], uri: &Uri, headers: &HeaderMap, config: &Config) -> bool {
    let host = uri.authority().map(|authority| authority.as_str().as_bytes());
    let host = host.or_else(|| headers.get(header::HOST).map(|host| host.as_bytes()));
    let (scheme, default_port): (&[u8], &[u8]) = match config.cookie.secure {
        true => (b"https://", b":443"),
        false => (b"http://", b":80"),
    };
    let (Some(origin), Some(host)) = (origin.strip_prefix(scheme), host) else {
        return false;
    };
    let [origin, host] = [origin, host].map(|host| host.strip_suffix(default_port).unwrap_or(host));
    !origin.is_empty() && origin.eq_ignore_ascii_case(host)
}

/// Returns the CSRF token of a session. It is derived from the secret hash, so that it does not have to be stored.
pub(crate) fn token(secret_hash: &SecretHash) -> String {
    let digest = Sha256::new().chain_update("cloakroom csrf token 1:").chain_update(secret_hash.as_str()).finalize();
    URL_SAFE_NO_PAD.encode(digest)
}

/// Returns true if this is the CSRF token of the session. Compares in constant time.
pub(crate) fn matches(shown: &str, secret_hash: &SecretHash) -> bool {
    shown.as_bytes().ct_eq(token(secret_hash).as_bytes()).into()
}
