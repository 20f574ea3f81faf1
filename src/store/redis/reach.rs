//! The ways to a server: straight to its address, or by asking sentinels which one is the primary.

use std::fmt;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::sentinel::SentinelClient;
use redis::{Client, ConnectionAddr, ConnectionInfo, ErrorKind, RedisResult};

use super::link::open;

/// How one connection is made, again and again.
pub(super) struct Way {
    client: To,
    /// The address as it may be shown: without its password.
    shown: String,
}

enum To {
    Server(Client),
    /// The library asks one sentinel after the other, and checks the role of the server that they name.
    Primary {
        sentinels: tokio::sync::Mutex<SentinelClient>,
        count: u32,
    },
}

impl Way {
    pub(super) fn to_primary(sentinels: SentinelClient, count: usize, shown: String) -> Way {
        Way { client: To::Primary { sentinels: tokio::sync::Mutex::new(sentinels), count: count as u32 }, shown }
    }

    /// Whether connecting again may lead to another server.
    pub(super) fn may_lead_elsewhere(&self) -> bool {
        matches!(self.client, To::Primary { .. })
    }

    pub(super) async fn open(&self, timeout: Duration) -> RedisResult<MultiplexedConnection> {
        match &self.client {
            To::Server(client) => open(client, timeout).await,
            To::Primary { sentinels, count } => {
                let find = async { sentinels.lock().await.async_get_client().await };
                let client = tokio::time::timeout(timeout * (count + 1), find).await;
                open(&client.map_err(|_| (ErrorKind::Io, "no sentinel has named the primary in time"))??, timeout).await
            }
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

/// What all connections of a store have in common: user, password, database, certificates.
#[derive(Clone)]
pub(super) struct Access {
    pub(super) info: ConnectionInfo,
    #[cfg(feature = "tls")]
    pub(super) certificates: Option<redis::TlsCertificates>,
}

impl Access {
    /// The way to the address of the URL.
    pub(super) fn way(&self, shown: String) -> RedisResult<Way> {
        Ok(Way { client: To::Server(self.client(self.info.clone())?), shown })
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
        Ok(Way { client: To::Server(client), shown: address.to_owned() })
    }

    fn client(&self, info: ConnectionInfo) -> RedisResult<Client> {
        #[cfg(feature = "tls")]
        if let (ConnectionAddr::TcpTls { .. }, Some(certificates)) = (info.addr(), &self.certificates) {
            return Client::build_with_tls(info, certificates.clone());
        }
        Client::open(info)
    }
}
