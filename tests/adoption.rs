//! Visitors are taken over from another session system. The one here is a map; `tests/coming_from` has real ones.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::Response;
use axum::routing::{get, post};
use cloakroom::store::{Embedded, Redis};
use cloakroom::testing::{Browser, TestSessions};
use cloakroom::web::Visit;
use cloakroom::{
    Adoption, BoxError, Config, ConfigBuilder, Error, Event, Field, FormerSession, FormerSessions, OnLimit,
    RecentSignIn, Session, Sessions, SignedIn, TokenFormat,
};
use support::RedisServer;

mod support;

const CART: Field<String> = Field::new("cart");

/// The former system, and how often it was asked.
#[derive(Clone, Default)]
struct Former(Arc<Mutex<Inside>>);

#[derive(Default)]
struct Inside {
    sessions: HashMap<String, FormerSession>,
    trouble: Trouble,
    found: usize,
    ended: usize,
}

#[derive(Clone, Copy, Default)]
enum Trouble {
    #[default]
    None,
    Away,
    Hangs,
}

impl Former {
    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap()
    }

    /// Signs a browser in at the former system.
    fn sign_in(&self, browser: &mut Browser, cookie: &str, user: &str) {
        let session = FormerSession::of_user(user).unwrap().field(CART, "coat").unwrap();
        self.begin(browser, cookie, session);
    }

    fn begin(&self, browser: &mut Browser, cookie: &str, session: FormerSession) {
        self.inside().sessions.insert(format!("of {cookie}"), session);
        browser.keep_cookie(&format!("{cookie}=of {cookie}"));
    }

    fn lives(&self) -> bool {
        !self.inside().sessions.is_empty()
    }

    /// Returns how often a session was looked for, and how often one was ended.
    fn asked(&self) -> (usize, usize) {
        let inside = self.inside();
        (inside.found, inside.ended)
    }

    async fn answers(&self) -> Result<(), BoxError> {
        let trouble = self.inside().trouble;
        match trouble {
            Trouble::None => Ok(()),
            Trouble::Away => Err("the former store is away".into()),
            Trouble::Hangs => std::future::pending().await,
        }
    }
}

impl FormerSessions for Former {
    async fn find(&self, cookie: &str, headers: &HeaderMap) -> Result<Option<FormerSession>, BoxError> {
        assert!(headers.contains_key(header::HOST));
        self.inside().found += 1;
        self.answers().await?;
        Ok(self.inside().sessions.get(cookie).cloned())
    }

    async fn end(&self, cookie: &str) -> Result<(), BoxError> {
        self.inside().ended += 1;
        self.answers().await?;
        self.inside().sessions.remove(cookie);
        Ok(())
    }
}

fn app(sessions: &Sessions) -> Router {
    Router::new()
        .route("/account", get(async |who: SignedIn| who.user.to_string()))
        .route("/cart", get(async |session: Session| session.get(CART).map(Option::unwrap_or_default)))
        .route("/shut", get(async |_: RecentSignIn<600>| "open"))
        .route("/public", get(async || "public"))
        .route("/sign-in/{user}", post(async |user: Path<String>, session: Session| session.sign_in(user.0).await))
        .route("/sign-out", post(async |session: Session| session.sign_out().await))
        .route(
            "/sign-out-everywhere",
            post(async |session: Session| session.sign_out_everywhere().await.map(|_| StatusCode::OK)),
        )
        .layer(sessions.layer())
}

fn config(former: &Former, how: impl FnOnce(Adoption) -> Adoption) -> ConfigBuilder {
    Config::builder().adopt(how(Adoption::new("old", former.clone())))
}

/// An application with the former system behind it, and a browser that is signed in there.
struct Scene {
    test: TestSessions,
    app: Router,
    former: Former,
    browser: Browser,
}

impl Scene {
    fn new() -> Scene {
        Scene::with(|adoption| adoption, |config| config)
    }

    fn side_by_side() -> Scene {
        Scene::with(Adoption::side_by_side, |config| config)
    }

    fn with(how: impl FnOnce(Adoption) -> Adoption, settings: impl FnOnce(ConfigBuilder) -> ConfigBuilder) -> Scene {
        let former = Former::default();
        let test = TestSessions::with_config(settings(config(&former, how)).build().unwrap());
        let mut browser = test.browser();
        former.sign_in(&mut browser, "old", "ada");
        Scene { app: app(test.sessions()), test, former, browser }
    }

    async fn get(&mut self, path: &str) -> Response {
        self.browser.get(&self.app, path).await
    }

    async fn post(&mut self, path: &str) -> StatusCode {
        self.browser.post(&self.app, path, "").await.status()
    }

    async fn sessions_of_ada(&self) -> usize {
        let page = cloakroom::Page { offset: 0, limit: 10 };
        self.test.sessions().devices("ada", page).await.unwrap().len()
    }
}

async fn text(response: Response) -> String {
    let body = axum::body::to_bytes(response.into_body(), 1 << 16).await.unwrap();
    String::from_utf8(body.to_vec()).unwrap()
}

fn cookies_of(browser: &Browser) -> Vec<String> {
    let cookies = browser.cookies().unwrap_or_default();
    cookies.split("; ").filter_map(|pair| Some(pair.split_once('=')?.0.to_owned())).collect()
}

#[tokio::test]
async fn a_browser_of_the_former_system_stays_signed_in_and_the_former_system_is_asked_once() {
    let mut scene = Scene::new();
    assert_eq!(text(scene.get("/account").await).await, "ada");
    assert_eq!(cookies_of(&scene.browser), ["__Host-sid", "old"], "the new cookie may be lost on the way");
    assert!(scene.former.lives());
    assert_eq!(text(scene.get("/cart").await).await, "coat");
    assert_eq!(cookies_of(&scene.browser), ["__Host-sid"], "the browser has shown the new cookie");
    assert!(!scene.former.lives());
    assert_eq!(text(scene.get("/account").await).await, "ada");
    assert_eq!(scene.former.asked(), (1, 1));
}

#[tokio::test]
async fn visitors_are_taken_over_on_every_store() -> Result<(), Error> {
    let (redis, directory) = (RedisServer::start(), tempfile::tempdir().unwrap());
    let former = Former::default();
    let config = config(&former, |adoption| adoption).build()?;
    for sessions in [
        Sessions::new(Redis::builder(redis.url()).connect().await?, config.clone()),
        Sessions::new(Embedded::open(directory.path())?, config.clone()),
    ] {
        let (app, mut browser) = (app(&sessions), Browser::new(&sessions));
        former.sign_in(&mut browser, "old", "ada");
        for _ in 0..3 {
            assert_eq!(text(browser.get(&app, "/account").await).await, "ada");
            assert_eq!(text(browser.get(&app, "/cart").await).await, "coat");
        }
        assert_eq!(browser.get(&app, "/shut").await.status(), 401);
        assert_eq!(sessions.devices("ada", cloakroom::Page { offset: 0, limit: 10 }).await?.len(), 1);
    }
    assert_eq!(redis.immortal_keys(), Vec::<String>::new());
    Ok(())
}

#[tokio::test]
async fn a_visitor_without_a_former_session_costs_nothing() -> Result<(), Error> {
    let server = RedisServer::start();
    let former = Former::default();
    let config = config(&former, |adoption| adoption).build()?;
    let sessions = Sessions::new(Redis::builder(server.url()).connect().await?, config);
    let (app, mut browser) = (app(&sessions), Browser::new(&sessions));
    // the store asks for the role of its server once a second
    let asked = || {
        let all = server.ask::<String>(&["INFO", "commandstats"]);
        all.lines().filter(|line| !line.starts_with("cmdstat_info:")).map(str::to_owned).collect::<Vec<_>>()
    };
    let before = asked();
    assert_eq!(browser.get(&app, "/cart").await.status(), 200);
    assert_eq!(asked(), before);
    assert_eq!((former.asked(), browser.cookies()), ((0, 0), None));
    Ok(())
}

#[tokio::test]
async fn a_route_that_does_not_use_its_session_does_not_ask_the_former_system() {
    let mut scene = Scene::new();
    assert_eq!(scene.get("/public").await.status(), 200);
    assert_eq!(scene.former.asked(), (0, 0));
}

#[tokio::test]
async fn a_former_cookie_that_opens_nothing_is_removed_so_that_nobody_is_asked_again() {
    let mut scene = Scene::new();
    scene.former.inside().sessions.clear();
    for _ in 0..3 {
        assert_eq!(scene.get("/account").await.status(), 401);
    }
    assert_eq!((scene.former.asked(), scene.browser.cookies()), ((1, 0), None));
    assert_eq!(scene.test.take_events(), []);
}

#[tokio::test]
async fn a_former_system_that_fails_or_hangs_is_answered_with_503_and_nobody_loses_a_cookie() {
    let mut scene = Scene::with(|adoption| adoption, |config| config.store_timeout(Duration::from_millis(50)));
    let before = scene.browser.cookies();
    scene.former.inside().trouble = Trouble::Away;
    let response = scene.get("/account").await;
    assert_eq!((response.status().as_u16(), response.headers().contains_key(header::RETRY_AFTER)), (503, true));
    scene.former.inside().trouble = Trouble::Hangs;
    assert_eq!(scene.get("/account").await.status(), 503);
    assert_eq!(scene.browser.cookies(), before);
    scene.former.inside().trouble = Trouble::None;
    assert_eq!(scene.get("/account").await.status(), 200);
}

#[tokio::test]
async fn a_browser_that_did_not_get_the_new_cookie_is_taken_over_again() {
    let mut scene = Scene::new();
    let before = scene.browser.clone();
    assert_eq!(scene.get("/account").await.status(), 200);
    scene.browser = before;
    assert_eq!(scene.get("/account").await.status(), 200);
    assert_eq!(scene.get("/account").await.status(), 200);
}

#[tokio::test]
async fn two_first_requests_at_the_same_time_make_two_sessions_and_both_are_signed_in() {
    let scene = Scene::new();
    let (mut one, mut other) = (scene.browser.clone(), scene.browser.clone());
    let (first, second) = tokio::join!(one.get(&scene.app, "/account"), other.get(&scene.app, "/account"));
    assert_eq!((first.status().as_u16(), second.status().as_u16()), (200, 200));
    assert_eq!(scene.sessions_of_ada().await, 2);
    for browser in [&mut one, &mut other] {
        assert_eq!(browser.get(&scene.app, "/account").await.status(), 200, "whichever cookie the browser has kept");
    }
}

#[tokio::test]
async fn after_a_sign_out_the_former_session_does_not_sign_the_browser_in_again() {
    for mut scene in [Scene::new(), Scene::side_by_side()] {
        for first in ["/sign-out", "/account"] {
            scene.former.sign_in(&mut scene.browser, "old", "ada");
            let mut thief = scene.browser.clone();
            scene.get(first).await;
            assert_eq!(scene.post("/sign-out").await, 200);
            assert_eq!(scene.browser.cookies(), None);
            assert!(!scene.former.lives());
            assert_eq!(scene.get("/account").await.status(), 401);
            assert_eq!(thief.get(&scene.app, "/account").await.status(), 401);
        }
    }
}

#[tokio::test]
async fn signing_out_everywhere_or_signing_in_as_another_user_ends_the_former_session() {
    for path in ["/sign-out-everywhere", "/sign-in/bob"] {
        let mut scene = Scene::side_by_side();
        assert_eq!(scene.get("/account").await.status(), 200);
        assert_eq!(scene.post(path).await, 200);
        assert!(!scene.former.lives(), "{path}");
        assert!(!cookies_of(&scene.browser).contains(&"old".to_owned()), "{path}");
    }
}

#[tokio::test]
async fn a_sign_out_that_cannot_end_the_former_session_says_so_and_ends_neither() {
    let mut scene = Scene::side_by_side();
    assert_eq!(scene.get("/account").await.status(), 200);
    scene.former.inside().trouble = Trouble::Away;
    assert_eq!(scene.post("/sign-out").await, 503);
    assert_eq!(scene.get("/account").await.status(), 200);
    scene.former.inside().trouble = Trouble::None;
    assert_eq!(scene.post("/sign-out").await, 200);
    assert_eq!(scene.get("/account").await.status(), 401);
}

#[tokio::test]
async fn a_former_session_that_could_not_be_ended_is_ended_by_a_later_request() {
    let mut scene = Scene::new();
    assert_eq!(scene.get("/account").await.status(), 200);
    scene.former.inside().trouble = Trouble::Away;
    assert_eq!(scene.get("/account").await.status(), 200, "nobody has asked for this");
    assert!(scene.former.lives() && cookies_of(&scene.browser).contains(&"old".to_owned()));
    scene.former.inside().trouble = Trouble::None;
    assert_eq!(scene.get("/account").await.status(), 200);
    assert!(!scene.former.lives() && !cookies_of(&scene.browser).contains(&"old".to_owned()));
}

#[tokio::test]
async fn side_by_side_the_former_session_goes_on() {
    let mut scene = Scene::side_by_side();
    for _ in 0..3 {
        assert_eq!(scene.get("/account").await.status(), 200);
    }
    assert!(scene.former.lives());
    assert_eq!(cookies_of(&scene.browser), ["__Host-sid", "old"]);
    assert_eq!((scene.former.asked(), scene.sessions_of_ada().await), ((1, 0), 1));
}

#[tokio::test]
async fn a_session_that_was_revoked_here_takes_the_former_one_along() {
    for mut scene in [Scene::new(), Scene::side_by_side()] {
        assert_eq!(scene.get("/account").await.status(), 200);
        scene.test.sessions().revoke_user("ada").await.unwrap();
        for _ in 0..2 {
            assert_eq!(scene.get("/account").await.status(), 401);
        }
        assert!(!scene.former.lives());
        assert!(!cookies_of(&scene.browser).contains(&"old".to_owned()));
    }
}

#[tokio::test]
async fn a_cookie_of_the_same_name_is_replaced_and_the_former_session_ends_immediately() {
    let mut scene = Scene::with(|adoption| adoption, |config| config.cookie_name("old"));
    assert_eq!(text(scene.get("/account").await).await, "ada");
    assert!(!scene.former.lives());
    assert_eq!(cookies_of(&scene.browser), ["old"]);
    assert_eq!(text(scene.get("/account").await).await, "ada");
    assert_eq!(scene.former.asked(), (1, 1));
    assert_eq!(scene.post("/sign-out").await, 200);
    assert_eq!((scene.get("/account").await.status().as_u16(), scene.browser.cookies()), (401, None));
}

#[tokio::test]
async fn a_former_cookie_goes_with_the_path_and_the_domain_that_it_has() {
    let mut scene = Scene::with(|old| old.cookie_path("/shop").cookie_domain("example.org"), |config| config);
    scene.get("/account").await;
    let response = scene.get("/account").await;
    let removal = response.headers()[header::SET_COOKIE].to_str().unwrap();
    for part in ["old=;", "Path=/shop", "Domain=example.org", "Max-Age=0", "Secure"] {
        assert!(removal.contains(part), "{removal}");
    }
    assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
}

#[tokio::test]
async fn a_former_visitor_keeps_the_fields_and_is_not_signed_in() {
    let mut scene = Scene::new();
    let visitor = FormerSession::of_visitor().field(CART, "hat").unwrap().idle_timeout(Duration::from_secs(60));
    scene.former.begin(&mut scene.browser, "old", visitor);
    assert_eq!(text(scene.get("/cart").await).await, "hat");
    assert_eq!(scene.get("/account").await.status(), 401);
    scene.test.advance(Duration::from_secs(61));
    assert_eq!(text(scene.get("/cart").await).await, "");
}

#[tokio::test]
async fn who_was_taken_over_has_not_just_signed_in_unless_the_former_system_says_so() {
    let mut scene = Scene::new();
    assert_eq!(scene.get("/shut").await.status(), 401);
    assert_eq!(scene.get("/account").await.status(), 200);

    let mut scene = Scene::new();
    let recent = FormerSession::of_user("ada").unwrap().auth_time(SystemTime::now());
    scene.former.begin(&mut scene.browser, "old", recent);
    assert_eq!(scene.get("/shut").await.status(), 200);
}

#[tokio::test]
async fn a_former_session_may_keep_its_lifetimes() {
    let mut scene = Scene::new();
    let week = Duration::from_secs(7 * 24 * 60 * 60);
    let long = FormerSession::of_user("ada").unwrap().idle_timeout(week).absolute_lifetime(week).cookie_max_age(week);
    scene.former.begin(&mut scene.browser, "old", long);
    let response = scene.get("/account").await;
    assert!(response.headers()[header::SET_COOKIE].to_str().unwrap().contains("Max-Age=604800"));
    scene.test.advance(week - Duration::from_secs(60));
    assert_eq!(scene.get("/account").await.status(), 200);
    scene.test.advance(Duration::from_secs(120));
    assert_eq!(scene.get("/account").await.status(), 401);
}

#[tokio::test]
async fn an_event_says_that_a_user_was_taken_over_and_none_that_they_signed_in() {
    let mut scene = Scene::new();
    scene.get("/account").await;
    let events = scene.test.take_events();
    let [Event::Created { session: created }, Event::Adopted { session, user: Some(user) }] = &events[..] else {
        panic!("{events:?}");
    };
    assert_eq!((created, user), (session, &"ada".parse().unwrap()));
    scene.post("/sign-in/ada").await;
    assert!(matches!(&scene.test.take_events()[..], [Event::SignedIn { .. }]));
}

#[tokio::test]
async fn a_user_with_too_many_sessions_is_not_taken_over_and_the_pages_still_work() {
    let limit = |config: ConfigBuilder| config.max_sessions_per_user(1).on_limit(OnLimit::RefuseNew);
    let mut scene = Scene::with(|adoption| adoption, limit);
    scene.test.signed_in("ada").await.unwrap();
    assert_eq!(scene.get("/account").await.status(), 401);
    assert_eq!(text(scene.get("/cart").await).await, "");
    assert_eq!((scene.sessions_of_ada().await, cookies_of(&scene.browser)), (1, vec!["old".to_owned()]));
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    let error = |builder: ConfigBuilder| builder.build().unwrap_err().to_string();
    let adopt = |how: fn(Adoption) -> Adoption| config(&Former::default(), how);
    assert!(error(adopt(Adoption::side_by_side).cookie_name("old")).contains("needs another cookie_name"));
    assert!(error(adopt(|adoption| adoption).token_format(TokenFormat::Plain)).contains("no sign-in"));
    assert!(error(Config::builder().adopt(Adoption::new("a b", Former::default()))).contains("cookie_name"));
    assert!(adopt(Adoption::side_by_side).build().is_ok());
    assert!(FormerSession::of_user("").unwrap_err().is_invalid());
    assert!(FormerSession::of_visitor().field(Field::<String>::named("user_id"), "x").unwrap_err().is_invalid());
}

#[tokio::test]
async fn a_visit_that_can_carry_no_token_leaves_a_former_session_to_the_next_request() {
    let mut scene = Scene::new();
    let mut headers = HeaderMap::new();
    headers.insert(header::COOKIE, scene.browser.cookies().unwrap().parse().unwrap());
    let (sessions, uri) = (scene.test.sessions(), Uri::from_static("/"));
    let ongoing = Visit::begin_without_tokens(sessions, &Method::GET, &uri, &headers).unwrap();
    assert_eq!(ongoing.visit().session().await.unwrap().user(), None);
    let mut answer = HeaderMap::new();
    ongoing.finish(200).await.unwrap().apply(&mut answer);
    assert!(!answer.contains_key(header::SET_COOKIE));
    assert_eq!(scene.former.asked(), (0, 0));
    assert_eq!(text(scene.get("/account").await).await, "ada");
}
