//! Requests that another site made a browser send: by what the browser says of them, and by a token for forms.

use http::{HeaderMap, HeaderName, Method, Uri, header};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::config::{Config, Csrf};
use crate::record::SecretHash;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// The header in which a script sends the token that a form has in a field.
pub const CSRF_HEADER: HeaderName = HeaderName::from_static("x-csrf-token");

/// Why a form is refused.
pub(crate) const WRONG_TOKEN: &str = "the form's token is missing, or is not of this session";

/// What a request's headers say of where it comes from, of one that may pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Judged {
    /// A page of this very site sent it.
    SameOrigin,
    /// A trusted site, no browser, the visitor by hand, or it was not asked for: it only reads, or the check is off.
    Unknown,
}

/// Whether a request may change something, or why not. Fetch Metadata first, then the full `Origin`; without either it is
/// no browser of the last years, and passes unless `Strict`. (OWASP CSRF cheat sheet; ASVS 3.5.1)
///
/// tower-http's layer decides the same way, but compares the `Origin` without its scheme, has no strict mode, and lets
/// WebSockets pass.
pub(crate) fn judge(method: &Method, uri: &Uri, headers: &HeaderMap, config: &Config) -> Result<Judged, &'static str> {
    if config.csrf == Csrf::Off || only_reads(method, headers) {
        return Ok(Judged::Unknown);
    }
    let origin = only(headers, &header::ORIGIN)?;
    if origin.is_some_and(|origin| config.trusted_origins.iter().any(|trusted| trusted.as_bytes() == origin)) {
        // whose own origin is among the trusted ones has its own pages still
        return match only(headers, &SEC_FETCH_SITE) {
            Ok(Some(b"same-origin")) => Ok(Judged::SameOrigin),
            _ => Ok(Judged::Unknown),
        };
    }
    match only(headers, &SEC_FETCH_SITE)? {
        Some(b"same-origin") => return Ok(Judged::SameOrigin),
        Some(b"none") => return Ok(Judged::Unknown),
        Some(_) => return Err("Sec-Fetch-Site says that another site sent it"),
        None => {}
    }
    match origin {
        Some(origin) if is_own(origin, uri, headers, config) => Ok(Judged::SameOrigin),
        Some(_) => Err("Origin is another one"),
        None if config.csrf == Csrf::Strict => Err("neither Sec-Fetch-Site nor Origin is there"),
        None => Ok(Judged::Unknown),
    }
}

/// A GET that opens a WebSocket is as good as any change: what comes through the socket is not judged again, and browsers let
/// every site open one, with the cookie. `Connection` is not asked for: whoever goes by `Upgrade` alone is guarded as well.
/// In HTTP/2 and HTTP/3 a WebSocket is a CONNECT, which is judged as every method but these three. (RFC 6455, section 10.2;
/// RFC 8441, section 4)
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

/// A header that may be there once. An empty one counts as none.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a [u8]>, &'static str> {
    let mut values = headers.get_all(name).iter().map(|value| value.as_bytes()).filter(|value| !value.is_empty());
    match (values.next(), values.next()) {
        (value, None) => Ok(value),
        _ => Err("Sec-Fetch-Site or Origin is there twice"),
    }
}

/// Browsers leave the scheme's default port out of `Origin`; other programs and proxies may name it in `Host`.
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

/// The token for forms: derived from the secret hash for this one purpose, so that nothing is stored.
pub(crate) fn token(secret_hash: &SecretHash) -> String {
    let digest = Sha256::new().chain_update("cloakroom csrf token 1:").chain_update(secret_hash.as_str()).finalize();
    URL_SAFE_NO_PAD.encode(digest)
}

/// Compares in constant time.
pub(crate) fn matches(shown: &str, secret_hash: &SecretHash) -> bool {
    shown.as_bytes().ct_eq(token(secret_hash).as_bytes()).into()
}
