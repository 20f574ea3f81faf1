//! A network between a client and its server that can be bad in every way. It passes bytes and knows nothing of what they
//! mean.

use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// What is wrong with the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    None,
    /// New connections are closed at once, and old ones at their next byte.
    Drop,
    /// What the server says comes later by this time.
    Delay(Duration),
    /// Half of what the server says arrives, then the connection is closed.
    CutInReply,
    /// The server does what the client asks, but nothing of the answer arrives, and the connection is closed.
    LoseReplies,
    /// Connections stay open, but nothing passes any more in either direction.
    BlackHole,
    /// What the server says comes byte by byte, with this pause.
    Drip(Duration),
}

/// Clones are the same network.
#[derive(Clone)]
pub struct FaultProxy {
    shared: Arc<Shared>,
    port: u16,
}

struct Shared {
    /// The port of the server.
    server: AtomicU16,
    trouble: Mutex<Trouble>,
    changed: Notify,
    /// How often the trouble has hit.
    hits: AtomicU64,
}

impl FaultProxy {
    /// A good network before the server on this port.
    pub async fn before(server: u16) -> FaultProxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().unwrap().port();
        let (trouble, changed) = (Mutex::new(Trouble::None), Notify::new());
        let shared = Arc::new(Shared { server: AtomicU16::new(server), trouble, changed, hits: AtomicU64::new(0) });
        let accepting = shared.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if accepting.trouble() == Trouble::Drop {
                    accepting.hit();
                    continue;
                }
                let server = accepting.server.load(Ordering::SeqCst);
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)).await else { continue };
                client.set_nodelay(true).unwrap();
                server.set_nodelay(true).unwrap();
                tokio::spawn(accepting.clone().join(client, server));
            }
        });
        FaultProxy { shared, port }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// From now on, new connections lead to the server on this port. Open connections stay where they are, as they do behind a
    /// name or a virtual address.
    pub fn switch(&self, server: u16) {
        self.shared.server.store(server, Ordering::SeqCst);
    }

    /// The network has this trouble from now on, also on connections that are open.
    pub fn set(&self, trouble: Trouble) {
        *self.shared.trouble.lock().unwrap() = trouble;
        self.shared.changed.notify_waiters();
    }

    /// How often trouble has hit so far.
    pub fn hits(&self) -> u64 {
        self.shared.hits.load(Ordering::SeqCst)
    }
}

impl Shared {
    fn trouble(&self) -> Trouble {
        *self.trouble.lock().unwrap()
    }

    fn hit(&self) {
        self.hits.fetch_add(1, Ordering::SeqCst);
    }

    async fn join(self: Arc<Self>, client: TcpStream, server: TcpStream) {
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        tokio::select! {
            () = self.forward(from_client, to_server) => {}
            () = self.back(from_server, to_client) => {}
        }
    }

    async fn forward(&self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
        let mut bytes = vec![0; 64 * 1024];
        while let Ok(count @ 1..) = from.read(&mut bytes).await {
            match self.trouble() {
                Trouble::Drop => return self.hit(),
                Trouble::BlackHole => self.swallow().await,
                _ => {}
            }
            if to.write_all(&bytes[..count]).await.is_err() {
                return;
            }
        }
    }

    async fn back(&self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
        let mut bytes = vec![0; 64 * 1024];
        while let Ok(count @ 1..) = from.read(&mut bytes).await {
            let said = &bytes[..count];
            let trouble = self.trouble();
            if trouble != Trouble::None {
                self.hit();
            }
            let passed = match trouble {
                Trouble::None => to.write_all(said).await,
                Trouble::Drop | Trouble::LoseReplies => return,
                Trouble::CutInReply => {
                    let _ = to.write_all(&said[..count / 2]).await;
                    let _ = to.flush().await;
                    return;
                }
                Trouble::Delay(by) => {
                    self.rest(by).await;
                    to.write_all(said).await
                }
                Trouble::BlackHole => return self.swallow().await,
                Trouble::Drip(pause) => self.drip(said, pause, &mut to).await,
            };
            if passed.is_err() {
                return;
            }
        }
    }

    async fn drip(&self, said: &[u8], pause: Duration, to: &mut OwnedWriteHalf) -> std::io::Result<()> {
        for (at, byte) in said.iter().enumerate() {
            if self.trouble() != Trouble::Drip(pause) {
                return to.write_all(&said[at..]).await;
            }
            to.write_all(&[*byte]).await?;
            tokio::time::sleep(pause).await;
        }
        Ok(())
    }

    /// Waits for this long, or until the trouble changes.
    async fn rest(&self, by: Duration) {
        let _ = tokio::time::timeout(by, self.changed.notified()).await;
    }

    /// From here on nothing passes on this connection: bytes that were swallowed cannot be brought back.
    async fn swallow(&self) {
        self.hit();
        std::future::pending().await
    }
}
