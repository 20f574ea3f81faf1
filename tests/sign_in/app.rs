//! The application that these tests visit: a route for each verb, and nothing else.

use std::time::Duration;

use cloakroom::{Device, Error, Field, Page, Session, SessionId, Sessions, SignedIn};

use super::framework::{Path, Router, State, get};
use crate::support::{Browser, Place};

pub(super) fn field(name: impl Into<std::borrow::Cow<'static, str>>) -> Field<String> {
    Field::named(name)
}

/// Every verb that needs no more than its name.
pub(super) fn app(sessions: &Sessions) -> Router {
    Router::new()
        .route("/read/{name}", get(read))
        .route("/write/{name}/{value}", get(write))
        .route("/count", get(async |session: Session| count(&session).await))
        .route("/whoami", get(async |session: Session| whoami(&session)))
        .route("/id", get(async |session: Session| session.id().map(|id| id.to_string()).unwrap_or_default()))
        .route("/exists", get(async |session: Session| session.exists().to_string()))
        .route("/ended", get(async |session: Session| format!("{:?}", session.ended())))
        .route("/account", get(async |SignedIn { user, .. }: SignedIn| user.as_str().to_owned()))
        .route("/sign_in/{user}", get(sign_in))
        .route("/sign_out", get(async |session: Session| session.sign_out().await))
        .route("/rotate", get(async |session: Session| session.rotate().await))
        .route("/elevate", get(async |session: Session| session.elevate().await))
        .route("/devices", get(async |session: Session| Ok::<_, Error>(listed(&session.devices().await?))))
        .route("/devices_of/{user}", get(devices_of))
        .route("/sign_out_device/{id}", get(sign_out_device))
        .route("/sign_out_others", get(async |session: Session| session.sign_out_others().await.map(|n| n.to_string())))
        .route("/sign_out_everywhere", get(everywhere))
        .route("/csrf_token", get(async |session: Session| session.csrf_token()))
        .with_state(sessions.clone())
        .layer(sessions.layer())
}

async fn read(session: Session, Path(name): Path<String>) -> Result<String, Error> {
    Ok(session.get(field(name))?.unwrap_or_default())
}

async fn write(session: Session, Path((name, value)): Path<(String, String)>) -> Result<(), Error> {
    session.set(field(name), value.as_str())
}

pub(super) async fn count(session: &Session) -> Result<String, Error> {
    session.increment(Field::new("count"), 1).await.map(|count| count.to_string())
}

pub(super) fn whoami(session: &Session) -> String {
    session.user().map_or("nobody".to_owned(), |user| user.as_str().to_owned())
}

async fn sign_in(session: Session, Path(user): Path<String>) -> Result<String, Error> {
    session.sign_in(user).await?;
    Ok(whoami(&session))
}

async fn devices_of(State(sessions): State<Sessions>, Path(user): Path<String>) -> Result<String, Error> {
    Ok(listed(&sessions.devices(user, Page::default()).await?))
}

async fn sign_out_device(session: Session, Path(id): Path<String>) -> Result<String, Error> {
    session.sign_out_device(&SessionId::parse(&id)?).await.map(|ended| ended.to_string())
}

async fn everywhere(session: Session) -> Result<String, Error> {
    session.sign_out_everywhere().await.map(|n| n.to_string())
}

/// Ids in order, the current one in brackets.
pub(super) fn listed(devices: &[Device]) -> String {
    let shown = |device: &Device| if device.current { format!("[{}]", device.id) } else { device.id.to_string() };
    devices.iter().map(shown).collect::<Vec<_>>().join(" ")
}

/// The public half of what a browser carries.
pub(super) fn id_of(browser: &Browser) -> String {
    browser.token().expect("it carries a token").split('.').next().unwrap().to_owned()
}

/// Asks with this token alone.
pub(super) async fn ask_with(browser: &Browser, token: &str, path: &str) -> crate::support::Answer {
    browser.send(path, Some(&format!("__Host-sid={token}"))).await
}

/// A browser that is signed in.
pub(super) async fn signed_in(browser: Browser, user: &str) -> Browser {
    assert_eq!(browser.visit(&format!("/sign_in/{user}")).await.body, user);
    browser
}

/// Lets time pass: in memory by the clock, on Redis by waiting.
pub(super) async fn pass(place: &Place, time: Duration) {
    match place.is_redis() {
        true => tokio::time::sleep(time).await,
        false => place.clock.advance(time),
    }
}
