//! Waits for the end of a session.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::look::Look;
use super::{Ended, LiveSession};
use crate::error::Result;
use crate::sessions::ReadFrom;
use crate::store::Watch;

/// For how many intervals a store may be away before this is told.
const PATIENCE: u32 = 3;
/// A session that is about to expire is not asked for more often than this.
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);

impl LiveSession {
    /// Sets how often [`ended`](LiveSession::ended) asks the store whether the session is still live. Default: 10 seconds. A
    /// time below 10 milliseconds counts as 10 milliseconds.
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # use std::time::Duration;
    /// # doctest::with_session(async |session| {
    /// # session.sign_in("ada").await?;
    /// let live = session.after_response().await?.check_every(Duration::from_secs(2));
    /// # live.end().await?;
    /// live.ended().await?;
    /// # Ok(())
    /// # });
    /// ```
    pub fn check_every(self, interval: Duration) -> LiveSession {
        LiveSession { interval: interval.max(SHORTEST_PAUSE), ..self }
    }

    /// Waits until the session has ended: by a sign-out anywhere, because it was revoked or evicted, or because its time is
    /// over. Returns the reason, if it is known. To stop waiting, drop the future: nothing is left behind.
    ///
    /// | sessions are kept in | the end is heard of |
    /// | --- | --- |
    /// | [`Memory`](crate::store::Memory), [`Embedded`](crate::store::Embedded) | immediately |
    /// | Redis with a [near cache](crate::store::NearCache) | immediately, by Redis's push; within the [interval](LiveSession::check_every) if the connection was lost meanwhile |
    /// | Redis without one, other stores | within the interval |
    ///
    /// Each time it asks costs one round trip, or none where the store has the session in memory. With a near cache it also
    /// asks after each change that others make to the session.
    ///
    /// A store that does not answer is no end of the session. This goes on to ask at the interval, and logs a warning. Only when
    /// the store has not answered for three intervals it returns the error, so that the caller decides: nobody knows by
    /// then whether the session still lives. Called again, it waits anew.
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # doctest::with_session(async |session| {
    /// # session.sign_in("ada").await?;
    /// let live = session.after_response().await?;
    /// let socket = async {
    ///     tokio::select! {
    ///         ended = live.ended() => println!("close the socket: {ended:?}"),
    ///         () = std::future::pending() => println!("in the real application: a message came"),
    ///     }
    /// };
    /// # let other = async { live.end().await.unwrap() };
    /// # tokio::join!(socket, other);
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// Returns a store error ([`is_store`](crate::Error::is_store)) if the store has not answered for three intervals.
    pub async fn ended(&self) -> Result<Option<Ended>> {
        let mut answered = Instant::now();
        let mut is_warned = false;
        loop {
            // watched before it is read: what happens in between is not missed
            let watch = self.session.sessions().watch(&self.id);
            let pause = match self.look(ReadFrom::Nearest).await {
                Ok(Look::Ended(why)) => return Ok(why),
                Ok(Look::Live) => {
                    (answered, is_warned) = (Instant::now(), false);
                    self.interval.min(self.remaining()).max(SHORTEST_PAUSE)
                }
                Err(error) if !error.is_store() || answered.elapsed() >= PATIENCE * self.interval => return Err(error),
                Err(error) => {
                    if !is_warned {
                        tracing::warn!(target: "cloakroom", session = %self.id, %error,
                            "it is not known whether the session of a stream is still live: it is asked again");
                    }
                    is_warned = true;
                    self.interval
                }
            };
            wait(watch, pause).await;
        }
    }
}

/// Waits until something has happened to the session, or until it is time to ask.
async fn wait(watch: Option<Watch>, pause: Duration) {
    match watch {
        // that it is time to ask is no error
        Some(mut watch) => drop(timeout(pause, watch.changed()).await),
        None => sleep(pause).await,
    }
}
