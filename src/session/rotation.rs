//! A new secret for a session.

use super::Session;
use super::state::{Minted, Purpose};
use crate::error::{Error, Result};
use crate::record::{Change, Credentials, FieldChanges, Rotation, SecretHash, Token};

impl Session {
    /// Gives the session a new secret and the browser a new token. The old secret is accepted until shortly after the
    /// browser has first presented the new one, so that requests that run in parallel are not lost. Immediate: one round
    /// trip. Without a session nothing happens.
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # doctest::with_session(async |session| {
    /// session.sign_in("ada").await?;
    /// let before = session.id();
    /// session.rotate().await?;
    /// assert_eq!(session.id(), before); // the token is new, the session is not
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// Returns [`is_conflict`](crate::Error::is_conflict) if another request has just rotated the session,
    /// [`is_gone`](crate::Error::is_gone) if the session has ended, and a configuration error with plain tokens, which
    /// cannot rotate.
    pub async fn rotate(&self) -> Result<()> {
        self.sessions().need_secrets()?;
        let _turn = self.turn().await?;
        match self.presented() {
            Some(presented) => self.change_secret(presented, rotation(false)).await,
            None => self.nothing_there(),
        }
    }

    /// Rotates the session at a change of privilege. The old secret is worthless immediately, so that a token that leaked
    /// before does not gain the new privilege. A sign-in does this by itself. Immediate: one round trip.
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # use cloakroom::Field;
    /// # doctest::with_session(async |session| {
    /// const IS_ADMIN: Field<bool> = Field::new("is_admin");
    ///
    /// session.sign_in("ada").await?;
    /// session.set(IS_ADMIN, &true)?;
    /// session.elevate().await?;
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// Returns the errors of [`rotate`](Session::rotate). A request that brought a held previous secret gets
    /// [`is_conflict`](crate::Error::is_conflict).
    pub async fn elevate(&self) -> Result<()> {
        self.sessions().need_secrets()?;
        let _turn = self.turn().await?;
        match self.presented() {
            Some(presented) => self.change_secret(presented, rotation(true)).await,
            None => self.nothing_there(),
        }
    }

    /// Makes a change that comes with a new secret.
    pub(super) async fn change_secret(
        &self,
        presented: Credentials,
        change: impl FnOnce(SecretHash) -> Change,
    ) -> Result<()> {
        let token = match std::mem::take(&mut self.state().minted) {
            Minted::ForRotation(token) => token,
            _ => Token::with_new_secret(&presented.id)?,
        };
        self.change_secret_to(token, presented, change).await
    }

    /// Makes a change that comes with the secret of this token.
    pub(super) async fn change_secret_to(
        &self,
        token: Token,
        presented: Credentials,
        change: impl FnOnce(SecretHash) -> Change,
    ) -> Result<()> {
        let secret_hash = token.presented().secret_hash.ok_or_else(Error::gone)?;
        self.send(token, Purpose::Change(presented, Box::new(change(secret_hash)))).await
    }
}

/// A rotation that changes nothing else.
fn rotation(drop_previous: bool) -> impl FnOnce(SecretHash) -> Change {
    move |secret_hash| Rotation { secret_hash, drop_previous, fields: FieldChanges::default() }.into()
}
