//! Tokens, and the two halves of them that stores keep: what is accepted is written again as it was read, and nothing else
//! is accepted.

use crate::{
    SessionId, TokenFormat,
    store::{Credentials, SecretHash},
};

/// Checks what becomes of a text that is read as a token, an id and a hash.
pub fn tokens(input: &[u8]) {
    let (is_short, is_long) = (is_base64url(input, 22), is_base64url(input, 43));
    if let Ok(text) = std::str::from_utf8(input) {
        let id = SessionId::parse(text);
        assert_eq!(id.is_ok(), is_short || is_long);
        if let Ok(id) = id {
            assert!(id.expose() == text && id.is_plain() == is_long);
        }
        let hash = SecretHash::parse(text);
        assert_eq!(hash.is_some(), is_long);
        assert!(hash.is_none_or(|hash| hash.as_str() == text));
    }
    let keyed = Credentials::parse(TokenFormat::Secret, input);
    assert_eq!(keyed.is_some(), is_token(input));
    if let Some(shown) = keyed {
        assert!(shown.id.expose().as_bytes() == &input[..22] && !shown.id.is_plain());
        assert!(shown.secret_hash.is_some_and(|hash| hash.as_str().as_bytes() != &input[23..]));
    }
    let plain = Credentials::parse(TokenFormat::Plain, input);
    assert_eq!(plain.is_some(), is_long);
    assert!(plain.is_none_or(|shown| shown.id.expose().as_bytes() == input && shown.secret_hash.is_none()));
}

/// Whether this is a token with a secret, by its characters alone.
pub(super) fn is_token(text: &[u8]) -> bool {
    text.len() == 66 && text[22] == b'.' && is_base64url(&text[..22], 22) && is_base64url(&text[23..], 43)
}

/// Whether these are so many characters of base64url, whose last one has no bits to spare that are set. The parser decodes
/// instead of looking.
pub(super) fn is_base64url(text: &[u8], len: usize) -> bool {
    let last: &[u8] = if len == 22 { b"AQgw" } else { b"AEIMQUYcgkosw048" };
    let is_known = |b: &u8| b.is_ascii_alphanumeric() || b"-_".contains(b);
    text.len() == len && text.iter().all(is_known) && text.last().is_some_and(|b| last.contains(b))
}
