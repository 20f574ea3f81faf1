//! A server of axum that stops in good order. `actix_server` has the same for actix-web.

use std::sync::Arc;

use cloakroom::store::Embedded;
use cloakroom::{Config, Error, Field, Page, Session, Sessions};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use super::framework::{Router, State, get};

const NAME: Field<String> = Field::new("name");

/// What the test and the handler tell each other.
#[derive(Clone, Default)]
struct Signals {
    reached: Arc<Notify>,
    go_on: Arc<Notify>,
}

async fn slow(State(signals): State<Signals>, session: Session) -> Result<String, Error> {
    signals.reached.notify_one();
    signals.go_on.notified().await;
    session.set(NAME, "to the end")?;
    session.sign_in("andrew").await?;
    Ok("done".to_owned())
}

#[tokio::test]
async fn a_graceful_shutdown_finishes_requests_and_the_last_clone_gives_the_directory_free() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sessions");
    let signals = Signals::default();
    let stop = Arc::new(Notify::new());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();

    let sessions = Sessions::new(Embedded::open(&path).unwrap(), Config::default());
    let app = Router::new().route("/slow", get(slow)).with_state(signals.clone()).layer(sessions.layer());
    let told = stop.clone();
    let serving = tokio::spawn(async move {
        axum::serve(listener, app).with_graceful_shutdown(async move { told.notified().await }).await
    });

    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(b"GET /slow HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n").await.unwrap();
    signals.reached.notified().await;
    stop.notify_one();
    signals.go_on.notify_one();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.contains("set-cookie: __Host-sid="), "{answer}");
    serving.await.unwrap().unwrap();

    assert!(Embedded::open(&path).is_err(), "a clone is still here");
    drop(sessions);
    let again = Sessions::new(Embedded::open(&path).unwrap(), Config::default());
    assert_eq!(again.devices("andrew", Page::default()).await.unwrap().len(), 1);
}
