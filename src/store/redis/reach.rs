//! The ways to a server: straight to its address, or by asking sentinels which one is the primary.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::sentinel::SentinelClient;
use redis::{Client, ConnectionAddr, ConnectionInfo, ErrorKind, ProtocolVersion, RedisResult};

use super::link::{in_protocol, open};
use super::near::{self, Near, Sight};
use super::sentinels::Sentinels;

/// How often the primary is looked for when one is made while it is being replaced.
const ATTEMPTS: usize = 3;

/// How one connection is made, again and again.
pub(super) struct Way {
    client: To,
    /// The address as it may be shown: without its password.
    shown: String,
    near: Option<Arc<Near>>,
}

/// A connection for the questions of all callers.
pub(super) struct Opened {
    pub(super) connection: MultiplexedConnection,
    /// With a near cache, where the server can tell what changes.
    pub(super) sight: Option<Arc<Sight>>,
}

enum To {
    Server(Client),
    /// The library asks the sentinels, and checks the role of the server that they name.
    Primary {
        client: tokio::sync::Mutex<SentinelClient>,
        sentinels: Sentinels,
        /// Where the connection leads that is in use.
        current: Mutex<Option<String>>,
    },
}

impl Way {
    pub(super) fn to_primary(
        client: SentinelClient,
        sentinels: Sentinels,
        shown: String,
        near: Option<Arc<Near>>,
    ) -> Way {
        let client = tokio::sync::Mutex::new(client);
        Way { client: To::Primary { client, sentinels, current: Mutex::default() }, shown, near }
    }

    /// With a near cache: how long a connection may be silent.
    pub(super) fn silence_limit(&self) -> Option<Duration> {
        self.near.as_ref().map(|near| near.silence_limit)
    }

    /// Whether connecting again may lead to another server.
    pub(super) fn may_lead_elsewhere(&self) -> bool {
        matches!(self.client, To::Primary { .. })
    }

    /// Whether it would: the sentinels name another server than that of the connection in use.
    pub(super) async fn leads_elsewhere(&self, timeout: Duration) -> bool {
        let To::Primary { sentinels, current, .. } = &self.client else { return false };
        let named = sentinels.primary(timeout).await;
        let current = current.lock().unwrap_or_else(PoisonError::into_inner);
        named.is_some() && current.is_some() && named != *current
    }

    /// A connection for the questions of all callers.
    pub(super) async fn open_for_use(&self, timeout: Duration) -> RedisResult<Opened> {
        let (opened, address) = self.open_somewhere(timeout, self.near.as_ref()).await?;
        if let To::Primary { current, .. } = &self.client {
            *current.lock().unwrap_or_else(PoisonError::into_inner) = address;
        }
        Ok(opened)
    }

    /// One more.
    pub(super) async fn open(&self, timeout: Duration) -> RedisResult<MultiplexedConnection> {
        Ok(self.open_somewhere(timeout, None).await?.0.connection)
    }

    async fn open_somewhere(
        &self,
        timeout: Duration,
        near: Option<&Arc<Near>>,
    ) -> RedisResult<(Opened, Option<String>)> {
        match &self.client {
            To::Server(client) => Ok((Opened::on(client, timeout, near).await?, None)),
            To::Primary { client, sentinels, .. } => {
                for _ in 0..ATTEMPTS {
                    let find = async { client.lock().await.async_get_client().await };
                    let found = tokio::time::timeout(timeout * (sentinels.count() + 1), find).await;
                    let found = found.map_err(|_| (ErrorKind::Io, "no sentinel has named the primary in time"))??;
                    // the library's own look at the primary's role is taken in the older protocol, which all know
                    let newer = in_protocol(found.get_connection_info().clone(), ProtocolVersion::RESP3);
                    let opened = Opened::on(&Client::open(newer)?, timeout, near).await?;
                    let address = address_of(found.get_connection_info().addr());
                    // A server that is cut off answers once it is reached again, as the primary that it was. Whoever
                    // has waited for it must ask again whether it still is.
                    let named = sentinels.primary(timeout).await;
                    if named.is_none() || named == address {
                        return Ok((opened, address));
                    }
                }
                Err((ErrorKind::Client, "the sentinels name another primary than the one that was reached").into())
            }
        }
    }
}

impl Opened {
    async fn on(client: &Client, timeout: Duration, near: Option<&Arc<Near>>) -> RedisResult<Opened> {
        let (connection, sight) = match near {
            None => (open(client, timeout).await?, None),
            Some(near) => near::open(client, timeout, near).await?,
        };
        Ok(Opened { connection, sight })
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

/// What all connections of a store have in common: user, password, database, certificates, the near cache.
#[derive(Clone)]
pub(super) struct Access {
    pub(super) info: ConnectionInfo,
    #[cfg(feature = "tls")]
    pub(super) certificates: Option<redis::TlsCertificates>,
    pub(super) near: Option<Arc<Near>>,
}

impl Access {
    /// The way to the address of the URL.
    pub(super) fn way(&self, shown: String) -> RedisResult<Way> {
        let client = To::Server(self.client(self.info.clone())?);
        Ok(Way { client, shown, near: self.near.clone() })
    }

    /// The way to another node of the same cluster, `host:port`.
    pub(super) fn way_to(&self, address: &str) -> RedisResult<Way> {
        let unreadable = || (ErrorKind::Client, "a cluster's node has an address that is not host:port");
        let (host, port) = address.rsplit_once(':').ok_or_else(unreadable)?;
        let (host, port) = (host.to_owned(), port.parse().map_err(|_| unreadable())?);
        let address_of_node = match self.info.addr() {
            ConnectionAddr::TcpTls { insecure, tls_params, .. } => {
                ConnectionAddr::TcpTls { host, port, insecure: *insecure, tls_params: tls_params.clone() }
            }
            _ => ConnectionAddr::Tcp(host, port),
        };
        let client = self.client(self.info.clone().set_addr(address_of_node))?;
        Ok(Way { client: To::Server(client), shown: address.to_owned(), near: self.near.clone() })
    }

    pub(super) fn client(&self, info: ConnectionInfo) -> RedisResult<Client> {
        #[cfg(feature = "tls")]
        if let (ConnectionAddr::TcpTls { .. }, Some(certificates)) = (info.addr(), &self.certificates) {
            return Client::build_with_tls(info, certificates.clone());
        }
        Client::open(info)
    }
}

/// `host:port`, where it is one.
pub(super) fn address_of(address: &ConnectionAddr) -> Option<String> {
    match address {
        ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => Some(format!("{host}:{port}")),
        _ => None,
    }
}
