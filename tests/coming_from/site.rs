//! The former application on a port, the new application, and the steps from the one to the other.

use axum::Router;
use axum::routing::{get, post};
use cloakroom::store::Redis;
use cloakroom::testing::{Browser, TestSessions};
use cloakroom::{Adoption, Config, Field, Session, Sessions, SignedIn};

use crate::redis_server::RedisServer;

pub(crate) const CART: Field<String> = Field::new("cart");

/// A running application with the routes `POST /sign-in/{user}`, `POST /sign-out`, `POST /cart/{item}` and `GET /account`, which
/// shows the user and the cart as `ada: coat`, or answers 401.
pub(crate) struct Site {
    pub(crate) url: String,
}

impl Site {
    /// Returns the status and the text of an answer.
    async fn ask(&self, browser: &mut Browser, method: &'static str, path: &str) -> (u16, String) {
        let url = format!("{}{path}", self.url);
        let cookies = browser.cookies().unwrap_or_default();
        let (head, text) = tokio::task::spawn_blocking(move || {
            let agent = ureq::Agent::from(ureq::Agent::config_builder().http_status_as_error(false).build());
            let request = axum::http::Request::builder().method(method).uri(url).header("cookie", cookies);
            let mut response = agent.run(request.body(()).unwrap()).unwrap();
            let text = response.body_mut().read_to_string().unwrap();
            (response.into_parts().0, text)
        })
        .await
        .unwrap();
        browser.keep_cookies(&head.headers);
        (head.status.as_u16(), text)
    }

    async fn signed_in(&self, user: &str) -> Browser {
        let mut browser = TestSessions::new().browser();
        assert_eq!(self.ask(&mut browser, "POST", &format!("/sign-in/{user}")).await.0, 200);
        assert_eq!(self.ask(&mut browser, "POST", "/cart/coat").await.0, 200);
        assert_eq!(self.account(&mut browser).await, Some(format!("{user}: coat")));
        browser
    }

    async fn account(&self, browser: &mut Browser) -> Option<String> {
        match self.ask(browser, "GET", "/account").await {
            (200, text) => Some(text),
            (401, _) => None,
            other => panic!("{other:?}"),
        }
    }
}

/// The new application.
struct New {
    app: Router,
}

impl New {
    async fn start(redis: &RedisServer, adoption: Option<Adoption>) -> New {
        let mut config = Config::builder();
        if let Some(adoption) = adoption {
            config = config.adopt(adoption);
        }
        let store = Redis::builder(redis.url()).connect().await.unwrap();
        let sessions = Sessions::new(store, config.build().unwrap());
        let app = Router::new()
            .route("/account", get(account))
            .route("/sign-out", post(async |session: Session| session.sign_out().await))
            .layer(sessions.layer());
        New { app }
    }

    async fn account(&self, browser: &mut Browser) -> Option<String> {
        let response = browser.get(&self.app, "/account").await;
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), 1 << 16).await.unwrap();
        match status {
            200 => Some(String::from_utf8(body.to_vec()).unwrap()),
            401 => None,
            other => panic!("{other}: {body:?}"),
        }
    }

    async fn sign_out(&self, browser: &mut Browser) {
        assert_eq!(browser.post(&self.app, "/sign-out", "").await.status(), 200);
    }
}

async fn account(SignedIn { user, session }: SignedIn) -> Result<String, cloakroom::Error> {
    Ok(format!("{user}: {}", session.get(CART)?.unwrap_or_default()))
}

/// Goes the steps of the guide, and looks at each that nobody is signed out who should not be, and nobody signed in.
pub(crate) async fn nobody_is_signed_out(former: &Site, redis: &RedisServer, adoption: impl Fn() -> Adoption) {
    let mut ada = former.signed_in("ada").await;
    let mut bob = former.signed_in("bob").await;
    let mut eve = former.signed_in("eve").await;
    let mut nobody = TestSessions::new().browser();
    let coat = |user: &str| Some(format!("{user}: coat"));

    // both applications answer requests
    let new = New::start(redis, Some(adoption().side_by_side())).await;
    for _ in 0..2 {
        for (browser, user) in [(&mut ada, "ada"), (&mut bob, "bob")] {
            assert_eq!(new.account(browser).await, coat(user));
            assert_eq!(former.account(browser).await, coat(user));
        }
    }
    let mut stolen = bob.clone();
    new.sign_out(&mut bob).await;
    for browser in [&mut bob, &mut stolen, &mut nobody] {
        assert_eq!(new.account(browser).await, None);
        assert_eq!(former.account(browser).await, None);
    }

    // the former application is gone, but for somebody who has kept its address
    let new = New::start(redis, Some(adoption())).await;
    let mut forged = TestSessions::new().browser();
    let cookies = ada.cookies().unwrap();
    for pair in cookies.split("; ").filter(|pair| !pair.starts_with("__Host-sid=")) {
        let (name, value) = pair.split_once('=').unwrap();
        let changed: String = value.chars().rev().collect();
        forged.keep_cookie(&format!("{name}={changed}"));
    }
    assert_eq!(new.account(&mut forged).await, None, "a cookie that was changed opens nothing");
    for (browser, user) in [(&mut ada, "ada"), (&mut eve, "eve")] {
        let mut before = browser.clone();
        for _ in 0..2 {
            assert_eq!(new.account(browser).await, coat(user));
        }
        assert!(browser.cookies().unwrap().starts_with("__Host-sid="));
        assert!(!browser.cookies().unwrap().contains("; "), "the former cookie is removed");
        assert_eq!(former.account(&mut before).await, None, "the former session has ended");
    }

    // nobody can be taken over any more
    let new = New::start(redis, None).await;
    for (browser, user) in [(&mut ada, "ada"), (&mut eve, "eve")] {
        assert_eq!(new.account(browser).await, coat(user));
    }
    assert_eq!(new.account(&mut bob).await, None);
    assert_eq!(redis.immortal_keys(), Vec::<String>::new());
}
