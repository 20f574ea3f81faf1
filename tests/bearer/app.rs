//! An application for clients with bearer tokens and for browsers, and such a client.

use axum::body::Body;
use axum::http::{HeaderName, Method, Request, StatusCode, header};
use cloakroom::{Config, ConfigBuilder, Error, Field, Session, Sessions, SignedIn};

use super::framework::{Path, Router, State, any, get};
use crate::support::{Answer, Browser, Place};

const NAME: Field<String> = Field::new("name");
const COUNT: Field<i64> = Field::new("count");

/// The settings of these tests: bearer tokens are on.
pub(super) fn config() -> ConfigBuilder {
    Config::builder().bearer_tokens()
}

pub(super) fn app(sessions: &Sessions) -> Router {
    Router::new()
        .route("/untouched", any(async || "nobody asked"))
        .route("/exists", any(async |session: Session| session.exists().to_string()))
        .route("/read", any(async |session: Session| Ok::<_, Error>(session.get(NAME)?.unwrap_or_default())))
        .route("/write", any(async |session: Session| session.set(NAME, "andrew")))
        .route("/count", any(async |session: Session| Ok::<_, Error>(session.increment(COUNT, 1).await?.to_string())))
        .route("/begin", any(begin))
        .route("/account", any(async |SignedIn { user, .. }: SignedIn| user.as_str().to_owned()))
        .route("/own_refusal", get(async |_: Session| StatusCode::UNAUTHORIZED))
        .route("/form", any(async |session: Session| session.check_csrf("").and_then(|()| session.require_csrf(""))))
        .route("/sign_in/{user}", any(sign_in))
        .route("/sign_in_with_cookie/{user}", any(sign_in_with_cookie))
        .route("/take", any(async |session: Session| take(&session)))
        .route("/sign_out", any(async |session: Session| session.sign_out().await))
        .route("/rotate", any(async |session: Session| session.rotate().await))
        .route("/rotate_and_take", any(rotate_and_take))
        .route("/take_and_rotate", any(take_and_rotate))
        .route("/take_and_sign_out", any(take_and_sign_out))
        .route("/devices", any(async |session: Session| Ok::<_, Error>(session.devices().await?.len().to_string())))
        .route("/revoked_before/{verb}", any(revoked_before))
        .with_state(sessions.clone())
        .layer(sessions.layer())
}

fn take(session: &Session) -> Result<String, Error> {
    session.take_token().map(|token| token.expose().to_owned())
}

async fn begin(session: Session) -> Result<String, Error> {
    session.set(NAME, "andrew")?;
    session.commit().await?;
    take(&session)
}

async fn sign_in(session: Session, Path(user): Path<String>) -> Result<String, Error> {
    session.sign_in(user).await?;
    take(&session)
}

async fn sign_in_with_cookie(session: Session, Path(user): Path<String>) -> Result<(), Error> {
    session.sign_in(user).await
}

async fn rotate_and_take(session: Session) -> Result<String, Error> {
    session.rotate().await?;
    take(&session)
}

async fn take_and_rotate(session: Session) -> Result<String, Error> {
    session.sign_in("andrew").await?;
    let token = take(&session)?;
    session.rotate().await?;
    Ok(token)
}

async fn take_and_sign_out(session: Session) -> Result<String, Error> {
    let token = sign_in(session.clone(), Path("andrew".to_owned())).await?;
    session.sign_out().await?;
    Ok(token)
}

/// Somebody else ends the session while its request is answered.
async fn revoked_before(
    session: Session,
    State(sessions): State<Sessions>,
    Path(verb): Path<String>,
) -> Result<(), Error> {
    sessions.revoke(&session.id().unwrap()).await?;
    match verb.as_str() {
        "set" => session.set(NAME, "too late"),
        "increment" => session.increment(COUNT, 1).await.map(drop),
        "rotate" => session.rotate().await,
        "devices" => session.devices().await.map(drop),
        _ => unreachable!("{verb} is no verb of this route"),
    }
}

/// A program that keeps its token itself.
pub(super) struct Client {
    browser: Browser,
}

impl Client {
    pub(super) fn new(sessions: &Sessions) -> Client {
        Client { browser: Browser::new(app(sessions)) }
    }

    /// A client, in the place where its sessions are kept, and the token with which it is signed in.
    pub(super) async fn signed_in(place: &Place, config: ConfigBuilder) -> (Client, String) {
        let client = Client::new(&place.sessions_with(config));
        let answer = client.browser.send("/sign_in/ada", None).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        (client, answer.body)
    }

    /// A browser at the same application.
    pub(super) fn browser(&self) -> Browser {
        self.browser.stranger()
    }

    pub(super) async fn without_token(&self, path: &str) -> Answer {
        self.browser.send(path, None).await
    }

    pub(super) async fn with(&self, token: &str, path: &str) -> Answer {
        self.authorized(&format!("Bearer {token}"), path).await
    }

    pub(super) async fn authorized(&self, authorization: &str, path: &str) -> Answer {
        self.browser.saying(header::AUTHORIZATION, authorization).send(path, None).await
    }

    pub(super) async fn post(&self, path: &str, headers: &[(HeaderName, &str)]) -> Answer {
        let mut request = Request::builder().method(Method::POST).uri(path);
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        self.browser.ask(request.body(Body::empty()).unwrap()).await
    }
}
