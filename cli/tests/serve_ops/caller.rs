//! A caller of the service that sends whatever it likes, byte by byte.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::support::demo::Demo;

/// No answer takes longer, unless the service is broken.
const PATIENCE: Duration = Duration::from_secs(40);

/// An answer, as it came.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    /// Reads the first answer of some bytes.
    #[track_caller]
    pub(crate) fn read(bytes: &[u8]) -> Answer {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no status: {text:?}"));
        Answer { status, head: head.to_owned(), body: body.to_owned() }
    }

    /// The kind of the problem.
    pub(crate) fn code(&self) -> String {
        let problem: serde_json::Value = serde_json::from_str(&self.body).unwrap_or_default();
        problem["code"].as_str().unwrap_or_default().to_owned()
    }

    /// The cookie that the browser gets: `name=token`.
    pub(crate) fn cookie(&self) -> Option<String> {
        let line = self.head.lines().find(|line| line.starts_with("set-cookie: "))?;
        Some(line["set-cookie: ".len()..].split(';').next()?.to_owned())
    }
}

/// A connection to the service.
pub(crate) fn connect(service: &Demo) -> TcpStream {
    connect_to(&address(service))
}

fn connect_to(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the service listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    stream.set_write_timeout(Some(PATIENCE)).expect("a time-out");
    stream
}

pub(crate) fn address(service: &Demo) -> String {
    service.url("").trim_start_matches("http://").to_owned()
}

/// Sends these bytes, and returns all that comes until the service closes the connection.
pub(crate) fn send(service: &Demo, bytes: &[u8]) -> Vec<u8> {
    send_to(&address(service), bytes)
}

fn send_to(address: &str, bytes: &[u8]) -> Vec<u8> {
    let mut stream = connect_to(address);
    // the service may have answered and closed before it has read everything
    let _ = stream.write_all(bytes);
    all_of(stream)
}

/// Returns all that comes until the service closes the connection.
pub(crate) fn all_of(mut stream: TcpStream) -> Vec<u8> {
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    answer
}

/// Asks once, with these headers (`name: value`), and a body if there is one.
#[track_caller]
pub(crate) fn ask(service: &Demo, method: &str, path: &str, headers: &[&str], body: &str) -> Answer {
    ask_at(&address(service), method, path, headers, body)
}

/// Asks once at this address.
#[track_caller]
pub(crate) fn ask_at(address: &str, method: &str, path: &str, headers: &[&str], body: &str) -> Answer {
    Answer::read(&send_to(address, request(method, path, headers, body).as_bytes()))
}

/// A whole request, after which the service closes the connection.
pub(crate) fn request(method: &str, path: &str, headers: &[&str], body: &str) -> String {
    let mut request = format!("{method} {path} HTTP/1.1\r\nhost: sessions\r\nconnection: close\r\n");
    for header in headers {
        let _ = write!(request, "{header}\r\n");
    }
    if !body.is_empty() {
        let _ = write!(request, "content-type: application/json\r\ncontent-length: {}\r\n", body.len());
    }
    request + "\r\n" + body
}
