//! The token that the browser carries, and the parts of it that the server knows.
//!
//! Besides `cookie.rs` and `bearer.rs` this is the only file that touches a raw token.

use std::fmt;
use std::hash::{Hash, Hasher};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::error::{Error, Result};

const ID_BYTES: usize = 16;
const SECRET_BYTES: usize = 32;
/// How many characters the id of a token with a secret has: 16 bytes in base64url.
const ID_LEN: usize = 22;
/// How many characters a secret, a secret hash and a plain token have: 32 bytes in base64url.
const LONG_LEN: usize = 43;
/// How many characters are shown of an id that is itself the secret.
const SHOWN_OF_PLAIN: usize = 8;

/// The format of the token in the browser's cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "config-file", derive(serde::Deserialize), serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum TokenFormat {
    /// `<id>.<secret>`. The store knows only the id and the SHA-256 hash of the secret, so that neither a stolen copy of the store nor a
    /// log opens a session. The default.
    #[default]
    Secret,
    /// Only the session id (32 random bytes, 43 characters), for sharing sessions with applications that follow the Redis tutorials.
    ///
    /// With this format the store contains the tokens themselves, so anybody who can read the store can take over every session. There
    /// is no rotation, no sign-in, no list of a user's sessions, and no CSRF token.
    Plain,
}

/// The id of a session, which names it in the store, in logs and in lists of devices. It is the public half of the token.
///
/// Knowing it grants nothing, except with [plain tokens](TokenFormat::Plain), where the id *is* the secret. `Display` and `Debug` then
/// show only its first eight characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SessionId {
    text: [u8; LONG_LEN],
    len: u8,
}

// only the text: what follows it in a short id takes a map as much time again, and tells nothing
impl Hash for SessionId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(self.expose_bytes());
    }
}

impl SessionId {
    fn from_text(text: &str) -> SessionId {
        let mut buffer = [0; LONG_LEN];
        buffer[..text.len()].copy_from_slice(text.as_bytes());
        SessionId { text: buffer, len: text.len() as u8 }
    }

    /// Parses an id of either format, strictly.
    ///
    /// # Errors
    /// Returns an error if the text has neither format.
    pub fn parse(text: &str) -> Result<SessionId> {
        let shaped = match text.len() {
            ID_LEN => is_canonical::<ID_BYTES>(text),
            LONG_LEN => is_canonical::<SECRET_BYTES>(text),
            _ => false,
        };
        if shaped {
            Ok(SessionId::from_text(text))
        } else {
            Err(Error::malformed(
                "session id",
                "must have 22 characters, or 43 with plain tokens, which are letters, digits, `-` and `_`",
            ))
        }
    }

    /// Returns the whole id, from which a store makes its key. With plain tokens this is the secret, so never log it.
    pub fn expose(&self) -> &str {
        std::str::from_utf8(self.expose_bytes()).expect("ids are ASCII")
    }

    fn expose_bytes(&self) -> &[u8] {
        &self.text[..self.len as usize]
    }

    /// Returns true if this id is itself the secret ([`TokenFormat::Plain`]).
    pub fn is_plain(&self) -> bool {
        self.len as usize == LONG_LEN
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.is_plain() {
            false => f.write_str(self.expose()),
            true => write!(f, "{}…", &self.expose()[..SHOWN_OF_PLAIN]),
        }
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId({self})")
    }
}

/// The SHA-256 hash of a secret, as 43 characters of base64url. It is the only form of the secret that a store ever sees.
///
/// Hashes are compared in constant time, so that the time of an answer does not show how much of a guess was right.
#[derive(Clone, Copy)]
pub struct SecretHash([u8; LONG_LEN]);

impl SecretHash {
    fn of(secret: &str) -> SecretHash {
        let mut text = [0; LONG_LEN];
        let written = URL_SAFE_NO_PAD.encode_slice(Sha256::digest(secret.as_bytes()), &mut text);
        assert_eq!(written.ok(), Some(LONG_LEN), "32 bytes are 43 characters");
        SecretHash(text)
    }

    /// Compares eight bytes at a time. Compared one by one in constant time, they would be a large part of the cost of a read.
    fn words(&self) -> [u64; LONG_LEN.div_ceil(8)] {
        let mut words = [0; LONG_LEN.div_ceil(8)];
        for (word, bytes) in words.iter_mut().zip(self.0.chunks(8)) {
            let mut whole = [0; 8];
            whole[..bytes.len()].copy_from_slice(bytes);
            *word = u64::from_ne_bytes(whole);
        }
        words
    }

    /// Reads a hash back from a store. Returns `None` if it is not 43 characters of canonical base64url.
    pub fn parse(text: &str) -> Option<SecretHash> {
        is_canonical::<SECRET_BYTES>(text).then(|| SecretHash(text.as_bytes().try_into().expect("43 characters")))
    }

    /// Returns the hash as text, which a store keeps.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("hashes are ASCII")
    }
}

impl PartialEq for SecretHash {
    fn eq(&self, other: &Self) -> bool {
        self.words().ct_eq(&other.words()).into()
    }
}

impl Eq for SecretHash {}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash(…)")
    }
}

/// What a request presents to a store: the session id and the hash of the secret, or only the id with
/// [plain tokens](TokenFormat::Plain).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Credentials {
    /// The id of the session.
    pub id: SessionId,
    /// The hash of the secret, or `None` with plain tokens, where the id is the secret.
    pub secret_hash: Option<SecretHash>,
}

impl Credentials {
    /// Parses the value of a cookie. Returns `None` for everything that is not in the exact canonical form, and then the store is not asked.
    /// The secret is hashed here and not kept.
    pub(crate) fn parse(format: TokenFormat, cookie: &[u8]) -> Option<Credentials> {
        let text = std::str::from_utf8(cookie).ok()?;
        match format {
            TokenFormat::Secret => {
                let (id, secret) = text.split_once('.')?;
                let is_token = is_canonical::<ID_BYTES>(id) && is_canonical::<SECRET_BYTES>(secret);
                is_token.then(|| Credentials::keyed(id, secret))
            }
            TokenFormat::Plain => is_canonical::<SECRET_BYTES>(text).then(|| Credentials::plain(text)),
        }
    }

    fn keyed(id: &str, secret: &str) -> Credentials {
        Credentials { id: SessionId::from_text(id), secret_hash: Some(SecretHash::of(secret)) }
    }

    fn plain(id: &str) -> Credentials {
        Credentials { id: SessionId::from_text(id), secret_hash: None }
    }
}

/// The secret that opens a session, for a client that keeps it itself. [`Session::take_token`](crate::Session::take_token) and
/// [`Sessions::create`](crate::Sessions::create) return it.
///
/// Browsers get their token in a cookie, and applications never see it. Give this one to its client and nobody else: do not log
/// it, and do not put it into a URL. `Debug` shows only the session's id.
///
/// ```
/// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
/// # doctest::with_session(async |session| {
/// session.sign_in("ada").await?;
/// let token = session.take_token()?;
/// let secret = token.expose().split('.').nth(1).unwrap();
/// assert!(!format!("{token:?}").contains(secret));
/// # Ok(())
/// # });
/// ```
#[derive(Clone)]
pub struct Token {
    text: String,
    presented: Credentials,
}

impl Token {
    /// Mints a token from the operating system's random source.
    pub(crate) fn mint(format: TokenFormat) -> Result<Token> {
        let id = match format {
            TokenFormat::Secret => random_text::<ID_BYTES>()?,
            TokenFormat::Plain => return Ok(Token::plain(&random_text::<SECRET_BYTES>()?)),
        };
        Token::with_new_secret(&SessionId::from_text(&id))
    }

    /// Makes a token for the same session with a new secret, as a rotation needs it.
    pub(crate) fn with_new_secret(id: &SessionId) -> Result<Token> {
        Ok(Token::keyed(id.expose(), &random_text::<SECRET_BYTES>()?))
    }

    /// Makes a token of bytes that are as good as random to everybody else. The id takes the first of its bytes.
    pub(crate) fn derived(id: &[u8; SECRET_BYTES], secret: &[u8; SECRET_BYTES]) -> Token {
        Token::with_secret(&SessionId::from_text(&URL_SAFE_NO_PAD.encode(&id[..ID_BYTES])), secret)
    }

    /// Makes a token for the same session with this secret, which must be as good as random to everybody else.
    pub(crate) fn with_secret(id: &SessionId, secret: &[u8; SECRET_BYTES]) -> Token {
        Token::keyed(id.expose(), &URL_SAFE_NO_PAD.encode(secret))
    }

    fn keyed(id: &str, secret: &str) -> Token {
        Token { text: format!("{id}.{secret}"), presented: Credentials::keyed(id, secret) }
    }

    fn plain(id: &str) -> Token {
        Token { text: id.to_owned(), presented: Credentials::plain(id) }
    }

    pub(crate) fn presented(&self) -> Credentials {
        self.presented
    }

    /// Returns the token itself, as the client sends it: for example after `Authorization: Bearer`.
    pub fn expose(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({}, …)", self.presented.id)
    }
}

fn random_text<const N: usize>() -> Result<String> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| Error::no_randomness())?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// Returns true if `text` is exactly `N` bytes in base64url without padding. The engine refuses endings that are not canonical.
fn is_canonical<const N: usize>(text: &str) -> bool {
    let mut bytes = [0; N];
    text.len() == (N * 4).div_ceil(3) && URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).is_ok_and(|n| n == N)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_minted_token_is_an_id_of_22_and_a_secret_of_43_characters() {
        let token = Token::mint(TokenFormat::Secret).unwrap();
        let (id, secret) = token.expose().split_once('.').unwrap();
        assert_eq!((id.len(), secret.len()), (22, 43));
        assert_eq!(Credentials::parse(TokenFormat::Secret, token.expose().as_bytes()), Some(token.presented()));
    }

    #[test]
    fn a_million_tokens_are_all_different() {
        let mut seen = HashSet::with_capacity(1_000_000);
        for _ in 0..1_000_000 {
            let token = Token::mint(TokenFormat::Plain).unwrap();
            assert!(seen.insert(token.presented().id));
        }
    }

    #[test]
    fn a_token_parses_only_in_its_canonical_form() {
        let good = Token::mint(TokenFormat::Secret).unwrap().expose().to_owned();
        let (id, secret) = good.split_once('.').unwrap();
        let last = |text: &str, c: char| format!("{}{c}", &text[..text.len() - 1]);
        let cases: Vec<Vec<u8>> = vec![
            b"".to_vec(),
            b".".to_vec(),
            good[..65].into(),
            format!("{good}A").into(),
            format!("\"{good}\"").into(),
            format!("{good}=").into(),
            format!("{id}.{}", last(secret, '+')).into(),
            format!("{id}.{}", last(secret, '/')).into(),
            // 43 characters carry 258 bits: the last one must leave the two spare bits at zero
            format!("{id}.{}", last(secret, 'B')).into(),
            format!("{}.{secret}", last(id, 'B')).into(),
            id.into(),
            secret.into(),
            Credentials::parse(TokenFormat::Secret, good.as_bytes()).unwrap().secret_hash.unwrap().as_str().into(),
            "A".repeat(8192).into(),
            [b"\0", &good.as_bytes()[1..]].concat(),
            [b"\xff", &good.as_bytes()[1..]].concat(),
            [b"\r\n", &good.as_bytes()[2..]].concat(),
            good.replace('.', ":").into(),
        ];
        for case in cases {
            assert_eq!(Credentials::parse(TokenFormat::Secret, &case), None, "{}", String::from_utf8_lossy(&case));
        }
    }

    #[test]
    fn debug_and_display_show_the_id_and_no_secret() {
        let keyed = Token::mint(TokenFormat::Secret).unwrap();
        let plain = Token::mint(TokenFormat::Plain).unwrap();
        let secret = keyed.expose().split_once('.').unwrap().1.to_owned();
        let shown =
            format!("{keyed:?} {plain:?} {:?} {:?} {}", keyed.presented(), plain.presented(), plain.presented().id);
        let id = keyed.presented().id;
        assert_eq!(format!("{keyed:?}"), format!("Token({id}, …)"));
        let presented = format!("Credentials {{ id: SessionId({id}), secret_hash: Some(SecretHash(…)) }}");
        assert_eq!(format!("{:?}", keyed.presented()), presented);
        assert!(!shown.contains(&secret));
        assert!(!shown.contains(&plain.expose()[..9]));
        assert!(!shown.contains(keyed.presented().secret_hash.unwrap().as_str()));
    }
}
