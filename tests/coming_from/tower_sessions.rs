//! From axum-login on tower-sessions and its Redis store.

use std::convert::Infallible;

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum_login::{AuthManagerLayerBuilder, AuthSession, AuthUser, AuthnBackend};
use cloakroom::{Adoption, BoxError, FormerSession, FormerSessions};
use tower_sessions::session::Id;
use tower_sessions::{SessionManagerLayer, SessionStore as _};
use tower_sessions_redis_store::RedisStore;
use tower_sessions_redis_store::fred::prelude::{ClientLike as _, Config, Pool};

use crate::redis_server::RedisServer;
use crate::site::{CART, Site, nobody_is_signed_out};

#[tokio::test(flavor = "multi_thread")]
async fn users_of_axum_login_stay_signed_in() {
    let redis = RedisServer::start();
    let store = store(&redis).await;
    let former = Site { url: serve(former_application(store.clone())).await };
    // its layer calls the cookie `id`, unless one says otherwise
    nobody_is_signed_out(&former, &redis, || Adoption::new("id", Former(store.clone()))).await;
}

/// The sessions of tower-sessions, with what axum-login has in them.
struct Former(RedisStore<Pool>);

impl FormerSessions for Former {
    async fn find(&self, cookie: &str, _: &HeaderMap) -> Result<Option<FormerSession>, BoxError> {
        let Ok(id) = cookie.parse::<Id>() else { return Ok(None) };
        let Some(record) = self.0.load(&id).await? else { return Ok(None) };
        let login = record.data.get("axum-login.data");
        let Some(name) = login.and_then(|login| login["user_id"].as_str()) else { return Ok(None) };
        // what axum-login does at each request: a session from before the password was changed is none
        let Some(user) = Users.get_user(&name.to_owned()).await? else { return Ok(None) };
        if login.and_then(|login| login.get("auth_hash")) != Some(&user.session_auth_hash().into()) {
            return Ok(None);
        }
        let cart = record.data.get("cart").and_then(|cart| cart.as_str()).unwrap_or_default();
        Ok(Some(FormerSession::of_user(name)?.field(CART, cart)?))
    }

    async fn end(&self, cookie: &str) -> Result<(), BoxError> {
        if let Ok(id) = cookie.parse::<Id>() {
            self.0.delete(&id).await?;
        }
        Ok(())
    }
}

async fn store(redis: &RedisServer) -> RedisStore<Pool> {
    let pool = Pool::new(Config::from_url(&redis.url()).unwrap(), None, None, None, 1).unwrap();
    pool.connect();
    pool.wait_for_connect().await.unwrap();
    RedisStore::new(pool)
}

#[derive(Debug, Clone)]
struct Users;

#[derive(Debug, Clone)]
struct User(String);

impl AuthUser for User {
    type Id = String;

    fn id(&self) -> String {
        self.0.clone()
    }

    fn session_auth_hash(&self) -> &[u8] {
        b"the hash of the password"
    }
}

impl AuthnBackend for Users {
    type User = User;
    type Credentials = String;
    type Error = Infallible;

    async fn authenticate(&self, name: String) -> Result<Option<User>, Infallible> {
        Ok(Some(User(name)))
    }

    async fn get_user(&self, name: &String) -> Result<Option<User>, Infallible> {
        Ok(Some(User(name.clone())))
    }
}

type Auth = AuthSession<Users>;

fn former_application(store: RedisStore<Pool>) -> Router {
    let layer = AuthManagerLayerBuilder::new(Users, SessionManagerLayer::new(store)).build();
    Router::new()
        .route("/sign-in/{user}", post(sign_in))
        .route("/sign-out", post(async |mut auth: Auth| drop(auth.logout().await.unwrap())))
        .route(
            "/cart/{item}",
            post(async |item: Path<String>, auth: Auth| auth.session.insert("cart", item.0).await.unwrap()),
        )
        .route("/account", get(account))
        .layer(layer)
}

async fn sign_in(Path(name): Path<String>, mut auth: Auth) {
    let user = auth.authenticate(name).await.unwrap().unwrap();
    auth.login(&user).await.unwrap();
}

async fn account(auth: Auth) -> Result<String, StatusCode> {
    let User(name) = auth.user.ok_or(StatusCode::UNAUTHORIZED)?;
    let cart = auth.session.get::<String>("cart").await.unwrap();
    Ok(format!("{name}: {}", cart.unwrap_or_default()))
}

async fn serve(app: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, app).into_future());
    url
}
