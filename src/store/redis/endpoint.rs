//! The ways to a server: directly to its address, or by asking sentinels which server is the primary.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::RedisResult;
use redis::aio::MultiplexedConnection;

use super::client_error::failed;
use super::dial::Dialer;
use super::near::{self, Near, Tracking};
use super::role;
use super::sentinels::Sentinels;

/// How often the primary is looked for if it is replaced while the connection is being made.
const ATTEMPTS: usize = 3;

/// How a connection is made, each time that a new one is needed.
pub(super) struct Endpoint {
    to: To,
    /// The address without its password, so that it may be shown.
    shown: String,
    near: Option<Arc<Near>>,
}

/// A connection for the questions of all callers.
pub(super) struct Opened {
    pub(super) connection: MultiplexedConnection,
    /// The tracking of changes, if there is a near cache and the server can report changes.
    pub(super) tracking: Option<Arc<Tracking>>,
}

enum To {
    /// The server at an address. One day, another server may have this address.
    Alone { dialer: Dialer, accepts_replica: bool },
    /// A node of a cluster. The cluster says which node is asked.
    Node(Dialer),
    /// The primary that the sentinels name.
    Primary {
        dialer: Dialer,
        sentinels: Sentinels,
        /// The address of the server to which the connection in use leads.
        current: Mutex<Option<String>>,
    },
}

impl Endpoint {
    /// Returns the way to the dialer's own address.
    pub(super) fn alone(dialer: Dialer, accepts_replica: bool, shown: String, near: Option<Arc<Near>>) -> Endpoint {
        Endpoint { to: To::Alone { dialer, accepts_replica }, shown, near }
    }

    /// Returns the way to a node of a cluster, `host:port`.
    ///
    /// # Errors
    /// When the address is not `host:port`.
    pub(super) fn to_node(dialer: &Dialer, address: &str, near: Option<Arc<Near>>) -> RedisResult<Endpoint> {
        Ok(Endpoint { to: To::Node(dialer.to(address)?), shown: address.to_owned(), near })
    }

    pub(super) fn to_primary(dialer: Dialer, sentinels: Sentinels, shown: String, near: Option<Arc<Near>>) -> Endpoint {
        Endpoint { to: To::Primary { dialer, sentinels, current: Mutex::default() }, shown, near }
    }

    /// Returns how long a connection may be silent. Only a near cache sets such a limit.
    pub(super) fn silence_limit(&self) -> Option<Duration> {
        self.near.as_ref().map(|near| near.silence_limit)
    }

    /// Returns whether the connection must not lead to a replica.
    pub(super) fn needs_primary(&self) -> bool {
        !matches!(self.to, To::Node(_) | To::Alone { accepts_replica: true, .. })
    }

    /// Returns whether the connection leads to a node of a cluster.
    pub(super) fn leads_to_node(&self) -> bool {
        matches!(self.to, To::Node(_))
    }

    /// Asks the sentinels, and returns whether they name another server than the one to which the connection in use leads. If so,
    /// connecting again would lead to that other server.
    pub(super) async fn leads_elsewhere(&self, timeout: Duration) -> bool {
        let To::Primary { sentinels, current, .. } = &self.to else { return false };
        let named = sentinels.primary(timeout).await;
        let current = current.lock().unwrap_or_else(PoisonError::into_inner);
        named.is_some() && current.is_some() && named != *current
    }

    /// Opens a connection for the questions of all callers.
    pub(super) async fn open_for_use(&self, timeout: Duration) -> RedisResult<Opened> {
        let (opened, address) = self.open_somewhere(timeout, self.near.as_ref()).await?;
        if let To::Primary { current, .. } = &self.to {
            *current.lock().unwrap_or_else(PoisonError::into_inner) = address;
        }
        Ok(opened)
    }

    /// Opens an additional connection, for another purpose than the questions of all callers.
    pub(super) async fn open(&self, timeout: Duration) -> RedisResult<MultiplexedConnection> {
        Ok(self.open_somewhere(timeout, None).await?.0.connection)
    }

    async fn open_somewhere(
        &self,
        timeout: Duration,
        near: Option<&Arc<Near>>,
    ) -> RedisResult<(Opened, Option<String>)> {
        match &self.to {
            To::Node(dialer) | To::Alone { dialer, accepts_replica: true } => {
                Ok((Opened::on(dialer, timeout, near).await?, None))
            }
            To::Alone { dialer, .. } => Ok((Opened::on_primary(dialer, timeout, near).await?, None)),
            To::Primary { dialer, sentinels, .. } => {
                for _ in 0..ATTEMPTS {
                    let (opened, address) = open_named(dialer, sentinels, timeout, near).await?;
                    // A primary that was cut off still takes itself for the primary when it can be reached again. The
                    // attempt may have waited for it, so the sentinels are asked again whether it is still the primary.
                    let named = sentinels.primary(timeout).await;
                    if named.as_ref().is_none_or(|named| *named == address) {
                        return Ok((opened, Some(address)));
                    }
                }
                Err(failed("the sentinels name another primary than the one that was reached"))
            }
        }
    }
}

/// Connects to the first server that the sentinels name and that takes itself for a primary.
async fn open_named(
    dialer: &Dialer,
    sentinels: &Sentinels,
    timeout: Duration,
    near: Option<&Arc<Near>>,
) -> RedisResult<(Opened, String)> {
    let mut failure = failed("the sentinels name no primary");
    for address in sentinels.candidates(timeout).await? {
        match Opened::on_primary(&dialer.to(&address)?, timeout, near).await {
            Ok(opened) => return Ok((opened, address)),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

impl Opened {
    async fn on(dialer: &Dialer, timeout: Duration, near: Option<&Arc<Near>>) -> RedisResult<Opened> {
        let (connection, tracking) = match near {
            None => (dialer.open(timeout).await?, None),
            Some(near) => near::open(dialer, timeout, near).await?,
        };
        Ok(Opened { connection, tracking })
    }

    async fn on_primary(dialer: &Dialer, timeout: Duration, near: Option<&Arc<Near>>) -> RedisResult<Opened> {
        let mut opened = Opened::on(dialer, timeout, near).await?;
        match role::is_replica(&mut opened.connection).await? {
            true => Err(failed("the server is a replica: sessions are read and changed on the primary only")),
            false => Ok(opened),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}
