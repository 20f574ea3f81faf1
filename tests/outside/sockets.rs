//! Streams and sockets of a real server, with clients over TCP.

use std::time::Duration;

use axum::http::StatusCode;
use cloakroom::Sessions;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::{on_every_store, soon};

#[path = "../../examples/streams.rs"]
#[allow(dead_code)] // its `main` is for people
mod streams;

/// A server of the application `examples/streams.rs`, and a user who is signed in.
struct Served {
    address: String,
    cookie: String,
}

impl Served {
    async fn by(sessions: &Sessions, check_every: Duration) -> Served {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let app = streams::app(sessions, check_every);
        tokio::spawn(async move { axum::serve(listener, app).await });
        let mut served = Served { address, cookie: String::new() };
        let head = served.post("/sign-in", "name=ada").await;
        let cookie = head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).expect("a cookie");
        served.cookie = cookie.split(';').next().unwrap().to_owned();
        served
    }

    /// The head of the answer.
    async fn post(&self, path: &str, body: &str) -> String {
        let kind = "Content-Type: application/x-www-form-urlencoded\r\nConnection: close\r\n";
        let mut client = self.send(&format!("POST {path}"), &format!("{kind}Content-Length: {}\r\n", body.len())).await;
        client.write_all(body.as_bytes()).await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        answer
    }

    async fn send(&self, what: &str, headers: &str) -> TcpStream {
        let mut client = TcpStream::connect(&self.address).await.unwrap();
        let head = format!("{what} HTTP/1.1\r\nHost: {}\r\nCookie: {}\r\n{headers}\r\n", self.address, self.cookie);
        client.write_all(head.as_bytes()).await.unwrap();
        client
    }

    /// A stream of events whose head has come.
    async fn events(&self) -> BufReader<TcpStream> {
        let mut events = BufReader::new(self.send("GET /events", "Connection: close\r\n").await);
        let mut line = String::new();
        events.read_line(&mut line).await.unwrap();
        assert!(line.starts_with("HTTP/1.1 200"), "{line}");
        while line != "\r\n" {
            line.clear();
            events.read_line(&mut line).await.unwrap();
        }
        events
    }

    async fn socket(&self) -> Result<WebSocketStream<TcpStream>, Error> {
        let mut request = format!("ws://{}/socket", self.address).into_client_request().unwrap();
        request.headers_mut().insert("cookie", self.cookie.parse().unwrap());
        let client = TcpStream::connect(&self.address).await.unwrap();
        client_async(request, client).await.map(|(socket, _)| socket)
    }
}

/// Reads events until this text comes.
async fn until_heard(events: &mut BufReader<TcpStream>, text: &str) {
    let mut line = String::new();
    while !line.contains(text) {
        line.clear();
        assert_ne!(events.read_line(&mut line).await.unwrap(), 0, "the events have ended");
    }
}

async fn next(socket: &mut WebSocketStream<TcpStream>) -> Option<Result<Message, Error>> {
    futures_util::StreamExt::next(socket).await
}

async fn say(socket: &mut WebSocketStream<TcpStream>, text: &str) {
    futures_util::SinkExt::send(socket, Message::text(text)).await.unwrap();
}

#[tokio::test]
async fn events_and_a_socket_are_heard_and_close_at_a_sign_out_elsewhere_as_soon_as_the_store_tells_or_is_asked() {
    on_every_store(async |world| {
        let served = Served::by(&world.here, world.interval).await;
        let elsewhere = Served {
            address: Served::by(&world.elsewhere, world.interval).await.address,
            cookie: served.cookie.clone(),
        };
        let (mut events, mut socket) = (served.events().await, served.socket().await.unwrap());
        say(&mut socket, "good morning").await;
        soon("the events", until_heard(&mut events, "data: good morning")).await;
        let heard = soon("the socket", next(&mut socket)).await.unwrap().unwrap();
        assert_eq!(heard.to_text().unwrap(), "good morning");

        elsewhere.post("/sign-out", "").await;
        let mut rest = Vec::new();
        soon("the end of the events", events.read_to_end(&mut rest)).await.unwrap();
        assert!(String::from_utf8_lossy(&rest).ends_with("0\r\n\r\n"), "they end in good order");
        let closed = soon("the end of the socket", next(&mut socket)).await.unwrap().unwrap();
        let Message::Close(Some(frame)) = closed else { panic!("{closed:?}") };
        assert_eq!((frame.code, frame.reason.as_str()), (CloseCode::Policy, "your session has ended"));

        let refused = served.socket().await.unwrap_err();
        assert!(matches!(&refused, Error::Http(answer) if answer.status() == StatusCode::UNAUTHORIZED), "{refused}");
    })
    .await;
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_no_task_behind() {
    on_every_store(async |world| {
        let served = Served::by(&world.here, world.interval).await;
        let tasks = || Handle::current().metrics().num_alive_tasks();
        settled(&tasks, 0).await;
        let before = tasks();
        for _ in 0..5 {
            let mut clients = (Vec::new(), Vec::new());
            for _ in 0..4 {
                clients.0.push(served.events().await);
                clients.1.push(served.socket().await.unwrap());
            }
            say(&mut clients.1[0], "anybody?").await;
            soon("the events", until_heard(&mut clients.0[0], "anybody?")).await;
            assert!(tasks() > before);
            drop(clients);
            settled(&tasks, before).await;
        }
    })
    .await;
}

/// Waits until there are no more tasks than that. Without a number, until there are as many for a while.
async fn settled(tasks: &dyn Fn() -> usize, most: usize) {
    let mut last = (tasks(), 0);
    soon(&format!("{most} tasks"), async {
        while if most == 0 { last.1 < 20 } else { tasks() > most } {
            tokio::time::sleep(Duration::from_millis(10)).await;
            last = if tasks() == last.0 { (last.0, last.1 + 1) } else { (tasks(), 0) };
        }
    })
    .await;
}
