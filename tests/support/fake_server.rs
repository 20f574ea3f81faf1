//! A server that answers what a test wants, and remembers what it was asked.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// What the server answers to a command.
pub enum Said {
    /// This text, which is RESP.
    This(String),
    /// What a primary answers when a connection is opened; an error to every other command.
    AsUsual,
    /// Nothing: the server closes the connection.
    HangsUp,
}

pub struct FakeServer {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<Vec<String>>>>,
}

impl FakeServer {
    /// Listens on a free port of this address of the machine, and answers what a command and the port say.
    pub async fn start(address: IpAddr, answer: impl Fn(&[String], u16) -> Said + Send + Sync + 'static) -> FakeServer {
        let listener = TcpListener::bind((address, 0)).await.expect("a free port");
        let server = FakeServer { address: listener.local_addr().unwrap(), heard: Arc::default() };
        let (heard, answer) = (server.heard.clone(), Arc::new(answer));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                heard.lock().unwrap().push(vec!["connected".to_owned()]);
                let (heard, answer) = (heard.clone(), answer.clone());
                tokio::spawn(serve(stream, heard, answer));
            }
        });
        server
    }

    /// The server's address, as `host:port`.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// What the server was asked so far: `connected` for each connection, and every command.
    pub fn heard(&self) -> Vec<Vec<String>> {
        self.heard.lock().unwrap().clone()
    }

    /// How often the server was asked this command.
    pub fn count(&self, name: &str) -> usize {
        self.heard().iter().filter(|command| command[0] == name).count()
    }
}

async fn serve(stream: TcpStream, heard: Arc<Mutex<Vec<Vec<String>>>>, answer: Arc<impl Fn(&[String], u16) -> Said>) {
    let own = stream.local_addr().expect("it is connected").port();
    let mut stream = BufReader::new(stream);
    while let Some(command) = command(&mut stream).await {
        heard.lock().unwrap().push(command.clone());
        let said = match answer(&command, own) {
            Said::This(said) => said,
            Said::AsUsual => as_a_primary(&command).to_owned(),
            Said::HangsUp => return,
        };
        if stream.write_all(said.as_bytes()).await.is_err() {
            return;
        }
    }
}

fn as_a_primary(command: &[String]) -> &'static str {
    match command[0].to_uppercase().as_str() {
        "PING" => "+PONG\r\n",
        "AUTH" | "CLIENT" | "SELECT" => "+OK\r\n",
        "INFO" => "$11\r\nrole:master\r\n",
        _ => "-ERR unknown command\r\n",
    }
}

async fn command(stream: &mut BufReader<TcpStream>) -> Option<Vec<String>> {
    let count = number(stream).await?;
    let mut parts = Vec::new();
    for _ in 0..count {
        let mut bytes = vec![0; number(stream).await? + 2];
        stream.read_exact(&mut bytes).await.ok()?;
        parts.push(String::from_utf8_lossy(&bytes[..bytes.len() - 2]).into_owned());
    }
    Some(parts)
}

async fn number(stream: &mut BufReader<TcpStream>) -> Option<usize> {
    let mut line = String::new();
    stream.read_line(&mut line).await.ok()?;
    line.get(1..)?.trim().parse().ok()
}
