//! tower-sessions with its defaults, on its memory store and its Redis store.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use cloakroom_bench::{Kind, texts};
use tower_sessions::{Expiry, MemoryStore, Session, SessionManagerLayer, cookie::time::Duration, session::Error};
use tower_sessions_redis_store::RedisStore;
use tower_sessions_redis_store::fred::prelude::*;

use crate::{Arguments, Result, greeting};

const IDLE: Expiry = Expiry::OnInactivity(Duration::minutes(30));

pub async fn router(arguments: &Arguments) -> Result<Router> {
    let router = Router::new()
        .route("/begin", post(begin))
        .route("/read", get(read))
        .route("/change", post(change))
        .route("/sign-in/{user}", post(sign_in))
        .route("/sign-out", post(sign_out))
        .with_state(arguments.long_value);
    if arguments.kind == Kind::TowerSessionsMemory {
        return Ok(router.layer(SessionManagerLayer::new(MemoryStore::default()).with_expiry(IDLE)));
    }
    let config = Config::from_url(&format!("redis://127.0.0.1:{}", arguments.redis_port))?;
    // six connections, as in its documentation
    let pool = Pool::new(config, None, None, None, 6)?;
    pool.connect();
    pool.wait_for_connect().await?;
    Ok(router.layer(SessionManagerLayer::new(RedisStore::new(pool)).with_expiry(IDLE)))
}

type Answer = std::result::Result<Response, Failed>;

async fn begin(State(long): State<bool>, session: Session) -> Answer {
    for (name, value) in texts(long) {
        session.insert(name, value).await?;
    }
    session.insert("views", 1).await?;
    Ok(StatusCode::OK.into_response())
}

async fn read(session: Session) -> Answer {
    let (Some(name), Some(views)) = (session.get::<String>("name").await?, session.get("views").await?) else {
        return Ok(StatusCode::UNAUTHORIZED.into_response());
    };
    Ok(greeting(&name, views).into_response())
}

async fn change(session: Session) -> Answer {
    let (Some(name), Some(views)) = (session.get::<String>("name").await?, session.get::<i64>("views").await?) else {
        return Ok(StatusCode::UNAUTHORIZED.into_response());
    };
    session.insert("views", views + 1).await?;
    Ok(greeting(&name, views + 1).into_response())
}

async fn sign_in(Path(user): Path<u64>, session: Session) -> Answer {
    session.cycle_id().await?;
    session.insert("user_id", user).await?;
    Ok(StatusCode::OK.into_response())
}

async fn sign_out(session: Session) -> Answer {
    session.flush().await?;
    Ok(StatusCode::OK.into_response())
}

struct Failed(Error);

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Failed(error)
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        (StatusCode::INTERNAL_SERVER_ERROR, self.0.to_string()).into_response()
    }
}
