//! Why there is no session: because this visitor never had one, or because it is over.

use axum::http::{HeaderMap, header};
use cloakroom::{Ended, Session};

/// The cookie over plain http, with its equals sign.
const COOKIE: &[u8] = b"sid=";

/// What is known of a visitor without a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Absence {
    /// They brought no cookie of ours.
    NeverCame,
    /// Their cookie opens nothing any more: its time was up, or it was signed out elsewhere.
    Ended,
    /// It was ended because they signed in elsewhere, in too many places.
    SignedInElsewhere,
}

impl Absence {
    pub(crate) fn of(headers: &HeaderMap, session: &Session) -> Absence {
        match session.ended() {
            Some(Ended::SignedInElsewhere) => Absence::SignedInElsewhere,
            _ if brings_cookie(headers) => Absence::Ended,
            _ => Absence::NeverCame,
        }
    }

    /// In a few words, where there is something to say.
    pub(crate) fn reason(self) -> Option<&'static str> {
        match self {
            Absence::NeverCame => None,
            Absence::Ended => Some("the session expired or was ended"),
            Absence::SignedInElsewhere => Some("signed in elsewhere"),
        }
    }
}

/// Whether the browser sent this demo's cookie, whatever it is worth.
pub(crate) fn brings_cookie(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(header::COOKIE).into_iter().map(|line| line.as_bytes());
    lines.flat_map(|line| line.split(|b| *b == b';')).any(|pair| pair.trim_ascii_start().starts_with(COOKIE))
}
