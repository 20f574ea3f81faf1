//! A real server of actix-web: workers with runtimes of their own, and what happens on a socket.

use std::cell::Cell;
use std::collections::HashSet;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll};
use std::thread::{JoinHandle, ThreadId};

use actix_web::body::{BodySize, MessageBody};
use actix_web::dev::ServerHandle;
use actix_web::web::{Bytes, Data, get};
use actix_web::{App, HttpResponse, HttpServer, Resource, web};
use cloakroom::store::Embedded;
use cloakroom::{Config, Error, Field, Page, Session, Sessions};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::support::{Place, RedisServer};

const NAME: Field<String> = Field::new("name");
const COUNT: Field<i64> = Field::new("count");

/// A server in a thread of its own, with two workers.
struct Server {
    address: SocketAddr,
    handle: ServerHandle,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Serves `/show` and these resources. The sessions are made where the server runs, as in an application.
    fn start<S: Future<Output = Sessions>>(
        sessions: impl FnOnce() -> S + Send + 'static,
        resources: impl Fn() -> Vec<Resource> + Clone + Send + 'static,
    ) -> Server {
        Server::configured(sessions, resources, true)
    }

    fn configured<S: Future<Output = Sessions>>(
        sessions: impl FnOnce() -> S + Send + 'static,
        resources: impl Fn() -> Vec<Resource> + Clone + Send + 'static,
        half_closed: bool,
    ) -> Server {
        let (tell, told) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async {
                let sessions = sessions().await;
                let app = move || App::new().route("/show", get().to(show)).service(resources()).wrap(sessions.layer());
                let server = HttpServer::new(app).workers(2).disable_signals().h1_allow_half_closed(half_closed);
                let server = server.bind(("127.0.0.1", 0)).unwrap();
                let address = server.addrs()[0];
                let server = server.run();
                tell.send((address, server.handle())).unwrap();
                server.await.unwrap();
            })
        });
        let (address, handle) = told.recv().unwrap();
        Server { address, handle, thread: Some(thread) }
    }

    async fn in_memory(resources: impl Fn() -> Vec<Resource> + Clone + Send + 'static) -> Server {
        let sessions = Place::memory().sessions();
        Server::start(async move || sessions, resources)
    }

    /// Sends a request on a connection of its own, and reads until the server closes it.
    async fn ask(&self, path: &str, cookie: &str) -> String {
        let mut answer = Vec::new();
        self.send(path, cookie, "Connection: close").await.read_to_end(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }

    async fn send(&self, path: &str, cookie: &str, header: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: shop.example\r\nCookie: {cookie}\r\n{header}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }

    async fn stop(mut self) {
        self.handle.stop(true).await;
        self.thread.take().unwrap().join().unwrap();
    }
}

async fn show(session: Session) -> Result<String, Error> {
    Ok(format!("{:?} {}", session.get(NAME)?.unwrap_or_default(), session.get(COUNT)?.unwrap_or_default()))
}

/// The cookie that an answer sets.
fn cookie_of(answer: &str) -> String {
    let line = answer.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap_or_else(|| panic!("{answer}"));
    line.split(';').next().unwrap().to_owned()
}

fn body_of(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer}")).1
}

#[tokio::test]
async fn workers_with_runtimes_of_their_own_count_one_session_exactly() {
    let redis = RedisServer::start();
    let url = redis.url();
    let workers: Arc<Mutex<HashSet<ThreadId>>> = Arc::default();
    let seen = workers.clone();
    let connect = async move || {
        let store = cloakroom::store::Redis::builder(url).connect().await.unwrap();
        Sessions::new(store, Config::default())
    };
    let server = Server::start(connect, move || {
        let count = async |session: Session, seen: Data<Mutex<HashSet<ThreadId>>>| {
            // what is not `Send` may live beside the session
            let here = Rc::new(Cell::new(0));
            here.set(session.increment(COUNT, 1).await?);
            seen.lock().unwrap().insert(std::thread::current().id());
            Ok::<_, Error>(here.get().to_string())
        };
        vec![web::resource("/count").app_data(Data::from(seen.clone())).route(get().to(count))]
    });
    let cookie = cookie_of(&server.ask("/count", "").await);
    let mut tasks = tokio::task::JoinSet::new();
    let server = Arc::new(server);
    for _ in 0..20 {
        let (server, cookie) = (server.clone(), cookie.clone());
        tasks.spawn(async move { server.ask("/count", &cookie).await });
    }
    assert!(tasks.join_all().await.iter().all(|answer| answer.starts_with("HTTP/1.1 200")));
    assert_eq!(body_of(&server.ask("/show", &cookie).await), "\"\" 21");
    assert_eq!(workers.lock().unwrap().len(), 2);
    Arc::into_inner(server).unwrap().stop().await;
}

/// Sets a field, counts, and says so; then it does not come to an end.
async fn half(session: &Session) -> Result<(), Error> {
    session.set(NAME, "half of it")?;
    session.increment(COUNT, 1).await.map(drop)
}

#[tokio::test]
async fn a_panic_in_a_handler_leaves_what_was_done_and_nothing_of_what_was_deferred() {
    let server = Server::in_memory(|| {
        let panics = async |session: Session| {
            half(&session).await?;
            match session.exists() {
                true => panic!("a bug in the handler"),
                false => Ok::<_, Error>("never"),
            }
        };
        let begin = async |session: Session| Ok::<_, Error>(session.increment(COUNT, 1).await?.to_string());
        vec![web::resource("/panics").route(get().to(panics)), web::resource("/begin").route(get().to(begin))]
    })
    .await;
    let cookie = cookie_of(&server.ask("/begin", "").await);
    for _ in 0..4 {
        assert_eq!(server.ask("/panics", &cookie).await, "", "the connection ends");
    }
    assert_eq!(body_of(&server.ask("/show", &cookie).await), "\"\" 5", "and the workers go on");
    server.stop().await;
}

/// A handler that the test lets go on, and tells when it is dropped.
#[derive(Default)]
struct Slow {
    reached: Notify,
    go_on: Notify,
    dropped: Mutex<Option<Session>>,
    is_dropped: Notify,
}

struct Told(Data<Slow>, Session);

impl Drop for Told {
    fn drop(&mut self) {
        *self.0.dropped.lock().unwrap() = Some(self.1.clone());
        self.0.is_dropped.notify_one();
    }
}

/// Lets a client hang up while its handler runs.
async fn hung_up(half_closed: bool) -> (Server, Data<Slow>, String) {
    let slow = Data::new(Slow::default());
    let (sessions, shared) = (Place::memory().sessions(), slow.clone());
    let resources = move || {
        let work = async |session: Session, slow: Data<Slow>| {
            half(&session).await?;
            let _told = Told(slow.clone(), session);
            slow.reached.notify_one();
            slow.go_on.notified().await;
            Ok::<_, Error>("to the end")
        };
        let begin = async |session: Session| Ok::<_, Error>(session.increment(COUNT, 1).await?.to_string());
        let work = web::resource("/work").app_data(shared.clone()).route(get().to(work));
        vec![work, web::resource("/begin").route(get().to(begin))]
    };
    let server = Server::configured(async move || sessions, resources, half_closed);
    let cookie = cookie_of(&server.ask("/begin", "").await);
    let stream = server.send("/work", &cookie, "X: y").await;
    slow.reached.notified().await;
    drop(stream);
    (server, slow, cookie)
}

#[tokio::test]
async fn a_client_that_hung_up_ends_its_handler_where_half_closed_connections_are_not_allowed() {
    let (server, slow, cookie) = hung_up(false).await;
    slow.is_dropped.notified().await;
    let session = slow.dropped.lock().unwrap().take().unwrap();
    while session.set(NAME, "too late").is_ok() {
        tokio::task::yield_now().await;
    }
    assert_eq!(body_of(&server.ask("/show", &cookie).await), "\"\" 2", "what was done stands, and nothing else");
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_hung_up_does_not_end_its_handler_by_default_and_what_it_changes_is_stored() {
    let (server, slow, cookie) = hung_up(true).await;
    slow.go_on.notify_one();
    slow.is_dropped.notified().await;
    while body_of(&server.ask("/show", &cookie).await) != "\"half of it\" 2" {
        tokio::task::yield_now().await;
    }
    server.stop().await;
}

/// A body that tries to change the session while it is sent.
struct Late(Option<Session>);

impl MessageBody for Late {
    type Error = std::convert::Infallible;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Poll::Ready(self.0.take().map(|session| {
            let refused = session.set(NAME, "too late").unwrap_err();
            Ok(Bytes::from(format!("{:?}: {refused}", session.get(NAME).unwrap())))
        }))
    }
}

#[tokio::test]
async fn a_streamed_body_reads_the_session_and_cannot_change_it_any_more() {
    let server = Server::in_memory(|| {
        let stream = async |session: Session| {
            session.set(NAME, "in time")?;
            Ok::<_, Error>(HttpResponse::Ok().body(Late(Some(session))))
        };
        vec![web::resource("/stream").route(get().to(stream))]
    })
    .await;
    let answer = server.ask("/stream", "").await;
    assert!(body_of(&answer).contains("Some(\"in time\"): ") && answer.contains("head was already sent"), "{answer}");
    assert_eq!(body_of(&server.ask("/show", &cookie_of(&answer)).await), "\"in time\" 0");
    server.stop().await;
}

#[tokio::test]
async fn an_upgraded_connection_has_the_cookie_in_its_head_and_the_session_is_closed_for_what_follows() {
    let server = Server::in_memory(|| {
        let socket = async |session: Session| {
            session.set(NAME, "in time")?;
            let mut response = HttpResponse::SwitchingProtocols();
            Ok::<_, Error>(response.upgrade("websocket").message_body(Late(Some(session))).unwrap())
        };
        vec![web::resource("/socket").route(get().to(socket))]
    })
    .await;
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-Fetch-Site: ";
    let mut refused = server.send("/socket", "", &format!("{upgrade}cross-site")).await;
    let mut head = [0; 12];
    refused.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 403", "another site may not open it");

    let mut stream = server.send("/socket", "", &format!("{upgrade}same-origin")).await;
    let mut answer = String::new();
    while !answer.contains("head was already sent") {
        let mut some = [0; 1024];
        let read = stream.read(&mut some).await.unwrap();
        assert_ne!(read, 0, "{answer}");
        answer += &String::from_utf8_lossy(&some[..read]);
    }
    assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
    assert_eq!(body_of(&server.ask("/show", &cookie_of(&answer)).await), "\"in time\" 0");
    drop((refused, stream));
    server.stop().await;
}

#[tokio::test]
async fn a_graceful_shutdown_finishes_requests_and_gives_the_directory_free() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sessions");
    let signals = Data::new((Notify::new(), Notify::new()));
    let (opened, shared) = (path.clone(), signals.clone());
    let open = async move || Sessions::new(Embedded::open(opened).unwrap(), Config::default());
    let server = Server::start(open, move || {
        let slow = async |session: Session, signals: Data<(Notify, Notify)>| {
            signals.0.notify_one();
            signals.1.notified().await;
            session.sign_in("andrew").await?;
            Ok::<_, Error>("done")
        };
        vec![web::resource("/slow").app_data(shared.clone()).route(get().to(slow))]
    });
    let mut stream = server.send("/slow", "", "Connection: close").await;
    signals.0.notified().await;
    let stopping = tokio::spawn(server.stop());
    signals.1.notify_one();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK") && body_of(&answer) == "done", "{answer}");
    cookie_of(&answer);
    stopping.await.unwrap();
    // the threads of the workers end a moment later
    let again = loop {
        if let Ok(store) = Embedded::open(&path) {
            break Sessions::new(store, Config::default());
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(again.devices("andrew", Page::default()).await.unwrap().len(), 1);
}
