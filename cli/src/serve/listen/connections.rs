//! Serves the connections of one listener: at most so many, none of them longer than it has to be.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio_io_timeout::TimeoutStream;
use tower::Service as _;

use super::listener::{Listener, Stream};

/// The most bytes of a request line and its headers: browsers and proxies allow about as much.
const LARGEST_HEAD: usize = 32 * 1024;
/// How much of a refused body is read, so that its sender sees the answer and not a broken connection, and for how long.
const LAST_BYTES: u64 = 16 * 1024 * 1024;
const LAST_READ: Duration = Duration::from_secs(5);
/// That all connections are in use is said once in this time.
const BETWEEN_WARNINGS: Duration = Duration::from_secs(60);

/// Says for how long a connection is kept without a request.
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

/// What a head that came too slowly is answered.
const TOO_SLOW: &[u8] = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// What callers may take of the service.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// The most connections of one address. Others wait until one of these is closed.
    pub(crate) connections: usize,
    /// How long a connection may take for the head of its first or next request, and for reading an answer.
    pub(crate) keep_alive: Duration,
}

/// Serves until `stop` says so. Then no connection is accepted any more, and this returns when the requests that have begun are
/// answered. If it is dropped before, they are dropped, too.
pub(crate) async fn serve(listener: Listener, router: Router, limits: Limits, mut stop: watch::Receiver<bool>) {
    let mut places = Places::new(limits.connections);
    let mut connections = JoinSet::new();
    loop {
        let (place, stream) = tokio::select! {
            accepted = async { (places.next(&listener).await, listener.accept().await) } => accepted,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        let (router, stop) = (router.clone(), stop.clone());
        connections.spawn(async move {
            match stream {
                Stream::Tcp(stream) => converse(stream, router, limits, stop).await,
                #[cfg(unix)]
                Stream::Unix(stream) => converse(stream, router, limits, stop).await,
            }
            drop(place);
        });
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// How many connections there may be.
struct Places {
    free: Arc<Semaphore>,
    warned: Option<Instant>,
}

impl Places {
    fn new(most: usize) -> Places {
        Places { free: Arc::new(Semaphore::new(most)), warned: None }
    }

    /// Waits for a place. Whoever connects meanwhile waits in the queue of the system.
    async fn next(&mut self, listener: &Listener) -> Option<OwnedSemaphorePermit> {
        if self.free.available_permits() == 0 && self.warned.is_none_or(|warned| warned.elapsed() > BETWEEN_WARNINGS) {
            self.warned = Some(Instant::now());
            tracing::warn!(
                address = %listener.address(),
                "all connections are in use, so others have to wait: find out who holds them, or raise --max-connections"
            );
        }
        Arc::clone(&self.free).acquire_owned().await.ok()
    }
}

/// Answers the requests of one connection.
async fn converse(
    stream: impl AsyncRead + AsyncWrite,
    router: Router,
    limits: Limits,
    mut stop: watch::Receiver<bool>,
) {
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(limits.keep_alive));
    // clients that know this do not use a connection just when it is closed
    let kept = HeaderValue::try_from(format!("timeout={}", limits.keep_alive.as_secs())).ok();
    let answer = service_fn(move |request: Request<Incoming>| -> Answer {
        let mut router = router.clone();
        let kept = kept.clone();
        Box::pin(async move {
            let mut response = router.call(request.map(Body::new)).await?;
            response.headers_mut().extend(kept.map(|kept| (KEEP_ALIVE, kept)));
            Ok(response)
        })
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.keep_alive)
        .max_header_size(LARGEST_HEAD)
        .max_buf_size(LARGEST_HEAD)
        // who has nothing more to ask may still wait for an answer
        .half_close(true)
        .serve_connection(TokioIo::new(Box::pin(stream)), answer);
    let served = tokio::select! {
        served = poll_fn(|context| connection.poll_without_shutdown(context)) => Some(served),
        _ = stop.wait_for(|stop| *stop) => None,
    };
    if served.is_none() {
        Pin::new(&mut connection).graceful_shutdown();
        let _ = poll_fn(|context| connection.poll_without_shutdown(context)).await;
    }
    let parts = connection.into_parts();
    let end = match served {
        None => End::Finished,
        Some(Err(error)) if error.is_timeout() && parts.read_buf.is_empty() => End::Finished,
        Some(Err(error)) if error.is_timeout() => End::HeadTooSlow,
        Some(_) => End::MoreMayCome,
    };
    let _ = tokio::time::timeout(LAST_READ, part(parts.io.into_inner(), end)).await;
}

type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

/// How a connection has come to its end.
enum End {
    /// Nothing is left to say or to hear.
    Finished,
    /// A part of a head has come, and not the rest.
    HeadTooSlow,
    /// The other side may still be sending what was refused, or close the connection itself.
    MoreMayCome,
}

/// Closes the connection. While more may come it is read: if it was closed before, the system would throw away what the other side
/// has not read yet, and that is the answer.
async fn part(mut stream: impl AsyncRead + AsyncWrite + Unpin, end: End) -> io::Result<()> {
    if let End::HeadTooSlow = end {
        stream.write_all(TOO_SLOW).await?;
    }
    stream.shutdown().await?;
    if let End::MoreMayCome = end {
        tokio::io::copy(&mut stream.take(LAST_BYTES), &mut tokio::io::sink()).await?;
    }
    Ok(())
}
