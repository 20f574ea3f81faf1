//! What a visitor is told about an error: a text for people and a code for programs, with no detail of the application.

use std::borrow::Cow;

use super::{Error, Kind};

impl Error {
    /// Returns a code for programs that names the kind of error: `store`, `gone`, `signed_out`, `sign_in_not_recent`, `cross_site`,
    /// `ambiguous`, `conflict`, `too_many_sessions`, `malformed`, `too_large` or `internal`. The codes stay the same from version to version.
    pub fn code(&self) -> &'static str {
        match *self.0 {
            Kind::Store(_) | Kind::NoRandomness => "store",
            Kind::Gone(_) => "gone",
            Kind::SignedOut(_) => "signed_out",
            Kind::NotRecent => "sign_in_not_recent",
            Kind::CrossSite(_) => "cross_site",
            Kind::Ambiguous(_) => "ambiguous",
            Kind::Conflict(_) => "conflict",
            Kind::Limit { .. } => "too_many_sessions",
            Kind::Malformed { .. } => "malformed",
            Kind::TooLarge { .. } => "too_large",
            Kind::Config { .. } | Kind::Invalid { .. } | Kind::HeadSent | Kind::NoLayer => "internal",
        }
    }

    /// Returns a text that may be shown to the visitor: what happened and what to do, in English, with no detail of the
    /// application. For the log, use the error itself.
    pub fn public_message(&self) -> Cow<'static, str> {
        match &*self.0 {
            Kind::Store(_) | Kind::NoRandomness => "Sessions are not available at the moment. Please try again.",
            Kind::Gone(_) => "Your session has ended. Please begin again.",
            Kind::SignedOut(_) => "You are not signed in. Please sign in.",
            Kind::NotRecent => "You signed in too long ago for this. Please sign in again.",
            Kind::CrossSite(_) => {
                "This request seems to come from another site and was refused. Please reload the page and try again."
            }
            Kind::Ambiguous(_) => {
                "This request shows who sends it in two ways. Please send either the session cookie or one header \
                 Authorization, and not both."
            }
            Kind::Conflict(_) => "Another request has just changed the same thing. Please try again.",
            Kind::Limit { most } => {
                return format!(
                    "You are signed in on as many devices as are allowed ({most}). Please sign out on one of them first."
                )
                .into();
            }
            Kind::Malformed { .. } => "This request contains something that is not valid. Please check it and try again.",
            Kind::TooLarge { .. } => "This is more than a session can hold. Please send less.",
            Kind::Config { .. } | Kind::Invalid { .. } | Kind::HeadSent | Kind::NoLayer => {
                "Something went wrong on this server."
            }
        }
        .into()
    }
}
