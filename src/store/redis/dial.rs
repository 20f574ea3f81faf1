//! How every connection is opened. Plain text goes to this machine only, unless it is accepted for others too. The
//! credentials are asked for anew, and the server must have answered before the connection is used.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::{Either, select};
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, ErrorKind, ProtocolVersion, RedisError, RedisResult,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::client_error::failed;
use super::credentials::Source;
use super::plain_text::{self, ThisMachine};

/// How long asking for credentials may take. A cloud provider's credentials come from another server.
const CREDENTIALS_PATIENCE: Duration = Duration::from_secs(10);

/// How long a handshake may take before the server is asked whether it speaks TLS at all. That question may take this long, too.
const SUSPICION: Duration = Duration::from_millis(250);

/// The address of a server, and everything else that is needed to connect to it.
#[derive(Clone)]
pub(super) struct Dialer {
    pub(super) info: ConnectionInfo,
    #[cfg(feature = "tls")]
    pub(super) certificates: Option<redis::TlsCertificates>,
    /// Whether plain text to other machines is accepted.
    pub(super) plain_text: bool,
    /// Where user and password come from. If this is `None`, they are in `info`.
    pub(super) credentials: Option<Source>,
    /// Whether a server has ever answered. Until then it is possible that only one of the two sides uses TLS.
    pub(super) is_understood: Arc<AtomicBool>,
}

impl Dialer {
    /// Returns a dialer with the same settings for another server, `host:port`.
    pub(super) fn to(&self, address: &str) -> RedisResult<Dialer> {
        let unreadable = || failed("a server has an address that is not host:port");
        let (host, port) = address.rsplit_once(':').ok_or_else(unreadable)?;
        let (host, port) = (host.to_owned(), port.parse().map_err(|_| unreadable())?);
        let there = match self.info.addr() {
            ConnectionAddr::TcpTls { insecure, tls_params, .. } => {
                ConnectionAddr::TcpTls { host, port, insecure: *insecure, tls_params: tls_params.clone() }
            }
            _ => ConnectionAddr::Tcp(host, port),
        };
        Ok(Dialer { info: self.info.clone().set_addr(there), ..self.clone() })
    }

    /// Opens a connection. RESP3 is requested after the password was sent, in a command of its own: if both are sent together, a
    /// server that needs no password accepts any password. A server that does not know RESP3 stays with RESP2.
    pub(super) async fn open(&self, timeout: Duration) -> RedisResult<MultiplexedConnection> {
        let mut connection = self.open_with(AsyncConnectionConfig::new(), ProtocolVersion::RESP2, timeout).await?;
        if self.info.redis_settings().protocol().supports_resp3() {
            match redis::cmd("HELLO").arg(3).exec_async(&mut connection).await {
                Err(error) if error.code().is_none() => return Err(error),
                _ => {}
            }
        }
        Ok(connection)
    }

    /// Opens a connection that uses this protocol from the beginning.
    pub(super) async fn open_with(
        &self,
        config: AsyncConnectionConfig,
        protocol: ProtocolVersion,
        timeout: Duration,
    ) -> RedisResult<MultiplexedConnection> {
        let mut config = config.set_connection_timeout(Some(timeout)).set_response_timeout(Some(timeout));
        self.check_plain_text()?;
        if !self.plain_text && matches!(self.info.addr(), ConnectionAddr::Tcp(..)) {
            config = config.set_dns_resolver(ThisMachine);
        }
        let client = self.client(self.info_now(protocol).await?)?;
        let opened = match self.is_understood.load(Ordering::Relaxed) {
            true => answering(&client, &config).await,
            false => self.explained(answering(&client, &config)).await,
        };
        self.is_understood.fetch_or(opened.is_ok(), Ordering::Relaxed);
        opened
    }

    /// Waits for `opening` and returns its result. If it fails because only one of the two sides uses TLS, the error says so.
    async fn explained<T>(&self, opening: impl Future<Output = RedisResult<T>>) -> RedisResult<T> {
        match self.info.addr() {
            ConnectionAddr::TcpTls { host, port, .. } => {
                // a server without TLS may wait for the end of a line, and so never answer the handshake
                let opened = match select(pin!(opening), pin!(found_without_tls(host, *port))).await {
                    Either::Left((opened, _)) => opened,
                    Either::Right(_) => return Err(without_tls()),
                };
                match opened {
                    Err(error) if may_be_misunderstood(&error) && is_without_tls(host, *port).await => {
                        Err(without_tls())
                    }
                    opened => opened,
                }
            }
            ConnectionAddr::Tcp(host, port) => match opening.await {
                Err(error) if may_be_misunderstood(&error) && has_tls(host, *port, !self.plain_text).await => {
                    Err(failed("the server speaks TLS on this port: use rediss:// instead of redis://"))
                }
                opened => opened,
            },
            _ => opening.await,
        }
    }

    /// Refuses an address to which plain text must not go.
    pub(super) fn check_plain_text(&self) -> RedisResult<()> {
        if self.plain_text { Ok(()) } else { plain_text::check(self.info.addr()) }
    }

    /// Returns the address and the settings, with credentials that are asked for now.
    async fn info_now(&self, protocol: ProtocolVersion) -> RedisResult<ConnectionInfo> {
        let mut settings = self.info.redis_settings().clone().set_protocol(protocol);
        if let Some(source) = &self.credentials {
            let asked = tokio::time::timeout(CREDENTIALS_PATIENCE, source.ask()).await;
            let credentials = asked.map_err(|_| failed("no credentials: they took longer than ten seconds"))?;
            let credentials = credentials.map_err(failed)?;
            if let Some(name) = credentials.username {
                settings = settings.set_username(name);
            }
            settings = settings.set_password(credentials.password);
        }
        Ok(self.info.clone().set_redis_settings(settings))
    }

    /// Returns the client library's own client for one connection.
    ///
    /// # Errors
    /// When a certificate cannot be read.
    pub(super) fn client(&self, info: ConnectionInfo) -> RedisResult<Client> {
        #[cfg(feature = "tls")]
        if let (ConnectionAddr::TcpTls { .. }, Some(certificates)) = (info.addr(), &self.certificates) {
            return Client::build_with_tls(info, certificates.clone());
        }
        Client::open(info)
    }
}

/// Shows only the address.
impl fmt::Display for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&address_of(self.info.addr()).unwrap_or_default())
    }
}

/// Returns `host:port`, or `None` for an address of another kind, such as a socket's path.
pub(super) fn address_of(address: &ConnectionAddr) -> Option<String> {
    match address {
        ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => Some(format!("{host}:{port}")),
        _ => None,
    }
}

/// Opens a connection and checks with a PING that the server answers. The library alone does not notice a server that wants a
/// password, or that is still loading its data.
async fn answering(client: &Client, config: &AsyncConnectionConfig) -> RedisResult<MultiplexedConnection> {
    let mut connection = client.get_multiplexed_async_connection_with_config(config).await?;
    match redis::cmd("PING").exec_async(&mut connection).await {
        // a server that forbids this user a PING has accepted the user
        Err(error) if error.code() != Some("NOPERM") => Err(error),
        _ => Ok(connection),
    }
}

/// Returns whether the reason of this error may be that only one of the two sides uses TLS.
fn may_be_misunderstood(error: &RedisError) -> bool {
    let has_answered = error.code().is_some() || error.kind() == ErrorKind::AuthenticationFailed;
    !has_answered && !error.is_timeout() && !error.is_connection_refusal()
}

fn without_tls() -> RedisError {
    failed("the server speaks no TLS on this port: name its TLS port, or use redis:// instead of rediss://")
}

/// Waits for a while, and then asks the server in plain text. Returns if the server speaks no TLS; otherwise never returns.
async fn found_without_tls(host: &str, port: u16) {
    tokio::time::sleep(SUSPICION).await;
    if !is_without_tls(host, port).await {
        std::future::pending().await
    }
}

/// Returns whether a server answers in plain text. Sends nothing but a PING.
async fn is_without_tls(host: &str, port: u16) -> bool {
    matches!(first_byte(host, port, false, b"PING\r\n").await, Some(b'+' | b'-'))
}

/// Returns whether a server speaks TLS. Sends nothing but the beginning of a handshake that the server must refuse. If `is_here`
/// says that the server must be on this machine and it is not, this sends nothing at all.
async fn has_tls(host: &str, port: u16, is_here: bool) -> bool {
    // a TLS record of the type handshake, with a ClientHello of one byte
    const HELLO: &[u8] = &[22, 3, 1, 0, 5, 1, 0, 0, 1, 0];
    const ALERT: u8 = 21;
    first_byte(host, port, is_here, HELLO).await == Some(ALERT)
}

async fn first_byte(host: &str, port: u16, is_here: bool, said: &[u8]) -> Option<u8> {
    let asked = async {
        let found = tokio::net::lookup_host((host, port)).await?;
        let found: Vec<_> = found.filter(|address| !is_here || plain_text::is_loopback(address.ip())).collect();
        let mut stream = TcpStream::connect(&found[..]).await?;
        stream.write_all(said).await?;
        stream.read_u8().await
    };
    tokio::time::timeout(SUSPICION, asked).await.ok()?.ok()
}
