//! `Cookie` in, `Set-Cookie` out. Besides `token.rs` this is the only file that touches a raw token.

use std::time::Duration;

use http::HeaderValue;
use smallvec::SmallVec;

use crate::error::{Error, Result};
use crate::record::{Credentials, Token, TokenFormat};

/// When the browser sends the cookie along with requests that another site started. (RFC 6265bis, section 5.6.7)
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum SameSite {
    /// Never.
    Strict,
    /// Only when the person follows a link. The default.
    #[default]
    Lax,
    /// Always; only over TLS.
    None,
}

/// Browsers accept it only over TLS, from this very host, for all paths.
pub(crate) const DEFAULT_NAME: &str = "__Host-sid";
/// RFC 6265bis, section 5.5: browsers cap `Max-Age` at 400 days.
const MAX_AGE: Duration = Duration::from_secs(400 * 24 * 60 * 60);
/// A cookie's name and value together stay under 4096 bytes; a token has 66.
const MAX_NAME_BYTES: usize = 256;

/// How the cookie is sent.
#[derive(Debug, Clone)]
pub(crate) struct CookieSettings {
    pub(crate) name: String,
    pub(crate) secure: bool,
    pub(crate) same_site: SameSite,
    pub(crate) path: String,
    pub(crate) domain: Option<String>,
    pub(crate) max_age: Option<Duration>,
}

impl Default for CookieSettings {
    fn default() -> CookieSettings {
        CookieSettings {
            name: DEFAULT_NAME.to_owned(),
            secure: true,
            same_site: SameSite::Lax,
            path: "/".to_owned(),
            domain: None,
            max_age: None,
        }
    }
}

impl CookieSettings {
    /// The rules of RFC 6265bis that a browser would otherwise enforce by silently dropping the cookie.
    pub(crate) fn check(&self) -> Result<()> {
        let is_token = |b: u8| b.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?={}".contains(&b);
        let prefix =
            |prefix: &str| self.name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
        if self.name.is_empty() || self.name.len() > MAX_NAME_BYTES || !self.name.bytes().all(is_token) {
            let reason = format!("must be 1 to {MAX_NAME_BYTES} characters of an HTTP token: no space, no `;`, no `=`");
            return Err(Error::config("cookie_name", reason));
        }
        // `__Host-Http-` is a `__Host-` as well
        if ["__Host-", "__Secure-", "__Http-"].into_iter().any(prefix) && !self.secure {
            let reason = "with __Host-, __Secure- or __Http- needs Secure: not over plain http";
            return Err(Error::config("cookie_name", reason));
        }
        if prefix("__Host-") && self.domain.is_some() {
            return Err(Error::config("cookie_domain", "is not allowed with a __Host- name"));
        }
        if prefix("__Host-") && self.path != "/" {
            return Err(Error::config("cookie_path", "must be / with a __Host- name"));
        }
        if self.same_site == SameSite::None && !self.secure {
            return Err(Error::config("same_site", "None needs Secure: browsers drop the cookie otherwise"));
        }
        let is_attribute = |text: &str| {
            !text.is_empty() && text.len() <= 1024 && text.bytes().all(|b| b.is_ascii_graphic() && b != b';')
        };
        if !self.path.starts_with('/') || !is_attribute(&self.path) {
            return Err(Error::config("cookie_path", "must begin with / and hold neither space nor `;`"));
        }
        let is_host = |text: &str| {
            !text.is_empty()
                && text.len() <= 254
                && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b))
        };
        if self.domain.as_deref().is_some_and(|domain| !is_host(domain)) {
            return Err(Error::config("cookie_domain", "must be a host name: letters, digits, `-` and `.`"));
        }
        if let Some(reason) = self.max_age.and_then(problem_with_age) {
            return Err(Error::config("cookie_max_age", reason));
        }
        Ok(())
    }
}

/// What is wrong with the age of a cookie.
pub(crate) fn problem_with_age(age: Duration) -> Option<&'static str> {
    (age.as_secs() == 0 || age > MAX_AGE).then_some("must be from one second to 400 days")
}

/// How many different tokens of one request are looked at. A browser has several where the cookie's path or domain was
/// changed, or where somebody planted one.
const MOST_TOKENS: usize = 4;

/// Mostly there is one.
pub(crate) type Tokens = SmallVec<[Credentials; 1]>;

/// Finds our tokens among the cookies of a request, and what they show: the first few that differ.
///
/// Values that are no token are passed over.
pub(crate) fn read<'a>(
    headers: impl IntoIterator<Item = &'a [u8]>,
    settings: &CookieSettings,
    format: TokenFormat,
) -> Tokens {
    let mut tokens = Tokens::new();
    for token in values(headers, settings).filter_map(|value| Credentials::parse(format, value)) {
        if !tokens.contains(&token) {
            tokens.push(token);
        }
        if tokens.len() == MOST_TOKENS {
            break;
        }
    }
    tokens
}

/// Whether there is a cookie with our name, whatever is in it.
pub(crate) fn is_there<'a>(headers: impl IntoIterator<Item = &'a [u8]>, settings: &CookieSettings) -> bool {
    values(headers, settings).next().is_some()
}

fn values<'a>(
    headers: impl IntoIterator<Item = &'a [u8]>,
    settings: &CookieSettings,
) -> impl Iterator<Item = &'a [u8]> {
    let pairs = headers.into_iter().flat_map(|header| header.split(|b| *b == b';'));
    // byte by byte instead of by a cookie parser: another cookie's odd bytes must not cost anybody their session
    pairs.filter_map(|pair| pair.trim_ascii().strip_prefix(settings.name.as_bytes())?.strip_prefix(b"="))
}

/// The header that hands the browser a token, to keep for so long; `None` stands for until it is closed.
pub(crate) fn set(token: &Token, max_age: Option<Duration>, settings: &CookieSettings) -> HeaderValue {
    header(token.expose(), max_age, settings)
}

/// The header that takes the cookie away. It repeats the attributes: browsers ignore a removal of a `__Host-` cookie
/// without them.
pub(crate) fn remove(settings: &CookieSettings) -> HeaderValue {
    header("", Some(Duration::ZERO), settings)
}

fn header(value: &str, max_age: Option<Duration>, settings: &CookieSettings) -> HeaderValue {
    let mut cookie = cookie::Cookie::build((settings.name.as_str(), value))
        .path(settings.path.as_str())
        .secure(settings.secure)
        .http_only(true)
        .same_site(match settings.same_site {
            SameSite::Strict => cookie::SameSite::Strict,
            SameSite::Lax => cookie::SameSite::Lax,
            SameSite::None => cookie::SameSite::None,
        });
    if let Some(domain) = &settings.domain {
        cookie = cookie.domain(domain.as_str());
    }
    if let Some(age) = max_age {
        cookie = cookie.max_age(cookie::time::Duration::seconds(age.as_secs() as i64));
    }
    let text = cookie.build().to_string();
    let mut header = HeaderValue::from_str(&text).expect("settings were checked and tokens are ASCII");
    header.set_sensitive(true);
    header
}
