//! axum_session with its defaults, on Redis.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum_session::{SessionConfig, SessionLayer, SessionStore};
use axum_session_redispool::SessionRedisPool;
use cloakroom_bench::texts;

use crate::{Arguments, Result, greeting};

type Session = axum_session::Session<SessionRedisPool>;

pub async fn router(arguments: &Arguments) -> Result<Router> {
    let client = redis::Client::open(format!("redis://127.0.0.1:{}", arguments.redis_port))?;
    let pool = redis_pool::RedisPool::from(client);
    let store = SessionStore::new(Some(SessionRedisPool::from(pool)), SessionConfig::default()).await?;
    let new_cookies = Router::new()
        .route("/begin", post(begin))
        .route("/sign-in/{user}", post(sign_in))
        .with_state(arguments.long_value)
        .layer(SessionLayer::new(store.clone()))
        .layer(map_response(session_cookie_last));
    let others = Router::new()
        .route("/read", get(read))
        .route("/change", post(change))
        .route("/sign-out", post(sign_out))
        .layer(SessionLayer::new(store));
    Ok(new_cookies.merge(others))
}

/// It also removes a cookie called `store`, in any order, and wrk sees the last `Set-Cookie` only.
async fn session_cookie_last(mut response: Response) -> Response {
    let mut cookies: Vec<HeaderValue> = response.headers().get_all(SET_COOKIE).iter().cloned().collect();
    cookies.sort_by_key(|cookie| cookie.as_bytes().starts_with(b"session="));
    response.headers_mut().remove(SET_COOKIE);
    for cookie in cookies {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

async fn begin(State(long): State<bool>, session: Session) {
    for (name, value) in texts(long) {
        session.set(name, value);
    }
    session.set("views", 1);
}

async fn read(session: Session) -> Response {
    let (Some(name), Some(views)) = (session.get::<String>("name"), session.get("views")) else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    greeting(&name, views).into_response()
}

async fn change(session: Session) -> Response {
    let (Some(name), Some(views)) = (session.get::<String>("name"), session.get::<i64>("views")) else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    session.set("views", views + 1);
    greeting(&name, views + 1).into_response()
}

async fn sign_in(Path(user): Path<u64>, session: Session) {
    session.renew();
    session.set("user_id", user);
}

async fn sign_out(session: Session) {
    session.destroy();
}
