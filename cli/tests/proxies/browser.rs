//! A browser, or somebody who pretends to be one: requests as raw bytes, because no client sends what an attacker would.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// What a browser accepts when somebody follows a link.
pub(crate) const PAGE: (&str, &str) = ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8");

/// The host that all applications of these tests have.
pub(crate) const HOST: (&str, &str) = ("Host", "app.example");

/// Where somebody listens on this machine, with TLS or without.
#[derive(Clone)]
pub(crate) struct Door {
    port: u16,
    tls: Option<Arc<ClientConfig>>,
}

impl From<u16> for Door {
    fn from(port: u16) -> Door {
        Door { port, tls: None }
    }
}

impl From<&Door> for Door {
    fn from(door: &Door) -> Door {
        door.clone()
    }
}

impl Door {
    /// Whoever listens shows a certificate of this authority.
    pub(crate) fn with_tls(port: u16, authority: &str) -> Door {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.as_bytes()).expect("PEM")).expect("a certificate");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.expect("versions of TLS").with_root_certificates(roots).with_no_client_auth();
        Door { port, tls: Some(Arc::new(config)) }
    }

    pub(crate) fn is_open(&self) -> bool {
        TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok()
    }

    fn connect(&self) -> Box<dyn Connection> {
        let connection = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).expect("somebody listens");
        connection.set_read_timeout(Some(Duration::from_secs(60))).expect("a time-out");
        let Some(config) = &self.tls else { return Box::new(connection) };
        let name = ServerName::try_from(HOST.1).expect("a name");
        let tls = ClientConnection::new(Arc::clone(config), name).expect("a client");
        Box::new(StreamOwned::new(tls, connection))
    }
}

trait Connection: Read + Write {}

impl<T: Read + Write> Connection for T {}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    fn read(head: &str, body: &str) -> Answer {
        let (line, headers) = read_head(head);
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        Answer { status, headers, body: body.to_owned() }
    }

    /// All values of a header.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        values(&self.headers, name)
    }

    /// The value of a header, or nothing.
    pub(crate) fn header(&self, name: &str) -> &str {
        match self.all(name)[..] {
            [] => "",
            [value] => value,
            ref values => panic!("{name}: {values:?}"),
        }
    }
}

pub(crate) fn values<'a>(headers: &'a [(String, String)], name: &str) -> Vec<&'a str> {
    let named = headers.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
    named.map(|(_, value)| value.as_str()).collect()
}

/// Sends a request on a connection of its own, and returns the answer.
pub(crate) fn send(to: impl Into<Door>, method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut connection = to.into().connect();
    let length = body.len().to_string();
    let mut all = vec![("Connection", "close")];
    if !body.is_empty() {
        all.push(("Content-Length", &length));
    }
    write_head(&mut *connection, method, target, &[&all, headers].concat());
    connection.write_all(body.as_bytes()).expect("the body is sent");
    let mut bytes = Vec::new();
    // whoever answers before the body has come may close the connection
    let _ = connection.read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes);
    let (head, body) =
        text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer to {method} {target}: {text:?}"));
    Answer::read(head, body)
}

/// Opens a WebSocket, and returns what was answered and, if it was opened, the socket.
pub(crate) fn open_socket(to: impl Into<Door>, target: &str, headers: &[(&str, &str)]) -> (Answer, Socket) {
    let mut connection = to.into().connect();
    let upgrade = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    write_head(&mut *connection, "GET", target, &[&upgrade, headers].concat());
    let head = read_until_head(&mut *connection).expect("the head of an answer");
    (Answer::read(&head, ""), Socket(connection))
}

/// An open WebSocket. (RFC 6455, section 5.2)
pub(crate) struct Socket(Box<dyn Connection>);

impl Socket {
    /// Sends a short text, and returns the one that comes back.
    pub(crate) fn echo(&mut self, text: &str) -> String {
        let length = u8::try_from(text.len()).expect("a short text");
        // a mask of zeros leaves the text as it is
        let frame = [&[0x81, 0x80 | length, 0, 0, 0, 0], text.as_bytes()].concat();
        self.0.write_all(&frame).expect("the frame is sent");
        let mut head = [0; 2];
        self.0.read_exact(&mut head).expect("the head of a frame");
        let mut text = vec![0; head[1].into()];
        self.0.read_exact(&mut text).expect("the text of a frame");
        String::from_utf8(text).expect("UTF-8")
    }
}

pub(crate) fn write_head(connection: &mut (impl Write + ?Sized), method: &str, target: &str, headers: &[(&str, &str)]) {
    let mut head = format!("{method} {target} HTTP/1.1\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    connection.write_all(format!("{head}\r\n").as_bytes()).expect("the head is sent");
}

/// Reads a head, and nothing of what comes behind it. `None` if the connection ends before.
pub(crate) fn read_until_head(connection: &mut (impl Read + ?Sized)) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        connection.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    Some(String::from_utf8_lossy(&head).trim_end().to_owned())
}

/// Returns the first line and the headers.
pub(crate) fn read_head(head: &str) -> (&str, Vec<(String, String)>) {
    let mut lines = head.split("\r\n");
    let first = lines.next().unwrap_or_default();
    let headers = lines.filter_map(|line| line.split_once(':'));
    (first, headers.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect())
}
