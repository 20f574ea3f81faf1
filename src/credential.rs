//! What a request brings to name its session: the token in a cookie, or in the header `Authorization`.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, header};

use crate::adoption::FormerCookie;
use crate::bearer;
use crate::config::Config;
use crate::cookie::{self, Tokens};
use crate::record::Credentials;

/// What a request brings.
#[derive(Debug)]
pub(crate) struct Brought {
    /// The well-formed tokens.
    pub(crate) tokens: Tokens,
    pub(crate) carrier: Carrier,
    /// The cookie of the sessions that the application had before.
    pub(crate) former: Option<Arc<FormerCookie>>,
}

/// Where a client keeps its token, as far as a request shows. The token itself need not be well-formed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Carrier {
    /// The request brings no token.
    #[default]
    Nothing,
    Cookie,
    /// The header `Authorization` with the scheme `Bearer`, and nothing else.
    Bearer,
}

/// Reads what a request brings.
///
/// # Errors
/// Returns the reason if the request names its session in more than one way. (RFC 6750, section 2)
pub(crate) fn read(headers: &HeaderMap, config: &Config) -> Result<Brought, &'static str> {
    let cookies = || headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes);
    let tokens = cookie::read(cookies(), &config.cookie, config.token_format);
    let has_cookie = !tokens.is_empty() || cookie::is_there(cookies(), &config.cookie);
    let bearer = if config.bearer.is_on { bearer::read(headers)? } else { None };
    match bearer {
        Some(_) if has_cookie => Err("it brings both the session cookie and a bearer token"),
        Some(token) => {
            let tokens = Credentials::parse(config.token_format, token).into_iter().collect();
            Ok(Brought { tokens, carrier: Carrier::Bearer, former: None })
        }
        None => {
            let carrier = if has_cookie { Carrier::Cookie } else { Carrier::Nothing };
            let former = config.adoption.as_ref().and_then(|adoption| adoption.read(headers)).map(Arc::new);
            Ok(Brought { tokens, carrier, former })
        }
    }
}
