//! The application: what a browser can ask for, and what its page says.

use std::fmt;
use std::str::FromStr;

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use cloakroom::{Error, Field, Fresh, Page, Session, Sessions};

const COUNT: Field<i64> = Field::new("count");
const NOTE: Field<String> = Field::new("note");

/// What a request saw of its session when it came and when it went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) id: Option<String>,
    pub(crate) user: Option<String>,
    pub(crate) count: i64,
}

/// As a page shows it; a dash stands for nothing.
impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or_dash = |text: &Option<String>| text.clone().unwrap_or("-".to_owned());
        write!(f, "{} {} {}", or_dash(&self.id), or_dash(&self.user), self.count)
    }
}

impl FromStr for Seen {
    type Err = String;

    fn from_str(page: &str) -> Result<Seen, String> {
        let unreadable = || format!("an unreadable page: {page}");
        let [id, user, count] = page.split(' ').collect::<Vec<_>>().try_into().map_err(|_| unreadable())?;
        let some = |text: &str| (text != "-").then(|| text.to_owned());
        Ok(Seen { id: some(id), user: some(user), count: count.parse().map_err(|_| unreadable())? })
    }
}

fn page(session: &Session) -> Result<String, Error> {
    let seen = Seen {
        id: session.id().map(|id| id.to_string()),
        user: session.user().map(|user| user.to_string()),
        count: session.get(COUNT)?.unwrap_or_default(),
    };
    Ok(seen.to_string())
}

pub(crate) fn app(sessions: Sessions) -> Router {
    let application = sessions.clone();
    let close_account =
        async move |Path(user): Path<String>| application.revoke_user(user).await.map(|ended| ended.to_string());
    Router::new()
        .route("/look", get(look))
        .route("/now", get(now))
        .route("/note/{text}", get(note))
        .route("/count", get(count))
        .route("/sign-in/{user}", get(sign_in))
        .route("/remember/{user}", get(remember))
        .route("/rotate", get(rotate))
        .route("/devices", get(devices))
        .route("/sign-out", get(sign_out))
        .route("/others", get(others))
        .route("/everywhere", get(everywhere))
        .route("/close-account/{user}", get(close_account))
        .layer(sessions.layer())
}

async fn look(session: Session) -> Result<String, Error> {
    page(&session)
}

async fn now(Fresh(session): Fresh) -> Result<String, Error> {
    page(&session)
}

async fn note(session: Session, Path(text): Path<String>) -> Result<String, Error> {
    session.set(NOTE, &text)?;
    session.commit().await?;
    page(&session)
}

async fn count(session: Session) -> Result<String, Error> {
    session.increment(COUNT, 1).await?;
    page(&session)
}

async fn sign_in(session: Session, Path(user): Path<String>) -> Result<String, Error> {
    session.sign_in(user).await?;
    page(&session)
}

/// As with a checked "remember me", for as long as that may be here.
async fn remember(session: Session, Path(user): Path<String>) -> Result<String, Error> {
    session.sign_in(user).idle_timeout(super::load::LONGEST).absolute_lifetime(super::load::LONGEST).await?;
    page(&session)
}

async fn rotate(session: Session) -> Result<String, Error> {
    if session.exists() {
        session.rotate().await?;
    }
    page(&session)
}

async fn devices(session: Session) -> Result<String, Error> {
    if session.user().is_some() {
        let devices = session.devices().await?;
        let current = devices.iter().filter(|device| device.current).count();
        assert!(current <= 1, "a list of devices marks {current} as the current one");
        assert!(devices.len() <= Page::default().limit, "a page is not longer than asked for");
    }
    page(&session)
}

async fn sign_out(session: Session) -> Result<String, Error> {
    session.sign_out().await?;
    page(&session)
}

async fn others(session: Session) -> Result<String, Error> {
    if session.user().is_some() {
        session.sign_out_others().await?;
    }
    page(&session)
}

async fn everywhere(session: Session) -> Result<String, Error> {
    if session.user().is_some() {
        session.sign_out_everywhere().await?;
    }
    page(&session)
}
