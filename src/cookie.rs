//! Reads the header `Cookie` and writes the header `Set-Cookie`. Besides `token.rs` this is the only file that touches a raw token.

use std::time::Duration;

use http::HeaderValue;
use smallvec::SmallVec;

use crate::error::{Error, Result};
use crate::record::{Credentials, Token, TokenFormat};

/// When the browser sends the cookie with requests that another site started. (RFC 6265bis, section 5.6.7)
///
/// ```
/// use cloakroom::{Config, SameSite};
///
/// let config = Config::builder().same_site(SameSite::Strict).build()?;
/// # Ok::<(), cloakroom::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "config-file", derive(serde::Deserialize), serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum SameSite {
    /// Never. A visitor who follows a link from another site arrives without a session.
    Strict,
    /// Only when the visitor follows a link to this site. The default.
    #[default]
    Lax,
    /// Always. Browsers allow this only over TLS.
    None,
}

/// Browsers accept a cookie of this name only over TLS, only from this very host, and only for all paths.
pub(crate) const DEFAULT_NAME: &str = "__Host-sid";
/// Browsers limit `Max-Age` to 400 days. (RFC 6265bis, section 5.5)
const MAX_AGE: Duration = Duration::from_secs(400 * 24 * 60 * 60);
/// Far below the 4096 bytes that browsers accept for a cookie's name and value together. A token has 66 bytes.
const MAX_NAME_BYTES: usize = 256;

/// The name and the attributes of the cookie.
#[derive(Debug, Clone)]
pub(crate) struct CookieSettings {
    pub(crate) name: String,
    pub(crate) secure: bool,
    pub(crate) same_site: SameSite,
    pub(crate) path: String,
    pub(crate) domain: Option<String>,
    pub(crate) max_age: Option<Duration>,
    pub(crate) partitioned: bool,
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
            partitioned: false,
        }
    }
}

impl CookieSettings {
    /// Checks the rules of RFC 6265bis. A browser enforces them by silently dropping the cookie.
    ///
    /// # Errors
    /// Returns a configuration error for the first setting that breaks a rule.
    pub(crate) fn check(&self) -> Result<()> {
        let is_token = |b: u8| b.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?={}".contains(&b);
        let prefix =
            |prefix: &str| self.name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
        if self.name.is_empty() || self.name.len() > MAX_NAME_BYTES || !self.name.bytes().all(is_token) {
            let reason = format!(
                "must have 1 to {MAX_NAME_BYTES} characters that are allowed in an HTTP token: letters and digits, but no space, \
                 no `;` and no `=`"
            );
            return Err(Error::config("cookie_name", reason));
        }
        // a name with `__Host-Http-` begins with `__Host-` as well
        if ["__Host-", "__Secure-", "__Http-"].into_iter().any(prefix) && !self.secure {
            let reason = "must not begin with __Host-, __Secure- or __Http- when plain http is allowed, because browsers \
                          accept these names only with Secure: choose another name";
            return Err(Error::config("cookie_name", reason));
        }
        if prefix("__Host-") && self.domain.is_some() {
            let reason = "is not allowed when the cookie's name begins with __Host-: choose another cookie_name, such as \
                          __Secure-sid";
            return Err(Error::config("cookie_domain", reason));
        }
        if prefix("__Host-") && self.path != "/" {
            let reason = "must be / when the cookie's name begins with __Host-: choose another cookie_name, such as \
                          __Secure-sid";
            return Err(Error::config("cookie_path", reason));
        }
        if self.same_site == SameSite::None && !self.secure {
            let reason = "must not be None when plain http is allowed, because browsers accept it only with Secure";
            return Err(Error::config("same_site", reason));
        }
        if self.partitioned && self.same_site != SameSite::None {
            let reason =
                "needs same_site(SameSite::None), because a cookie for frames in other sites must be sent in them";
            return Err(Error::config("cookie_partitioned", reason));
        }
        let is_attribute = |text: &str| {
            !text.is_empty() && text.len() <= 1024 && text.bytes().all(|b| b.is_ascii_graphic() && b != b';')
        };
        if !self.path.starts_with('/') || !is_attribute(&self.path) {
            let reason = "must begin with / and have at most 1024 ASCII characters, none of them a space or a `;`";
            return Err(Error::config("cookie_path", reason));
        }
        let is_host = |text: &str| {
            !text.is_empty()
                && text.len() <= 254
                && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b))
        };
        if self.domain.as_deref().is_some_and(|domain| !is_host(domain)) {
            let reason = "must be a host name, such as example.org: at most 254 letters, digits, `-` and `.`";
            return Err(Error::config("cookie_domain", reason));
        }
        if let Some(reason) = self.max_age.and_then(problem_with_age) {
            return Err(Error::config("cookie_max_age", reason));
        }
        Ok(())
    }
}

/// Returns what is wrong with the age of a cookie, or `None` if it is allowed.
pub(crate) fn problem_with_age(age: Duration) -> Option<&'static str> {
    (age.as_secs() == 0 || age > MAX_AGE).then_some("must be from one second to 400 days")
}

/// How many different tokens of one request are looked at. A browser can have several if the application changed the cookie's path
/// or domain, or if somebody has planted a cookie.
const MOST_TOKENS: usize = 4;

/// The credentials of a request. Nearly always there is one.
pub(crate) type Tokens = SmallVec<[Credentials; 1]>;

/// Returns the credentials in the session cookies of a request: the first few that differ. Cookies whose value is not a well-formed
/// token are skipped.
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

/// Returns true if the request has a cookie with the session cookie's name, whatever its value is.
pub(crate) fn is_there<'a>(headers: impl IntoIterator<Item = &'a [u8]>, settings: &CookieSettings) -> bool {
    values(headers, settings).next().is_some()
}

pub(crate) fn values<'a>(
    headers: impl IntoIterator<Item = &'a [u8]>,
    settings: &CookieSettings,
) -> impl Iterator<Item = &'a [u8]> {
    let pairs = headers.into_iter().flat_map(|header| header.split(|b| *b == b';'));
    // byte by byte instead of by a cookie parser: another cookie's odd bytes must not cost anybody their session
    pairs.filter_map(|pair| pair.trim_ascii().strip_prefix(settings.name.as_bytes())?.strip_prefix(b"="))
}

/// Returns the header that gives the browser a token. With `None` for the age the browser keeps the token until it is closed.
pub(crate) fn set(token: &Token, max_age: Option<Duration>, settings: &CookieSettings) -> HeaderValue {
    header(token.expose(), max_age, settings)
}

/// Returns the header that removes the cookie. It repeats the attributes, because browsers ignore the removal of a `__Host-` cookie
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
    if settings.partitioned {
        cookie = cookie.partitioned(true);
    }
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
