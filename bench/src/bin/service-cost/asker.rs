//! What an application does that asks the service: one connection that stays open, one question at a time.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

/// Where a server listens.
pub enum Address {
    Unix(PathBuf),
    Tcp(u16),
}

pub struct Asker(SendRequest<Full<Bytes>>);

impl Asker {
    pub async fn connect(address: &Address) -> Result<Asker> {
        match address {
            Address::Unix(path) => Asker::over(UnixStream::connect(path).await?).await,
            Address::Tcp(port) => {
                let stream = TcpStream::connect(("127.0.0.1", *port)).await?;
                stream.set_nodelay(true)?;
                Asker::over(stream).await
            }
        }
    }

    async fn over(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Result<Asker> {
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Asker(sender))
    }

    /// Asks who this is, and returns how long each answer took.
    pub async fn ask_often(&mut self, cookie: &str, questions: usize) -> Result<Vec<Duration>> {
        let mut times = Vec::with_capacity(questions);
        for _ in 0..questions {
            let begin = Instant::now();
            let answer = self.ask("GET", cookie, "").await?;
            let took = begin.elapsed();
            ensure!(answer.body().windows(9).any(|part| part == b"\"visitor\""), "the session was not found");
            times.push(took);
        }
        Ok(times)
    }

    pub async fn ask(&mut self, method: &str, cookie: &str, body: &'static str) -> Result<Response<Bytes>> {
        let request = Request::builder()
            .method(method)
            .uri("/v1/session")
            .header("host", "localhost")
            .header("cookie", cookie)
            .header("content-type", "application/json")
            .body(Full::from(body))?;
        self.0.ready().await?;
        let (head, body) = self.0.send_request(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        ensure!(head.status.is_success(), "{}: {}", head.status, String::from_utf8_lossy(&body));
        Ok(Response::from_parts(head, body))
    }
}
