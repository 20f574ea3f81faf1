//! Cloakroom, with its defaults.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use cloakroom::store::{Embedded, NearCache, Redis};
use cloakroom::{Config, Error, Field, Session, Sessions};
use cloakroom_bench::{Kind, texts};

use crate::{Arguments, Result, greeting};

pub const NAME: Field<String> = Field::new("name");
pub const VIEWS: Field<i64> = Field::new("views");

/// The sessions of the application, on whatever framework.
pub async fn sessions(arguments: &Arguments) -> Result<Sessions> {
    let redis = Redis::builder(format!("redis://127.0.0.1:{}", arguments.redis_port));
    Ok(match arguments.kind {
        Kind::CloakroomEmbedded | Kind::CloakroomActixEmbedded => {
            let store = Embedded::open(&arguments.directory).map_err(Error::from)?;
            Sessions::new(store, Config::default())
        }
        Kind::CloakroomNear => {
            let redis = redis.near_cache(NearCache::default());
            Sessions::new(redis.connect().await?, Config::default())
        }
        _ => Sessions::new(redis.connect().await?, Config::default()),
    })
}

pub async fn router(arguments: &Arguments) -> Result<Router> {
    Ok(Router::new()
        .route("/begin", post(begin))
        .route("/read", get(read))
        .route("/change", post(change))
        .route("/sign-in/{user}", post(sign_in))
        .route("/sign-out", post(sign_out))
        .with_state(arguments.long_value)
        .layer(sessions(arguments).await?.layer()))
}

async fn begin(State(long): State<bool>, session: Session) -> std::result::Result<(), Error> {
    for (name, value) in texts(long) {
        session.set(Field::<String>::named(name), &value)?;
    }
    session.set(VIEWS, &1)
}

async fn read(session: Session) -> std::result::Result<Response, Error> {
    let (Some(name), Some(views)) = (session.get(NAME)?, session.get(VIEWS)?) else {
        return Ok(StatusCode::UNAUTHORIZED.into_response());
    };
    Ok(greeting(&name, views).into_response())
}

async fn change(session: Session) -> std::result::Result<Response, Error> {
    let (Some(name), Some(views)) = (session.get(NAME)?, session.get(VIEWS)?) else {
        return Ok(StatusCode::UNAUTHORIZED.into_response());
    };
    session.set(VIEWS, &(views + 1))?;
    Ok(greeting(&name, views + 1).into_response())
}

async fn sign_in(Path(user): Path<u64>, session: Session) -> std::result::Result<(), Error> {
    session.sign_in(user).await
}

async fn sign_out(session: Session) -> std::result::Result<(), Error> {
    session.sign_out().await
}
