//! An application on axum-login: its users sign in and out on Cloakroom's stores.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::Form;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum_login::tower_sessions::{SessionManagerLayer, SessionStore};
use axum_login::{AuthManagerLayerBuilder, AuthSession, AuthUser, AuthnBackend, login_required};
use cloakroom::testing::{Browser, TestSessions};
use serde::Deserialize;

mod support;

on_each_store! {
    a_user_signs_in_and_out,
    two_browsers_of_one_user_are_signed_out_one_by_one,
    two_users_have_sessions_of_their_own,
    a_sign_in_gives_the_browser_another_id_and_keeps_its_cart,
    a_new_password_signs_out_the_sessions_that_were_made_with_the_old_one,
}

/// The table of users, with one user whose password is shared by all copies of this.
#[derive(Debug, Clone)]
struct Users {
    password_of_ada: Arc<Mutex<String>>,
}

#[derive(Debug, Clone)]
struct User {
    name: String,
    password: String,
}

#[derive(Debug, Clone, Deserialize)]
struct Credentials {
    name: String,
    password: String,
}

impl AuthUser for User {
    type Id = String;

    fn id(&self) -> String {
        self.name.clone()
    }

    fn session_auth_hash(&self) -> &[u8] {
        self.password.as_bytes()
    }
}

impl AuthnBackend for Users {
    type User = User;
    type Credentials = Credentials;
    type Error = Infallible;

    async fn authenticate(&self, asked: Credentials) -> Result<Option<User>, Infallible> {
        let user = self.get_user(&asked.name).await?;
        Ok(user.filter(|user| user.password == asked.password))
    }

    async fn get_user(&self, name: &String) -> Result<Option<User>, Infallible> {
        let password = match name.as_str() {
            "ada" => self.password_of_ada.lock().unwrap().clone(),
            "bob" => "bob's".to_owned(),
            _ => return Ok(None),
        };
        Ok(Some(User { name: name.clone(), password }))
    }
}

type Auth = AuthSession<Users>;

fn app(store: impl SessionStore + Clone) -> (Router, Users) {
    let users = Users { password_of_ada: Arc::new(Mutex::new("secret".to_owned())) };
    let layer = AuthManagerLayerBuilder::new(users.clone(), SessionManagerLayer::new(store)).build();
    let app = Router::new()
        .route("/account", get(account))
        .route_layer(login_required!(Users))
        .route("/sign-in", post(sign_in))
        .route("/sign-out", post(async |mut auth: Auth| drop(auth.logout().await.unwrap())))
        .route("/cart", post(async |auth: Auth| auth.session.insert("cart", "coat").await.unwrap()))
        .route("/cart", get(async |auth: Auth| auth.session.get::<String>("cart").await.unwrap().unwrap_or_default()))
        .layer(layer);
    (app, users)
}

async fn account(auth: Auth) -> String {
    auth.user.map(|user| user.name).unwrap_or_default()
}

async fn sign_in(mut auth: Auth, Form(credentials): Form<Credentials>) -> StatusCode {
    match auth.authenticate(credentials).await.unwrap() {
        None => StatusCode::UNAUTHORIZED,
        Some(user) => {
            auth.login(&user).await.unwrap();
            StatusCode::OK
        }
    }
}

fn browser() -> Browser {
    TestSessions::new().browser()
}

async fn signed_in(app: &Router, form: &str) -> Browser {
    let mut browser = browser();
    assert_eq!(browser.post(app, "/sign-in", form).await.status(), 200);
    browser
}

async fn page(browser: &mut Browser, app: &Router, path: &str) -> (StatusCode, String) {
    let response = browser.get(app, path).await;
    let status = response.status();
    let body = axum::body::to_bytes(response.into_body(), 1 << 16).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

async fn is_signed_in_as(browser: &mut Browser, app: &Router, name: &str) -> bool {
    page(browser, app, "/account").await == (StatusCode::OK, name.to_owned())
}

async fn a_user_signs_in_and_out(store: impl SessionStore + Clone) {
    let (app, _) = app(store);
    let mut browser = browser();
    assert_eq!(page(&mut browser, &app, "/account").await.0, 401);
    assert_eq!(browser.post(&app, "/sign-in", "name=ada&password=wrong").await.status(), 401);
    assert_eq!(page(&mut browser, &app, "/account").await.0, 401);
    assert_eq!(browser.post(&app, "/sign-in", "name=ada&password=secret").await.status(), 200);
    assert!(is_signed_in_as(&mut browser, &app, "ada").await);
    let mut thief = browser.clone();
    assert_eq!(browser.post(&app, "/sign-out", "").await.status(), 200);
    assert_eq!(browser.cookies(), None);
    assert_eq!(page(&mut thief, &app, "/account").await.0, 401);
}

async fn two_browsers_of_one_user_are_signed_out_one_by_one(store: impl SessionStore + Clone) {
    let (app, _) = app(store);
    let mut laptop = signed_in(&app, "name=ada&password=secret").await;
    let mut phone = signed_in(&app, "name=ada&password=secret").await;
    laptop.post(&app, "/sign-out", "").await;
    assert_eq!(page(&mut laptop, &app, "/account").await.0, 401);
    assert!(is_signed_in_as(&mut phone, &app, "ada").await);
}

async fn two_users_have_sessions_of_their_own(store: impl SessionStore + Clone) {
    let (app, _) = app(store);
    let mut ada = signed_in(&app, "name=ada&password=secret").await;
    let mut bob = signed_in(&app, "name=bob&password=bob%27s").await;
    bob.post(&app, "/cart", "").await;
    assert!(is_signed_in_as(&mut ada, &app, "ada").await);
    assert!(is_signed_in_as(&mut bob, &app, "bob").await);
    assert_eq!(page(&mut bob, &app, "/cart").await.1, "coat");
    assert_eq!(page(&mut ada, &app, "/cart").await.1, "");
}

async fn a_sign_in_gives_the_browser_another_id_and_keeps_its_cart(store: impl SessionStore + Clone) {
    let (app, _) = app(store);
    let mut browser = browser();
    browser.post(&app, "/cart", "").await;
    let mut before = browser.clone();
    browser.post(&app, "/sign-in", "name=ada&password=secret").await;
    assert_ne!(browser.cookies(), before.cookies());
    assert_eq!(page(&mut browser, &app, "/cart").await.1, "coat");
    assert_eq!(page(&mut before, &app, "/cart").await.1, "");
    assert_eq!(page(&mut before, &app, "/account").await.0, 401);
}

async fn a_new_password_signs_out_the_sessions_that_were_made_with_the_old_one(store: impl SessionStore + Clone) {
    let (app, users) = app(store);
    let mut ada = signed_in(&app, "name=ada&password=secret").await;
    *users.password_of_ada.lock().unwrap() = "a new one".to_owned();
    assert_eq!(page(&mut ada, &app, "/account").await.0, 401);
    let mut ada = signed_in(&app, "name=ada&password=a+new+one").await;
    assert!(is_signed_in_as(&mut ada, &app, "ada").await);
}
