//! Reads the session again.

use std::time::Duration;

use super::Session;
use super::state::{Current, Source};
use crate::error::{Absence, Error, Result};
use crate::record::Lookup;
use crate::sessions::ReadFrom;

impl Session {
    /// Reads the session from the store again, past a [near cache](crate::store::NearCache), for a route that must not rely
    /// on what was true a moment ago. Immediate: one round trip with a near cache, unless this request has already asked
    /// the store; none without. If the session has ended, this request has none afterwards.
    ///
    /// A handle that is kept after the response shows the session as it was then. On such a handle this always reads the
    /// session again: one round trip. It uses the token of its request, which is still accepted after one rotation, so a
    /// stream or a socket takes [`after_response`](Session::after_response) instead.
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # doctest::with_session(async |session| {
    /// session.sign_in("ada").await?;
    /// session.refresh().await?;
    /// assert!(session.user().is_some());
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// Returns a store error ([`is_store`](Error::is_store)) if the store does not answer.
    pub async fn refresh(&self) -> Result<()> {
        let is_over = self.state().over;
        // to read is allowed even after the head of the response was sent
        let _turn = if is_over { self.0.turn.lock().await } else { self.turn().await? };
        let Some(presented) = self.presented().filter(|_| is_over || self.may_be_outdated()) else {
            return Ok(());
        };
        let lookup = match self.sessions().load(&presented, ReadFrom::Store).await? {
            // the secret was good when its request came, so it is no theft that another one has replaced it since
            Lookup::Replayed(loaded) if is_over => Lookup::Live(loaded),
            Lookup::Replayed(loaded) => {
                self.sessions().replayed(presented.id, loaded.record.user_id.clone()).await?;
                Lookup::Replayed(loaded)
            }
            other => other,
        };
        self.state().found_again(presented, lookup);
        Ok(())
    }

    /// Whether the session was read out of a near cache, and may have changed since.
    fn may_be_outdated(&self) -> bool {
        self.sessions().may_be_near() && self.state().current.as_ref().is_some_and(Current::may_be_outdated)
    }

    /// Reloads the session after a jittered delay.
    pub(super) async fn reload(&self, attempt: u32) -> Result<()> {
        let mut random = [0; 1];
        getrandom::fill(&mut random).map_err(|_| Error::no_randomness())?;
        tokio::time::sleep(Duration::from_micros(u64::from(attempt) * (200 + 20 * u64::from(random[0])))).await;
        let current = self.state().current.clone().ok_or_else(Error::gone)?;
        let loaded = match current.source {
            Source::ById => self.sessions().load_by_id(&current.presented.id).await?,
            _ => self.sessions().load_again(&current.presented).await?,
        };
        let loaded = loaded.ok_or_else(|| self.gone_because(Absence::Meanwhile))?;
        self.state().see(loaded);
        Ok(())
    }
}
