//! `Cookie` in, `Set-Cookie` out. Besides `token.rs` this is the only file that touches a raw token.

use std::time::Duration;

use http::HeaderValue;
use smallvec::SmallVec;

use crate::config::Config;
use crate::token::{Credentials, Token};

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

/// How many different tokens of one request are looked at. A browser has several where the cookie's path or domain was
/// changed, or where somebody planted one.
const MOST_TOKENS: usize = 4;

/// Mostly there is one.
pub(crate) type Tokens = SmallVec<[Credentials; 1]>;

/// Finds our tokens among the cookies of a request, and what they show: the first few that differ.
///
/// Values that are no token are passed over.
pub(crate) fn read<'a>(headers: impl IntoIterator<Item = &'a [u8]>, config: &Config) -> Tokens {
    let mut tokens = Tokens::new();
    for token in values(headers, config).filter_map(|value| Credentials::parse(config.token_format, value)) {
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
pub(crate) fn is_there<'a>(headers: impl IntoIterator<Item = &'a [u8]>, config: &Config) -> bool {
    values(headers, config).next().is_some()
}

fn values<'a>(headers: impl IntoIterator<Item = &'a [u8]>, config: &Config) -> impl Iterator<Item = &'a [u8]> {
    let pairs = headers.into_iter().flat_map(|header| header.split(|b| *b == b';'));
    // byte by byte instead of by a cookie parser: another cookie's odd bytes must not cost anybody their session
    pairs.filter_map(|pair| pair.trim_ascii().strip_prefix(config.cookie.name.as_bytes())?.strip_prefix(b"="))
}

/// The header that hands the browser a token, to keep for so long; `None` stands for until it is closed.
pub(crate) fn set(token: &Token, max_age: Option<Duration>, config: &Config) -> HeaderValue {
    header(token.expose(), max_age, config)
}

/// The header that takes the cookie away. It repeats the attributes: browsers ignore a removal of a `__Host-` cookie
/// without them.
pub(crate) fn remove(config: &Config) -> HeaderValue {
    header("", Some(Duration::ZERO), config)
}

fn header(value: &str, max_age: Option<Duration>, config: &Config) -> HeaderValue {
    let settings = &config.cookie;
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
