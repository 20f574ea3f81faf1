//! Signs users in with passwords, lists their devices, and remembers them where they wish.
//!
//! Run it with `cargo run --example passwords` and open <http://127.0.0.1:3000/>. The users are in memory here; an
//! application has them in its database.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Form, Router};
use cloakroom::{Config, Error, RecentSignIn, Session, SessionId, Sessions, SignedIn, store::Memory};
use serde::Deserialize;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The user table: an id that never changes, and what is needed to check a password.
#[derive(Default)]
pub(crate) struct Users(Mutex<HashMap<String, User>>);

#[derive(Clone)]
struct User {
    id: u64,
    /// Argon2id with a salt of its own. The password itself is stored nowhere.
    password_hash: String,
}

impl Users {
    /// Adds a user.
    pub(crate) async fn register(&self, name: &str, password: &str) -> bool {
        let password_hash = hash(password.to_owned()).await;
        let mut users = self.0.lock().expect("nobody panics with the table in hand");
        if users.contains_key(name) {
            return false;
        }
        let id = users.len() as u64 + 1;
        users.insert(name.to_owned(), User { id, password_hash });
        true
    }

    /// The user's id if the password is theirs. It takes as long for a name that nobody has, so that nobody can find out which
    /// names there are.
    async fn check(&self, name: &str, password: &str) -> Option<u64> {
        let user = self.find(name);
        let password_hash = match &user {
            Some(user) => user.password_hash.clone(),
            None => hash("nobody's password".to_owned()).await,
        };
        let is_theirs = verify(password.to_owned(), password_hash).await;
        user.filter(|_| is_theirs).map(|user| user.id)
    }

    async fn change_password(&self, id: u64, password: &str) {
        let password_hash = hash(password.to_owned()).await;
        let mut users = self.0.lock().expect("nobody panics with the table in hand");
        if let Some(user) = users.values_mut().find(|user| user.id == id) {
            user.password_hash = password_hash;
        }
    }

    fn find(&self, name: &str) -> Option<User> {
        self.0.lock().expect("nobody panics with the table in hand").get(name).cloned()
    }
}

/// Hashing takes a while on purpose, so it runs where it stops no other request.
async fn hash(password: String) -> String {
    let hashing = move || {
        let hash = Argon2::default().hash_password(password.as_bytes()).expect("the defaults are valid");
        hash.to_string()
    };
    tokio::task::spawn_blocking(hashing).await.expect("hashing does not panic")
}

async fn verify(password: String, password_hash: String) -> bool {
    let verifying = move || {
        let hash = PasswordHash::new(&password_hash).expect("the table holds hashes only");
        Argon2::default().verify_password(password.as_bytes(), &hash).is_ok()
    };
    tokio::task::spawn_blocking(verifying).await.expect("verifying does not panic")
}

pub(crate) fn app(sessions: &Sessions, users: Arc<Users>) -> Router {
    Router::new()
        .route("/", get(home))
        .route("/sign-in", get(sign_in_page).post(sign_in))
        .route("/sign-out", post(sign_out))
        .route("/devices/sign-out", post(sign_out_device))
        .route("/password", post(change_password))
        .layer(sessions.layer())
        .with_state(users)
}

#[derive(Deserialize)]
struct SignInForm {
    name: String,
    password: String,
    #[serde(default)]
    remember: bool,
}

async fn sign_in_page() -> Html<&'static str> {
    Html(
        r#"<!doctype html><title>Sign in</title>
<form method="post" action="/sign-in">
  <label>Name <input name="name" autocomplete="username"></label>
  <label>Password <input name="password" type="password" autocomplete="current-password"></label>
  <label><input type="checkbox" name="remember" value="true"> Remember me</label>
  <button>Sign in</button>
</form>"#,
    )
}

async fn sign_in(
    session: Session,
    State(users): State<Arc<Users>>,
    Form(form): Form<SignInForm>,
) -> Result<Response, Error> {
    let Some(user) = users.check(&form.name, &form.password).await else {
        return Ok((StatusCode::UNAUTHORIZED, "The name or the password is wrong.\n").into_response());
    };
    let signing_in = session.sign_in(user);
    if form.remember {
        // The browser keeps the cookie for 30 days, and renews it while the user comes.
        signing_in.idle_timeout(30 * DAY).absolute_lifetime(90 * DAY).cookie_max_age(30 * DAY).await?;
    } else {
        signing_in.await?;
    }
    Ok(Redirect::to("/").into_response())
}

/// Who is not signed in is sent to the sign-in page, which the configuration names.
async fn home(SignedIn { user, session }: SignedIn) -> Result<Html<String>, Error> {
    let mut page = format!("<!doctype html><title>Your devices</title><p>You are user {user}.<ul>");
    for device in session.devices().await? {
        let here = if device.current { " (this one)" } else { "" };
        let label = device.label.as_deref().unwrap_or("an unknown device");
        page += &format!(
            r#"<li>{}{here} <form method="post" action="/devices/sign-out"><button name="id" value="{}">Sign out</button></form>"#,
            escape(label),
            device.id
        );
    }
    Ok(Html(page + r#"</ul><form method="post" action="/sign-out"><button>Sign out here</button></form>"#))
}

async fn sign_out(session: Session) -> Result<Redirect, Error> {
    session.sign_out().await?;
    Ok(Redirect::to("/sign-in"))
}

#[derive(Deserialize)]
struct DeviceForm {
    id: String,
}

async fn sign_out_device(SignedIn { session, .. }: SignedIn, Form(form): Form<DeviceForm>) -> Result<Redirect, Error> {
    // Somebody else's session answers as one that does not exist, so an id alone does no harm.
    session.sign_out_device(&SessionId::parse(&form.id)?).await?;
    Ok(Redirect::to("/"))
}

#[derive(Deserialize)]
struct PasswordForm {
    password: String,
}

/// Asks for a sign-in of the last ten minutes, so that a browser that somebody left open cannot change the password.
async fn change_password(
    recent: RecentSignIn<600>,
    State(users): State<Arc<Users>>,
    Form(form): Form<PasswordForm>,
) -> Result<Redirect, Error> {
    users.change_password(recent.user.parse().expect("this application's ids are numbers"), &form.password).await;
    // Whoever knew the old password has to sign in again.
    recent.session.sign_out_others().await?;
    Ok(Redirect::to("/"))
}

/// A template engine does this by itself. A label comes from the browser, so it may hold anything.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

pub(crate) fn config() -> Result<Config, Error> {
    Config::builder().plain_http_for_development().sign_in_page("/sign-in").max_sessions_per_user(5).build()
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let users = Arc::new(Users::default());
    users.register("ada", "correct horse battery staple").await;
    println!("Sign in as ada, with the password: correct horse battery staple");
    let sessions = Sessions::new(Memory::new(), config()?);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    axum::serve(listener, app(&sessions, users)).await?;
    Ok(())
}
