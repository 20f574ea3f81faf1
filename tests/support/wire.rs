//! A real listener and raw bytes, for what an HTTP client would refuse to send.

use std::net::SocketAddr;

use axum::Router;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Serves an application on a free loopback port until the test's runtime ends.
pub async fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

/// Sends a GET with these header lines, byte by byte as they are, and returns the whole answer as text.
pub async fn get(server: SocketAddr, path: &str, headers: &[u8]) -> String {
    let head = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n");
    let mut stream = TcpStream::connect(server).await.unwrap();
    stream.write_all(&[head.as_bytes(), headers, b"\r\n\r\n"].concat()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

/// Sends a GET with one Cookie header, and returns the whole answer as text.
pub async fn get_with_cookie(server: SocketAddr, path: &str, cookie: &[u8]) -> String {
    get(server, path, &[b"Cookie: ", cookie].concat()).await
}
