//! The names of keys. A key is made from a parsed id only, so nothing that a user sent can reach another key.

use crate::error::{Error, Result};
use crate::record::{SessionId, UserId};

const MAX_PREFIX: usize = 128;

/// What every key of this store begins with, so that several applications share one server.
#[derive(Debug, Clone)]
pub(super) struct Prefix(String);

impl Prefix {
    pub(super) fn parse(text: &str) -> Result<Prefix> {
        let refuse = |why: &'static str| Err(Error::config("prefix", why));
        if text.is_empty() || text.len() > MAX_PREFIX {
            refuse("must have 1 to 128 bytes")
        } else if !text.bytes().all(|b| b.is_ascii_graphic()) {
            refuse("must be visible ASCII characters without spaces")
        } else if text.contains(['*', '?', '[', ']', '^', '\\', '{', '}']) {
            refuse("must not hold the glob characters *?[]^\\ or the braces {}, which steer SCAN and cluster slots")
        } else if text.split_inclusive(':').any(|segment| segment == "user:") {
            refuse("must not have a part `user:`, under which another prefix keeps the indexes of its users")
        } else {
            Ok(Prefix(text.to_owned()))
        }
    }

    pub(super) fn session(&self, id: &SessionId) -> String {
        format!("{}{}", self.0, id.expose())
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the session whose key this is, or `None` for any other key. The key must be the prefix and exactly one id, so
    /// that a key of another application with a longer prefix is not taken for one of ours.
    pub(super) fn session_of(&self, key: &str) -> Option<SessionId> {
        SessionId::parse(key.strip_prefix(&self.0)?).ok()
    }

    /// Returns the pattern for SCAN that matches all keys with this prefix. Nothing else in the pattern is a special
    /// character.
    pub(super) fn all(&self) -> String {
        format!("{}*", self.0)
    }

    /// Returns the key of the index of a user's sessions. Session ids hold no colon, so this is never the key of a session.
    pub(super) fn user(&self, user: &UserId) -> String {
        format!("{}user:{}", self.0, user.as_str())
    }
}
