//! The network around servers. A test can cut one of the servers off, or only leave its replicas behind. What is sent
//! meanwhile arrives when the network heals, as with TCP.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

/// The network has a thread of its own, so that a test that waits does not hold it up. It must be dropped outside of any
/// runtime.
pub struct Network {
    runtime: Runtime,
    trouble: watch::Sender<Trouble>,
}

#[derive(Default)]
struct Trouble {
    /// Nothing passes between this server and its replicas. The server is given by its port.
    left_behind: Option<u16>,
    /// Nothing passes to or from this server, which is given by its port and by its name in the cluster.
    cut_off: Option<(u16, String)>,
}

/// One connection.
struct Line {
    to: u16,
    /// The cluster's node that made the connection, if this is a connection of the cluster's bus.
    node: Option<String>,
    is_replica: AtomicBool,
    trouble: watch::Receiver<Trouble>,
}

impl Network {
    pub fn new() -> Network {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        Network { runtime, trouble: watch::Sender::default() }
    }

    /// The port by which a server is to be known.
    pub fn before(&self, server: u16) -> u16 {
        self.listen(server, None)
    }

    /// The port by which a node's end of the cluster's bus is to be known. The bus itself is at the node's port plus 10000.
    pub fn before_bus(&self, server: u16) -> u16 {
        self.listen(server, Some(server + 10_000))
    }

    /// From now on a server's replicas hear nothing more from it, while everybody else does.
    pub fn leave_replicas_behind(&self, server: u16) {
        self.trouble.send_modify(|trouble| trouble.left_behind = Some(server));
    }

    /// From now on a server is cut off from everybody. `name` is its name in the cluster, if it belongs to one.
    pub fn cut_off(&self, server: u16, name: String) {
        self.trouble.send_modify(|trouble| trouble.cut_off = Some((server, name)));
    }

    pub fn heal(&self) {
        self.trouble.send_replace(Trouble::default());
    }

    fn listen(&self, server: u16, bus: Option<u16>) -> u16 {
        let listener = self.runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let port = listener.local_addr().unwrap().port();
        let trouble = self.trouble.subscribe();
        self.runtime.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server_end) = TcpStream::connect(("127.0.0.1", bus.unwrap_or(server))).await else { continue };
                client.set_nodelay(true).unwrap();
                server_end.set_nodelay(true).unwrap();
                let (is_replica, trouble) = (AtomicBool::new(false), trouble.clone());
                let line = Line { to: server, node: None, is_replica, trouble };
                tokio::spawn(line.join(client, server_end, bus.is_some()));
            }
        });
        port
    }
}

impl Line {
    async fn join(mut self, mut client: TcpStream, mut server: TcpStream, is_bus: bool) {
        if is_bus {
            let mut head = [0; BUS_HEAD];
            if client.read_exact(&mut head).await.is_err() {
                return;
            }
            self.node = Some(String::from_utf8_lossy(&head[BUS_SENDER..]).into_owned());
            self.pass().await;
            if server.write_all(&head).await.is_err() {
                return;
            }
        }
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        let line = Arc::new(self);
        tokio::select! {
            () = line.carry(from_client, to_server, true) => {}
            () = line.carry(from_server, to_client, false) => {}
        }
    }

    async fn carry(&self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf, is_forward: bool) {
        let mut bytes = vec![0; 64 * 1024];
        while let Ok(count @ 1..) = from.read(&mut bytes).await {
            let said = &bytes[..count];
            if is_forward && said.windows(5).any(|word| word == b"PSYNC") {
                self.is_replica.store(true, Ordering::SeqCst);
            }
            self.pass().await;
            if to.write_all(said).await.is_err() {
                return;
            }
        }
    }

    /// Waits until no trouble stops this connection.
    async fn pass(&self) {
        let is_free = |trouble: &Trouble| {
            let is_replica = self.is_replica.load(Ordering::SeqCst);
            let is_behind = is_replica && trouble.left_behind == Some(self.to);
            let is_cut = |(port, name): &(u16, String)| *port == self.to || self.node.as_ref() == Some(name);
            !is_behind && !trouble.cut_off.as_ref().is_some_and(is_cut)
        };
        // an error means that the network is gone, and then the test is over too
        let _ = self.trouble.clone().wait_for(is_free).await;
    }
}

/// Every message on the cluster's bus has the sender's name at this place, and more bytes after it.
const BUS_SENDER: usize = 40;
const BUS_HEAD: usize = BUS_SENDER + 40;
