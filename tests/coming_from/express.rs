//! From an application on Express, with express-session and connect-redis.

use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use cloakroom::{Adoption, BoxError, FormerSession, FormerSessions};
use hmac::{Hmac, KeyInit as _, Mac as _};
use redis::AsyncCommands as _;
use redis::aio::MultiplexedConnection;
use serde::Deserialize;
use sha2::Sha256;

use crate::process;
use crate::redis_server::RedisServer;
use crate::site::{CART, nobody_is_signed_out};

#[tokio::test(flavor = "multi_thread")]
async fn users_of_an_express_application_stay_signed_in() {
    let redis = RedisServer::start();
    let libraries = ("NODE_PATH", "node_modules");
    let (_process, former) = process::start("node", "express/application.js", redis.port(), libraries);
    let client = redis::Client::open(redis.url()).unwrap();
    let connection = client.get_multiplexed_async_connection().await.unwrap();
    let adoption = || Adoption::new("connect.sid", Former { secret: "keyboard cat", redis: connection.clone() });
    nobody_is_signed_out(&former, &redis, adoption).await;
}

/// The sessions of express-session: JSON under `sess:` and the id. The cookie is `s:`, the id, a dot and the signature.
struct Former {
    secret: &'static str,
    redis: MultiplexedConnection,
}

#[derive(Deserialize)]
struct Stored {
    user: Option<String>,
    #[serde(default)]
    cart: String,
}

impl Former {
    /// Returns the key of the session in Redis, if the cookie was signed with our secret.
    fn key(&self, cookie: &str) -> Option<String> {
        let cookie = percent_encoding::percent_decode_str(cookie).decode_utf8().ok()?;
        let (id, signature) = cookie.strip_prefix("s:")?.rsplit_once('.')?;
        let mut mac = Hmac::<Sha256>::new_from_slice(self.secret.as_bytes()).ok()?;
        mac.update(id.as_bytes());
        mac.verify_slice(&STANDARD_NO_PAD.decode(signature).ok()?).ok()?;
        Some(format!("sess:{id}"))
    }
}

impl FormerSessions for Former {
    async fn find(&self, cookie: &str, _: &HeaderMap) -> Result<Option<FormerSession>, BoxError> {
        let Some(key) = self.key(cookie) else { return Ok(None) };
        let Some(stored) = self.redis.clone().get::<_, Option<String>>(key).await? else { return Ok(None) };
        let Stored { user: Some(user), cart } = serde_json::from_str(&stored)? else { return Ok(None) };
        Ok(Some(FormerSession::of_user(user)?.field(CART, &cart)?))
    }

    async fn end(&self, cookie: &str) -> Result<(), BoxError> {
        if let Some(key) = self.key(cookie) {
            self.redis.clone().del::<_, ()>(key).await?;
        }
        Ok(())
    }
}
