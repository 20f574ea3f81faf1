//! Signing in and out in a real browser on an ordinary day: two clicks on the button, a session that is over already, and
//! two cookies of one name.

mod support;

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::header::{COOKIE, SET_COOKIE};
use axum::http::{HeaderMap, HeaderName};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{Html, Response};
use axum::routing::{get, post};
use cloakroom::store::Memory;
use cloakroom::{Clock, Config, Error, Field, Session, SessionId, Sessions};
use serde_json::json;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Barrier, Semaphore};

use crate::support::browser::Browser;
use crate::support::eventually;
use crate::support::visitor::agent;

const CART: Field<String> = Field::new("cart");

const NOBODY: &str = "nobody; cart: none; devices: 0";
const ANNA: &str = "anna; cart: full; devices: 1";

/// What happens to the clicks on a button, so that their order is always the one that a test is about.
struct Clicks {
    /// The work of a handler, such as hashing a password, ends when this many clicks are here.
    together: Barrier,
    /// The answer, counted in the order in which they are made, that waits until it is released.
    held: Option<usize>,
    release: Semaphore,
    /// The token that each answer sets; an empty one takes the cookie away.
    answers: Mutex<Vec<Option<String>>>,
}

impl Clicks {
    fn new(together: usize, held: Option<usize>) -> Clicks {
        let (release, answers) = (Semaphore::new(0), Mutex::default());
        Clicks { together: Barrier::new(together), held, release, answers }
    }

    /// One click whose answer goes straight to the browser.
    fn single() -> Clicks {
        Clicks::new(1, None)
    }

    fn answers(&self) -> Vec<Option<String>> {
        self.answers.lock().unwrap().clone()
    }
}

/// An application with a sign-in button and a sign-out button, on a port of its own until it is dropped.
struct Shop {
    port: u16,
    clock: Clock,
    sessions: Sessions,
    clicks: Arc<Clicks>,
    runtime: Runtime,
}

impl Shop {
    fn open(clicks: Clicks) -> Shop {
        // with one thread, the answers are made in the order in which the store was asked
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let config = Config::builder().plain_http_for_development().build().expect("settings");
        let clock = Clock::manual(SystemTime::now());
        let (sessions, clicks) = (Sessions::new(Memory::with_clock(clock.clone()), config), Arc::new(clicks));
        let app = app(&sessions, clicks.clone());
        runtime.spawn(async move { axum::serve(listener, app).await });
        Shop { port, clock, sessions, clicks, runtime }
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// A browser that has looked at this page, which gives it a session.
    fn visitor(&self, path: &str) -> Browser {
        let browser = Browser::open();
        browser.go(&self.url(path));
        browser.wait_for("main", |text| text.contains("cart: full"));
        browser
    }

    /// The token of somebody else who has looked at this page.
    fn stranger(&self, path: &str) -> String {
        let answer = agent().get(self.url(path)).call().expect("an answer");
        let cookie = answer.headers()[SET_COOKIE].to_str().expect("ASCII").to_owned();
        cookie_value(&cookie)
    }

    /// Whether a session is there for this token.
    fn opens(&self, token: &str) -> bool {
        let asked = agent().get(self.url("/shop")).header("cookie", format!("sid={token}")).call();
        !asked.expect("an answer").body_mut().read_to_string().expect("a body").contains(NOBODY)
    }

    fn devices_of_anna(&self) -> Vec<SessionId> {
        let page = cloakroom::Page { offset: 0, limit: 10 };
        let devices = self.runtime.block_on(self.sessions.devices("anna", page)).expect("the devices");
        devices.into_iter().map(|device| device.id).collect()
    }
}

fn app(sessions: &Sessions, clicks: Arc<Clicks>) -> Router {
    let (signing_in, signing_out) = (clicks.clone(), clicks.clone());
    let (counted, releasing) = (clicks.clone(), clicks.clone());
    let buttons = Router::new()
        .route(
            "/shop/sign_in",
            post(async move |session: Session| {
                signing_in.together.wait().await;
                session.sign_in("anna").await?;
                shown(session).await
            }),
        )
        .route(
            "/shop/sign_out",
            post(async move |session: Session| {
                signing_out.together.wait().await;
                session.sign_out().await?;
                shown(session).await
            }),
        )
        .layer(sessions.layer())
        .layer(from_fn_with_state(clicks, hold));
    let pages = Router::new()
        .route("/shop", get(shown))
        .route("/shop/begin", get(begin))
        .route("/shop/begin/{user}", get(begin_signed_in))
        .layer(sessions.layer());
    buttons
        .merge(pages)
        .route("/shop/cookies", get(async |headers: HeaderMap| headers[COOKIE].to_str().expect("ASCII").to_owned()))
        .route("/answers", get(async move || counted.answers().len().to_string()))
        .route("/release", post(async move || releasing.release.add_permits(1)))
        .route("/plant/{token}", get(plant))
}

async fn begin(session: Session) -> Result<Html<String>, Error> {
    session.set(CART, "full")?;
    shown(session).await
}

async fn begin_signed_in(Path(user): Path<String>, session: Session) -> Result<Html<String>, Error> {
    session.sign_in(user).await?;
    begin(session).await
}

/// A cookie of the session's name that the library knows nothing of: another program on this host has set it.
async fn plant(Path(token): Path<String>) -> ([(HeaderName, String); 1], &'static str) {
    ([(SET_COOKIE, format!("sid={token}; Path=/shop"))], "planted")
}

async fn shown(session: Session) -> Result<Html<String>, Error> {
    let user = session.user().map_or("nobody".to_owned(), |user| user.as_str().to_owned());
    let cart = session.get(CART)?.unwrap_or("none".to_owned());
    let devices = session.devices().await?.len();
    Ok(Html(format!(
        r#"<!doctype html><title>shop</title><main>{user}; cart: {cart}; devices: {devices}</main>
        <form method="post" action="/shop/sign_in"><button id="sign_in">Sign in</button></form>
        <form method="post" action="/shop/sign_out"><button id="sign_out">Sign out</button></form>"#
    )))
}

/// Notes the answer to a click, and keeps it back if it is the one that is held.
async fn hold(State(clicks): State<Arc<Clicks>>, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let set = response.headers().get(SET_COOKIE).map(|cookie| cookie_value(cookie.to_str().expect("ASCII")));
    let nth = {
        let mut answers = clicks.answers.lock().unwrap();
        answers.push(set);
        answers.len() - 1
    };
    if clicks.held == Some(nth) {
        clicks.release.acquire().await.expect("it is never closed").forget();
    }
    response
}

fn cookie_value(cookie: &str) -> String {
    let pair = cookie.split(';').next().unwrap_or_default();
    pair.strip_prefix("sid=").expect("the session's cookie").to_owned()
}

fn token(browser: &Browser) -> String {
    browser.cookie("sid").expect("a cookie")["value"].as_str().expect("a value").to_owned()
}

/// Posts twice at the same time, as a page with a script of its own does; the answer that is held comes last. Both statuses.
fn click_twice_by_fetch(browser: &Browser, path: &str) -> serde_json::Value {
    browser.run(&format!(
        "const click = () => fetch('{path}', {{ method: 'POST' }}).then((answer) => answer.status);
         const clicks = [click(), click()];
         return Promise.race(clicks)
             .then(() => fetch('/release', {{ method: 'POST' }}))
             .then(() => Promise.all(clicks));"
    ))
}

/// Submits the button's form, and once more when the first is done on the server and its answer on its way. The browser then
/// waits for the second answer alone, and never sees the first one's cookie.
fn click_twice(browser: &Browser, button: &str) {
    browser.run(&format!(
        "const click = () => document.querySelector('{button}').click();
         const again = () => fetch('/answers')
             .then((answer) => answer.text())
             .then((count) => count === '1' ? click() : setTimeout(again, 20));
         click();
         again();"
    ));
}

#[test]
fn browser_that_posts_a_sign_in_twice_is_signed_in_once_with_its_cart_whichever_answer_comes_last() {
    for held in [0, 1] {
        let shop = Shop::open(Clicks::new(2, Some(held)));
        let browser = shop.visitor("/shop/begin");
        assert_eq!(click_twice_by_fetch(&browser, "/shop/sign_in"), json!([200, 200]));
        let answers = shop.clicks.answers();
        assert_ne!(answers[0], answers[1], "each answer has a token of its own");
        assert_eq!(Some(token(&browser)), answers[held], "the one that was held came last");
        assert_stays_signed_in(&shop, &browser);
    }
}

#[test]
fn browser_whose_visitor_clicks_twice_on_sign_in_is_signed_in_once_with_its_cart() {
    let shop = Shop::open(Clicks::new(1, Some(0)));
    let browser = shop.visitor("/shop/begin");
    click_twice(&browser, "#sign_in");
    browser.wait_for_text("main", ANNA);
    assert_eq!(shop.clicks.answers().len(), 2, "there were two requests");
    assert_eq!(Some(token(&browser)), shop.clicks.answers()[1]);
    assert_stays_signed_in(&shop, &browser);
}

/// Also when no secret from before its own is taken any more.
#[track_caller]
fn assert_stays_signed_in(shop: &Shop, browser: &Browser) {
    for _ in 0..3 {
        browser.go(&shop.url("/shop"));
        browser.wait_for_text("main", ANNA);
        shop.clock.advance(shop.sessions.config().terms().rotation_grace + Duration::from_secs(1));
    }
    assert_eq!(shop.devices_of_anna().len(), 1);
}

#[test]
fn browser_that_posts_a_sign_out_twice_has_two_successes_and_no_cookie_whichever_answer_comes_last() {
    for held in [0, 1] {
        let shop = Shop::open(Clicks::new(2, Some(held)));
        let browser = shop.visitor("/shop/begin/anna");
        let before = token(&browser);
        assert!(shop.opens(&before));
        assert_eq!(click_twice_by_fetch(&browser, "/shop/sign_out"), json!([200, 200]));
        assert_signed_out(&shop, &browser, &before);
    }
}

#[test]
fn browser_whose_visitor_clicks_twice_on_sign_out_is_signed_out() {
    let shop = Shop::open(Clicks::new(1, Some(0)));
    let browser = shop.visitor("/shop/begin/anna");
    let before = token(&browser);
    click_twice(&browser, "#sign_out");
    browser.wait_for_text("main", NOBODY);
    assert_eq!(shop.clicks.answers(), [Some(String::new()), Some(String::new())], "both answers take the cookie away");
    assert_signed_out(&shop, &browser, &before);
}

#[test]
fn browser_is_signed_out_also_where_the_session_has_expired_already() {
    let shop = Shop::open(Clicks::single());
    let browser = shop.visitor("/shop/begin/anna");
    let before = token(&browser);
    shop.clock.advance(shop.sessions.config().terms().idle_timeout);
    assert!(shop.devices_of_anna().is_empty(), "it has expired");
    assert_eq!(token(&browser), before, "the browser knows nothing of that");
    browser.click("#sign_out");
    browser.wait_for_text("main", NOBODY);
    assert_signed_out(&shop, &browser, &before);
}

#[test]
fn browser_is_signed_out_also_where_an_administrator_has_ended_the_session() {
    let shop = Shop::open(Clicks::single());
    let browser = shop.visitor("/shop/begin/anna");
    let before = token(&browser);
    let [id] = shop.devices_of_anna()[..] else { panic!("one device") };
    assert!(shop.runtime.block_on(shop.sessions.revoke(&id)).expect("it is ended"));
    assert_eq!(token(&browser), before, "the browser knows nothing of that");
    browser.click("#sign_out");
    browser.wait_for_text("main", NOBODY);
    assert_signed_out(&shop, &browser, &before);
}

#[track_caller]
fn assert_signed_out(shop: &Shop, browser: &Browser, before: &str) {
    assert_eq!(browser.cookie("sid"), None);
    browser.go(&shop.url("/shop"));
    browser.wait_for_text("main", NOBODY);
    assert!(!shop.opens(before), "the session has ended");
    assert!(shop.devices_of_anna().is_empty());
}

/// Sets a second cookie of the session's name, which the browser brings to the shop alone, and shows the shop.
fn plant_beside(browser: &Browser, shop: &Shop, token: &str) {
    browser.go(&shop.url(&format!("/plant/{token}")));
    browser.go(&shop.url("/shop"));
}

/// The values of the cookies that the browser sends to the shop.
fn cookies_brought(browser: &Browser, shop: &Shop) -> Vec<String> {
    browser.go(&shop.url("/shop/cookies"));
    let header = browser.text("body").expect("a page");
    header.split("; ").map(cookie_value).collect()
}

#[test]
fn browser_with_two_cookies_that_each_open_a_session_is_nobody_until_a_sign_in_which_ends_both() {
    for theirs in ["/shop/begin", "/shop/begin/mallory"] {
        let shop = Shop::open(Clicks::single());
        let planted = shop.stranger(theirs);
        let browser = shop.visitor("/shop/begin");
        let mine = token(&browser);
        plant_beside(&browser, &shop, &planted);
        browser.wait_for_text("main", NOBODY);
        assert!(shop.opens(&planted) && shop.opens(&mine), "looking ends nothing");

        browser.click("#sign_in");
        browser.wait_for_text("main", "anna; cart: none; devices: 1");
        for _ in 0..2 {
            browser.go(&shop.url("/shop"));
            browser.wait_for_text("main", "anna; cart: none; devices: 1");
        }
        let brought = cookies_brought(&browser, &shop);
        assert!(brought.len() == 2 && brought.contains(&planted), "the browser still brings the other one along");
        assert!(!shop.opens(&planted) && !shop.opens(&mine), "a sign-in ends both");
    }
}

#[test]
fn browser_with_two_cookies_that_each_open_a_session_ends_both_by_a_sign_out() {
    let shop = Shop::open(Clicks::single());
    let planted = shop.stranger("/shop/begin/mallory");
    let browser = shop.visitor("/shop/begin/anna");
    let mine = token(&browser);
    plant_beside(&browser, &shop, &planted);
    browser.wait_for_text("main", NOBODY);

    browser.click("#sign_out");
    eventually("the answer is there", || (browser.url() == shop.url("/shop/sign_out")).then_some(()));
    browser.wait_for_text("main", NOBODY);
    assert_eq!(shop.clicks.answers(), [Some(String::new())], "a success that takes the cookie away");
    assert!(!shop.opens(&planted) && !shop.opens(&mine), "both have ended");
    assert_eq!(cookies_brought(&browser, &shop), [planted], "the session's own cookie is gone");

    browser.go(&shop.url("/shop"));
    browser.click("#sign_in");
    browser.wait_for_text("main", "anna; cart: none; devices: 1");
    browser.go(&shop.url("/shop"));
    browser.wait_for_text("main", "anna; cart: none; devices: 1");
}
