//! Hands a token over to a client that keeps it itself.

use super::Session;
use super::state::TokenChange;
use crate::error::{Error, Result};
use crate::record::Token;

impl Session {
    /// Takes the token that this request has made, so that the handler can give it to the client in the body of its response.
    /// The client sends it back in the header `Authorization: Bearer`. The response then sets no cookie, and no cache keeps
    /// it. No round trip.
    ///
    /// A token is made when a user signs in, when a session is created ([`commit`](Session::commit) does so immediately), and by
    /// [`rotate`](Session::rotate) and [`elevate`](Session::elevate). It can be taken once, because the server does not keep it. If
    /// the request brought the session's token in a cookie, that cookie is removed.
    ///
    /// ```
    /// use cloakroom::{Error, Session};
    ///
    /// // the answer to a mobile application that has sent a name and a password
    /// async fn sign_in(session: Session) -> Result<String, Error> {
    ///     session.sign_in(42).await?;
    ///     Ok(session.take_token()?.expose().to_owned())
    /// }
    /// ```
    ///
    /// # Errors
    /// Returns a configuration error unless [`bearer_tokens`](crate::ConfigBuilder::bearer_tokens) are on. Returns an error,
    /// 500, if this request has made no token, or if it was taken before, or if the head of the response was already sent.
    pub fn take_token(&self) -> Result<Token> {
        if !self.sessions().config().bearer.is_on {
            let reason =
                "are off, so no client can send a token that it keeps itself: call `bearer_tokens` on the builder";
            return Err(Error::config("bearer_tokens", reason));
        }
        let mut state = self.open_state()?;
        match std::mem::take(&mut state.token) {
            TokenChange::Set(token, _) => {
                state.is_taken = true;
                Ok(token)
            }
            other => {
                state.token = other;
                let reason = "has no token to take: this request has made none, or it was taken before. Call `take_token` \
                              once, after `sign_in`, or after `commit` has made the session";
                Err(Error::invalid("the session", reason))
            }
        }
    }
}
