//! Signs users in at an identity provider, as with OpenID Connect. The provider is a stand-in inside this file, so that the
//! example runs alone; an application uses a library for the protocol, and keeps the same things in the session.
//!
//! Run it with `cargo run --example identity_provider` and open <http://127.0.0.1:3000/>.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::{Router, routing::get};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cloakroom::{Config, Error, Field, Session, Sessions, SignedIn, store::Memory};
use serde::Deserialize;

/// What the answer of the provider must bring back. It is bound to this browser, because it is kept in its session.
const STATE: Field<String> = Field::new("sign_in_state");

pub(crate) fn app(sessions: &Sessions, provider: Arc<Provider>) -> Router {
    Router::new()
        .route("/", get(home))
        .route("/sign-in", get(begin))
        .route("/sign-in/back", get(come_back))
        .layer(sessions.layer())
        // the provider is another site in real life: it is not inside the session layer
        .route("/provider/authorize", get(authorize))
        .with_state(provider)
}

async fn home(SignedIn { user, .. }: SignedIn) -> String {
    format!("You are signed in as {user}.\n")
}

/// Sends the browser to the provider, with a state that nobody can guess.
async fn begin(session: Session) -> Result<Redirect, Error> {
    let state = random_text();
    session.set(STATE, state.as_str())?;
    Ok(Redirect::to(&format!("/provider/authorize?state={state}")))
}

#[derive(Deserialize)]
struct ComeBack {
    state: String,
    code: String,
}

/// Takes the answer of the provider. The browser comes by a link of another site, with a GET, so the cookie is there:
/// `SameSite=Lax`, the default, sends it then. Providers that send a form need what the guide says about posts from other sites.
async fn come_back(
    session: Session,
    State(provider): State<Arc<Provider>>,
    Query(answer): Query<ComeBack>,
) -> Result<Response, Error> {
    // `take` reads the state and removes it in one step, so that an answer is good once
    if session.take(STATE).await?.is_none_or(|state| state != answer.state) {
        return Ok((StatusCode::BAD_REQUEST, "This sign-in was not begun in this browser.\n").into_response());
    }
    let Some(identity) = provider.redeem(&answer.code) else {
        return Ok((StatusCode::BAD_REQUEST, "The identity provider does not know this code.\n").into_response());
    };
    // when the user proved who they are, which may have been hours ago: `RecentSignIn` judges by it
    session.sign_in(identity.subject).auth_time(identity.auth_time).await?;
    Ok(Redirect::to("/").into_response())
}

fn random_text() -> String {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the system has random bytes");
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The stand-in for the identity provider: everybody is ada, who is signed in there already.
#[derive(Default)]
pub(crate) struct Provider(Mutex<HashMap<String, Identity>>);

struct Identity {
    subject: &'static str,
    auth_time: SystemTime,
}

impl Provider {
    /// What an application asks the provider for, on a connection of its own. A code is good once.
    fn redeem(&self, code: &str) -> Option<Identity> {
        self.0.lock().expect("nobody panics with the codes in hand").remove(code)
    }
}

#[derive(Deserialize)]
struct Authorize {
    state: String,
}

async fn authorize(State(provider): State<Arc<Provider>>, Query(asked): Query<Authorize>) -> Redirect {
    let code = random_text();
    let identity = Identity { subject: "ada", auth_time: SystemTime::now() };
    provider.0.lock().expect("nobody panics with the codes in hand").insert(code.clone(), identity);
    Redirect::to(&format!("/sign-in/back?state={}&code={code}", asked.state))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = Config::builder().plain_http_for_development().sign_in_page("/sign-in").build()?;
    let sessions = Sessions::new(Memory::new(), config);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    axum::serve(listener, app(&sessions, Arc::default())).await?;
    Ok(())
}
