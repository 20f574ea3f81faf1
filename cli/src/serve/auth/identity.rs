//! Who is there, as the headers of an answer to a proxy say it.

use std::fmt;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use cloakroom::{Session, SessionId, UserId};
use sfv::{ItemSerializer, RefBareItem, StringRef, key_ref};

/// The header that every answer has. Its name has no separator, so no other spelling of it becomes the same variable in CGI.
pub(crate) const CLOAKROOM: HeaderName = HeaderName::from_static("cloakroom");
/// The header that many applications read, without a syntax for "nobody". Only sent if it is asked for.
pub(crate) const REMOTE_USER: HeaderName = HeaderName::from_static("remote-user");

/// What the header says if nobody is signed in: false, as RFC 9651 writes it.
pub(crate) const NOBODY: HeaderValue = HeaderValue::from_static("?0");

/// Somebody who is signed in.
pub(crate) struct Identity {
    user: UserId,
    session: SessionId,
}

/// The user's id cannot be the value of `Remote-User`.
#[derive(Debug, PartialEq)]
pub(crate) struct NoRemoteUser;

impl fmt::Display for NoRemoteUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "the user's id cannot be sent in Remote-User: it must be printable ASCII without a space at its ends. Read the header \
             Cloakroom instead, and turn Remote-User off",
        )
    }
}

impl Identity {
    /// Returns who is signed in, or `None` for everybody else, also for visitors who have a session.
    pub(crate) fn of(session: &Session) -> Option<Identity> {
        Some(Identity { user: session.user()?, session: session.id()? })
    }

    /// Returns the headers that name this user.
    ///
    /// # Errors
    /// Returns an error if `Remote-User` is asked for and cannot hold the user's id as it is.
    pub(crate) fn headers(&self, remote_user: bool) -> Result<HeaderMap, NoRemoteUser> {
        let mut headers = HeaderMap::from_iter([(CLOAKROOM, self.structured())]);
        if remote_user {
            headers.insert(REMOTE_USER, plain(self.user.as_str()).ok_or(NoRemoteUser)?);
        }
        Ok(headers)
    }

    /// Returns `?1;user="42";id="..."`. A user id that is not printable ASCII becomes a Display String: `user=%"zo%c3%ab"`. (RFC
    /// 9651, sections 3.3.3 and 3.3.8)
    fn structured(&self) -> HeaderValue {
        let user = self.user.as_str();
        let user = StringRef::from_str(user).map_or(RefBareItem::DisplayString(user), RefBareItem::String);
        let id = self.session.to_string();
        let id = StringRef::from_str(&id).expect("an id is base64url");
        let text = ItemSerializer::new()
            .bare_item(true)
            .parameter(key_ref("user"), user)
            .parameter(key_ref("id"), id)
            .finish();
        HeaderValue::try_from(text).expect("a structured field is printable ASCII")
    }
}

/// Returns a user id as the value of a header if every server reads it back as it is: printable ASCII, and no space at an end, which
/// would be taken away.
fn plain(user: &str) -> Option<HeaderValue> {
    let is_printable = user.bytes().all(|b| (b' '..=b'~').contains(&b));
    (is_printable && user.trim() == user).then(|| HeaderValue::try_from(user).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(user: &str) -> Identity {
        Identity {
            user: UserId::try_from(user).expect("a user id"),
            session: SessionId::parse("Zk3V0pXq1mB8sT5rYw2uCg").expect("a session id"),
        }
    }

    #[test]
    fn the_header_names_the_user_as_a_string_and_everybody_else_as_a_display_string() {
        for (user, written) in [
            ("42", r#""42""#),
            ("ada@shop.example", r#""ada@shop.example""#),
            (r#"a"b\c;id="x""#, r#""a\"b\\c;id=\"x\"""#),
            (" ", r#"" ""#),
            ("Zoë", r#"%"Zo%c3%ab""#),
            ("a\r\nRemote-User: root", r#"%"a%0d%0aRemote-User: root""#),
            ("\u{202e}100%", r#"%"%e2%80%ae100%25""#),
        ] {
            let headers = identity(user).headers(false).expect("no other header");
            assert_eq!(headers.len(), 1);
            assert_eq!(headers[CLOAKROOM], format!(r#"?1;user={written};id="Zk3V0pXq1mB8sT5rYw2uCg""#), "{user:?}");
        }
    }

    #[test]
    fn a_user_id_is_in_remote_user_as_it_is_or_refused() {
        for user in ["42", "ada lovelace", "a,b", "{env.HOME}", "~"] {
            assert_eq!(identity(user).headers(true).expect("printable")[REMOTE_USER], user);
        }
        for user in [" ", " a", "a ", "a\tb", "a\nb", "Zoë", "\u{7f}"] {
            assert_eq!(identity(user).headers(true).err(), Some(NoRemoteUser), "{user:?}");
        }
    }
}
