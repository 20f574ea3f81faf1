//! The application whose servers fail.

use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use cloakroom::store::Redis;
use cloakroom::{Config, Error, Field, Session, SessionId, Sessions};

use crate::support::Answer;

const COUNTER: Field<i64> = Field::new("n");

pub(super) fn sessions(store: Redis) -> Sessions {
    // every request is a touch, but none touches twice
    let config = Config::builder().touch_interval(Duration::from_millis(1)).max_sessions_per_user(1000);
    Sessions::new(store, config.store_timeout(Duration::from_secs(60)).build().unwrap())
}

pub(super) fn app(sessions: &Sessions) -> Router {
    Router::new().route("/{verb}", get(plain)).route("/{verb}/{what}", get(answer)).layer(sessions.layer())
}

async fn plain(session: Session, Path(verb): Path<String>) -> Result<Response, Error> {
    answer(session, Path((verb, String::new()))).await
}

/// Every answer begins with whose session it is: its id and its user.
async fn answer(session: Session, Path((verb, what)): Path<(String, String)>) -> Result<Response, Error> {
    if verb == "hello" {
        session.set(Field::<bool>::named("hello"), &true)?;
        session.commit().await?;
    }
    let Some(id) = session.id() else {
        return Ok(StatusCode::GONE.into_response());
    };
    if verb.starts_with("sign-out") {
        // an answer is about the revoke, not about a touch that comes afterwards
        session.peek();
    }
    let former = session.user();
    let told = match verb.as_str() {
        "hello" | "me" => String::new(),
        "sign-in" => session.sign_in(what.as_str()).await.map(|()| String::new())?,
        "set" => session.set(Field::<bool>::named(what), &true).map(|()| String::new())?,
        "count" => session.increment(COUNTER, 1).await?.to_string(),
        "rotate" => session.rotate().await.map(|()| String::new())?,
        "sign-out" => session.sign_out().await.map(|()| String::new())?,
        "sign-out-device" => session.sign_out_device(&SessionId::parse(&what)?).await?.to_string(),
        "sign-out-everywhere" => session.sign_out_everywhere().await?.to_string(),
        other => panic!("{other} is no verb"),
    };
    let user = session.user().or(former).map_or("nobody".to_owned(), |user| user.as_str().to_owned());
    Ok(format!("{id} {user} {told}").into_response())
}

/// What became of something that was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// Acknowledged.
    Done,
    NotDone,
    Unknown,
    /// A revoke that was done, but that a failover may undo.
    NotDurable,
    /// There is no such session.
    Gone,
}

impl Told {
    pub(super) fn by(answer: &Answer) -> Told {
        let is = |predicate: fn(&Error) -> bool| answer.error.as_ref().is_some_and(predicate);
        match answer.status {
            StatusCode::OK => Told::Done,
            StatusCode::GONE => Told::Gone,
            _ if is(Error::is_gone) => Told::Gone,
            _ if is(Error::is_not_durable) => Told::NotDurable,
            _ if is(Error::is_unknown) => Told::Unknown,
            _ if is(Error::is_store) || is(Error::is_conflict) => Told::NotDone,
            _ => panic!("{}: {}", answer.status, answer.body),
        }
    }
}
