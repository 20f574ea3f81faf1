//! Takes a visitor over from the sessions that the application had before, and ends the former session when it has to.

use super::Session;
use super::sign_in::SigningIn;
use super::state::TokenChange;
use crate::adoption::{Adoption, FormerCookie, FormerSession};
use crate::error::Result;
use crate::events::{Event, RevokeReason};

impl Session {
    /// Does with the former cookie of a request what has to be done when its session is opened:
    ///
    /// - A browser that brings no token of ours is taken over.
    /// - A browser that brings a token which opens a session has shown that it has our cookie. The former session has done its
    ///   service, unless the former application is still there.
    /// - A browser that brings a token which opens nothing was here before, and its session has ended. The former session must
    ///   not open it again.
    pub(super) async fn meet_former(&self) -> Result<()> {
        let Some((adoption, cookie)) = self.former() else { return Ok(()) };
        let (has_session, was_here) = {
            let state = self.state();
            (state.current.is_some() || !state.rivals.is_empty(), !state.unopened.is_empty())
        };
        if has_session || was_here {
            if was_here || !adoption.is_side_by_side {
                self.end_former_quietly().await;
            }
            return Ok(());
        }
        let timeout = self.sessions().config().store_timeout;
        match adoption.find(cookie, timeout).await? {
            Some(found) => self.take_over(found, adoption).await,
            None => {
                // nobody needs this cookie any more, and without it nobody is asked again
                self.state().former_is_over = !adoption.is_side_by_side;
                Ok(())
            }
        }
    }

    async fn take_over(&self, found: FormerSession, adoption: &Adoption) -> Result<()> {
        self.state().is_taking_over = true;
        let taken = self.make_like(found).await;
        self.state().is_taking_over = false;
        match taken {
            Ok(()) => {
                if let Some(session) = self.id() {
                    self.sessions().tell(Event::Adopted { session, user: self.user() });
                }
                // the browser has only one of the two cookies, so it will never show that it has ours
                if adoption.is_replaced_by(&self.sessions().config().cookie) {
                    self.end_former_quietly().await;
                }
                Ok(())
            }
            Err(error) => {
                self.discard().await;
                if !error.is_limit() {
                    return Err(error);
                }
                tracing::warn!(target: "cloakroom", %error, "a former session was not taken over");
                Ok(())
            }
        }
    }

    async fn make_like(&self, found: FormerSession) -> Result<()> {
        let FormerSession { user, fields, auth_time, idle_timeout, absolute_lifetime, cookie_max_age } = found;
        {
            let mut state = self.state();
            for (name, text) in fields.iter() {
                state.pending.set(name, text.to_owned());
            }
        }
        self.begin()?;
        let Some(user) = user else {
            if let Some(idle) = idle_timeout {
                self.set_idle_timeout(idle)?;
            }
            return self.commit().await;
        };
        self.commit().await?;
        let auth_time = Some(auth_time);
        SigningIn { idle_timeout, absolute_lifetime, cookie_max_age, auth_time, ..self.sign_in(user) }.await
    }

    /// Ends what was made of a former session that could not be taken over. The browser never hears of it.
    async fn discard(&self) {
        if let Some(made) = self.presented()
            && let Err(error) = self.end_all(&[made], RevokeReason::Application).await
        {
            tracing::warn!(target: "cloakroom", session = %made.id, %error, "a session that nobody has was not ended");
        }
        let mut state = self.state();
        state.start_over();
        state.token = TokenChange::None;
    }

    /// Ends the former session of this browser, because its visitor wants to be signed out. If there is none, this does
    /// nothing.
    ///
    /// # Errors
    /// Returns a store error if the former session may still be live.
    pub(super) async fn end_former_session(&self) -> Result<()> {
        let Some((adoption, cookie)) = self.former().filter(|_| !self.state().former_is_over) else { return Ok(()) };
        adoption.end(cookie, self.sessions().config().store_timeout).await?;
        self.state().former_is_over = true;
        Ok(())
    }

    /// Ends the former session, which nobody has asked for: if it fails, the next request tries again.
    async fn end_former_quietly(&self) {
        if let Err(error) = self.end_former_session().await {
            tracing::warn!(target: "cloakroom", %error, "a former session was not ended");
        }
    }

    fn former(&self) -> Option<(&Adoption, &FormerCookie)> {
        self.sessions().config().adoption.as_ref().zip(self.0.former.as_deref())
    }
}
