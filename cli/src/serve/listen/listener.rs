//! One address that is listened on, and what comes there.

use std::io;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
#[cfg(unix)]
use tokio::net::{UnixListener, UnixStream};

use super::address::Address;
#[cfg(unix)]
use super::socket_file::SocketFile;
use crate::failure::Failure;

/// How long to wait when the process may open no more files, before it tries to accept again.
const UNTIL_FILES_ARE_FREE: Duration = Duration::from_millis(200);

/// An address that is listened on.
pub(crate) enum Listener {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(UnixListener, SocketFile),
}

/// What was accepted.
pub(crate) enum Stream {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

impl Listener {
    /// Begins to listen. A Unix socket that a dead process has left is replaced.
    ///
    /// # Errors
    /// Returns an error if the address is in use or not allowed.
    pub(crate) async fn bind(address: &Address) -> Result<Listener, Failure> {
        let cannot = |error: io::Error| {
            Failure::failed(format!("cannot listen on {address}: {error}. Choose another address with --listen"))
        };
        match address {
            Address::Tcp(address) => Ok(Listener::Tcp(TcpListener::bind(address).await.map_err(cannot)?)),
            #[cfg(unix)]
            Address::Unix(path) => {
                let (listener, file) = SocketFile::listen(path).map_err(cannot)?;
                Ok(Listener::Unix(listener, file))
            }
            #[cfg(not(unix))]
            Address::Unix(_) => Err(cannot(io::ErrorKind::Unsupported.into())),
        }
    }

    /// Returns the address with the port that the system has chosen.
    pub(crate) fn address(&self) -> Address {
        match self {
            // the address is known as long as the socket is open
            Listener::Tcp(listener) => listener.local_addr().map_or(Address::UNKNOWN, Address::Tcp),
            #[cfg(unix)]
            Listener::Unix(_, file) => Address::Unix(file.path().to_owned()),
        }
    }

    /// Waits for the next connection, however long the process has no file left for it.
    pub(super) async fn accept(&self) -> Stream {
        loop {
            let accepted = match self {
                Listener::Tcp(listener) => listener.accept().await.map(|(stream, _)| {
                    // an answer is written at once, so there is nothing to wait for
                    let _ = stream.set_nodelay(true);
                    Stream::Tcp(stream)
                }),
                #[cfg(unix)]
                Listener::Unix(listener, _) => listener.accept().await.map(|(stream, _)| Stream::Unix(stream)),
            };
            match accepted {
                Ok(stream) => return stream,
                Err(error) if is_about_the_caller(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, address = %self.address(), "no connection can be accepted at this moment");
                    tokio::time::sleep(UNTIL_FILES_ARE_FREE).await;
                }
            }
        }
    }
}

/// Whether only this one connection has failed.
fn is_about_the_caller(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
