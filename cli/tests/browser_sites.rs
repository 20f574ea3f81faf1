//! What a real browser sends where another site, another port or the back button is part of it. The guide rests on this
//! ("Posts from other sites", "Going to production").
//!
//! To a browser `localhost` and `127.0.0.1` are two sites, and two ports of one name are one site with two origins.

mod support;

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::HeaderMap;
use axum::http::header::{CACHE_CONTROL, COOKIE, ORIGIN, REFERRER_POLICY};
use axum::response::{Html, Redirect};
use axum::routing::{get, post};
use cloakroom::store::Memory;
use cloakroom::{Config, ConfigBuilder, Error, Event, Field, SameSite, Session, Sessions};
use tokio::runtime::Runtime;

use crate::support::browser::Browser;

const NOTE: Field<String> = Field::new("note");
const ORDER: Field<String> = Field::new("order");

/// A shop on a port of its own, until it is dropped.
struct Shop {
    port: u16,
    /// The `Cookie` and `Origin` of each form that was posted.
    posted: Arc<Mutex<Vec<(bool, String)>>>,
    _runtime: Runtime,
}

impl Shop {
    fn open(config: ConfigBuilder) -> Shop {
        Shop::open_beside(|_| config)
    }

    /// Opens one whose settings name its bank.
    fn open_beside(config: impl FnOnce(String) -> ConfigBuilder) -> Shop {
        Shop::open_with(Memory::new(), config)
    }

    fn open_with(store: Memory, config: impl FnOnce(String) -> ConfigBuilder) -> Shop {
        let runtime = Runtime::new().expect("a runtime");
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let posted: Arc<Mutex<Vec<(bool, String)>>> = Arc::default();
        let config = config(format!("http://127.0.0.1:{port}")).plain_http_for_development().build().expect("settings");
        let app = app(Sessions::new(store, config), port, posted.clone());
        runtime.spawn(async move { axum::serve(listener, app).await });
        Shop { port, posted, _runtime: runtime }
    }

    /// The shop itself.
    fn url(&self, path: &str) -> String {
        format!("http://localhost:{}{path}", self.port)
    }

    /// The same server by a name that is another site to a browser: the bank.
    fn bank(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Whether the last form brought a cookie, and its `Origin`.
    fn last_posted(&self) -> (bool, String) {
        self.posted.lock().unwrap().last().cloned().expect("a form was posted")
    }
}

fn app(sessions: Sessions, port: u16, posted: Arc<Mutex<Vec<(bool, String)>>>) -> Router {
    let note = move |headers: &HeaderMap| {
        let origin = headers.get(ORIGIN).map(|origin| origin.to_str().unwrap().to_owned()).unwrap_or_default();
        posted.lock().unwrap().push((headers.contains_key(COOKIE), origin));
    };
    let note_too = note.clone();
    let form = move |action: &str| {
        page(&format!(r#"<form method="post" action="http://localhost:{port}{action}"><button>go</button></form>"#))
    };
    let (to_return, to_inside, to_own) = (form("/payment/return"), form("/inside"), form("/inside"));
    let go_on = r#"<meta http-equiv="refresh" content="0; url=/payment/done">"#;
    Router::new()
        .route("/begin", get(async |session: Session| session.set(ORDER, "7").map(|()| page("begun"))))
        .route("/payment/done", get(shown))
        .route("/payment/rotate", get(async |session: Session| session.rotate().await.map(|()| page("rotated"))))
        .route(
            "/inside",
            post(async move |session: Session, headers: HeaderMap| {
                note(&headers);
                session.set(NOTE, "posted").map(|()| page("posted"))
            }),
        )
        .route("/sandbox", get(async || Html(r#"<iframe sandbox="allow-forms" src="/own_form"></iframe>"#)))
        .route("/own_form", get(async move || ([(REFERRER_POLICY, "no-referrer")], to_own)))
        .route("/account", get(async |session: Session| ([(CACHE_CONTROL, "no-store")], shown(session).await)))
        .route("/sign_out", get(async |session: Session| session.sign_out().await.map(|()| page("signed out"))))
        .layer(sessions.layer())
        .route(
            "/payment/return",
            post(async move |headers: HeaderMap| {
                note_too(&headers);
                Redirect::to("/payment/done")
            }),
        )
        .route("/payment/page", post(async move || page(go_on)))
        .route("/bank", get(async move || to_return))
        .route("/bank/inside", get(async move || to_inside))
        .route("/bank/page", get(async move || form("/payment/page")))
}

async fn shown(session: Session) -> Result<Html<String>, Error> {
    Ok(page(&session.get(ORDER)?.map_or("no order".to_owned(), |order| format!("order {order}"))))
}

fn page(text: &str) -> Html<String> {
    Html(format!("<!doctype html><title>shop</title><main>{text}</main>"))
}

fn visitor(shop: &Shop) -> Browser {
    let browser = Browser::open();
    browser.go(&shop.url("/begin"));
    browser.wait_for_text("main", "begun");
    browser
}

#[test]
fn browser_brings_no_cookie_with_a_form_of_another_site_and_brings_it_to_the_redirect_behind() {
    let shop = Shop::open(Config::builder());
    let browser = visitor(&shop);
    browser.go(&shop.bank("/bank"));
    browser.click("button");
    browser.wait_for_text("main", "order 7");
    assert_eq!(shop.last_posted(), (false, shop.bank("")), "Lax: no cookie with the form");

    browser.go(&shop.bank("/bank/inside"));
    let before = shop.posted.lock().unwrap().len();
    browser.click("button");
    support::eventually("the answer is there", || (browser.url() == shop.url("/inside")).then_some(()));
    assert_eq!(shop.posted.lock().unwrap().len(), before, "refused by the layer");
}

#[test]
fn browser_loses_its_session_to_the_one_that_a_form_of_a_trusted_origin_begins() {
    let shop = Shop::open_beside(|bank| Config::builder().trust_origin(bank));
    let browser = visitor(&shop);
    browser.go(&shop.bank("/bank/inside"));
    browser.click("button");
    browser.wait_for_text("main", "posted");
    browser.go(&shop.url("/payment/done"));
    browser.wait_for_text("main", "no order");
}

#[test]
fn browser_brings_a_strict_cookie_only_when_a_page_of_this_site_goes_on() {
    let shop = Shop::open(Config::builder().same_site(SameSite::Strict));
    let browser = visitor(&shop);
    browser.go(&shop.bank("/bank"));
    browser.click("button");
    browser.wait_for_text("main", "no order");
    browser.go(&shop.bank("/bank/page"));
    browser.click("button");
    browser.wait_for_text("main", "order 7");
}

#[test]
fn browser_says_origin_null_for_own_forms_of_pages_without_a_referrer_and_they_pass() {
    let shop = Shop::open(Config::builder());
    let browser = visitor(&shop);
    browser.go(&shop.url("/own_form"));
    browser.click("button");
    support::eventually("the form arrives", || (!shop.posted.lock().unwrap().is_empty()).then_some(()));
    assert_eq!(shop.last_posted(), (true, "null".to_owned()));
}

#[test]
fn browser_shares_cookies_between_ports_so_that_two_applications_need_two_names() {
    let (first, second) = (Shop::open(Config::builder()), Shop::open(Config::builder()));
    let browser = visitor(&first);
    browser.go(&second.url("/begin"));
    browser.go(&first.url("/payment/done"));
    browser.wait_for_text("main", "no order");

    let (first, second) =
        (Shop::open(Config::builder().cookie_name("first")), Shop::open(Config::builder().cookie_name("second")));
    browser.go(&first.url("/begin"));
    browser.go(&second.url("/begin"));
    for shop in [first, second] {
        browser.go(&shop.url("/payment/done"));
        browser.wait_for_text("main", "order 7");
    }
}

#[test]
fn browser_keeps_the_cookie_of_a_former_path_and_stays_in_its_session() {
    let store = Memory::new();
    let former = Shop::open_with(store.clone(), |_| Config::builder());
    let new = Shop::open_with(store, |_| Config::builder().cookie_path("/payment"));
    let browser = visitor(&former);
    browser.go(&new.url("/payment/done"));
    browser.wait_for_text("main", "order 7");
    for _ in 0..2 {
        browser.go(&new.url("/payment/rotate")); // from here on there are two cookies
        browser.wait_for_text("main", "rotated");
        for _ in 0..2 {
            browser.go(&new.url("/payment/done"));
            browser.wait_for_text("main", "order 7");
        }
    }
}

#[test]
fn browser_shows_no_account_by_the_back_button_after_a_sign_out_where_the_page_said_no_store() {
    let shop = Shop::open(Config::builder());
    let browser = visitor(&shop);
    browser.go(&shop.url("/account"));
    browser.wait_for_text("main", "order 7");
    browser.go(&shop.url("/sign_out"));
    browser.wait_for_text("main", "signed out");
    browser.back();
    browser.wait_for_text("main", "no order"); // without the header it is the page as it was
}

#[test]
fn browser_has_a_form_in_a_sandbox_refused_also_where_the_page_is_our_own() {
    let (refused, hears) = std::sync::mpsc::channel();
    let shop = Shop::open(Config::builder().on_event(move |event| {
        if matches!(event, Event::CrossSiteRefused { .. }) {
            let _ = refused.send(());
        }
    }));
    let browser = visitor(&shop);
    browser.go(&shop.url("/sandbox"));
    browser.look_into_frame();
    browser.click("button");
    hears.recv_timeout(std::time::Duration::from_secs(40)).expect("it is refused");
    assert!(shop.posted.lock().unwrap().is_empty());
}
