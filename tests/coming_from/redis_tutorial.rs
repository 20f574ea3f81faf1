//! From a Python application whose sessions are those of the Redis tutorials.

use std::collections::HashMap;

use axum::http::HeaderMap;
use cloakroom::{Adoption, BoxError, FormerSession, FormerSessions};
use redis::AsyncCommands as _;
use redis::aio::MultiplexedConnection;

use crate::process;
use crate::redis_server::RedisServer;
use crate::site::{CART, nobody_is_signed_out};

#[tokio::test(flavor = "multi_thread")]
async fn users_of_the_tutorials_python_application_stay_signed_in() {
    let redis = RedisServer::start();
    let libraries = ("PYTHONPATH", "python");
    let (_process, former) = process::start("python3", "python/application.py", redis.port(), libraries);
    let client = redis::Client::open(redis.url()).unwrap();
    let connection = client.get_multiplexed_async_connection().await.unwrap();
    nobody_is_signed_out(&former, &redis, || Adoption::new("session_token", Former(connection.clone()))).await;
}

/// The sessions of the tutorials: a hash for each, under the token that is in the cookie.
struct Former(MultiplexedConnection);

impl FormerSessions for Former {
    async fn find(&self, cookie: &str, _: &HeaderMap) -> Result<Option<FormerSession>, BoxError> {
        let fields: HashMap<String, String> = self.0.clone().hgetall(format!("session:{cookie}")).await?;
        let Some(user) = fields.get("user") else { return Ok(None) };
        let cart = fields.get("cart").map_or("", String::as_str);
        Ok(Some(FormerSession::of_user(user)?.field(CART, cart)?))
    }

    async fn end(&self, cookie: &str) -> Result<(), BoxError> {
        Ok(self.0.clone().del(format!("session:{cookie}")).await?)
    }
}
