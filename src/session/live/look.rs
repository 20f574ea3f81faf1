//! Whether the session is still live.

use std::sync::Arc;

use super::{Ended, LiveSession, Source};
use crate::error::{Error, Result};
use crate::record::Lookup;
use crate::sessions::ReadFrom;

/// What has become of a session.
pub(super) enum Look {
    Live,
    /// It has ended, for this reason if that is known.
    Ended(Option<Ended>),
}

impl LiveSession {
    /// Reads the session again, past a [near cache](crate::store::NearCache). One round trip.
    ///
    /// # Errors
    /// Returns [`is_gone`](Error::is_gone) if the session has ended, and a store error ([`is_store`](Error::is_store)) if the
    /// store does not answer.
    pub async fn refresh(&self) -> Result<()> {
        match self.look(ReadFrom::Store).await? {
            Look::Live => Ok(()),
            Look::Ended(_) => Err(Error::gone()),
        }
    }

    /// Returns true if the session is still live. One round trip, or none out of a warm
    /// [near cache](crate::store::NearCache). What the other methods show is as new as this afterwards.
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # doctest::with_sessions(async |sessions| {
    /// # let (_, live) = sessions.create().await?;
    /// assert!(live.is_live().await?);
    /// sessions.revoke(&live.id()).await?;
    /// assert!(!live.is_live().await?);
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// Returns a store error ([`is_store`](Error::is_store)) if the store does not answer. This does not mean that the session
    /// has ended.
    pub async fn is_live(&self) -> Result<bool> {
        Ok(matches!(self.look(ReadFrom::Nearest).await?, Look::Live))
    }

    /// Reads the session as it is now. It takes no turn: somebody who waits for the end of the session, and who is not polled
    /// while another method runs, must not keep that method from running.
    pub(super) async fn look(&self, from: ReadFrom) -> Result<Look> {
        let sessions = self.session.sessions();
        loop {
            let Some(before) = self.session.state().current.clone() else { return Ok(Look::Ended(None)) };
            let lookup = match before.source {
                Source::ById => sessions.load_by_id(&self.id).await?.map_or(Lookup::Gone, Lookup::Live),
                _ => sessions.load(&before.presented, from).await?,
            };
            let mut state = self.session.state();
            let Some(current) = &state.current else { continue };
            let is_as_before = Arc::ptr_eq(&current.loaded.record, &before.loaded.record);
            match lookup {
                // this handle held the secret before another request replaced it, so it is no theft
                Lookup::Live(loaded) | Lookup::Replayed(loaded) => {
                    // what a clone has done meanwhile may be newer
                    if is_as_before {
                        state.see(loaded);
                    }
                    return Ok(Look::Live);
                }
                // a clone has seen that the secret was replaced
                Lookup::Gone | Lookup::Evicted if current.presented != before.presented => {}
                Lookup::Gone => return Ok(Look::Ended(None)),
                Lookup::Evicted => return Ok(Look::Ended(Some(Ended::SignedInElsewhere))),
            }
        }
    }
}
