//! Reads the header `Authorization: Bearer`, and writes the headers that answer it. Besides `token.rs` and `cookie.rs` this
//! is the only file that touches a raw token. (RFC 6750)

use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::error::{Error, Result};
use crate::record::Token;

/// Whether tokens are accepted outside cookies, and how a client gets the token of a rotation.
#[derive(Debug, Clone, Default)]
pub(crate) struct BearerSettings {
    pub(crate) is_on: bool,
    /// The name of the response header that hands over a new token, as it was configured.
    pub(crate) token_header: Option<String>,
}

const SCHEME: &[u8] = b"bearer";
/// Headers that have a meaning of their own in every response.
const TAKEN: [HeaderName; 11] = [
    header::CACHE_CONTROL,
    header::CONNECTION,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::LOCATION,
    header::RETRY_AFTER,
    header::SET_COOKIE,
    header::TRANSFER_ENCODING,
    header::VARY,
    header::WWW_AUTHENTICATE,
];

impl BearerSettings {
    /// # Errors
    /// Returns a configuration error if the response header cannot be used.
    pub(crate) fn check(&self) -> Result<()> {
        let Some(name) = self.token_header.as_deref() else {
            return Ok(());
        };
        if !self.is_on {
            return Err(Error::config("bearer_token_header", "needs bearer_tokens: call that as well"));
        }
        match HeaderName::try_from(name) {
            Ok(name) if !TAKEN.contains(&name) => Ok(()),
            _ => {
                let reason = "must be the name of a header that nothing else uses, such as x-session-token: letters, digits \
                              and `-`";
                Err(Error::config("bearer_token_header", reason))
            }
        }
    }

    /// Returns the response header that hands a new token over, if one is configured.
    pub(crate) fn hand_over(&self, token: &Token) -> Option<(HeaderName, HeaderValue)> {
        let name = HeaderName::try_from(self.token_header.as_deref()?).expect("settings were checked");
        let mut value = HeaderValue::from_str(token.expose()).expect("tokens are ASCII");
        value.set_sensitive(true);
        Some((name, value))
    }

    /// Returns the header `WWW-Authenticate` for a response of 401, if tokens are accepted outside cookies. It says whether
    /// the client's token is of no use any more. (RFC 6750, section 3)
    pub(crate) fn challenge(&self, token_is_invalid: bool) -> Option<HeaderValue> {
        let challenge = if token_is_invalid { "Bearer error=\"invalid_token\"" } else { "Bearer" };
        self.is_on.then(|| HeaderValue::from_static(challenge))
    }
}

/// Returns what follows the scheme `Bearer` in the header `Authorization`, or `None` if there is no such header, or one of
/// another scheme.
///
/// # Errors
/// Returns the reason if there are several such headers, and one of them has this scheme: nobody can say which one counts.
pub(crate) fn read(headers: &HeaderMap) -> Result<Option<&[u8]>, &'static str> {
    let all = headers.get_all(header::AUTHORIZATION);
    match all.iter().find_map(|value| of_scheme(value.as_bytes())) {
        Some(_) if all.iter().nth(1).is_some() => Err("it has the header Authorization more than once"),
        token => Ok(token),
    }
}

/// Returns what follows the scheme, which is a word in any case. What follows without a space is still no other scheme, so
/// it is a token that is not well-formed. (RFC 9110, sections 11.1 and 11.4)
fn of_scheme(value: &[u8]) -> Option<&[u8]> {
    let value = value.trim_ascii();
    let (scheme, rest) = value.split_at_checked(SCHEME.len())?;
    let ends = !rest.first().is_some_and(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b));
    let spaces = rest.iter().take_while(|b| **b == b' ').count();
    (scheme.eq_ignore_ascii_case(SCHEME) && ends).then_some(&rest[spaces..])
}
