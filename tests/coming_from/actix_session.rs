//! From actix-session on Redis, with its defaults: an encrypted cookie that is called `id`.

use std::collections::HashMap;

use actix_session::storage::RedisSessionStore;
use actix_session::{Session, SessionMiddleware};
use actix_web::cookie::{Cookie, CookieJar, Key};
use actix_web::web::{Path, get, post};
use actix_web::{App, HttpResponse, HttpServer};
use axum::http::HeaderMap;
use cloakroom::{Adoption, BoxError, FormerSession, FormerSessions};
use redis::AsyncCommands as _;
use redis::aio::MultiplexedConnection;

use crate::redis_server::RedisServer;
use crate::site::{CART, Site, nobody_is_signed_out};

#[tokio::test(flavor = "multi_thread")]
async fn users_of_actix_session_stay_signed_in() {
    let redis = RedisServer::start();
    let key = Key::generate();
    let former = Site { url: serve_former_application(redis.url(), key.clone()).await };
    let client = redis::Client::open(redis.url()).unwrap();
    let connection = client.get_multiplexed_async_connection().await.unwrap();
    let adoption = || Adoption::new("id", Former { key: key.clone(), redis: connection.clone() });
    nobody_is_signed_out(&former, &redis, adoption).await;
}

/// The sessions of actix-session: a map of JSON texts, which stands as JSON under the name that is in the cookie.
struct Former {
    /// The key of its `SessionMiddleware`.
    key: Key,
    redis: MultiplexedConnection,
}

impl Former {
    /// Returns the name of the session in Redis, if the cookie was made with our key.
    fn name(&self, cookie: &str) -> Option<String> {
        let cookie = Cookie::parse_encoded(format!("id={cookie}")).ok()?.into_owned();
        Some(CookieJar::new().private(&self.key).decrypt(cookie)?.value().to_owned())
    }
}

impl FormerSessions for Former {
    async fn find(&self, cookie: &str, _: &HeaderMap) -> Result<Option<FormerSession>, BoxError> {
        let Some(name) = self.name(cookie) else { return Ok(None) };
        let Some(stored) = self.redis.clone().get::<_, Option<String>>(name).await? else { return Ok(None) };
        let state: HashMap<String, String> = serde_json::from_str(&stored)?;
        let text = |key: &str| state.get(key).and_then(|json| serde_json::from_str::<String>(json).ok());
        let Some(user) = text("user") else { return Ok(None) };
        Ok(Some(FormerSession::of_user(user)?.field(CART, &text("cart").unwrap_or_default())?))
    }

    async fn end(&self, cookie: &str) -> Result<(), BoxError> {
        if let Some(name) = self.name(cookie) {
            self.redis.clone().del::<_, ()>(name).await?;
        }
        Ok(())
    }
}

/// Serves the former application on a thread of its own, until the test ends.
async fn serve_former_application(redis: String, key: Key) -> String {
    let (sender, started) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        actix_web::rt::System::new().block_on(async move {
            let store = RedisSessionStore::new(redis).await.unwrap();
            let server = HttpServer::new(move || {
                App::new()
                    .wrap(SessionMiddleware::new(store.clone(), key.clone()))
                    .route("/sign-in/{user}", post().to(sign_in))
                    .route(
                        "/sign-out",
                        post().to(async |session: Session| {
                            session.purge();
                            HttpResponse::Ok().finish()
                        }),
                    )
                    .route("/cart/{item}", post().to(put_into_cart))
                    .route("/account", get().to(account))
            });
            let server = server.workers(1).disable_signals().bind("127.0.0.1:0").unwrap();
            sender.send(format!("http://{}", server.addrs()[0])).unwrap();
            server.run().await.unwrap();
        });
    });
    started.await.unwrap()
}

async fn sign_in(user: Path<String>, session: Session) -> HttpResponse {
    session.renew();
    session.insert("user", user.into_inner()).unwrap();
    HttpResponse::Ok().finish()
}

async fn put_into_cart(item: Path<String>, session: Session) -> HttpResponse {
    session.insert("cart", item.into_inner()).unwrap();
    HttpResponse::Ok().finish()
}

async fn account(session: Session) -> HttpResponse {
    let Some(user) = session.get::<String>("user").unwrap() else { return HttpResponse::Unauthorized().finish() };
    let cart = session.get::<String>("cart").unwrap().unwrap_or_default();
    HttpResponse::Ok().body(format!("{user}: {cart}"))
}
