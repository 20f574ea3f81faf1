//! Without a session library: the store of the Redis session tutorials, and a handler with the one HGETALL that a
//! read of a hash cannot do without.
//!
//! The tutorials' store reads in four calls: EXISTS, HGETALL, HSET of `last_accessed_at`, EXPIRE. It has no rotation,
//! so signing in begins a new session with the fields of the old one and deletes that.

use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::header::{COOKIE, SET_COOKIE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use cloakroom_bench::{Kind, texts};
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;

use crate::{Arguments, Result, greeting};

const IDLE_SECONDS: i64 = 30 * 60;

type Fields = HashMap<String, String>;
type Answer = std::result::Result<Response, Failed>;

#[derive(Clone)]
struct Store {
    redis: MultiplexedConnection,
    long: bool,
}

pub async fn router(arguments: &Arguments) -> Result<Router> {
    let client = redis::Client::open(format!("redis://127.0.0.1:{}", arguments.redis_port))?;
    let redis = client.get_multiplexed_async_connection().await?;
    let read = if arguments.kind == Kind::OneHgetall { get(read_only) } else { get(read) };
    Ok(Router::new()
        .route("/begin", post(begin))
        .route("/read", read)
        .route("/change", post(change))
        .route("/sign-in/{user}", post(sign_in))
        .route("/sign-out", post(sign_out))
        .with_state(Store { redis, long: arguments.long_value }))
}

impl Store {
    async fn create(&mut self, fields: &Fields) -> redis::RedisResult<String> {
        let id = uuid::Uuid::new_v4().to_string();
        let fields: Vec<_> = fields.iter().collect();
        () = self.redis.hset_multiple(key(&id), &fields).await?;
        () = self.redis.expire(key(&id), IDLE_SECONDS).await?;
        Ok(id)
    }

    async fn read(&mut self, id: &str) -> redis::RedisResult<Option<Fields>> {
        if !self.redis.exists(key(id)).await? {
            return Ok(None);
        }
        let fields = self.redis.hgetall(key(id)).await?;
        () = self.redis.hset(key(id), "last_accessed_at", now()).await?;
        () = self.redis.expire(key(id), IDLE_SECONDS).await?;
        Ok(Some(fields))
    }
}

async fn begin(State(mut store): State<Store>) -> Answer {
    let mut fields: Fields = texts(store.long).into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    fields.insert("views".to_owned(), "1".to_owned());
    fields.insert("created_at".to_owned(), now());
    fields.insert("last_accessed_at".to_owned(), now());
    fields.insert("session_ttl".to_owned(), IDLE_SECONDS.to_string());
    let id = store.create(&fields).await?;
    Ok(with_cookie(&id))
}

async fn read(State(mut store): State<Store>, headers: HeaderMap) -> Answer {
    let Some(id) = session_id(&headers) else { return Ok(unauthorized()) };
    let fields = store.read(id).await?;
    Ok(answer(&fields.unwrap_or_default()))
}

async fn read_only(State(mut store): State<Store>, headers: HeaderMap) -> Answer {
    let Some(id) = session_id(&headers) else { return Ok(unauthorized()) };
    let fields: Fields = store.redis.hgetall(key(id)).await?;
    Ok(answer(&fields))
}

async fn change(State(mut store): State<Store>, headers: HeaderMap) -> Answer {
    let Some(id) = session_id(&headers) else { return Ok(unauthorized()) };
    let Some(mut fields) = store.read(id).await? else { return Ok(unauthorized()) };
    let views: i64 = store.redis.hincr(key(id), "views", 1).await?;
    fields.insert("views".to_owned(), views.to_string());
    Ok(answer(&fields))
}

async fn sign_in(State(mut store): State<Store>, Path(user): Path<u64>, headers: HeaderMap) -> Answer {
    let Some(id) = session_id(&headers) else { return Ok(unauthorized()) };
    let Some(mut fields) = store.read(id).await? else { return Ok(unauthorized()) };
    fields.insert("user_id".to_owned(), user.to_string());
    let signed_in = store.create(&fields).await?;
    () = store.redis.del(key(id)).await?;
    Ok(with_cookie(&signed_in))
}

async fn sign_out(State(mut store): State<Store>, headers: HeaderMap) -> Answer {
    let Some(id) = session_id(&headers) else { return Ok(unauthorized()) };
    () = store.redis.del(key(id)).await?;
    Ok(StatusCode::OK.into_response())
}

fn answer(fields: &Fields) -> Response {
    match (fields.get("name"), fields.get("views").and_then(|views| views.parse().ok())) {
        (Some(name), Some(views)) => greeting(name, views).into_response(),
        _ => unauthorized(),
    }
}

fn session_id(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get(COOKIE)?.to_str().ok()?;
    cookies.split("; ").find_map(|cookie| cookie.strip_prefix("session_id="))
}

fn with_cookie(id: &str) -> Response {
    [(SET_COOKIE, format!("session_id={id}; HttpOnly; Secure; SameSite=Lax; Path=/"))].into_response()
}

fn unauthorized() -> Response {
    StatusCode::UNAUTHORIZED.into_response()
}

fn key(id: &str) -> String {
    format!("session:{id}")
}

fn now() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
    now.as_secs().to_string()
}

struct Failed(redis::RedisError);

impl From<redis::RedisError> for Failed {
    fn from(error: redis::RedisError) -> Self {
        Failed(error)
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        (StatusCode::INTERNAL_SERVER_ERROR, self.0.to_string()).into_response()
    }
}
