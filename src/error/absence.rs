//! Why a request has no session or no signed-in user, as far as that is known. This is for the log and for the error's text;
//! a visitor is not told.

use std::fmt;

/// The reason why a request has no session or no user. `docs/sessions.md` has the same list for operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Absence {
    NoCookie,
    NoToken,
    NoCredential,
    NoBearerToken,
    Unknown,
    Stale,
    Replayed,
    Evicted,
    Rivals,
    Anonymous,
    Meanwhile,
    EndedHere,
}

impl fmt::Display for Absence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Absence::NoCookie => "the request brought no session cookie",
            Absence::NoToken => "the session cookie does not contain a well-formed token",
            Absence::NoCredential => "the request brought neither a session cookie nor a bearer token",
            Absence::NoBearerToken => "the header Authorization does not contain a well-formed token",
            Absence::Unknown => {
                "no session has this token: it was never valid, its session has ended, or its secret was replaced"
            }
            Absence::Stale => {
                "the session has another secret: this token was replaced by a newer one, or never was its token"
            }
            Absence::Replayed => "the token was replaced by a newer one, and its grace period is over",
            Absence::Evicted => "the session was ended because its user signed in elsewhere",
            Absence::Rivals => "the request brought several tokens that each open a session, so none of them was used",
            Absence::Anonymous => "the session has no user",
            Absence::Meanwhile => "the session ended, or its secret was replaced, while the request was being answered",
            Absence::EndedHere => {
                "this request has ended its session itself, by a sign-out or for the sign-in of another user"
            }
        })
    }
}
