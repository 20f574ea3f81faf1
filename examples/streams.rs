//! A room in which people who are signed in hear each other, by server-sent events and by a WebSocket. Both close when their
//! user signs out, wherever that is. Run it with `cargo run --example streams`.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::pin::pin;
use std::time::Duration;

use axum::extract::State;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Form, Router};
use cloakroom::{Config, Error, LiveSession, Session, Sessions, SignedIn, store::Memory};
use futures_util::stream::{self, StreamExt as _};
use tokio::sync::broadcast;

#[derive(Clone)]
struct Room {
    /// Whoever is in the room hears what is said.
    said: broadcast::Sender<String>,
    /// How often a stream asks whether its session still lives, if its store does not tell.
    check_every: Duration,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn StdError>> {
    let sessions = Sessions::new(Memory::new(), Config::builder().plain_http_for_development().build()?);
    println!("http://localhost:3000/");
    axum::serve(tokio::net::TcpListener::bind("127.0.0.1:3000").await?, app(&sessions, Duration::from_secs(10)))
        .await?;
    Ok(())
}

pub(crate) fn app(sessions: &Sessions, check_every: Duration) -> Router {
    Router::new()
        .route("/", get(async || Html(PAGE)))
        .route("/sign-in", post(sign_in))
        .route("/sign-out", post(async |session: Session| session.sign_out().await))
        .route("/events", get(events))
        .route("/socket", get(socket))
        .with_state(Room { said: broadcast::Sender::new(16), check_every })
        .layer(sessions.layer())
}

#[derive(serde::Deserialize)]
struct Name {
    name: String,
}

/// A real application asks for a password.
async fn sign_in(session: Session, Form(Name { name }): Form<Name>) -> Result<(), Error> {
    session.sign_in(name).await
}

/// What is said in the room, until the session ends.
async fn events(State(room): State<Room>, SignedIn { session, .. }: SignedIn) -> Result<impl IntoResponse, Error> {
    let live = session.after_response().await?.check_every(room.check_every);
    let heard = stream::unfold(room.said.subscribe(), async |mut heard| {
        let text = heard.recv().await.ok()?;
        Some((Ok::<_, Infallible>(Event::default().data(text)), heard))
    });
    let until_ended = heard.take_until(async move { live.ended().await });
    Ok(Sse::new(until_ended).keep_alive(KeepAlive::default()))
}

/// A socket that says to the room what it is told. It closes when the session ends.
async fn socket(
    State(room): State<Room>,
    SignedIn { session, .. }: SignedIn,
    upgrade: WebSocketUpgrade,
) -> Result<Response, Error> {
    let live = session.after_response().await?.check_every(room.check_every);
    Ok(upgrade.on_upgrade(|socket| talk(socket, live, room)))
}

async fn talk(mut socket: WebSocket, live: LiveSession, room: Room) {
    let mut heard = room.said.subscribe();
    let mut ended = pin!(live.ended());
    loop {
        tokio::select! {
            _ = &mut ended => break,
            said = socket.recv() => match said {
                // who talks is there, so the session is extended; an error says that it has ended, or that nobody knows
                Some(Ok(Message::Text(text))) if live.touch().await.is_ok() => drop(room.said.send(text.to_string())),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                _ => break,
            },
            Ok(text) = heard.recv() => {
                if socket.send(Message::text(text)).await.is_err() {
                    break;
                }
            }
        }
    }
    let frame = CloseFrame { code: close_code::POLICY, reason: "your session has ended".into() };
    let _ = socket.send(Message::Close(Some(frame))).await;
}

const PAGE: &str = r##"<!doctype html>
<title>A room</title>
<button onclick="fetch('/sign-in', { method: 'POST', body: new URLSearchParams({ name: 'ada' }) }).then(enter)">Sign in</button>
<button onclick="fetch('/sign-out', { method: 'POST' })">Sign out</button>
<input onchange="socket.send(this.value); this.value = ''" placeholder="Say something">
<pre id="log"></pre>
<script>
  const log = (text) => document.querySelector("#log").append(text + "\n");
  let socket;
  function enter() {
    const events = new EventSource("/events");
    events.onmessage = (message) => log(message.data);
    // a browser asks again by itself when its events end; it is answered 401, and then gives up
    events.onerror = () => events.readyState === EventSource.CLOSED && log("The events have ended.");
    socket = new WebSocket(location.origin.replace("http", "ws") + "/socket");
    socket.onclose = (close) => log("The socket was closed: " + close.reason);
  }
</script>
"##;
